"""From the hand to the picture in the population demo, in JupyterLab under headless Chromium.

    python tests/benchmarks/slider_to_picture.py [rounds]

Steps: a slider moves once, and the time runs until the frame with the new picture has been painted.
Drags: a slider moves in every frame for three seconds, and the frames with a new picture are counted. A
rate is computed by the kernel each time; the year is drawn from the figures that are already there.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from jaxmagic.demo.app import SLIDERS
from tests.browser.lab import Browser, Lab

TOOLS = """
const root = document.querySelector('.jm-pop');
const input = root.querySelectorAll('input')[which];
const at = (share) => Number(input.min) + (Number(input.max) - Number(input.min)) * share;
const drawn = () => Number(root.dataset.drawn);
const move = (share) => {
  input.value = at(share);
  input.dispatchEvent(new Event('input', {bubbles: true})); };
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const painted = () => new Promise((done) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => done(performance.now());
  channel.port2.postMessage(0); }));
"""

STEPS = (
    "async ([which, steps]) => {"
    + TOOLS
    + """
  const times = [];
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
  return times; }"""
)

DRAG = (
    "async ([which, seconds]) => {"
    + TOOLS
    + """
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
  await later(300);
  return [events / took, pictures / took, drawn() - before, events]; }"""
)


def main(rounds: int) -> None:
    steps: dict[str, list[float]] = {slider.name: [] for slider in SLIDERS}
    drags: dict[str, list[tuple[float, float]]] = {slider.name: [] for slider in SLIDERS}
    missed = 0
    with Lab() as lab, Browser(lab) as browser:
        page = browser.open(lab.notebook("demo.ipynb", ["import jaxmagic; jaxmagic.population()"]))
        browser.run_all(page)
        page.wait_for_selector(".jm-pop-people")
        for _ in range(rounds):
            for which, slider in enumerate(SLIDERS):
                steps[slider.name] += page.evaluate(STEPS, [which, 15])
                events, pictures, drawn, moved = page.evaluate(DRAG, [which, 3])
                drags[slider.name].append((events, pictures))
                missed += moved - drawn if slider.name == "year" else 0
    report(steps, drags, missed)


def report(steps: dict[str, list[float]], drags: dict[str, list[tuple[float, float]]], missed: int) -> None:
    print("| slider | to picture, median | slowest tenth | events/s | pictures/s |")
    print("|---|---:|---:|---:|---:|")
    for name, times in steps.items():
        events, pictures = (statistics.median(column) for column in zip(*drags[name], strict=True))
        tenth = sorted(times)[-len(times) // 10]
        print(
            f"| {name} | {statistics.median(times):.1f} ms | {tenth:.1f} ms | {events:.0f} | {pictures:.0f} |"
        )
    rates = [time for name, times in steps.items() if name != "year" for time in times]
    pictures = [seen for name, column in drags.items() if name != "year" for _, seen in column]
    print(f"\nkernel computes: {statistics.median(rates):.1f} ms (bar 33), ", end="")
    print(f"{statistics.median(pictures):.0f} pictures a second (bar 40)")
    print(f"computed ahead: {missed} events of the year without a picture (bar 0)")
    load = os.getloadavg()[0]
    print(f"load of the machine: {load:.1f} on {os.cpu_count()} cores (this benchmark alone makes about 2)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
