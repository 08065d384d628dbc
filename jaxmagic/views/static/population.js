// The population demo: sliders, a chart with its tangent, the growth, the effects, one sentence.
//
// Moving the year needs no kernel: every year's figures are here. Moving a rate asks the kernel, at most
// `DEPTH` questions at a time; what the hand does meanwhile is asked when an answer comes, so that the
// last position is never lost and no queue builds up.

const DEPTH = 3;
const PATIENCE = [1000, 3000, 6000, 12000]; // milliseconds without an answer until we ask again, and say so

// -- words -----------------------------------------------------------------------------------------

const grouped = (digits) => new Intl.NumberFormat("en", {
  minimumSignificantDigits: digits, maximumSignificantDigits: digits });
const three = grouped(3);
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const minus = (text) => text.replace("-", "−");
const people = (n) => (n >= 1e6 ? `${three.format(n / 1e6)} million` : whole.format(Number(n.toPrecision(3))));
const signed = (n) => (Math.round(n) > 0 ? "+" : "") + minus(whole.format(Number(n.toPrecision(3)) || 0));

// How a slider's value is written, and how a screen reader says it.
const WRITTEN = {
  percent: (v) => `${(100 * v).toFixed(2)} %`,
  migration: (v) => `${signed(v)} a year`,
  people,
  year: (v) => String(v),
};

// The runs of the sentence: [text, is it strong].
function sentence(year, count, speed) {
  const moves = Math.abs(speed) < 0.5
    ? [[" people and stays as it is.", false]]
    : [[` people and ${speed > 0 ? "grows" : "shrinks"} by `, false],
       [whole.format(Number(Math.abs(speed).toPrecision(3))), true], [" a year.", false]];
  return [[`In ${year} the city has `, false], [people(count), true], ...moves];
}

// How city B, where the sliders stand, differs from city A, which was kept.
function difference(year, here, kept, index) {
  const [b, a] = [here.people[index], kept.people[index]], more = b - a;
  const share = a > 0 ? ` (${more > 0 ? "+" : ""}${minus((100 * more / a).toFixed(1))} %)` : "";
  return `In ${year} city B has ${people(b)} people and city A ${people(a)}: B − A is ${signed(more)}${share}; ` +
    `B's growth less A's is ${signed(here.growth[index] - kept.growth[index])} a year.`;
}

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

