/* The live view of a page: tabs, programs beside their source, charts, heat maps.

   User text comes either as HTML that the kernel has escaped, or as text that is set as textContent here.
   Ids are counters, never names. Nothing is fetched. `uPlot` stands before this module. */

const ROW = 20; // the height of a line in a pane, as in look.css
const SPARE = 30; // lines drawn above and below those in sight
const PIECE = 1000; // lines of a program that come at once, as in live.py
const GOOD_TONES = ["accent", "good", "bad", "warn", "forward", "backward", "muted"];
let ids = 0;

export default {
  render({ model, el }) {
    const view = new PageView(model, el);
    return () => view.close();
  },
};

function make(tag, classes = "", attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function unpacked(text, kind) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new kind(bytes.buffer);
}

const toned = (tone) => (GOOD_TONES.includes(tone) ? `jm-${tone}` : "");
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function figure(value) {
  if (value == null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(3).replace("e+", "e");
  return value.toLocaleString("en", { maximumSignificantDigits: Number.isInteger(value) ? 12 : 5 });
}

const UNITS = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];

function duration(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return "–";
  const [scale, unit] = UNITS.find(([scale]) => Math.abs(seconds) >= 0.9995 * scale) ?? UNITS[3];
  return `${Number((seconds / scale).toPrecision(3)).toLocaleString("en")} ${unit}`;
}

// -- the page --------------------------------------------------------------------------------------

class PageView {
  constructor(model, el) {
    this.model = model;
    this.selected = 0;
    this.id = `jm-${++ids}`;
    this.head = make("div", "jm-head");
    this.bar = make("div", "jm-tabs", { role: "tablist", "aria-label": "parts of the result" });
    this.panels = make("div", "jm-panels");
    this.notes = make("div", "jm-notes");
    // The notebook's own shortcuts must not act on keys that are meant for us.
    const root = make("div", "jm jm-live", { "data-lm-suppress-shortcuts": "true" });
    root.append(this.head, this.bar, this.panels, this.notes);
    el.append(root);
    this.root = root;
    this.bar.addEventListener("keydown", (event) => this.onKey(event));
    this.handlers = {
      "change:head": () => this.drawHead(),
      "change:notes": () => this.drawHead(),
      "change:tabs": () => this.drawTabs(),
      "msg:custom": (message) => this.receive(message),
    };
    for (const [event, handler] of Object.entries(this.handlers)) model.on(event, handler);
    this.drawHead();
    this.drawTabs();
  }

  close() {
    for (const [event, handler] of Object.entries(this.handlers)) this.model.off(event, handler);
    this.closeParts();
    this.root.remove();
  }

  closeParts() {
    for (const panel of this.panels.children) for (const part of panel.parts || []) part.close();
  }

  drawHead() {
    this.head.innerHTML = this.model.get("head");
    this.notes.innerHTML = this.model.get("notes");
  }

  drawTabs() {
    const tabs = this.model.get("tabs");
    const focused = this.bar.contains(document.activeElement);
    this.closeParts();
    this.selected = clamp(this.selected, 0, Math.max(tabs.length - 1, 0));
    this.bar.hidden = tabs.length < 2;
    this.bar.replaceChildren(...tabs.map((tab, i) => this.tabButton(tab, i)));
    this.panels.replaceChildren(...tabs.map((tab, i) => this.panel(i)));
    if (tabs.length) this.select(this.selected, focused);
  }

  tabButton(tab, i) {
    const button = make("button", "jm-tab-button", { type: "button", role: "tab", id: `${this.id}-t${i}` });
    button.setAttribute("aria-controls", `${this.id}-p${i}`);
    button.textContent = tab.title;
    if (tab.hint) button.title = tab.hint;
    button.addEventListener("click", () => this.select(i, true));
    return button;
  }

  panel(i) {
    const labelled = { id: `${this.id}-p${i}`, role: "tabpanel", "aria-labelledby": `${this.id}-t${i}` };
    return make("div", "jm-panel", labelled);
  }

