"""Make the README's pictures from the real thing: `python examples/screenshots.py [NAME …]`.

Runs each magic in a real JupyterLab in a headless Chromium, live and then reopened without a kernel,
in the light and the dark theme, and keeps what is to be seen in `examples/screenshots/`.
"""

from __future__ import annotations

import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the driver of the browser tests

from tests.browser.lab import Browser, Lab  # noqa: E402 - found through the line above

FOLDER = ROOT / "examples" / "screenshots"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SETUP = """%load_ext jaxmagic
import jax, jax.numpy as jnp, numpy as np, jaxmagic"""

FORECAST = """%%jaxpr --grad --stage hlo forecast(f32[64,64], f32[256,64])
def forecast(w, x):
    unused = jnp.sin(x).sum()
    def step(h, _):
        h = jnp.tanh(h @ w)
        return h, (h * h).mean()
    h, means = jax.lax.scan(step, x, None, 50)
    far = h[:, None, :] - h[None, :, :]
    return means.sum() + jnp.sqrt((far ** 2).sum(-1) + 1.0).max()"""

CELLS = {
    "jaxpr": """%%jaxpr layer(f32[512,256], f32[256,128])
def layer(x, w):
    h = jnp.tanh(x @ w)
    s = jnp.sort(h, axis=0)
    return (s ** 2).mean() + h.sum()""",
    "time": """%%jaxpr --time layer(f32[1024,512], f32[512,256])
def act(z):
    return jnp.tanh(z) + jnp.sin(z)
def layer(x, w):
    h = act(x @ w)
    s = jnp.sort(h, axis=0)
    return (s ** 2).mean() + h.sum()""",
    "xla": FORECAST,
    "memory": FORECAST,
    "graph": """%%jaxpr --graph net(f32[512,256], f32[256,256])
def net(x, w):
    h = jnp.tanh(x @ w)
    for i in range(50):
        h = jnp.sin(h) * 0.1 + x[0, 0]
    with jax.named_scope("head"):
        s = jnp.where(h > 0, h, 0.0)
        z = s.sum()
    return z""",
    "jaxbench": """%%jaxbench heat(np.random.default_rng(0).random((100, 100)), 50)
def heat(u, steps):
    for _ in range(steps):
        u[1:-1, 1:-1] += 0.1 * (u[2:, 1:-1] + u[:-2, 1:-1] - 2 * u[1:-1, 1:-1])
    return u""",
    "jaxgrad": """%%jaxgrad population(1.2e6, birth=0.014, death=0.009, migration=4e3, years=10.0)
def population(people, birth, death, migration, years):
    rate = birth - death
    growth = jnp.exp(rate * years)
    return people * growth + migration * (growth - 1) / rate""",
    "along": """%%jaxgrad --along t=0..10 wave(2.0, t=1.0)
def wave(a, t):
    return a * jnp.sin(t) * jnp.exp(-t / 5)""",
    "contours": """%%jaxgrad wave(2.0, t=1.0)
def wave(a, t):
    return a * jnp.sin(t) * jnp.exp(-t / 5)""",
    "tree": """%%jaxgrad --wrt params loss(params, jnp.ones((4, 32)))
keys = jax.random.split(jax.random.key(0), 6)
params = {f"layer {i}": {"kernel": 0.03 * jax.random.normal(key, (32, 32)), "bias": jnp.zeros(32)}
          for i, key in enumerate(keys)}
def loss(params, x):
    for layer in params.values():
        x = jax.nn.sigmoid(x @ layer["kernel"] + layer["bias"])
    return (x ** 2).mean()""",
    "jaxdevice": "%jaxdevice",
    "jaxport": """%%jaxport smooth(np.linspace(0.0, 1.0, 1000), 20)
def smooth(u, steps):
    for _ in range(steps):
        u[1:-1] = 0.5 * u[1:-1] + 0.25 * (u[2:] + u[:-2])  # a blur
    return u""",
    "population": "jaxmagic.population()",
    "population_fit": "jaxmagic.population('new_york_city.csv')",
}


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for theme, long in THEMES.items():
        with Lab() as lab:
            lab.theme(long)
            shutil.copy(ROOT / "examples" / "new_york_city.csv", lab.root)
            with Browser(lab, width=1400) as browser:
                for name, cell in CELLS.items():
                    if not wanted or name in wanted:
                        picture(lab, browser, name, cell, theme)
                if theme == "light" and (not wanted or "overview" in wanted):
                    overview(lab, browser)