function ticks(low, high, about) {
  const raw = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
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

// -- the chart -------------------------------------------------------------------------------------

const TOP = 22, LEFT = 46, RIGHT = 14, GAP = 30, BOTTOM = 22;

function makeChart(years, counts, id, describe) {
  const part = (name, tag = "path") => make(`svg:${tag}`, { class: `jm-pop-${name}` });
  const parts = {
    grid: part("grid"), room: part("room"), ghost: part("ghost"), kept: part("kept"), keptGrowth: part("kept"), keptName: part("kept-name", "text"), people: part("people"), tangent: part("tangent"),
    zero: part("zero"), growth: part("growth"), cursor: part("cursor"),
    band: part("band"), counts: make("svg:g"),
    dot: make("svg:circle", { class: "jm-pop-dot", r: 5 }), speck: make("svg:circle", { class: "jm-pop-speck", r: 3.5 }),
    texts: make("svg:g"), slope: part("slope", "text"),
  };
  const window = make("svg:rect"), clip = `${id}-clip`;
  const inside = make("svg:g", { "clip-path": `url(#${clip})` }, parts.room, parts.band, parts.ghost, parts.counts, parts.kept, parts.people, parts.tangent);
  const svg = make("svg:svg", { class: "jm-pop-chart", role: "img" }, make("svg:clipPath", { id: clip }, window), parts.grid,
    parts.zero, parts.cursor, inside, parts.keptGrowth, parts.growth, parts.dot, parts.speck, parts.texts, parts.keptName, parts.slope);
  const state = { range: null, speeds: null, size: [0, 0], labelled: "" };
  const label = (x, y, text, anchor = "start") => {
    const node = make("svg:text", { x, y, "text-anchor": anchor });
    node.textContent = text;
    return node;
  };

  function frame() {
    const [width, height] = state.size;
    const lower = Math.round((height - TOP - GAP - BOTTOM) * 0.26);
    return { left: LEFT, right: width - RIGHT, top: TOP, base: height - BOTTOM - lower - GAP,
             lowTop: height - BOTTOM - lower, lowBase: height - BOTTOM };
  }

  function axes(box, x, y, z) {
    const scales = [...state.range, ...state.speeds, ...state.size].join();
    if (state.labelled === scales) return; // while the hand moves they mostly stay
    state.labelled = scales;
    set(window, { x: box.left, y: box.top - 6, width: box.right - box.left, height: box.base - box.top + 12 });
    const millions = ticks(...state.range, 6).filter((v) => v >= 0);
    const decimals = Math.max(0, ...millions.map((v) => (String(Number((v / 1e6).toPrecision(6))).split(".")[1] || "").length));
    const peak = ticks(...state.speeds, 2);
    set(parts.grid, { d: millions.map((v) => `M${box.left} ${y(v).toFixed(1)}H${box.right}`).join("") });
    set(parts.zero, { d: state.speeds[0] <= 0 && state.speeds[1] >= 0 ? `M${box.left} ${z(0).toFixed(1)}H${box.right}` : "" });
    const wanted = Math.max(2, Math.min(5, Math.floor((box.right - box.left) / 90)));
    parts.texts.replaceChildren(
      label(box.left, TOP - 10, "population, millions"),
      label(box.left, box.lowTop - 8, "growth, people a year"),
      ...millions.map((v) => label(box.left - 8, y(v) + 4, (v / 1e6).toFixed(decimals), "end")),
      ...peak.map((v) => label(box.left - 8, z(v) + 4, minus(short.format(v / 1e3)) + (v ? " k" : ""), "end")),
      ...ticks(years[0], years.at(-1), wanted).map((v) => label(x(v), box.lowBase + 16, String(v), "middle")),
    );
  }

  const line = (x, y, values) =>
    "M" + Array.from(values, (v, i) => `${x(years[i]).toFixed(1)} ${y(v).toFixed(1)}`).join("L");

  function tangent(box, x, y, at, figures, index) {
    const reach = (years.at(-1) - years[0]) * 0.25;
    const ends = [-reach, reach].map((step) => [x(at + step), y(figures.people[index] + step * figures.growth[index])]);
    return `M${ends.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}`;
  }

  // `kept` is city A, whose curves stay beside those of the sliders' city B.
  function drawKept(box, x, y, z, kept) {
    set(parts.kept, { d: kept ? line(x, y, kept.people) : "" });
    set(parts.keptGrowth, { d: kept ? line(x, z, kept.growth) : "" });
    set(parts.keptName, { x: box.right - 4, y: kept ? y(kept.people.at(-1)) - 6 : 0, "text-anchor": "end" });
    parts.keptName.textContent = kept ? "A" : "";
  }

  // What was counted: full where the fit saw it, hollow where it was held out.
  function drawCounts(x, y) {
    parts.counts.replaceChildren(...counts.map(([year, count, seen]) =>
      make("svg:circle", { class: seen ? "jm-pop-count" : "jm-pop-held", cx: x(year), cy: y(count), r: 3 })));
  }

  function drawBand(x, y, band) {
    const edge = (row) => Array.from(row, (v, i) => `${x(years[i]).toFixed(1)} ${y(v).toFixed(1)}`);
    set(parts.band, { d: band ? `M${[...edge(band[0]), ...edge(band[1]).reverse()].join("L")}Z` : "" });
  }

  const extremes = (row, kept, from) => {
    const all = kept ? [...row, ...kept[from]] : row;
    return [Math.min(...all), Math.max(...all)];
  };

  const counted = counts.map((row) => row[1]);

  function draw({ figures, ghost, kept, band }, capacity, index) {
    if (!state.size[0]) return;
    const box = frame();
    const [slowest, fastest] = extremes(figures.growth, kept, "growth");
    const [fewest, most] = extremes(figures.people, kept, "people");
    state.range = steady(state.range, Math.min(fewest, ...counted), Math.max(most, ...counted));
    state.speeds = steady(state.speeds, Math.min(0, slowest), Math.max(0, fastest));
    const x = scale(years[0], years.at(-1), box.left, box.right);
    const y = scale(...state.range, box.base, box.top);
    const z = scale(...state.speeds, box.lowBase, box.lowTop);
    const [at, count, speed] = [years[index], figures.people[index], figures.growth[index]];
    axes(box, x, y, z);
    set(parts.people, { d: line(x, y, figures.people) });
    set(parts.ghost, { d: ghost ? line(x, y, ghost) : "" });
    set(parts.growth, { d: line(x, z, figures.growth) });
    drawKept(box, x, y, z, kept);
    drawCounts(x, y);
    drawBand(x, y, band);
    set(parts.room, { d: capacity <= state.range[1] ? `M${box.left} ${y(capacity).toFixed(1)}H${box.right}` : "" });
    set(parts.tangent, { d: tangent(box, x, y, at, figures, index) });
    set(parts.cursor, { d: `M${x(at).toFixed(1)} ${box.top}V${box.lowBase}` });
    set(parts.dot, { cx: x(at), cy: y(count) });
    set(parts.speck, { cx: x(at), cy: z(speed) });
    const late = x(at) > box.right - 110;
    set(parts.slope, { x: x(at) + (late ? -12 : 12), y: y(count) + 20, "text-anchor": late ? "end" : "start" });
    parts.slope.textContent = `${signed(speed)} a year`;
    set(svg, { "aria-label": describe(at, figures, index) });
  }

  // The whole year under a point of the page.
  function yearAt(clientX) {
    const box = frame(), edge = svg.getBoundingClientRect();
    const year = scale(box.left, box.right, years[0], years.at(-1))(clientX - edge.left);
    return Math.round(Math.min(Math.max(year, years[0]), years.at(-1)));
  }

  function resize(width) {
    const height = width < 420 ? 260 : 320;
    state.size = [width, height];
    set(svg, { width, height, viewBox: `0 0 ${width} ${height}` });
  }

  const refit = () => { state.range = state.speeds = null; };
  return { svg, draw, yearAt, resize, refit };
}

// -- the controls ----------------------------------------------------------------------------------

function makeSlider(spec, value, id) {
  // Without the second line JupyterLab takes the arrow keys for itself.
  const input = make("input", { type: "range", id, min: spec.low, max: spec.high, step: spec.step,
                                "data-lm-suppress-shortcuts": "true" });
  const output = make("output", { for: id, class: "jm-pop-value" });
  const label = make("label", { for: id }, spec.label);
  const write = () => {
    output.textContent = WRITTEN[spec.written](Number(input.value));
    set(input, { "aria-valuetext": output.textContent });
  };
  input.value = value;
  input.addEventListener("input", write);
  write();
  const put = (next) => {
    set(input, { min: Math.min(input.min, next), max: Math.max(input.max, next) });
    input.value = next;
    write();
  };
  return { spec, input, put, row: make("div", { class: "jm-pop-slider", title: spec.help }, label, input, output) };
}

function makeEffects(names) {
  const caption = make("caption", { class: "jm-pop-caption" });
  const rows = names.map((name) => {
    const row = { value: make("td", { class: "jm-pop-number" }), fill: make("i"), partial: make("td", { class: "jm-pop-number jm-pop-partial" }) };
    row.line = make("tr", {}, make("th", { scope: "row" }, name), row.value,
      make("td", {}, make("span", { class: "jm-pop-track", "aria-hidden": "true" }, row.fill)));
    return row;
  });
  const table = make("table", { class: "jm-pop-effects" }, caption, make("tbody", {}, ...rows.map((row) => row.line)));
  function draw(effects, index, year) {
    caption.textContent = `effect of 1 % more, people a year in ${year}`;
    const longest = Math.max(...effects.map((effect) => Math.abs(effect[index])), 1e-9);
    rows.forEach((row, i) => {
      const effect = effects[i][index];
      row.value.textContent = signed(effect);
      row.fill.style.width = `${(100 * Math.abs(effect)) / longest}%`;
      row.fill.className = effect < 0 ? "jm-pop-less" : "jm-pop-more";
    });
  }
  return { table, draw };
}

// -- questions to the kernel -----------------------------------------------------------------------

// Jupyter's server sends by Nagle's rule: an answer waits there until the browser acknowledges the packet
// before it ("busy"), which it does after 40 ms, or at once with anything that it sends. So while an
// answer is due we send something: the time to a picture falls from 60 ms to below 20. While the hand
// moves, its next question does that.
const NUDGES = { still: [7, 21], moving: [20] }; // milliseconds after a question
const MOVING = 60; // milliseconds between two questions of one movement, at most

// Asks about the newest state only; `onAnswer(figures, refused)`, `onSilence(true or false)`.
function makeAsker(model, current, onAnswer, onSilence) {
  let asked = 0, answered = 0, stale = false, timer = 0, last = -Infinity, silences = 0;
  function watch() {
    clearTimeout(timer);
    if (asked > answered && silences < PATIENCE.length) timer = setTimeout(again, PATIENCE[silences]);
  }
  function again() {
    answered = asked; // what was under way is given up, and answers that are late do no harm
    silences += 1;
    onSilence(silences > 1);
    ask();
  }
  function nudge(question, delays) {
    const send = () => { if (answered < question && asked === question) model.send({ nudge: question }); };
    for (const delay of delays) setTimeout(send, delay);
  }
  function ask() {
    stale = asked - answered >= DEPTH;
    if (stale) return;
    asked += 1;
    model.send({ ask: asked, city: current() });
    const now = performance.now();
    nudge(asked, now - last < MOVING ? NUDGES.moving : NUDGES.still);
    last = now;
    watch();
  }
  function listen(message, buffers) {
    if (!message || message.answer === undefined) return;
    answered = Math.max(answered, message.answer);
    silences = 0;
    onSilence(false);
    onAnswer(message, buffers);
    watch();
    if (stale) ask();
  }
  model.on("msg:custom", listen);
  const moved = () => { silences = 0; ask(); };
  return { moved, stop: () => { clearTimeout(timer); model.off("msg:custom", listen); } };
}

// Rows of float32: the population, its growth, then one effect for each rate.
function unpack(view, count) {
  const flat = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const rows = Array.from({ length: flat.length / count }, (_, i) => flat.subarray(i * count, (i + 1) * count));
  return { people: rows[0], growth: rows[1], effects: rows.slice(2) };
}

// A slider rounds what it is given a little.
const near = (a, b) => Math.abs(a - b) <= 1e-6 * Math.abs(b);

// Two rows of float32: the lower and the upper edge of the band.
function halves(view, count) {
  const flat = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  return [flat.subarray(0, count), flat.subarray(count)];
}

// -- the fit ---------------------------------------------------------------------------------------

// The kernel goes some steps for each question and is free in between; `stop` asks no further one.
function makeFit(model, onStep, say) {
  const losses = [], line = make("svg:path", { class: "jm-pop-descent" });
  const chart = make("svg:svg", { class: "jm-pop-loss", width: 220, height: 44, role: "img" }, line);
  let number = 0, going = false, last = null;
  const ask = (go) => model.send({ fit: number, go });
  function draw() {
    const logs = losses.map((loss) => Math.log(loss));
    const y = scale(Math.min(...logs), Math.max(...logs), 41, 3), x = scale(0, last.of, 2, 218);
    const each = last.step / Math.max(1, losses.length - 1);
    set(line, { d: `M${logs.map((v, i) => `${x(i * each).toFixed(1)} ${y(v).toFixed(1)}`).join("L")}` });
    set(chart, { "aria-label": `The loss fell from ${short.format(losses[0])} to ${short.format(last.loss)}, on a logarithmic scale.` });
  }
  const off = () => `step ${last.step} of ${last.of}, counts off by ${(100 * Math.sqrt(last.loss)).toFixed(1)} % (root mean square)`;
  function listen(message, buffers) {
    if (!message || message.fitted !== number || !going) return;
    if (message.ended) {
      going = false;
      say(message.ended === "done" ? `fitted: ${off()}` : message.ended, true);
      return;
    }
    last = message;
    losses.push(message.loss);
    draw();
    say(off(), false);
    onStep(message, buffers);
    ask(false);
  }
  function start() {
    number += 1;
    going = true;
    losses.length = 0;
    say("compiling", false);
    ask(true);
  }
  function stop() {
    if (!going) return;
    going = false;
    number += 1; // an answer that is under way comes too late
    say(last ? `stopped at ${off()}: not the best fit` : "stopped", true);
  }
  model.on("msg:custom", listen);
  return { start, stop, chart, end: () => { going = false; model.off("msg:custom", listen); } };
}

// -- to take away ----------------------------------------------------------------------------------

// Tidy rows: the figures of each year, and beside them the city that they hold for.
function csv(years, figures, names, city, kept) {
  const places = Object.keys(city);
  const beside = kept ? ["people_a", "growth_a", "people_b_minus_a"] : [];
  const head = ["year", "people", "growth", ...names.map((name) => `effect_of_1_percent_${name}`), ...places, ...beside];
  const rows = years.map((year, i) =>
    [year, figures.people[i], figures.growth[i], ...figures.effects.map((effect) => effect[i]), ...places.map((name) => city[name]),
      ...(kept ? [kept.people[i], kept.growth[i], figures.people[i] - kept.people[i]] : [])]);
  return [head, ...rows].map((row) => row.join(",")).join("\n") + "\n";
}

// The chart as a file of its own: with the colours that it has here, on the ground that it stands on.
function portrait(svg) {
  const copy = svg.cloneNode(true), properties = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font"];
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

// -- all of it -------------------------------------------------------------------------------------

let made = 0;

function render({ model, el }) {
  const years = model.get("years"), specs = model.get("sliders"), rates = specs.slice(0, -1);
  const id = `jm-pop-${(made += 1)}`;
  const best = model.get("best"), counts = model.get("counts");
  const band = counts.length ? halves(model.get("band"), years.length) : null;
  const state = { figures: unpack(model.get("figures"), years.length), ghost: null, kept: null, year: model.get("year"), hover: null };

  const say = make("p", { class: "jm-say" });
  const spoken = make("p", { class: "jm-pop-spoken", role: "status" });
  const problem = make("p", { class: "jm-pop-problem", role: "alert" });
  const apart = make("p", { class: "jm-pop-apart" });
  const sliders = specs.map((spec, i) => makeSlider(spec, { ...model.get("city"), year: state.year }[spec.name], `${id}-${i}`));
  const effects = makeEffects(rates.map((spec) => spec.label));
  const button = (text, act) => {
    const node = make("button", { type: "button", class: "jm-pop-button" }, text);
    node.addEventListener("click", act);
    return node;
  };
  const chart = makeChart(years, counts, id, (at, figures, index) =>
    `Population from ${years[0]} to ${years.at(-1)}: from ${people(figures.people[0])} to ${people(figures.people.at(-1))}. ` +
    `Tangent in ${at}: ${signed(figures.growth[index])} people a year.`);
  const city = () => ({ ...model.get("city"), ...Object.fromEntries(sliders.slice(0, -1).map((s) => [s.spec.name, Number(s.input.value)])) });

  function draw() {
    const year = state.hover ?? state.year, index = years.indexOf(year);
    const runs = sentence(year, state.figures.people[index], state.figures.growth[index]);
    say.replaceChildren(...runs.map(([text, strong]) => (strong ? make("b", {}, text) : text)));
    const here = city(), fits = Object.keys(best).length && Object.keys(best).every((name) => near(here[name], best[name]));
    chart.draw({ ...state, band: fits ? band : null }, here.capacity, index);
    apart.textContent = state.kept ? difference(year, state.figures, state.kept, index) : "";
    effects.draw(state.figures.effects, index, year);
    el.dataset.drawn = Number(el.dataset.drawn || 0) + 1;
  }

  function answer(message, buffers) {
    problem.textContent = message.refused || "";
    if (message.refused) return;
    model.set("figures", buffers[0]);
    model.set("city", message.city);
    state.figures = unpack(buffers[0], years.length);
    draw();
  }

  const asker = makeAsker(model, city, answer, (silent) => {
    problem.textContent = silent ? "The kernel does not answer: it is busy, or the cell has to be run again." : "";
  });

  // Each message of the fit carries city and figures together, so that a stop leaves them agreeing.
  function took(message, buffers) {
    for (const slider of sliders.slice(0, -1)) slider.put(message.city[slider.spec.name]);
    answer(message, buffers);
  }

  const told = make("p", { class: "jm-pop-told" });
  const fit = makeFit(model, took, (text, ended) => {
    told.textContent = text;
    stopper.disabled = ended;
    if (ended) spoken.textContent = text;
  });
  const fitter = button("fit", () => { keepGhost(); stopper.disabled = false; fit.start(); });
  const stopper = button("stop", fit.stop);
  stopper.disabled = true;
  const fitting = make("div", { class: "jm-pop-fit", role: "group", "aria-label": "fit to the counts" },
    make("div", { class: "jm-pop-buttons" }, fitter, stopper), fit.chart, told);
  fitting.hidden = !counts.length;

  function turn(year) {
    state.year = year;
    model.set("year", year);
    draw();
  }

  const [timeline] = sliders.slice(-1);
  const keepGhost = () => { state.ghost = state.figures.people.slice(); };
  timeline.input.addEventListener("input", () => turn(Number(timeline.input.value)));
  for (const slider of sliders.slice(0, -1)) {
    slider.input.addEventListener("pointerdown", keepGhost);
    slider.input.addEventListener("focus", keepGhost);
    slider.input.addEventListener("input", () => { fit.stop(); asker.moved(); });
  }
  for (const slider of sliders) slider.input.addEventListener("change", () => { spoken.textContent = say.textContent; });
  function go(place) {
    fit.stop();
    keepGhost();
    if (place.start !== undefined) model.set("city", { ...model.get("city"), start: place.start });
    for (const slider of sliders) slider.put(place[slider.spec.name] ?? slider.spec.start);
    chart.refit();
    turn(Number(timeline.input.value));
    asker.moved();
    spoken.textContent = say.textContent;
  }
  const keep = button("keep this as A", () => {
    state.kept = state.kept ? null : { people: state.figures.people.slice(), growth: state.figures.growth.slice() };
    keep.textContent = state.kept ? "drop A" : "keep this as A";
    draw();
    spoken.textContent = state.kept ? "This city is kept as A; the sliders now move city B." : "A is gone.";
  });
  const compare = make("div", { class: "jm-pop-buttons", role: "group", "aria-label": "compare two cities" }, "compare ", keep);
  const presets = make("div", { class: "jm-pop-buttons", role: "group", "aria-label": "cities to start from" },
    ...model.get("presets").map(([name, place]) => button(name, () => go(place))));
  const files = make("div", { class: "jm-pop-buttons", role: "group", "aria-label": "save" }, "save ",
    button("CSV", () => save("population.csv", new Blob([csv(years, state.figures, rates.map((r) => r.name), model.get("city"), state.kept)], { type: "text/csv" }))),
    button("SVG", () => save("population.svg", new Blob([portrait(chart.svg)], { type: "image/svg+xml" }))),
    button("PNG", async () => save("population.png", await pixels(chart.svg, 2))));
  chart.svg.addEventListener("pointermove", (event) => {
    const year = chart.yearAt(event.clientX);
    if (event.buttons) { timeline.put(year); turn(year); } else { state.hover = year; draw(); }
  });
  chart.svg.addEventListener("pointerdown", (event) => { const year = chart.yearAt(event.clientX); timeline.put(year); turn(year); });
  chart.svg.addEventListener("pointerleave", () => { state.hover = null; draw(); });

  const source = make("pre", { class: "jm-code", tabindex: 0 });
  source.textContent = model.get("source");
  const controls = make("div", { class: "jm-pop-controls" }, ...sliders.map((slider) => slider.row), fitting, presets, compare, effects.table);
  const figure = make("div", { class: "jm-pop-figure" }, chart.svg, apart, files);
  el.classList.add("jm", "jm-live", "jm-pop");
  el.append(say, spoken, make("div", { class: "jm-pop-panels" }, controls, figure), problem,
    make("details", {}, make("summary", { class: "jm-summary" }, "the model"), source),
    ...model.get("panels").map(([title, text]) => make("details", {},
      make("summary", { class: "jm-summary" }, `the JAX of ${title}`), make("pre", { class: "jm-code", tabindex: 0 }, text))));

  const observer = new ResizeObserver(([entry]) => { chart.resize(Math.floor(entry.contentRect.width)); draw(); });
  observer.observe(figure);
  draw();
  return () => { observer.disconnect(); asker.stop(); fit.end(); };
}

export default { render };
