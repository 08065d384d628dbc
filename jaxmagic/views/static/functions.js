/* Functions to walk along: of one number with its tangent and derivatives, of two with its level lines.

   Part of the live view's one module: what it uses of live.js stands there. No kernel is asked. */

const PRIMES = ["", "′", "″", "‴"];
const COURSE_TONES = ["accent", "forward", "backward", "heat"];
const ZOOM = 1.5;
const FEWEST = 8; // steps of the grid in sight

const known = (y) => y != null && Number.isFinite(y);
const gaps = (packed) => Array.from(unpacked(packed, Float64Array), (y) => (Number.isFinite(y) ? y : null));

function nearest(axis, x) {
  let low = 0;
  let high = axis.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (axis[middle] <= x) low = middle;
    else high = middle;
  }
  return x - axis[low] <= axis[high] - x ? low : high;
}

class CoursePart {
  constructor(place, part) {
    Object.assign(this, { place, part });
    this.x = Array.from(unpacked(part.x, Float64Array));
    this.ys = part.ys.map(gaps);
    this.rest = nearest(this.x, part.at);
    this.range = [...part.shown];
    this.at = this.rest;
    this.told = make("p", "jm-status jm-walk", { "aria-live": "polite" });
    this.above = make("div");
    this.below = make("div");
    place.classList.add("jm-plot", "jm-course");
    for (const [name, value] of Object.entries({ role: "group", tabindex: "0", "aria-label": part.alt })) place.setAttribute(name, value);
    place.append(this.buttons(), this.told, this.above, this.below);
    place.addEventListener("keydown", (event) => this.onKey(event));
    this.unwatch = watched(place, () => this.fit(), () => this.draw());
  }

  close() {
    this.unwatch();
    for (const plot of this.plots || []) plot.destroy();
  }

  buttons() {
    const acts = [["−", "see more", () => this.zoom(ZOOM)], ["+", "look closer", () => this.zoom(1 / ZOOM)], ["⟲", "back to the point", () => this.home()]];
    const row = make("div", "jm-walk-buttons");
    for (const [sign, told, act] of acts) {
      const button = make("button", "jm-zoom", { type: "button", title: told, "aria-label": told }, sign);
      button.addEventListener("click", act);
      row.append(button);
    }
    return row;
  }

  width() {
    return clamp(this.place.clientWidth || 640, 160, 720);
  }

  fit() {
    if (!this.plots) return this.draw();
    const width = this.width();
    for (const plot of this.plots) if (plot.width !== width) plot.setSize({ width, height: plot.height });
  }

  draw() {
    for (const plot of this.plots || []) plot.destroy();
    this.colours = getComputedStyle(this.place);
    const top = new uPlot(this.options(210, [0], true), [this.x, this.ys[0], this.tangent()], this.above);
    const others = this.ys.slice(1);
    const low = new uPlot(this.options(140, others.map((_, i) => i + 1), false), [this.x, ...others], this.below);
    this.plots = [top, low];
    for (const plot of this.plots) this.listen(plot);
    this.show();
  }

  colour(name) {
    return this.colours.getPropertyValue(`--jm-${name}`).trim() || "#858c96";
  }

  options(height, which, withTangent) {
    const { part } = this;
    const series = [{ label: part.by }];
    for (const i of which) series.push({ label: part.name + PRIMES[i], stroke: this.colour(COURSE_TONES[i]), width: 1.8, points: { show: false }, pxAlign: 0 });
    if (withTangent) series.push({ label: "tangent", stroke: this.colour("heat"), width: 1.4, dash: [5, 4], points: { show: false }, pxAlign: 0 });
    const axis = { stroke: this.colour("muted"), font: "11px system-ui", grid: { stroke: this.colour("line"), width: 1 }, ticks: { show: false } };
    const values = (_, marks) => marks.map((y) => (y == null ? "" : figure(y)));
    const title = withTangent ? part.name : "derivatives";
    return {
      width: this.width(),
      height,
      series,
      legend: { show: false },
      axes: [
        { ...axis, grid: { show: false }, size: withTangent ? 20 : 38, labelSize: 16, values: ticks, label: withTangent ? undefined : part.by, labelFont: "11px system-ui" },
        { ...axis, label: title, labelFont: "11px system-ui", labelSize: 18, size: 56, values },
      ],
      scales: { x: { time: false, range: () => this.range } },
      cursor: { drag: { x: false, y: false }, x: false, y: false, points: { show: false } },
      hooks: { draw: [(plot) => this.mark(plot, withTangent)] },
    };
  }