def picture(lab: Lab, browser: Browser, name: str, cell: str, theme: str) -> None:
    """One magic's cell and output, live, then as a saved notebook shows it."""
    file = lab.notebook(f"{name}.ipynb", [SETUP, cell])
    page = browser.open(file)
    browser.run_all(page)
    page.wait_for_selector(".jm-live", timeout=30_000)
    if name == "jaxpr":
        hover(page)
    if name == "memory":
        page.get_by_role("tab", name="Memory").click()
    if name in POINT:
        POINT[name](page)
    keep(page, f"{name}-{theme}-live.png")
    browser.save(page)
    page.wait_for_timeout(500)
    page.close()
    lab.end_kernels()
    page = browser.open(file, kernel=False)
    keep(page, f"{name}-{theme}-static.png")
    page.close()
    print(name, theme)


def along(page) -> None:
    """Let the tangent follow the mouse."""
    box = page.locator(".jm-course .u-over").first.bounding_box()
    page.mouse.move(box["x"] + 0.48 * box["width"], box["y"] + box["height"] / 2)


def contours(page) -> None:
    """Point at a place of the field."""
    page.get_by_role("tab", name="contours", exact=True).click()
    box = page.locator("canvas.jm-field").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"])


def tree(page) -> None:
    """Open a layer down to its numbers."""
    page.get_by_role("tab", name="tree", exact=True).click()
    for place in (1, 2, 3):
        page.locator(".jm-live summary").nth(place).click()


POINT = {"along": along, "contours": contours, "tree": tree}

HOVERED = "x @ w"
FIND = """text => {
  const words = document.createTreeWalker(document.querySelector('.jm-live'), NodeFilter.SHOW_TEXT);
  for (let node; (node = words.nextNode()); ) {
    const at = node.data.indexOf(text);
    if (at < 0) continue;
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + text.length);
    const box = range.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  }
}"""


def hover(page) -> None:
    """Put the mouse on an expression, so that its link shows."""
    page.wait_for_timeout(500)
    page.mouse.move(*page.evaluate(FIND, HOVERED))


def keep(page, name: str) -> None:
    """The notebook's last cell as a picture."""
    cell = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell").last
    fit(page, cell)
    cell.screenshot(path=FOLDER / name)


def fit(page, element) -> None:
    """Make the window as tall as what is to be seen, so that nothing scrolls."""
    page.wait_for_timeout(800)
    box = element.bounding_box()
    page.set_viewport_size({"width": page.viewport_size["width"], "height": int(box["height"]) + 400})
    page.wait_for_timeout(800)


def overview(lab: Lab, browser: Browser) -> None:
    """See, race and differentiate, one below the other."""
    page = browser.open(
        lab.notebook("overview.ipynb", [SETUP, *(CELLS[n] for n in ("jaxpr", "jaxbench", "jaxgrad"))])
    )
    browser.run_all(page)
    page.wait_for_function("() => document.querySelectorAll('.jm-live').length >= 3", timeout=30_000)
    page.set_viewport_size({"width": 1400, "height": 2600})
    page.wait_for_timeout(1000)
    hover(page)
    page.wait_for_timeout(300)
    cells = [page.locator(".jp-NotebookPanel .jp-CodeCell").nth(i).bounding_box() for i in (1, 3)]
    top, bottom = cells[0]["y"], cells[1]["y"] + cells[1]["height"]
    clip = {"x": cells[0]["x"], "y": top, "width": cells[0]["width"], "height": bottom - top}
    page.screenshot(path=FOLDER / "overview.png", clip=clip)
    page.close()


if __name__ == "__main__":
    main(sys.argv[1:])