  onKey(event) {
    const last = this.bar.children.length - 1;
    const next = { ArrowRight: this.selected + 1, ArrowLeft: this.selected - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.select((next + last + 1) % (last + 1), true);
  }

  select(i, focus) {
    this.selected = i;
    [...this.bar.children].forEach((button, j) => {
      button.setAttribute("aria-selected", String(i === j));
      button.tabIndex = i === j ? 0 : -1;
      if (i === j && focus) button.focus({ preventScroll: true });
    });
    [...this.panels.children].forEach((panel, j) => (panel.hidden = i !== j));
    this.open(i);
  }

  open(i) {
    const panel = this.panels.children[i];
    if (panel.opened) return;
    panel.opened = true;
    const { content, hint } = this.model.get("tabs")[i];
    if (content) return this.fill(i, content);
    panel.setAttribute("aria-busy", "true");
    const words = hint ? `${hint} …` : "one moment …";
    panel.replaceChildren(make("p", "jm-hint jm-busy", { role: "status" }, words));
    try {
      this.model.send({ ask: "tab", tab: i });
    } catch {
      panel.replaceChildren(make("p", "jm-hint", {}, `${words} needs a running kernel`));
    }
  }

  fill(i, content) {
    const panel = this.panels.children[i];
    for (const part of panel.parts || []) part.close();
    panel.removeAttribute("aria-busy");
    panel.opened = !content.failed; // who opens it again asks again
    panel.innerHTML = content.html;
    const places = [...panel.querySelectorAll(".jm-part")];
    panel.parts = places.map((place, j) => this.drawPart(place, content.parts[j], i));
  }

  drawPart(place, part, tab) {
    const ask = (what) => this.model.send({ tab, program: part.program, ...what });
    try {
      return new PARTS[part.kind](place, part, ask);
    } catch (error) {
      place.replaceChildren(make("p", "jm-aside", {}, `this ${part.kind} could not be drawn: ${error}`));
      return { close() {} };
    }
  }

  receive(message) {
    const panel = this.panels.children[message.tab];
    if (!panel) return;
    if (message.content) this.fill(message.tab, message.content);
    else panel.parts?.find((each) => each.part?.program === message.program)?.receive(message);
  }
}

// -- a program beside its source -------------------------------------------------------------------

/* Ranges of ties by row, and the size of each tie: of the ties under the mouse the smallest is meant. */
class Ranges {
  constructor(packed) {
    const numbers = unpacked(packed, Int32Array);
    this.rows = new Map();
    this.sizes = new Map();
    this.places = new Map();
    for (let i = 0; i < numbers.length; i += 4) {
      const [tie, row, start, end] = numbers.subarray(i, i + 4);
      if (!this.rows.has(row)) this.rows.set(row, []);
      this.rows.get(row).push({ tie, start, end });
      this.sizes.set(tie, (this.sizes.get(tie) || 0) + end - start);
      if (!this.places.has(tie)) this.places.set(tie, []);
      this.places.get(tie).push({ row, start });
    }
    const first = (tie) => this.places.get(tie)[0];
    this.order = [...this.places.keys()].sort(
      (a, b) => first(a).row - first(b).row || first(a).start - first(b).start || this.sizes.get(a) - this.sizes.get(b),
    );
  }

  /* The lines that some ties stand on, in order. */
  lines(ties) {
    const rows = ties.flatMap((tie) => (this.places.get(tie) || []).map((place) => place.row));
    return [...new Set(rows)].sort((a, b) => a - b);
  }

  at(row) {
    return this.rows.get(row) || [];
  }

  innermost(ties) {
    const least = Math.min(...ties.map((tie) => this.sizes.get(tie)));
    return ties.filter((tie) => this.sizes.get(tie) === least);
  }
}

/* What is muted and what is named in each language; the rest is plain. */
const TOKENS = {
  diff: [
    [/^\+.*/g, "jm-added"],
    [/^-.*/g, "jm-removed"],
  ],
  jaxpr: [
    [/:[a-z]\w*\[[^\]]*\](?:\{[^}]*\})?/g, "jm-muted"],
    [/(?<== )[a-z_][\w.]*/g, "jm-name"],
    [/^\s*(?:\{ )?lambda\b.*|^\s*(?:let|in)\b/g, "jm-muted"],
  ],
  stablehlo: [
    [/\b(?:stablehlo|func|sdy|mhlo|chlo)\.[\w.]+/g, "jm-name"],
    [/tensor<[^>]*>|loc\([^)]*\)|\{[^{}]*\}/g, "jm-muted"],
  ],
  hlo: [
    [/(?<=[\])}] )[a-z][\w-]*(?=\()/g, "jm-name"],
    [/\b[a-z]+\d*\[[^\]]*\](?:\{[^}]*\})?|metadata=\{[^}]*\}/g, "jm-muted"],
  ],
};

function tokens(text, language) {
  const found = [];
  for (const [pattern, look] of TOKENS[language] || [])
    for (const match of text.matchAll(pattern)) found.push({ look, start: match.index, end: match.index + match[0].length });
  return found;
}

/* A line cut at every end of a range; each piece knows the ties that cover it. */
function pieces(text, ranges, language) {
  const looks = tokens(text, language);
  const cuts = new Set([0, text.length]);
  for (const range of [...ranges, ...looks]) cuts.add(clamp(range.start, 0, text.length)).add(clamp(range.end, 0, text.length));
  const ends = [...cuts].sort((a, b) => a - b);
  return ends.slice(1).map((end, i) => {
    const covers = (range) => range.start <= ends[i] && range.end >= end;
    const node = make("span", looks.filter(covers).map((each) => each.look).join(" "));
    node.textContent = text.slice(ends[i], end);
    node.ties = ranges.filter(covers).map((range) => range.tie);
    if (node.ties.length) node.classList.add("jm-piece");
    return node;
  });
}

