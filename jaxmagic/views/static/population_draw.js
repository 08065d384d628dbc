// Drawing for the population demo: elements, scales, the chart, and the chart as a file.

// -- words -----------------------------------------------------------------------------------------

const grouped = (digits) => new Intl.NumberFormat("en", {
  minimumSignificantDigits: digits, maximumSignificantDigits: digits });
const three = grouped(3);
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const minus = (text) => text.replace("-", "−");
const people = (n) => (n >= 1e6 ? `${three.format(n / 1e6)} million` : whole.format(Number(n.toPrecision(3))));
const signed = (n) => (Math.round(n) > 0 ? "+" : "") + minus(whole.format(Number(n.toPrecision(3)) || 0));
const percent = (share) => `${share > 0 ? "+" : ""}${minus((100 * share).toFixed(1))} %`;

// -- elements --------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  set(node, attributes);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

// -- scales and ticks ------------------------------------------------------------------------------

const scale = (from, to, low, high) => (v) => low + ((v - from) / (to - from || 1)) * (high - low);

function ticks(low, high, about, least = 0) {
  const raw = Math.max((high - low) / about || 1, least);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw && s >= least && (!least || s % least === 0));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

// A range that stays where it is while the hand moves, so that the curve moves and not its axis: it
// widens when the figures leave it and narrows when they fill little of it.
function steady(range, low, high) {
  const margin = (high - low) * 0.12 || Math.max(Math.abs(high) * 0.05, 1);
  const fits = range && low >= range[0] && high <= range[1] && high - low > 0.4 * (range[1] - range[0]);
  return fits ? range : [low - margin, high + margin];
}

const extremes = (...rows) => {
  let [low, high] = [Infinity, -Infinity];
  for (const row of rows) for (const value of row ?? []) { if (value < low) low = value; if (value > high) high = value; }
  return [low, high];
};

// -- the chart -------------------------------------------------------------------------------------

const TOP = 24, LEFT = 46, RIGHT = 14, GAP = 34, BOTTOM = 22, STRIP = 70;

