// What the population demo asks the kernel: a city, all the cities along a slider, the next stretch of the fit.
//
// The sliders are computed along their whole tracks, that which is pointed at or has the focus first; their
// moves are then drawn from what is here. Until that has come, and for numbers in between, each move asks
// the kernel, at most `DEPTH` questions at a time; what the hand does meanwhile is asked when an answer
// comes, so that the last position is never lost and no queue builds up.

const DEPTH = 3;
const PATIENCE = [1000, 3000, 6000, 12000]; // milliseconds without an answer until we ask again, and say so

// Jupyter's server sends by Nagle's rule: an answer waits there until the browser acknowledges the packet
// before it ("busy"), which it does after 40 ms, or at once with anything that it sends. So we send
// something when "busy" comes, or after a while where a host does not tell us.
const NUDGE_AFTER = 20; // milliseconds

// Asks about the newest state only; `onAnswer(message, buffers)`, `onSilence(true or false)`.
function makeAsker(model, current, onAnswer, onSilence) {
  let asked = 0, answered = 0, late = 0, stale = false, timer = 0, silences = 0;
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
  function ask() {
    stale = asked - answered >= DEPTH;
    if (stale) return;
    const question = (asked += 1);
    let nudged = false;
    const nudge = () => {
      if (!nudged && answered < question) model.send({ nudge: question });
      nudged = true;
    };
    const status = (message) => { if (message.content.execution_state === "busy") nudge(); };
    model.send({ ask: question, city: current() }, { iopub: { status } });
    setTimeout(nudge, NUDGE_AFTER);
    watch();
  }
  function listen(message, buffers) {
    if (!message || message.answer === undefined) return;
    answered = Math.max(answered, message.answer);
    silences = 0;
    onSilence(false);
    if (message.answer > late) onAnswer(message, buffers);
    watch();
    if (stale) ask();
  }
  model.on("msg:custom", listen);
  const moved = () => { silences = 0; ask(); };
  const overtaken = () => { late = asked; stale = false; }; // what was asked is no news any more
  return { moved, overtaken, stop: () => { clearTimeout(timer); model.off("msg:custom", listen); } };
}

// The cities along the sliders, all else being as it is: a track is {name, city, low, high, places}.
//
// One question is under way at a time: first about the slider that the hand is at, then, once the hand has
// rested for a while, about the others; the longer the last one took, the longer the kernel rests too.
const REST = 250; // milliseconds
const SHARE = 3; // times what the last track took
const LOST = 2000; // milliseconds without one: some place on it is no city, or the kernel is busy

function makeAhead(model, tracks, onTrack) {
  const held = new Map(); // by name: one for each slider
  let number = 0, asked = null, rest = 0, pause = REST;
  const key = ({ name, city, ...track }) => JSON.stringify([name, track, { ...city, [name]: 0 }]);
  const tried = (track) => held.get(track.name)?.key === key(track);
  const fits = (track) => tried(track) && held.get(track.name).places > 0;
  function want(track) {
    const now = key(track), { name, ...question } = track;
    if (fits(track) || asked?.key === now) return;
    asked = { key: now, name, since: performance.now() };
    model.send({ along: name, number: (number += 1), ...question });
  }
  // Called at each move, which puts it off.
  function rested() {
    clearTimeout(rest);
    rest = setTimeout(next, pause);
  }
  function next() {
    if (asked && performance.now() - asked.since > LOST) {
      held.set(asked.name, { key: asked.key, places: 0 });
      asked = null;
    }
    const missing = !asked && tracks().find((track) => !tried(track));
    if (missing) want(missing);
  }
  function listen(message, buffers) {
    if (!message || message.along === undefined || message.number !== number || !asked) return;
    const { key, name, since } = asked, step = (message.high - message.low) / (message.places - 1);
    held.set(name, { key, low: message.low, step, places: message.places, buffer: buffers[0] });
    pause = Math.max(REST, SHARE * (performance.now() - since));
    asked = null;
    rested();
    onTrack();
  }
  const place = (value, { low, step, places }) => Math.min(Math.max(Math.round((value - low) / step), 0), places - 1);
  // The closest value that is here; null where the slider's cities are not.
  function closest(track) {
    const here = held.get(track.name);
    return fits(track) ? here.low + place(track.city[track.name], here) * here.step : null;
  }
  // The figures of the track's city, as bytes; null where they are not here.
  function look(track) {
    if (!fits(track)) return null;
    const here = held.get(track.name), value = track.city[track.name], at = place(value, here);
    if (Math.abs(here.low + at * here.step - value) > 1e-6 * here.step) return null;
    const size = here.buffer.byteLength / here.places;
    return new DataView(here.buffer.buffer, here.buffer.byteOffset + at * size, size);
  }
  model.on("msg:custom", listen);
  return { want, rested, closest, look, fits, stop: () => { clearTimeout(rest); model.off("msg:custom", listen); } };
}

// Rows of float32: the population, its growth, then one effect for each rate.
function unpack(view, count) {
  const flat = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const rows = Array.from({ length: flat.length / count }, (_, i) => flat.subarray(i * count, (i + 1) * count));
  return { people: rows[0], growth: rows[1], effects: rows.slice(2) };
}

// Two rows of float32: the lower and the upper edge of the band.
function halves(view, count) {
  const flat = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  return [flat.subarray(0, count), flat.subarray(count)];
}

// -- the fit ---------------------------------------------------------------------------------------

// The kernel goes some steps for each question and is free in between; `stop` asks no further one.
function makeFit(model, onStep, say) {
  const losses = [], line = make("svg:path", { class: "jm-pop-descent" });
  const chart = make("svg:svg", { class: "jm-pop-loss", width: 220, height: 44, role: "img", "aria-label": "The loss, once it falls." }, line);
  let number = 0, going = false, last = null;
  const ask = (go) => model.send({ fit: number, go });
  function draw() {
    const logs = losses.map(([, loss]) => Math.log(loss));
    const y = scale(Math.min(...logs), Math.max(...logs), 41, 3), x = scale(0, last.of, 2, 218);
    set(line, { d: `M${logs.map((v, i) => `${x(losses[i][0]).toFixed(1)} ${y(v).toFixed(1)}`).join("L")}` });
    set(chart, { "aria-label": `The loss fell from ${short.format(losses[0][1])} to ${short.format(last.loss)}, on a logarithmic scale.` });
  }
  const off = () => `step ${whole.format(last.step)} of ${whole.format(last.of)}, counts off by ${(100 * Math.sqrt(last.loss)).toFixed(1)} % (root mean square)`;
  function listen(message, buffers) {
    if (!message || message.fitted !== number || !going) return;
    if (message.ended) {
      going = false;
      say(message.ended === "done" ? `fitted: ${off()}` : message.ended, true);
      return;
    }
    last = message;
    losses.push([message.step, message.loss]);
    draw();
    say(off(), false);
    onStep(message, buffers);
    ask(false);
  }
  function start() {
    number += 1;
    going = true;
    losses.length = 0;
    last = null;
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
  return { start, stop, chart, going: () => going, end: () => { going = false; model.off("msg:custom", listen); } };
}