  /* Where one stands, as a line through both pictures and a dot on the function. */
  mark(plot, dotted) {
    mark(plot, this.x[this.at], this.colour("heat"));
    const y = this.ys[0][this.at];
    if (!dotted || !known(y)) return;
    const { ctx } = plot;
    ctx.save();
    ctx.fillStyle = this.colour("heat");
    ctx.beginPath();
    ctx.arc(plot.valToPos(this.x[this.at], "x", true), plot.valToPos(y, "y", true), 4 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.restore();
  }

  /* The tangent as far as the function itself goes up and down in sight. */
  tangent() {
    const [value, slope, x] = [this.ys[0][this.at], this.ys[1][this.at], this.x[this.at]];
    const [low, high] = this.range;
    const seen = this.ys[0].filter((y, i) => known(y) && this.x[i] >= low && this.x[i] <= high);
    const [least, most] = [Math.min(...seen), Math.max(...seen)];
    const margin = 0.1 * (most - least) || 1;
    return this.x.map((each) => {
      const y = value + slope * (each - x);
      return known(value) && known(slope) && y >= least - margin && y <= most + margin ? y : null;
    });
  }

  show() {
    const [top, low] = this.plots;
    top.setData([this.x, this.ys[0], this.tangent()]);
    low.redraw();
    const { name, by } = this.part;
    const figures = this.ys.map((y, i) => {
      const look = COURSE_TONES[i] === "heat" ? "warn" : COURSE_TONES[i];
      return make("span", `jm-${look}`, {}, `${name}${PRIMES[i]} ${figure(y[this.at])}`);
    });
    const told = figures.flatMap((each) => [" · ", each]);
    this.told.replaceChildren(`${by} = ${plain(this.x[this.at])}`, ...told);
  }

  // -- walking and dragging

  listen(plot) {
    const over = plot.over;
    over.style.cursor = "grab";
    over.style.touchAction = "pan-y";
    let from = null;
    over.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, range: [...this.range] };
      over.setPointerCapture(event.pointerId);
    });
    for (const ending of ["pointerup", "pointercancel"]) over.addEventListener(ending, () => (from = null));
    over.addEventListener("pointermove", (event) => {
      const box = over.getBoundingClientRect();
      if (from) {
        const [low, high] = from.range;
        const moved = ((from.x - event.clientX) / box.width) * (high - low);
        this.look(low + moved, high + moved);
      } else this.walk(nearest(this.x, plot.posToVal(event.clientX - box.left, "x")));
    });
    over.addEventListener("pointerleave", () => from || this.walk(this.rest));
  }

  walk(i) {
    const at = clamp(i, 0, this.x.length - 1);
    if (at === this.at) return;
    this.at = at;
    this.show();
  }

  /* See another part of the grid, of the same width at its ends. */
  look(low, high) {
    const [first, last] = [this.x[0], this.x[this.x.length - 1]];
    const width = clamp(high - low, (FEWEST * (last - first)) / this.x.length, last - first);
    const start = clamp(low, first, last - width);
    this.range = [start, start + width];
    for (const plot of this.plots) plot.setScale("x", { min: this.range[0], max: this.range[1] });
    this.show();
  }

  zoom(factor) {
    const [low, high] = this.range;
    const x = clamp(this.x[this.at], low, high);
    this.look(x - (x - low) * factor, x + (high - x) * factor);
  }

  home() {
    this.at = this.rest;
    this.look(...this.part.shown);
  }

  onKey(event) {
    const step = event.shiftKey ? 10 : 1;
    const acts = {
      ArrowLeft: () => this.walk(this.at - step),
      ArrowRight: () => this.walk(this.at + step),
      Home: () => this.walk(nearest(this.x, this.range[0])),
      End: () => this.walk(nearest(this.x, this.range[1])),
      "+": () => this.zoom(1 / ZOOM),
      "-": () => this.zoom(ZOOM),
      Escape: () => this.home(),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
    const [low, high] = this.range;
    const x = this.x[this.at];
    if (x < low) this.look(x, x + high - low);
    if (x > high) this.look(x - high + low, x);
  }
}

// -- two numbers -----------------------------------------------------------------------------------

const FIELD = { width: 520, height: 400, left: 58, bottom: 38, top: 8, right: 10 };
const LEVELS = 12;
const EVERY = 3; // steps of the grid between arrows

/* Round numbers over a range, about so many. */
function steps(low, high, many) {
  const rough = (high - low) / many || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= rough) * power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return found;
}

