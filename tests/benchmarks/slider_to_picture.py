"""From the hand to the picture in the population demo, in JupyterLab under headless Chromium.

    python tests/benchmarks/slider_to_picture.py [rounds]

Steps: a slider moves once, and the time runs until the frame with the new picture has been painted.
Drags: a slider moves in every frame for three seconds, and the frames with a new picture are counted.

A slider is computed along its whole track when it is pointed at, and all are while the hand rests. "Taken
at once" is a slider that nobody pointed at, half a second after another one was let go; "in between" moves
one to numbers that no track holds, so that the kernel computes each move. The year is drawn from the figures
that are already there.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from jaxmagic.demo.sliders import SLIDERS
from tests.browser.lab import Browser, Lab

TOOLS = """
const root = document.querySelector('.jm-pop');
const input = root.querySelectorAll('input[type=range]')[which];
const at = (share) => Number(input.min) + (Number(input.max) - Number(input.min)) * share;
const prepare = (how) => {
  if (how === 'pointed at') input.parentNode.dispatchEvent(new Event('pointerenter'));
  if (how === 'in between') input.step = 'any'; };
const drawn = () => Number(root.dataset.drawn);
const move = (share) => {
  input.value = at(share);
  input.dispatchEvent(new Event('input', {bubbles: true})); };
const letGo = () => input.dispatchEvent(new Event('change', {bubbles: true}));
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const painted = () => new Promise((done) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => done(performance.now());
  channel.port2.postMessage(0); }));
"""

STEPS = (
    "async ([which, steps, how]) => {"
    + TOOLS
    + """
  const times = [];
  prepare(how);
  await later(500);
  for (let i = 0; i < steps; i++) {
    const before = drawn(), begun = performance.now();
    const drawing = new Promise((done) => {
      const seen = new MutationObserver(() => { seen.disconnect(); done(); });
      seen.observe(root, {attributeFilter: ['data-drawn']}); });
    move((i * 0.37 + 0.05) % 0.9);
    if (drawn() === before) await drawing;
    times.push(await painted() - begun);
    await later(60);
  }
  letGo();
  return times; }"""
)

DRAG = (
    "async ([which, seconds, how]) => {"
    + TOOLS
    + """
  prepare(how);
  await later(500);
  const begun = performance.now(), before = drawn();
  let events = 0, pictures = 0, last = before;
  while (performance.now() - begun < 1000 * seconds) {
    move(0.45 + 0.4 * Math.sin((performance.now() - begun) / 300));
    events += 1;
    await new Promise(requestAnimationFrame);
    pictures += drawn() !== last;  // of several in one frame only the last is seen
    last = drawn();
  }
  const took = (performance.now() - begun) / 1000;
  letGo();
  await later(300);
  return [events / took, pictures / took, drawn() - before, events]; }"""
)


WAYS = ("pointed at", "taken at once", "in between")


def main(rounds: int) -> None:
    seen = {way: Seen() for way in WAYS}
    with Lab() as lab, Browser(lab) as browser:
        page = browser.open(lab.notebook("demo.ipynb", ["import jaxmagic; jaxmagic.population()"]))
        browser.run_all(page)
        page.wait_for_selector(".jm-pop-people")
        for _ in range(rounds):
            for way in WAYS:
                for which, slider in enumerate(SLIDERS[:-1] if way == "in between" else SLIDERS):
                    seen[way].look(page, which, slider.name, way)
                page.get_by_role("button", name="start values").click()
    for way in WAYS:
        seen[way].report(way, bar=20, lost=way == "pointed at")
    load = os.getloadavg()[0]
    print(f"load of the machine: {load:.1f} on {os.cpu_count()} cores (this benchmark alone makes about 2)")


class Seen:
    """What was measured of the sliders, by name."""

    def __init__(self) -> None:
        self.steps: dict[str, list[float]] = {}
        self.drags: dict[str, list[list[float]]] = {}

    def look(self, page, which: int, name: str, way: str) -> None:
        """Step and drag a slider."""
        self.steps.setdefault(name, []).extend(page.evaluate(STEPS, [which, 15, way]))
        self.drags.setdefault(name, []).append(page.evaluate(DRAG, [which, 3, way]))

    def report(self, title: str, bar: float, *, lost: bool) -> None:
        """Print it as a table."""
        print(f"\n{title}\n\n| slider | to picture, median | slowest tenth | events/s | pictures/s |")
        print("|---|---:|---:|---:|---:|")
        for name, times in self.steps.items():
            events, pictures, _, _ = map(statistics.median, zip(*self.drags[name], strict=True))
            tenth = sorted(times)[-len(times) // 10]
            row = (
                f"{statistics.median(times):.1f} ms",
                f"{tenth:.1f} ms",
                f"{events:.0f}",
                f"{pictures:.0f}",
            )
            print(f"| {name} | {' | '.join(row)} |")
        every = [time for times in self.steps.values() for time in times]
        print(f"\nmedian of all: {statistics.median(every):.1f} ms (bar {bar})")
        if lost:
            missed = sum(moved - drawn for drags in self.drags.values() for _, _, drawn, moved in drags)
            print(f"events of drags without a picture: {missed:.0f} (bar 0)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