/* A listing of many lines of which those in sight are in the document. */
class Pane {
  constructor({ label, total, wide, ranges, line, heading }) {
    Object.assign(this, { heading, line });
    this.lit = new Set();
    this.rows = make("div", "jm-rows");
    this.space = make("div", "jm-space", {}, this.rows);
    this.holds(total, wide, ranges);
    this.scroller = make("div", "jm-scroller", { tabindex: "0", role: "group", "aria-label": label }, heading, this.space);
    this.scroller.addEventListener("scroll", () => this.draw());
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.scroller);
    this.draw();
  }

  close() {
    this.watch.disconnect();
  }

  holds(total, wide, ranges) {
    Object.assign(this, { total, ranges, shown: [-1, -1] });
    this.space.style.height = `${total * ROW}px`;
    this.space.style.minWidth = this.heading.style.minWidth = `${wide + 3}ch`;
  }

  sight() {
    const height = this.scroller.clientHeight || 420;
    const from = Math.floor(this.scroller.scrollTop / ROW) - SPARE;
    return [clamp(from, 0, this.total), clamp(from + Math.ceil(height / ROW) + 2 * SPARE, 0, this.total)];
  }

  draw(anyway = false) {
    const [from, to] = this.sight();
    const near = Math.abs(from - this.shown[0]) < SPARE / 2 && Math.abs(to - this.shown[1]) < SPARE / 2;
    if (near && !anyway && (from > 0 || this.shown[0] === 0)) return;
    this.shown = [from, to];
    this.rows.style.transform = `translateY(${from * ROW}px)`;
    this.rows.replaceChildren(...Array.from({ length: to - from }, (_, i) => this.row(from + i)));
    this.paint();
  }

  row(i) {
    const node = this.line(i, this.ranges);
    node.row = i;
    return node;
  }

  light(ties) {
    this.lit = ties;
    this.paint();
  }

  paint() {
    for (const row of this.rows.children) {
      let hit = false;
      for (const piece of row.querySelectorAll(".jm-piece")) {
        const on = piece.ties.some((tie) => this.lit.has(tie));
        piece.classList.toggle("jm-hit", on);
        hit ||= on;
      }
      row.classList.toggle("jm-hit-row", hit);
    }
  }

  /* Bring a line into sight by scrolling this pane alone. */
  reveal(row) {
    const top = row * ROW;
    const { scrollTop, clientHeight } = this.scroller;
    // The heading, one line high, stands before the first line and stays in sight.
    if (top < scrollTop || top + 2 * ROW > scrollTop + clientHeight) {
      this.scroller.scrollTop = Math.max(top - clientHeight / 3, 0);
      this.draw();
    }
  }

  /* The ties that are meant at an element: those of the piece, else those of the whole line. */
  tiesAt(element) {
    const piece = element.closest?.(".jm-piece");
    if (piece) return this.ranges.innermost(piece.ties);
    const row = element.closest?.(".jm-gutter")?.closest(".jm-r");
    return row ? this.ranges.at(row.row).map((range) => range.tie) : [];
  }
}

class ProgramPart {
  constructor(place, part, ask) {
    Object.assign(this, { part, ask, pinned: false, lit: [] });
    this.asked = new Set([0]);
    this.texts = new Map(part.rows.map((text, i) => [i, text]));
    this.source = this.sourcePane(part);
    this.program = this.programPane(part);
    this.status = make("p", "jm-status", { "aria-live": "polite" });
    const side = make("div", "jm-side", {}, this.program.scroller, this.copyButton());
    const panes = make("div", "jm-panes-live", {}, this.source.scroller, side);
    place.append(panes, this.status);
    this.listen(this.source, this.program);
    this.listen(this.program, this.source);
    this.show([]);
  }

  close() {
    this.source.close();
    this.program.close();
  }

  sourcePane(part) {
    const lines = part.source;
    const widest = (texts) => Math.max(0, ...texts.map((text) => text.length));
    const bars = lines.some((line) => line.share !== null);
    const widths = [widest(lines.map((line) => String(line.number ?? ""))) + 1];
    part.columns.forEach((title, i) => widths.push(widest([title, ...lines.map((line) => line.cells[i] || "")]) + 2));
    const grid = [`${Math.max(widths[0], 3)}ch`, bars ? "44px" : "0", ...widths.slice(1).map((n) => `${n}ch`), "auto"];
    const ranges = new Ranges(part.sourceTies);
    const columns = grid.join(" ");
    const heading = make("div", "jm-r jm-listing-head", { "aria-hidden": "true" });
    heading.style.gridTemplateColumns = columns;
    for (const title of ["", "", ...part.columns]) heading.append(make("span", "jm-cell", {}, title));
    heading.append(make("span", "jm-text", {}, "source"));
    this.wide = widest(lines.map((line) => line.text)) + widths.reduce((a, b) => a + b, 8);
    const line = (i, ranges) => sourceRow(lines[i], part.columns.length, columns, ranges.at(i));
    return new Pane({ label: "source", total: lines.length, wide: this.wide, ranges, line, heading });
  }

  programPane(part) {
    const ranges = new Ranges(part.programTies);
    const line = (i, ranges) => this.programRow(i, ranges);
    const heading = make("div", "jm-listing-head jm-text", { "aria-hidden": "true" }, this.title(part));
    return new Pane({ label: part.language, total: part.total, wide: part.wide, ranges, line, heading });
  }

  title(part) {
    const cut = part.cut ? `, ${part.cut.toLocaleString("en")} more lines cut` : "";
    const lines = `${part.total.toLocaleString("en")} ${part.total === 1 ? "line" : "lines"}${cut}`;
    return `${part.language} · ${part.more ? "the first " : ""}${lines}`;
  }