class ContoursPart {
  constructor(place, part) {
    Object.assign(this, { place, part });
    for (const name of ["x", "y", "values", "byX", "byY"]) this[name] = unpacked(part[name], Float64Array);
    const finite = this.values.filter(Number.isFinite);
    this.least = Math.min(...finite);
    this.most = Math.max(...finite);
    this.at = null;
    this.canvas = make("canvas", "jm-field", { tabindex: "0", role: "img", "aria-label": part.alt });
    this.told = make("p", "jm-status", { "aria-live": "polite" });
    place.append(this.told, this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.probe(...this.under(event)));
    this.canvas.addEventListener("pointerleave", () => this.probe());
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.close = watched(place, () => this.draw(), () => this.draw());
    this.probe();
  }

  // -- places: fractions of the grid, and points of the canvas

  left(u) {
    return FIELD.left + u * (FIELD.width - FIELD.left - FIELD.right);
  }

  down(v) {
    return FIELD.top + (1 - v) * (FIELD.height - FIELD.top - FIELD.bottom);
  }

  fraction(axis, value) {
    return (value - axis[0]) / (axis[axis.length - 1] - axis[0]);
  }

  value(axis, fraction) {
    return axis[0] + fraction * (axis[axis.length - 1] - axis[0]);
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * FIELD.width;
    const y = ((event.clientY - box.top) / box.height) * FIELD.height;
    const u = (x - this.left(0)) / (this.left(1) - this.left(0));
    const v = (y - this.down(0)) / (this.down(1) - this.down(0));
    return u >= 0 && u <= 1 && v >= 0 && v <= 1 ? [u, v] : [];
  }

  /* Between the four points of the grid around a place. */
  between(grid, u, v) {
    const [columns, rows] = [this.x.length, this.y.length];
    const [i, j] = [Math.min(Math.floor(u * (columns - 1)), columns - 2), Math.min(Math.floor(v * (rows - 1)), rows - 2)];
    const [a, b] = [u * (columns - 1) - i, v * (rows - 1) - j];
    const at = (k, l) => grid[(j + l) * columns + i + k];
    const mixed = (p, q, share) => (share === 0 ? p : share === 1 ? q : p * (1 - share) + q * share);
    return mixed(mixed(at(0, 0), at(1, 0), a), mixed(at(0, 1), at(1, 1), a), b);
  }

  // -- drawing

