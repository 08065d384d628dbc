"""How soon a large program is on the screen, and what it leaves in the notebook: JupyterLab, Chromium.

    python tests/benchmarks/first_paint.py [equations]

From the moment in which the kernel publishes the display until the frame in which the live view has been
painted, both by the machine's clock. The outputs are measured as they stand in the saved notebook.
"""

from __future__ import annotations

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.browser.lab import Browser, Lab

SETUP = """%load_ext jaxmagic
import time, jax, jax.numpy as jnp
pub = get_ipython().display_pub
published, publish = [], pub.publish
def noted(*args, **kwargs):
    published.append(time.time())
    return publish(*args, **kwargs)
pub.publish = noted
began = time.time()"""
UNROLLED = """%%jaxpr unrolled(f32[128])
def unrolled(x):
    for i in range(TURNS):
        x = jnp.sin(x) * 0.5 + x * i
    return x"""
CONSTANT = """%%jaxpr captured(f32[2048])
table = jnp.ones((2048, 2048))
def captured(x):
    return jnp.sin(table @ x).sum()"""
AFTER = "print('published', published[-1], 'took', published[-1] - began)"

# The frame after the one in which the live view has text: by then it was painted.
PAINTED = """() => new Promise((done) => {
  const look = () => {
    const live = [...document.querySelectorAll('.jm-live')].some((one) => one.innerText.includes('lambda'));
    if (!live) return requestAnimationFrame(look);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(Date.now() / 1000);
      channel.port2.postMessage(0); });
  };
  look(); })"""


def measure(lab: Lab, browser: Browser, name: str, cell: str) -> str:
    """A row of the table."""
    page = browser.open(lab.notebook(f"{name}.ipynb", [SETUP, cell, AFTER]))
    page.evaluate(f"() => {{ window.painted = ({PAINTED})(); }}")
    browser.run_all(page)
    painted = page.evaluate("window.painted")
    browser.save(page)
    cells = json.loads((lab.root / f"{name}.ipynb").read_text())["cells"]
    told = "".join(cells[2]["outputs"][0]["text"]).split()
    published, took = float(told[1]), float(told[3])
    size = len(json.dumps(cells[1]["outputs"]))
    return f"| {name} | {took:.1f} | {painted - published:.2f} | {size / 1000:,.0f} |"


def main(equations: int) -> None:
    print("| program | look, s | published to painted, s | in the notebook, kB |\n|---|---:|---:|---:|")
    with Lab() as lab, Browser(lab) as browser:
        for name, cell in (
            (f"{equations} equations", UNROLLED.replace("TURNS", str(equations // 4))),
            ("16 MB constant", CONSTANT),
        ):
            print(measure(lab, browser, name, cell), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