  programRow(i, ranges) {
    const node = make("div", "jm-r jm-eq");
    const text = this.texts.get(i);
    if (text === undefined) {
      this.fetch(i);
      node.append("…");
    } else node.append(...pieces(text, ranges.at(i), this.part.language));
    return node;
  }

  fetch(i) {
    const first = i - (i % PIECE);
    if (this.asked.has(first)) return;
    this.asked.add(first);
    this.ask({ ask: "rows", row: first });
  }

  /* Of a long program the beginning is here; the rest is fetched once somebody looks. */
  fetchRest() {
    if (!this.part.more || this.fetching) return;
    this.fetching = true;
    this.ask({ ask: "rest" });
  }

  /* All of a program in the place of its beginning: the same lines and ties, and more of them. */
  complete(part) {
    this.part = { ...part, program: this.part.program };
    this.asked = new Set([0]);
    this.program.heading.textContent = this.title(part);
    this.source.holds(part.source.length, this.wide, new Ranges(part.sourceTies));
    this.program.holds(part.total, part.wide, new Ranges(part.programTies));
    for (const pane of [this.source, this.program]) pane.draw(true);
    this.status.textContent = "";
    this.show(this.lit);
  }

  receive({ row, rows, text, part }) {
    if (text !== undefined) return this.copy(text);
    if (part !== undefined) return this.complete(part);
    rows.forEach((line, i) => this.texts.set(row + i, line));
    this.program.draw(true);
  }

  copyButton() {
    const label = `copy the whole ${this.part.language} text`;
    this.button = make("button", "jm-copy", { type: "button", "aria-label": label, title: label }, "copy");
    this.button.addEventListener("click", () => this.ask({ ask: "text" }));
    return this.button;
  }

  async copy(text) {
    const done = await copied(text);
    this.button.textContent = done ? "copied" : "not copied";
    const lines = `${text.split("\n").length.toLocaleString("en")} lines of ${this.part.language}`;
    this.status.textContent = done ? `Copied ${lines}.` : "The browser does not let this page copy.";
    setTimeout(() => (this.button.textContent = "copy"), 1500);
  }

  listen(pane, partner) {
    const { scroller } = pane;
    for (const looks of ["mousemove", "scroll", "keydown"]) scroller.addEventListener(looks, () => this.fetchRest());
    scroller.addEventListener("mousemove", (event) => {
      if (!this.pinned) this.show(pane.tiesAt(event.target), pane, partner);
    });
    scroller.addEventListener("mouseleave", () => {
      if (!this.pinned) this.show([]);
    });
    scroller.addEventListener("click", (event) => this.pin(pane.tiesAt(event.target), pane, partner));
    scroller.addEventListener("keydown", (event) => this.onKey(event, pane, partner));
  }

  pin(ties, pane, partner) {
    if (String(getSelection())) return; // the user selects text
    const again = this.pinned && String(ties) === String(this.lit);
    this.pinned = ties.length > 0 && !again;
    this.show(ties, pane, partner);
  }

  onKey(event, pane, partner) {
    const { order } = pane.ranges;
    const at = order.indexOf(this.lit[0]);
    const steps = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, Home: 0, End: order.length - 1 };
    if (event.key in steps && order.length && !event.ctrlKey) {
      const tie = order[clamp(steps[event.key], 0, order.length - 1)];
      this.show([tie], pane, partner);
      pane.reveal(pane.ranges.lines([tie])[0]);
    } else if (event.key === "Enter" || event.key === " ") this.pinned = this.lit.length > 0 && !this.pinned;
    else if (event.key === "Escape") this.pin([], pane, partner);
    else return;
    this.markPinned();
    event.preventDefault();
  }

  markPinned() {
    this.status.classList.toggle("jm-pinned", this.pinned);
  }

  show(ties, pane, partner) {
    this.markPinned();
    if (String(ties) === String(this.lit) && this.status.textContent) return;
    this.lit = ties;
    const lit = new Set(ties);
    this.source.light(lit);
    this.program.light(lit);
    this.status.textContent = ties.length ? this.told(ties) : "Point at an expression, or step with ↑ and ↓; a click pins it.";
    const [there] = partner ? partner.ranges.lines(ties) : [];
    if (there !== undefined) partner.reveal(there);
  }

  told(ties) {
    const line = this.part.source[this.source.ranges.lines(ties)[0]];
    const where = line?.number ? `line ${line.number}` : "elsewhere";
    const rows = this.program.ranges.lines(ties);
    const what = this.texts.get(rows[0])?.trim() ?? "";
    const within = this.part.more ? ` in the first ${this.part.total.toLocaleString("en")} lines` : "";
    const more = rows.length > 1 ? ` and ${rows.length - 1} more${within}` : "";
    return rows.length ? `${where} → ${what}${more}` : `${where}: no ${this.part.language} of its own`;
  }
}

