// The population demo: sliders, a chart with its tangent, the growth, the effects, one sentence.
//
// Moving the year needs no kernel: every year's figures are here. See population_ask.js for the rates.

// -- what is said ----------------------------------------------------------------------------------

// How a slider's value is written, and how a screen reader says it; and what a typed one means.
const WRITTEN = {
  percent: (v) => `${(100 * v).toFixed(2)} %`,
  migration: (v) => `${signed(v)} a year`,
  people,
  year: (v) => String(v),
};
const TYPED = { percent: 0.01, migration: 1, people: 1, year: 1 };

// A number as people type it: "3.6 %", "-1,500 a year", "8.07 million"; NaN where it is none.
function typed(text, written) {
  const plain = text.replaceAll("−", "-").replace(/[,\s']/g, "").replace(/(%|ayear)$/i, "");
  const [, digits, millions] = plain.match(/^([-+]?[\d.]+(?:e[-+]?\d+)?)(million|m)?$/i) ?? [];
  return digits === undefined ? NaN : Number(digits) * (millions ? 1e6 : 1) * TYPED[written];
}

const bold = (runs) => runs.map(([text, strong]) => (strong ? make("b", {}, text) : text));

// The runs of the sentence: [text, is it strong].
function sentence(year, count, speed) {
  const moves = Math.abs(speed) < 0.5
    ? [[" people and stays as it is.", false]]
    : [[` people and ${speed > 0 ? "grows" : "shrinks"} by `, false],
       [whole.format(Number(Math.abs(speed).toPrecision(3))), true], [" a year.", false]];
  return [[`In ${year} the city has `, false], [people(count), true], ...moves];
}

// How far a curve that is not the fit is off the counts.
function misses(counts, years, row) {
  const off = ([year, count]) => row[years.indexOf(year)] / count - 1;
  const held = counts.filter((each) => !each[2]), fitted = counts.filter((each) => each[2]).map(off);
  const root = Math.sqrt(fitted.reduce((sum, share) => sum + share ** 2, 0) / fitted.length);
  const runs = [["Not the fit: this curve misses the counts by ", false], [`${(100 * root).toFixed(1)} %`, true], [" (root mean square)", false]];
  const of = held.map((each) => `${each[0]} by ${percent(off(each))}`);
  return held.length ? [...runs, [" and the held-out count of ", false], [of.join(", "), true], [".", false]] : [...runs, [".", false]];
}

// How city B, where the sliders stand, differs from city A, which was kept.
function difference(year, here, kept, index) {
  const [b, a] = [here.people[index], kept.people[index]], more = b - a;
  const share = a > 0 ? ` (${percent(more / a)})` : "";
  return `In ${year} city B has ${people(b)} people and city A ${people(a)}: B − A is ${signed(more)}${share}; ` +
    `B's growth less A's is ${signed(here.growth[index] - kept.growth[index])} a year.`;
}

// -- the controls ----------------------------------------------------------------------------------

// A slider with its value beside it, which can be typed as well; `ask(value)` takes what was typed.
function makeSlider(spec, value, id, ask) {
  // Without the suppression JupyterLab takes the arrow keys for itself.
  const own = { "data-lm-suppress-shortcuts": "true" };
  const input = make("input", { type: "range", id, min: spec.low, max: spec.high, step: spec.step, "aria-describedby": `${id}-help`, ...own });
  const field = make("input", { type: "text", class: "jm-pop-value", inputmode: "decimal", autocomplete: "off", spellcheck: "false",
                                "aria-label": `${spec.label}, as a number`, ...own });
  const write = () => {
    const words = WRITTEN[spec.written](Number(input.value));
    if (field.value !== words) field.value = words;
    set(input, { "aria-valuetext": words });
  };
  input.value = value;
  input.addEventListener("input", write);
  const take = () => {
    if (field.value !== WRITTEN[spec.written](Number(input.value))) ask(typed(field.value, spec.written), field.value);
  };
  field.addEventListener("change", take);
  field.addEventListener("keydown", (event) => { // JupyterLab's own Enter would run the cell's commands
    if (event.key === "Enter") take();
    else if (event.key === "Escape") write();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  write();
  const stay = (next) => { input.value = next; write(); };
  // Its track is as wide as it was made, or reaches to what it is given; off its steps it moves freely.
  const put = (next) => {
    const steps = (next - spec.low) / spec.step, stops = Math.abs(steps - Math.round(steps)) < 1e-6;
    set(input, { min: Math.min(spec.low, next), max: Math.max(spec.high, next), step: stops ? spec.step : "any" });
    stay(next);
  };
  const row = make("div", { class: "jm-pop-slider", title: spec.help }, make("label", { for: id }, spec.label), input, field,
    make("span", { id: `${id}-help`, class: "jm-pop-spoken" }, spec.help));
  return { spec, input, field, put, stay, write, row };
}

function makeEffects(names) {
  const caption = make("caption", { class: "jm-pop-caption" });
  const rows = names.map((name) => {
    const row = { value: make("td", { class: "jm-pop-number" }), fill: make("i") };
    row.line = make("tr", {}, make("th", { scope: "row" }, name), row.value,
      make("td", { "aria-hidden": "true" }, make("span", { class: "jm-pop-track" }, row.fill)));
    return row;
  });
  const table = make("table", { class: "jm-pop-effects" }, caption, make("tbody", {}, ...rows.map((row) => row.line)));
  function draw(effects, index, year) {
    caption.textContent = `what 1 % more of each does to the growth in ${year}`;
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

function button(text, act, attributes = {}) {
  const node = make("button", { type: "button", class: "jm-pop-button", ...attributes }, text);
  node.addEventListener("click", act);
  return node;
}

const group = (title, ...children) =>
  make("div", { class: "jm-pop-group", role: "group", "aria-label": title }, make("div", { class: "jm-pop-title", "aria-hidden": "true" }, title), ...children);
const buttons = (...nodes) => make("div", { class: "jm-pop-buttons" }, ...nodes);

// -- the file --------------------------------------------------------------------------------------

// Tidy rows: the figures of each year, and beside them the city that they hold for.
function csv(years, names, city, { figures, kept, band, counts }) {
  const columns = [["year", years], ["people", figures.people], ["growth", figures.growth],
    ...names.map((name, i) => [`effect_of_1_percent_${name}`, figures.effects[i]]),
    ...Object.entries(city).map(([name, value]) => [name, years.map(() => value)])];
  if (kept) columns.push(["people_a", kept.people], ["growth_a", kept.growth], ["people_b_minus_a", figures.people.map((value, i) => value - kept.people[i])]);
  if (band) columns.push(["people_low_95", band[0]], ["people_high_95", band[1]]);
  if (counts.length) {
    const of = new Map(counts.map(([year, count, fitted]) => [year, [count, fitted ? "fitted" : "held out"]]));
    columns.push(["counted", years.map((year) => of.get(year)?.[0] ?? "")], ["count", years.map((year) => of.get(year)?.[1] ?? "")]);
  }
  const lines = years.map((_, i) => columns.map(([, values]) => values[i]).join(","));
  return [columns.map(([title]) => title).join(","), ...lines].join("\n") + "\n";
}

// -- all of it -------------------------------------------------------------------------------------

const PLACES = 121; // of a slider without steps: as many as its track has pixels

let made = 0;
const near = (a, b) => Math.abs(a - b) <= 1e-6 * Math.abs(b); // a slider rounds what it is given a little
const same = (one, other) => Object.keys(other).every((name) => near(one[name], other[name]));

function render({ model, el }) {
  const years = model.get("years"), specs = model.get("sliders"), rates = specs.slice(0, -1);
  const id = `jm-pop-${(made += 1)}`;
  const best = model.get("best"), counts = model.get("counts"), fitted = counts.length > 0;
  const edges = fitted ? halves(model.get("band"), years.length) : null;
  const state = { figures: unpack(model.get("figures"), years.length), ghost: null, kept: null, year: model.get("year"), hover: null };

  const found = make("p", { class: "jm-say jm-pop-found" });
  const say = make("p", { class: fitted ? "jm-pop-year" : "jm-say jm-pop-year" });
  const conditions = make("p", { class: "jm-conditions" }, model.get("conditions"));
  const spoken = make("p", { class: "jm-pop-spoken", role: "status" });
  const problem = make("p", { class: "jm-pop-problem", role: "alert" });
  const apart = make("p", { class: "jm-pop-apart" });
  const sliders = specs.map((spec, i) => makeSlider(spec, { ...model.get("city"), year: state.year }[spec.name], `${id}-${i}`, (value, text) => type(sliders[i], value, text)));
  const [timeline] = sliders.slice(-1), moved = sliders.slice(0, -1);
  const effects = makeEffects(rates.map((spec) => spec.label));
  const chart = makeChart(years, counts, id, (at, figures, index) =>
    `Population from ${years[0]} to ${years.at(-1)}: from ${people(figures.people[0])} to ${people(figures.people.at(-1))}. ` +
    `Tangent in ${at}: ${signed(figures.growth[index])} people a year.`);
  // The city of the sliders, which may still be asked for, and the one that is drawn.
  let { start } = model.get("city");
  const city = () => ({ ...Object.fromEntries(moved.map((s) => [s.spec.name, Number(s.input.value)])), start });
  const drawn = () => model.get("city");
  const atBest = () => fitted && same(drawn(), best);

  function draw() {
    const year = state.hover ?? state.year, index = years.indexOf(year);
    const fits = atBest(), band = fits ? edges : null;
    say.replaceChildren(...bold(sentence(year, state.figures.people[index], state.figures.growth[index])));
    if (fitted) found.replaceChildren(...bold(fits ? model.get("found") : misses(counts, years, state.figures.people)));
    chart.draw({ ...state, band }, drawn().capacity, index);
    apart.textContent = state.kept ? difference(year, state.figures, state.kept, index) : "";
    effects.draw(state.figures.effects, index, year);
    for (const [node, there] of presets) set(node, { "aria-pressed": same(drawn(), there) });
    el.dataset.drawn = Number(el.dataset.drawn || 0) + 1;
  }

  // A city and its figures, which the kernel has computed now or ahead.
  function show(next, bytes) {
    model.set("figures", bytes);
    model.set("city", next);
    state.figures = unpack(bytes, years.length);
    draw();
    ready();
    ahead.rested();
  }

  // What is refused is undone: the sliders go back to the city that is drawn.
  function answer(message, buffers) {
    problem.textContent = (message.refused ?? "").replace(/\s*\n\s*/g, ". ");
    if (message.refused) place(drawn());
    else show(message.city, buffers[0]);
    if (due) announce();
  }

  function place(next) {
    start = next.start ?? start;
    for (const slider of moved) slider.put(next[slider.spec.name] ?? slider.spec.start);
  }

  const asker = makeAsker(model, city, answer, (silent) => {
    problem.textContent = silent ? "The kernel does not answer: it is busy, or the cell has to be run again." : "";
  });
  const ahead = makeAhead(model, () => (fit.going() ? [] : moved.map(track)), ready);
  function track({ spec, input }) {
    const [low, high, step] = [Number(input.min), Number(input.max), Number(input.step)];
    return { name: spec.name, city: city(), low, high, places: step ? Math.round((high - low) / step) + 1 : PLACES };
  }
  const prepare = (slider) => { if (!fit.going()) ahead.want(track(slider)); };
  // The sliders whose moves need no kernel.
  function ready() { el.dataset.ready = moved.filter((slider) => ahead.fits(track(slider))).map((slider) => slider.spec.name).join(" "); }

  // A rate was moved: drawn from what is here, or else asked for.
  function follow(slider) {
    fit.stop();
    if (slider.input.step === "any" && slider.pressed) {
      const value = ahead.closest(track(slider));
      if (value !== null) slider.stay(value);
    }
    const bytes = ahead.look(track(slider));
    if (!bytes) return asker.moved();
    asker.overtaken();
    problem.textContent = "";
    show(city(), bytes);
  }

  // A number that was typed: the model is asked about any number; what is none goes no further.
  function type(slider, value, text) {
    const { spec } = slider, whole = spec.name === "year";
    const wrong = !Number.isFinite(value) ? `“${text}” is no number.`
      : whole && !years.includes(value) ? `year is one of ${years[0]} to ${years.at(-1)}, not ${text}.` : "";
    problem.textContent = wrong;
    if (wrong) return slider.write();
    if (whole) { slider.put(value); return turn(value); }
    fit.stop();
    keepGhost();
    slider.put(value);
    asker.moved();
  }

  // Each message of the fit carries city and figures together, so that a stop leaves them agreeing.
  function took(message, buffers) {
    place(message.city);
    answer(message, buffers);
  }

  const told = make("p", { class: "jm-pop-told" }, "goes down again from a rough guess");
  const fit = makeFit(model, took, (text, ended) => {
    told.textContent = text;
    stopper.disabled = ended;
    if (ended) spoken.textContent = text;
  });
  fit.chart.style.display = "none";
  const fitter = button("fit", () => { fit.chart.style.display = ""; keepGhost(); stopper.disabled = false; spoken.textContent = "The fit goes down from a rough guess."; fit.start(); });
  const stopper = button("stop", fit.stop, { disabled: "" });

  function turn(year) {
    state.year = year;
    model.set("year", year);
    draw();
  }

  const keepGhost = () => { state.ghost = state.figures.people.slice(); };
  timeline.input.addEventListener("input", () => turn(Number(timeline.input.value)));
  for (const slider of moved) {
    const { input, row } = slider;
    row.addEventListener("pointerenter", () => prepare(slider));
    input.addEventListener("pointerdown", () => { slider.pressed = true; keepGhost(); prepare(slider); });
    input.addEventListener("change", () => { slider.pressed = false; });
    input.addEventListener("focus", () => { keepGhost(); prepare(slider); });
    input.addEventListener("input", () => follow(slider));
  }
  // Said when the hand lets go, and again when the kernel has answered.
  let due = false;
  const announce = () => { due = false; spoken.textContent = `${fitted ? `${found.textContent} ` : ""}${say.textContent}${apart.textContent ? ` ${apart.textContent}` : ""}`; };
  for (const slider of sliders) slider.input.addEventListener("change", () => { announce(); due = true; });

  function go(next) {
    fit.stop();
    keepGhost();
    place(next);
    timeline.put(timeline.spec.start);
    chart.refit();
    turn(timeline.spec.start);
    due = true;
    asker.moved();
  }
  const standard = Object.fromEntries(rates.map((spec) => [spec.name, spec.start]));
  const presets = model.get("presets").map(([name, next]) => [button(name, () => go(next)), { ...standard, ...next }]);

  const keep = button("keep this as A", () => {
    state.kept = state.kept ? null : { people: state.figures.people.slice(), growth: state.figures.growth.slice() };
    keep.textContent = state.kept ? "drop A" : "keep this as A";
    draw();
    spoken.textContent = state.kept ? "This city is kept as A; the sliders now move city B." : "A is gone.";
  });
  const text = () => csv(years, rates.map((rate) => rate.name), drawn(), { ...state, counts, band: atBest() ? edges : null });
  const files = make("div", { class: "jm-pop-buttons jm-pop-files", role: "group", "aria-label": "save" }, make("span", {}, "save"),
    button("CSV", () => save("population.csv", new Blob([text()], { type: "text/csv" })), { title: "the numbers of every year" }),
    button("SVG", () => save("population.svg", new Blob([portrait(chart.svg)], { type: "image/svg+xml" })), { title: "the picture, as lines" }),
    button("PNG", async () => save("population.png", await pixels(chart.svg, 2)), { title: "the picture, as pixels" }));
  chart.svg.addEventListener("pointermove", (event) => {
    const year = chart.yearAt(event.clientX);
    if (event.buttons) { timeline.put(year); turn(year); } else { state.hover = year; draw(); }
  });
  chart.svg.addEventListener("pointerdown", (event) => { const year = chart.yearAt(event.clientX); timeline.put(year); turn(year); });
  chart.svg.addEventListener("pointerleave", () => { state.hover = null; draw(); });

  const controls = make("div", { class: "jm-pop-controls" },
    group("the city", ...sliders.map((slider) => slider.row)),
    ...(fitted ? [group("fit to the counts", buttons(fitter, stopper), fit.chart, told)] : []),
    effects.table,
    group("cities to start from", buttons(...presets.map(([node]) => node))),
    group("compare two cities", buttons(keep)));
  const figure = make("div", { class: "jm-pop-figure" }, chart.svg, apart, files);
  el.classList.add("jm", "jm-live", "jm-pop");
  el.append(...(fitted ? [found] : []), say, conditions, spoken, problem, make("div", { class: "jm-pop-panels" }, controls, figure));

  const observer = new ResizeObserver(([entry]) => { chart.resize(Math.floor(entry.contentRect.width)); draw(); });
  observer.observe(figure);
  draw();
  ahead.rested();
  return () => { observer.disconnect(); asker.stop(); ahead.stop(); fit.end(); };
}

export default { render };