  draw() {
    const style = getComputedStyle(this.place);
    this.colour = (name) => style.getPropertyValue(`--jm-${name}`).trim() || "#858c96";
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.canvas, (this.ground = document.createElement("canvas"))]) {
      canvas.width = FIELD.width * ratio;
      canvas.height = FIELD.height * ratio;
    }
    const context = this.ground.getContext("2d");
    context.scale(ratio, ratio);
    this.shade(context);
    this.lines(context);
    this.arrows(context);
    this.axes(context);
    this.paint();
  }

  levels() {
    return Number.isFinite(this.least) ? steps(this.least, this.most, LEVELS) : [];
  }

  shade(context) {
    const levels = this.levels();
    const cell = 3;
    context.fillStyle = this.colour("accent");
    for (let x = this.left(0); x < this.left(1); x += cell)
      for (let y = this.down(1); y < this.down(0); y += cell) {
        const [u, v] = [(x - this.left(0)) / (this.left(1) - this.left(0)), (y - this.down(0)) / (this.down(1) - this.down(0))];
        const value = this.between(this.values, u, v);
        if (!Number.isFinite(value)) continue;
        context.globalAlpha = (0.42 * levels.filter((level) => level <= value).length) / (levels.length || 1);
        context.fillRect(x, y, cell, cell);
      }
    context.globalAlpha = 1;
  }

  /* One level line: each square of the grid is crossed by straight pieces. */
  line(context, level) {
    const columns = this.x.length;
    context.beginPath();
    for (let j = 0; j + 1 < this.y.length; j++)
      for (let i = 0; i + 1 < columns; i++) {
        const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]].map(([k, l]) => ({ k, l, over: this.values[l * columns + k] - level }));
        if (!corners.every(({ over }) => Number.isFinite(over))) continue;
        const ends = [];
        corners.forEach((a, n) => {
          const b = corners[(n + 1) % 4];
          if (a.over < 0 === b.over < 0) return;
          const share = a.over / (a.over - b.over);
          const [k, l] = [a.k + share * (b.k - a.k), a.l + share * (b.l - a.l)];
          ends.push([this.left(k / (columns - 1)), this.down(l / (this.y.length - 1))]);
        });
        for (let n = 0; n + 1 < ends.length; n += 2) {
          context.moveTo(...ends[n]);
          context.lineTo(...ends[n + 1]);
        }
      }
    context.stroke();
  }

  lines(context) {
    context.strokeStyle = this.colour("muted");
    context.globalAlpha = 0.6;
    context.lineWidth = 0.8;
    for (const level of this.levels()) this.line(context, level);
    context.globalAlpha = 1;
  }

  /* The gradient at a place in units of the picture: upright on the level lines. */
  uphill(u, v) {
    const wide = this.x[this.x.length - 1] - this.x[0];
    const high = this.y[this.y.length - 1] - this.y[0];
    return [this.between(this.byX, u, v) * wide, this.between(this.byY, u, v) * high];
  }

  arrows(context) {
    const places = [];
    for (let j = 0; j < this.y.length; j += EVERY) for (let i = 0; i < this.x.length; i += EVERY) places.push([i / (this.x.length - 1), j / (this.y.length - 1)]);
    const found = places.map(([u, v]) => [u, v, ...this.uphill(u, v)]).filter(([, , a, b]) => Number.isFinite(a) && Number.isFinite(b));
    const longest = Math.max(...found.map(([, , a, b]) => Math.hypot(a, b))) || 1;
    context.strokeStyle = context.fillStyle = this.colour("forward");
    context.lineWidth = 1.2;
    this.longest = longest;
    for (const [u, v, a, b] of found) this.arrow(context, u, v, a, b, 22);
  }

  arrow(context, u, v, a, b, size) {
    const steep = Math.hypot(a, b);
    if (!steep) return;
    const length = size * Math.sqrt(steep / this.longest);
    const [x, y] = [this.left(u), this.down(v)];
    const [dx, dy] = [(a / steep) * length, (-b / steep) * length];
    const tip = Math.min(5, length / 2);
    const angle = Math.atan2(dy, dx);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + dx, y + dy);
    for (const turn of [2.6, -2.6]) {
      context.moveTo(x + dx, y + dy);
      context.lineTo(x + dx + tip * Math.cos(angle + turn), y + dy + tip * Math.sin(angle + turn));
    }
    context.stroke();
  }

  axes(context) {
    context.fillStyle = this.colour("muted");
    context.font = "11px system-ui";
    context.textAlign = "center";
    const [right, top] = [this.x[this.x.length - 1], this.y[this.y.length - 1]];
    for (const x of steps(this.x[0], right, 6)) context.fillText(plain(x), this.left(this.fraction(this.x, x)), FIELD.height - 24);
    context.fillText(this.part.names[0], this.left(0.5), FIELD.height - 6);
    context.textAlign = "right";
    for (const y of steps(this.y[0], top, 6)) context.fillText(figure(y), FIELD.left - 6, this.down(this.fraction(this.y, y)) + 4);
    context.save();
    context.translate(12, this.down(0.5));
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(this.part.names[1], 0, 0);
    context.restore();
  }

  /* The picture, and on it the level line and the gradient where one points. */
  paint() {
    if (!this.ground) return;
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.ground, 0, 0);
    const ratio = devicePixelRatio || 1;
    context.scale(ratio, ratio);
    const [u, v] = this.place2d();
    context.strokeStyle = context.fillStyle = this.colour("heat");
    context.lineWidth = 1.6;
    const value = this.between(this.values, u, v);
    if (this.at && Number.isFinite(value)) this.line(context, value);
    context.lineWidth = 2.4;
    this.arrow(context, u, v, ...this.uphill(u, v), 46);
    context.beginPath();
    context.arc(this.left(u), this.down(v), 4, 0, 2 * Math.PI);
    context.fill();
  }

  place2d() {
    return this.at || [this.fraction(this.x, this.part.at[0]), this.fraction(this.y, this.part.at[1])];
  }

  // -- pointing

  probe(u, v) {
    this.at = u === undefined ? null : [u, v];
    const place = this.place2d();
    const { name, names } = this.part;
    const [value, a, b] = [this.values, this.byX, this.byY].map((grid) => figure(this.between(grid, ...place)));
    const [x, y] = [this.value(this.x, place[0]), this.value(this.y, place[1])].map((each) => plain(Number(each.toPrecision(4))));
    this.told.textContent = `${names[0]} = ${x}, ${names[1]} = ${y}: ${name} ${value} · ∂${names[0]} ${a} · ∂${names[1]} ${b}`;
    this.paint();
  }

  onKey(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
    if (event.key === "Escape") return this.probe();
    if (!moves[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [u, v] = this.place2d();
    const [a, b] = moves[event.key];
    this.probe(clamp(u + a / (this.x.length - 1), 0, 1), clamp(v + b / (this.y.length - 1), 0, 1));
  }
}