/* Put a text on the clipboard; pages that are not secure have only the old way. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", "", { style: "position:fixed;opacity:0", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

function sourceRow(line, columns, grid, ranges) {
  const node = make("div", "jm-r");
  node.style.gridTemplateColumns = grid;
  const bar = make("span", "jm-share");
  bar.style.width = `${clamp(line.share || 0, 0, 1) * 40}px`;
  node.append(make("span", "jm-cell jm-gutter jm-faint", {}, String(line.number ?? "")), make("span", "jm-gutter", {}, bar));
  for (let i = 0; i < columns; i++) node.append(make("span", "jm-cell jm-gutter", {}, line.cells[i] || ""));
  const text = make("span", `jm-text ${toned(line.tone)}`, {}, ...pieces(line.text, ranges, ""));
  node.append(text);
  return node;
}

// -- charts ----------------------------------------------------------------------------------------

const HEIGHT = 240;

/* Tell of a new size (the first time when the place comes into sight: only then has it colours) and of a
   new theme, which is a change of the page's attributes. */
function watched(place, resized, restyled) {
  const size = new ResizeObserver(() => place.isConnected && place.clientWidth && resized());
  const theme = new MutationObserver(restyled);
  size.observe(place);
  for (const node of [document.body, document.documentElement])
    theme.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-name", "theme"] });
  return () => {
    size.disconnect();
    theme.disconnect();
  };
}

class ChartPart {
  constructor(place, part) {
    Object.assign(this, { place, part });
    place.classList.add("jm-plot");
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", part.alt);
    this.data = this.joined();
    this.unwatch = watched(place, () => this.fit(), () => this.draw());
  }

  close() {
    this.unwatch();
    this.plot?.destroy();
  }

  width() {
    return clamp(this.place.clientWidth || 640, 160, 720);
  }

  fit() {
    if (!this.plot) this.draw();
    else if (this.plot.width !== this.width()) this.plot.setSize({ width: this.width(), height: HEIGHT });
  }

  draw() {
    this.plot?.destroy();
    this.plot = new uPlot(this.options(), this.data, this.place);
  }

  joined() {
    const gaps = (packed) => Array.from(unpacked(packed, Float64Array), (y) => (Number.isNaN(y) ? null : y));
    const table = (series) => [gaps(series.x), gaps(series.y), ...(banded(series) ? [gaps(series.low), gaps(series.high)] : [])];
    return uPlot.join(this.part.series.map(table));
  }