// Two strips, population and growth, and a third for the difference while a city A is kept.
function makeChart(years, counts, id, describe) {
  const part = (name, tag = "path") => make(`svg:${tag}`, { class: `jm-pop-${name}` });
  const parts = Object.fromEntries(["grid", "zero", "cursor", "room", "band", "ghost", "kept", "people", "tangent", "keptGrowth", "growth", "difference"]
    .map((name) => [name, part(name === "keptGrowth" ? "kept" : name)]));
  const dots = { people: make("svg:circle", { class: "jm-pop-dot", r: 5 }), growth: make("svg:circle", { class: "jm-pop-speck", r: 3.5 }),
    difference: make("svg:circle", { class: "jm-pop-apart-dot", r: 3.5 }) };
  const texts = { axes: make("svg:g"), slope: part("slope", "text"), room: part("room-name", "text"), kept: part("kept-name", "text") };
  const counted = make("svg:g");
  const window = make("svg:rect"), clip = `${id}-clip`;
  const inside = make("svg:g", { "clip-path": `url(#${clip})` }, parts.room, parts.band, parts.ghost, parts.kept, parts.people, counted, parts.tangent);
  const svg = make("svg:svg", { class: "jm-pop-chart", role: "img" }, make("svg:clipPath", { id: clip }, window), parts.grid, parts.zero,
    parts.cursor, inside, parts.keptGrowth, parts.growth, parts.difference, ...Object.values(dots), ...Object.values(texts));
  const state = { people: null, growth: null, difference: null, width: 0, laid: "", hasKept: null };
  const seen = counts.map((row) => row[1]);

  const label = (x, y, text, anchor = "start") => {
    const node = make("svg:text", { x, y, "text-anchor": anchor });
    node.textContent = text;
    return node;
  };

  // Where each strip stands: [top, base].
  function frame(kept) {
    const tall = state.width < 420 ? 150 : 230;
    const strips = { people: [TOP, TOP + tall], growth: [TOP + tall + GAP, TOP + tall + GAP + STRIP] };
    if (kept) strips.difference = [strips.growth[1] + GAP, strips.growth[1] + GAP + STRIP];
    const base = (strips.difference ?? strips.growth)[1];
    return { left: LEFT, right: state.width - RIGHT, strips, base, height: base + BOTTOM };
  }

  function axes(box, x, ys) {
    const laid = [state.width, box.height, ...Object.keys(ys).flatMap((name) => state[name])].join();
    if (state.laid === laid) return; // while the hand moves they mostly stay
    state.laid = laid;
    set(svg, { width: state.width, height: box.height, viewBox: `0 0 ${state.width} ${box.height}` });
    set(window, { x: box.left - 5, y: box.strips.people[0] - 6, width: box.right - box.left + 10, height: box.strips.people[1] - box.strips.people[0] + 12 });
    const millions = ticks(...state.people, state.width < 420 ? 4 : 6).filter((v) => v >= 0);
    const decimals = Math.max(0, ...millions.map((v) => (String(Number((v / 1e6).toPrecision(6))).split(".")[1] || "").length));
    const titles = { people: "population, millions", growth: "growth, people a year", difference: "difference B − A, people" };
    const level = (y, v) => `M${box.left} ${y(v).toFixed(1)}H${box.right}`;
    set(parts.grid, { d: millions.map((v) => level(ys.people, v)).join("") });
    const strips = Object.keys(ys).filter((name) => name !== "people");
    set(parts.zero, { d: strips.filter((name) => state[name][0] <= 0 && state[name][1] >= 0).map((name) => level(ys[name], 0)).join("") });
    const along = Math.max(2, Math.min(7, Math.floor((box.right - box.left) / 80)));
    texts.axes.replaceChildren(
      ...Object.keys(ys).map((name) => label(box.left, box.strips[name][0] - 10, titles[name])),
      ...millions.map((v) => label(box.left - 8, ys.people(v) + 4, (v / 1e6).toFixed(decimals), "end")),
      ...strips.flatMap((name) => ticks(...state[name], 2).map((v) => label(box.left - 8, ys[name](v) + 4, thousands(v), "end"))),
      ...ticks(years[0], years.at(-1), along, 1).map((v) => label(x(v), box.base + 16, String(v), "middle")),
      ...(counts.length ? [legend(box)] : []),
    );
    drawCounts(x, ys.people);
  }

  const thousands = (v) => (Math.abs(v) >= 1e6 ? `${minus(short.format(v / 1e6))} M` : minus(short.format(v / 1e3)) + (v ? " k" : ""));

  // What the marks are, at the top on the right.
  const legend = (box) => label(box.right, TOP - 10, counts.some((row) => !row[2]) ? "●\u2009counted\u2003○\u2009held out" : "●\u2009counted", "end");

  const line = (x, y, values) =>
    "M" + Array.from(values, (v, i) => `${x(years[i]).toFixed(1)} ${y(v).toFixed(1)}`).join("L");

  function tangent(x, y, at, figures, index) {
    const reach = (years.at(-1) - years[0]) * 0.25;
    const ends = [-reach, reach].map((step) => [x(at + step), y(figures.people[index] + step * figures.growth[index])]);
    return `M${ends.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}`;
  }

  // `kept` is city A, whose curves stay beside those of the sliders' city B.
  function drawKept(box, x, ys, kept, apart, index) {
    set(parts.kept, { d: kept ? line(x, ys.people, kept.people) : "" });
    set(parts.keptGrowth, { d: kept ? line(x, ys.growth, kept.growth) : "" });
    set(parts.difference, { d: kept ? line(x, ys.difference, apart) : "" });
    set(texts.kept, { x: box.right - 4, y: kept ? ys.people(kept.people.at(-1)) - 6 : 0, "text-anchor": "end" });
    texts.kept.textContent = kept ? "A" : "";
    dots.difference.style.display = kept ? "" : "none";
    if (kept) set(dots.difference, { cx: x(years[index]), cy: ys.difference(apart[index]) });
  }

  // What was counted: full where the fit saw it, hollow where it was held out.
  function drawCounts(x, y) {
    counted.replaceChildren(...counts.map(([year, count, fitted]) =>
      make("svg:circle", { class: fitted ? "jm-pop-count" : "jm-pop-held", cx: x(year).toFixed(1), cy: y(count).toFixed(1), r: 3 })));
  }

  function drawBand(x, y, band) {
    const edge = (row) => Array.from(row, (v, i) => `${x(years[i]).toFixed(1)} ${y(v).toFixed(1)}`);
    set(parts.band, { d: band ? `M${[...edge(band[0]), ...edge(band[1]).reverse()].join("L")}Z` : "" });
  }

  // The dotted line of the capacity with its name, where it is in sight.
  function drawRoom(box, y, capacity) {
    const shown = capacity <= state.people[1] && capacity >= state.people[0];
    set(parts.room, { d: shown ? `M${box.left} ${y(capacity).toFixed(1)}H${box.right}` : "" });
    set(texts.room, { x: box.left + 6, y: y(capacity) - 5 });
    texts.room.textContent = shown ? `capacity ${people(capacity)}` : "";
  }

  function draw({ figures, ghost, kept, band }, capacity, index) {
    if (state.width < 100) return; // no room for a picture
    const box = frame(kept);
    const apart = kept && figures.people.map((value, i) => value - kept.people[i]);
    state.people = steady(state.people, ...extremes(figures.people, kept?.people, seen));
    state.growth = steady(state.growth, ...extremes([0], figures.growth, kept?.growth));
    const least = 0.001 * state.people[1]; // two cities that are nearly the same look it
    state.difference = kept ? steady(state.difference, ...extremes([-least, least], apart)) : null;
    const x = scale(years[0], years.at(-1), box.left, box.right);
    const ys = Object.fromEntries(Object.entries(box.strips).map(([name, [top, base]]) => [name, scale(...state[name], base, top)]));
    const [at, count, speed] = [years[index], figures.people[index], figures.growth[index]];
    axes(box, x, ys);
    set(parts.people, { d: line(x, ys.people, figures.people) });
    set(parts.ghost, { d: ghost ? line(x, ys.people, ghost) : "" });
    set(parts.growth, { d: line(x, ys.growth, figures.growth) });
    drawKept(box, x, ys, kept, apart, index);
    drawBand(x, ys.people, band);
    drawRoom(box, ys.people, capacity);
    set(parts.tangent, { d: tangent(x, ys.people, at, figures, index) });
    set(parts.cursor, { d: `M${x(at).toFixed(1)} ${box.strips.people[0]}V${box.base}` });
    set(dots.people, { cx: x(at), cy: ys.people(count) });
    set(dots.growth, { cx: x(at), cy: ys.growth(speed) });
    const late = x(at) > box.right - 110;
    set(texts.slope, { x: x(at) + (late ? -12 : 12), y: ys.people(count) + 20, "text-anchor": late ? "end" : "start" });
    texts.slope.textContent = `${signed(speed)} a year`;
    set(svg, { "aria-label": describe(at, figures, index) });
  }

  // The whole year under a point of the page.
  function yearAt(clientX) {
    const edge = svg.getBoundingClientRect();
    const year = scale(LEFT, state.width - RIGHT, years[0], years.at(-1))(clientX - edge.left);
    return Math.round(Math.min(Math.max(year, years[0]), years.at(-1)));
  }

  const resize = (width) => { state.width = width; };
  const refit = () => { state.people = state.growth = state.difference = null; };
  return { svg, draw, yearAt, resize, refit };
}

// -- the chart as a file ---------------------------------------------------------------------------

// With the colours that it has here, on the ground that it stands on.
function portrait(svg) {
  const copy = svg.cloneNode(true);
  const properties = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "paint-order", "opacity", "font", "display"];
  const [here, there] = [svg, copy].map((root) => root.querySelectorAll("path, circle, text"));
  here.forEach((node, i) => {
    const style = getComputedStyle(node);
    there[i].setAttribute("style", properties.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";"));
  });
  copy.prepend(make("svg:rect", { width: "100%", height: "100%", fill: ground(svg) }));
  copy.setAttribute("xmlns", SVG);
  return new XMLSerializer().serializeToString(copy);
}

function ground(node) {
  const colour = getComputedStyle(node).backgroundColor;
  if (!/^rgba\(.*, 0\)$|^transparent$/.test(colour)) return colour;
  return node.parentElement ? ground(node.parentElement) : "white";
}

async function pixels(svg, times) {
  const image = new Image(), canvas = make("canvas"), { width, height } = svg.getBoundingClientRect();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(portrait(svg))}`;
  await image.decode();
  [canvas.width, canvas.height] = [width * times, height * times];
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
}

function save(name, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