  options() {
    const { part } = this;
    const style = getComputedStyle(this.place);
    const colour = (name) => style.getPropertyValue(`--jm-${name === "warn" ? "heat" : name}`).trim() || "#858c96";
    const series = [{ label: part.x, value: (_, x) => (x == null ? "–" : plain(x)) }];
    const bands = [];
    const told = part.seconds ? duration : figure;
    for (const each of part.series) {
      series.push(line(each, colour(each.tone === "plain" ? "fg" : each.tone), told));
      if (!banded(each)) continue;
      const edge = { class: "jm-edge", stroke: "transparent", width: 0, points: { show: false } };
      series.push({ ...edge, label: `${each.name} low` }, { ...edge, label: `${each.name} high` });
      bands.push({ series: [series.length - 1, series.length - 2], fill: `color-mix(in srgb, ${colour(each.tone)} 18%, transparent)` });
    }
    const axis = { stroke: colour("muted"), font: "11px system-ui", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
    const values = (_, marks) => marks.map((y) => (y == null ? "" : told(y)));
    return {
      width: this.width(),
      height: HEIGHT,
      series,
      bands,
      axes: [
        { ...axis, grid: { show: false }, label: part.x, labelFont: "11px system-ui", labelSize: 16, size: 26, values: ticks },
        { ...axis, label: part.y, labelFont: "11px system-ui", labelSize: 18, size: 56, values },
      ],
      scales: { x: { time: false, distr: part.logX ? 3 : 1 }, y: { distr: part.logY ? 3 : 1 } },
      cursor: { drag: { x: false, y: false } },
      hooks: { draw: [(plot) => mark(plot, part.mark, colour("heat"))] },
    };
  }
}

const banded = (series) => series.low !== "" && series.high !== "";
const plain = (x) => String(Number(x.toPrecision(6)));
const ticks = (_, marks) => marks.map((x) => (x == null ? "" : plain(x)));

function line(series, stroke, told) {
  // The edges of a band are the two series after its line.
  const value = (plot, y, i, at) =>
    banded(series) && y != null ? `${told(y)} (${told(plot.data[i + 1][at])} to ${told(plot.data[i + 2][at])})` : told(y);
  const drawn = { label: series.name, stroke, width: 1.8, value, points: { show: false }, pxAlign: 0 };
  if (series.dashed) drawn.dash = [5, 4];
  if (series.points) Object.assign(drawn, { paths: () => null, points: { show: true, size: 5, fill: stroke } });
  return drawn;
}

function mark(plot, at, colour) {
  if (at === null || at === undefined) return;
  const x = Math.round(plot.valToPos(at, "x", true));
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.setLineDash([4, 4]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

// -- heat maps -------------------------------------------------------------------------------------

const MOST_NAMES = 24;

class HeatPart {
  constructor(place, part) {
    Object.assign(this, { place, part });
    this.values = unpacked(part.values, Float64Array);
    this.canvas = make("canvas", "jm-matrix", { role: "img", "aria-label": part.alt });
    this.canvas.width = Math.max(part.across, 1);
    this.canvas.height = Math.max(part.down, 1);
    const side = clamp(Math.min(460 / part.across, 300 / part.down), 2, 24);
    this.told = make("p", "jm-status", { "aria-live": "polite" });
    if (this.named()) place.append(this.frame(), this.told);
    else {
      this.canvas.style.maxWidth = `${Math.max(side * part.across, 24)}px`;
      this.canvas.style.aspectRatio = `${part.across} / ${part.down}`;
      place.append(this.canvas, this.told);
    }
    this.canvas.addEventListener("mousemove", (event) => this.tell(event));
    this.canvas.addEventListener("mouseleave", () => this.rest());
    this.close = watched(place, () => this.draw(), () => this.draw());
    this.rest();
  }

  /* Few rows and columns have their names beside them. */
  named() {
    const { rowNames, columnNames } = this.part;
    return rowNames.length + columnNames.length > 0 && Math.max(rowNames.length, columnNames.length) <= MOST_NAMES;
  }

  frame() {
    const { rowNames, columnNames, across, down } = this.part;
    const label = (name) => make("span", "", { title: name }, name);
    const rows = make("div", "jm-matrix-rows", { "aria-hidden": "true" }, ...rowNames.map(label));
    const steep = columnNames.join("").length > 4 * across + 12;
    const columns = make("div", `jm-matrix-columns${steep ? " jm-steep" : ""}`, { "aria-hidden": "true" }, ...columnNames.map(label));
    const frame = make("div", "jm-matrix-frame", {}, make("span"), columns, rows, this.canvas);
    frame.style.gridTemplateColumns = `auto minmax(0, ${Math.max(44 * across, 80)}px)`;
    this.canvas.style.height = `${22 * down}px`;
    return frame;
  }

  rest() {
    this.told.textContent = `${this.part.rows} down, ${this.part.columns} across; ±${figure(this.part.largest)} is the full colour.`;
  }

  tell(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = clamp(Math.floor(((event.clientX - box.left) / box.width) * this.part.across), 0, this.part.across - 1);
    const row = clamp(Math.floor(((event.clientY - box.top) / box.height) * this.part.down), 0, this.part.down - 1);
    const value = figure(this.values[row * this.part.across + column]);
    const { rows, columns, rowNames, columnNames } = this.part;
    this.told.textContent = `${rowNames[row] ?? `${rows} ${row}`}, ${columnNames[column] ?? `${columns} ${column}`}: ${value}`;
  }

  /* The colour says the sign, its strength the size; nothing at 0, so that it reads on any ground. */
  draw() {
    const style = getComputedStyle(this.place);
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (let i = 0; i < this.values.length; i++) {
      context.globalAlpha = clamp(Math.abs(this.values[i]) / this.part.largest || 0, 0, 1);
      context.fillStyle = style.getPropertyValue(this.values[i] < 0 ? "--jm-backward" : "--jm-accent").trim();
      context.fillRect(i % this.part.across, Math.floor(i / this.part.across), 1, 1);
    }
  }
}

// -- graphs ----------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";
const ZOOMS = [0.35, 0.5, 0.7, 0.85, 1, 1.25, 1.6, 2];
const AROUND = 8; // room around a graph

function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function words(text, x, y, look, anchor = "middle") {
  return draw("text", { x, y, class: look, "text-anchor": anchor }, text);
}

/* A graph beside its source. The kernel lays it out; a box that opens is laid out anew with its inside. */
class GraphPart {
  constructor(place, part, ask) {
    Object.assign(this, { part, ask, zoom: 4, pinned: false, lit: [] });
    this.opened = new Set(part.opened);
    this.marker = `jm-arrow-${++ids}`;
    this.source = this.sourcePane();
    this.scroller = make("div", "jm-scroller jm-canvas", { tabindex: "0", role: "group", "aria-label": `${part.alt} Arrow keys go from box to box, Enter opens, + and - zoom.` });
    this.status = make("p", "jm-status", { "aria-live": "polite" });
    const side = make("div", "jm-side", {}, this.scroller, this.buttons());
    place.append(make("div", "jm-panes-live jm-panes-graph", {}, this.source.scroller, side), this.status);
    this.listen();
    this.draw(part.graph);
    this.show([]);
  }

  close() {
    this.source.close();
  }

  sourcePane() {
    const wide = Math.max(12, ...this.part.source.map((line) => line.text.length)) + 8;
    const columns = "4ch 44px auto";
    const ranges = new Ranges(this.part.graph.ties);
    const heading = make("div", "jm-r jm-listing-head", { "aria-hidden": "true" }, make("span"), make("span"), make("span", "jm-text", {}, "source"));
    heading.style.gridTemplateColumns = columns;
    const line = (i, ranges) => sourceRow(this.part.source[i], 0, columns, ranges.at(i));
    return new Pane({ label: "source", total: this.part.source.length, wide, ranges, line, heading });
  }

  buttons() {
    const button = (text, label, act) => {
      const node = make("button", "jm-zoom", { type: "button", "aria-label": label, title: label }, text);
      node.addEventListener("click", act);
      return node;
    };
    return make("div", "jm-zooms", {}, button("+", "zoom in", () => this.zoomBy(1)), button("−", "zoom out", () => this.zoomBy(-1)), button("fit", "fit to the width", () => this.fit()));
  }

  receive({ graph, opened }) {
    if (opened) this.opened = new Set(opened);
    const kept = this.boxes[this.lit[0]]?.path ?? this.asked;
    const { scrollTop, scrollLeft } = this.scroller;
    this.draw(graph);
    Object.assign(this.scroller, { scrollTop, scrollLeft });
    const at = this.boxes.findIndex((box) => box.path === kept);
    this.pinned = false;
    this.show(at < 0 ? [] : [at], true);
  }

  // -- drawing

  draw(graph) {
    this.boxes = graph.boxes;
    this.lines = graph.lines;
    this.size = [graph.width + 2 * AROUND, graph.height + 2 * AROUND];
    this.source.ranges = new Ranges(graph.ties);
    this.source.draw(true);
    const arrow = draw("marker", { id: this.marker, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, draw("path", { d: "M0 1L7 4L0 7z", class: "jm-arrow" }));
    this.frames = this.boxes.map((box, i) => this.box(box, i));
    this.wires = this.lines.map((line, i) => this.wire(line, i));
    const folded = this.frames.filter((_, i) => !this.boxes[i].opened);
    const under = this.frames.filter((_, i) => this.boxes[i].opened);
    const viewBox = [-AROUND, -AROUND, ...this.size].join(" ");
    this.svg = draw("svg", { viewBox, class: "jm-drawing", "aria-hidden": "true" }, arrow, ...under, ...this.wires, ...folded);
    this.scroller.replaceChildren(this.svg);
    this.scale();
  }

  box(box, i) {
    const [x, y, width, height] = box.place;
    const group = draw("g", { class: `jm-box jm-box-${["pin", "box", "loop", "fold"].includes(box.shape) ? box.shape : "box"} ${toned(box.tone)}${box.opened ? " jm-opened" : ""}` });
    group.index = i;
    const frame = (grow, extra = {}) => draw("rect", { x: x + grow, y: y + grow, width: width - 2 * grow, height: height - 2 * grow, rx: box.shape === "pin" ? 9 : 4, ...extra });
    group.append(frame(0));
    if (box.tint && !box.opened) group.append(frame(0, { class: "jm-tint", "fill-opacity": box.tint }));
    if (box.opens && !box.opened) group.append(frame(2.5, { class: "jm-inner" }));
    if (box.opened) group.append(words(`▾ ${[box.title, box.cost].filter(Boolean).join(" · ")}`, x + 8, y + 16, "jm-heading", "start"));
    else {
      const top = y + height / 2 + 4 - (box.second ? 7 : 0);
      group.append(words(box.title, x + width / 2, top, "jm-title-text"));
      if (box.second) group.append(words(box.second, x + width / 2, top + 14, "jm-second"));
    }
    return group;
  }

  wire(line, i) {
    const path = (look, more = {}) => draw("path", { d: line.path, class: look, ...more });
    const group = draw("g", { class: "jm-wire" }, path("jm-wire-line", { "marker-end": `url(#${this.marker})` }), path("jm-wire-reach"));
    group.wire = i;
    return group;
  }

  scale() {
    const factor = ZOOMS[this.zoom] ?? this.zoom;
    this.factor = factor;
    this.svg.setAttribute("width", this.size[0] * factor);
    this.svg.setAttribute("height", this.size[1] * factor);
  }

  zoomBy(step) {
    const next = step > 0 ? ZOOMS.findIndex((each) => each > this.factor + 0.01) : ZOOMS.findLastIndex((each) => each < this.factor - 0.01);
    if (next >= 0) this.zoom = next;
    this.scale();
  }

  fit() {
    this.zoom = clamp((this.scroller.clientWidth - 16) / this.size[0], 0.2, 1) - 1e-6;
    this.scale();
    this.scroller.scrollLeft = 0;
  }

  // -- what the user does

  listen() {
    const { scroller, source } = this;
    scroller.addEventListener("mousemove", (event) => this.point(event));
    scroller.addEventListener("mouseleave", () => this.pinned || this.show([]));
    scroller.addEventListener("click", (event) => this.click(event));
    scroller.addEventListener("keydown", (event) => this.onKey(event));
    scroller.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.drags(scroller);
    source.scroller.addEventListener("mousemove", (event) => this.pinned || this.show(source.tiesAt(event.target), true));
    source.scroller.addEventListener("mouseleave", () => this.pinned || this.show([]));
    source.scroller.addEventListener("click", (event) => this.pin(source.tiesAt(event.target)));
  }

  drags(scroller) {
    let from = null;
    scroller.addEventListener("pointerdown", (event) => {
      this.dragged = false;
      if (event.button === 0 && !event.target.closest(".jm-box:not(.jm-opened)")) from = [event.clientX + scroller.scrollLeft, event.clientY + scroller.scrollTop];
    });
    scroller.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return (from = null);
      const [x, y] = [from[0] - event.clientX, from[1] - event.clientY];
      this.dragged ||= Math.abs(x - scroller.scrollLeft) + Math.abs(y - scroller.scrollTop) > 3;
      Object.assign(scroller, { scrollLeft: x, scrollTop: y });
    });
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1 : -1);
  }

  point(event) {
    if (this.pinned || event.buttons) return;
    const wire = event.target.closest(".jm-wire");
    if (wire) return this.showWire(wire.wire);
    const box = event.target.closest(".jm-box");
    this.show(box ? [box.index] : []);
  }

  click(event) {
    const box = event.target.closest(".jm-box");
    if (this.dragged || !box) return this.dragged || this.pin([]);
    if (this.boxes[box.index].opens) this.toggle(box.index);
    else this.pin([box.index]);
  }

  /* Open a folded box, or fold an opened one; what is inside comes from the kernel. */
  toggle(i) {
    const { path, opens } = this.boxes[i];
    if (!opens) return;
    const opened = new Set(this.opened);
    const again = opened.delete(path);
    if (!again) opened.add(path);
    this.asked = path;
    this.status.textContent = again ? "Folding …" : "Opening …";
    try {
      this.ask({ ask: "graph", opened: [...opened] });
    } catch {
      this.status.textContent = "To open a box needs a running kernel.";
    }
  }

  pin(boxes) {
    const again = this.pinned && String(boxes) === String(this.lit);
    this.pinned = boxes.length > 0 && !again;
    this.show(boxes);
    this.status.classList.toggle("jm-pinned", this.pinned);
  }

  onKey(event) {
    const ways = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };
    const acts = { Enter: () => this.toggle(this.lit[0]), " ": () => this.toggle(this.lit[0]), "+": () => this.zoomBy(1), "-": () => this.zoomBy(-1), 0: () => this.fit(), Escape: () => this.pin([]), Home: () => this.show([0], true), End: () => this.show([this.boxes.length - 1], true) };
    if (event.ctrlKey || event.metaKey) return;
    if (event.key in ways) this.show([this.nearest(...ways[event.key])], true);
    else if (event.key in acts) {
      if (this.lit.length || !["Enter", " "].includes(event.key)) acts[event.key]();
    } else return;
    event.preventDefault();
  }

  /* The closest box in a direction; what lies beside it counts for less. */
  nearest(across, down) {
    const at = this.lit[0];
    if (at === undefined) return 0;
    const centre = ({ place: [x, y, width, height] }) => [x + width / 2, y + height / 2];
    const [x, y] = centre(this.boxes[at]);
    let best = at;
    let least = Infinity;
    this.boxes.forEach((box, i) => {
      const [dx, dy] = centre(box).map((value, axis) => value - [x, y][axis]);
      const along = dx * across + dy * down;
      const beside = Math.abs(dx * down) + Math.abs(dy * across);
      if (i !== at && along > 1 && along + 2 * beside < least) [best, least] = [i, along + 2 * beside];
    });
    return best;
  }

  // -- light

  show(boxes, reveal = false) {
    if (String(boxes) === String(this.lit) && this.status.textContent && !reveal) return;
    this.lit = boxes;
    const lit = new Set(boxes);
    this.source.light(lit);
    this.frames.forEach((frame, i) => frame.classList.toggle("jm-lit", lit.has(i)));
    const paths = new Set(boxes.map((i) => this.boxes[i].path));
    this.wires.forEach((wire, i) => wire.classList.toggle("jm-lit", paths.has(this.lines[i].start) || paths.has(this.lines[i].end)));
    this.status.textContent = boxes.length ? this.told(boxes) : "Point at a box or an expression; a click opens a folded box, or pins. Drag to move, Ctrl and the wheel zoom.";
    const [row] = this.source.ranges.lines(boxes);
    if (boxes.length && row !== undefined) this.source.reveal(row);
    if (reveal && boxes.length) this.reveal(boxes[0]);
  }

  showWire(i) {
    this.show([]);
    const { start, end, label } = this.lines[i];
    const title = (path) => this.boxes.find((box) => box.path === path)?.title ?? "";
    this.wires[i].classList.add("jm-lit");
    this.status.textContent = `${title(start)} → ${title(end)}: ${label}`;
    this.lit = [];
  }

  told(boxes) {
    const box = this.boxes[boxes[0]];
    const line = this.part.source[this.source.ranges.lines(boxes)[0]];
    const more = boxes.length > 1 ? ` and ${boxes.length - 1} more` : "";
    return `${line?.number ? `line ${line.number} → ` : ""}${box.title}${more}${box.told ? ` · ${box.told}` : ""}`;
  }

  reveal(i) {
    const [x, y, width, height] = this.boxes[i].place.map((value) => value * this.factor);
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.scroller;
    if (x < scrollLeft || x + Math.min(width, clientWidth) > scrollLeft + clientWidth) this.scroller.scrollLeft = Math.max(x - 40, 0);
    if (y < scrollTop || y + Math.min(height, 80) > scrollTop + clientHeight) this.scroller.scrollTop = Math.max(y - clientHeight / 3, 0);
  }
}

const PARTS = { program: ProgramPart, chart: ChartPart, course: CoursePart, contours: ContoursPart, heat: HeatPart, graph: GraphPart };
