"""Hand-built pages that the tests of every view share."""

from __future__ import annotations

from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Chart,
    Code,
    Column,
    Heat,
    Page,
    Program,
    Prose,
    Range,
    Series,
    SourceLine,
    Tab,
    Table,
    Text,
    Tie,
    code,
    spell,
    strong,
    tab,
    words,
)
from jaxmagic.results import Lazy

PROGRAM = Program(
    columns=("time", "flop"),
    source=(
        SourceLine(number=1, text="def layer(x, w):", cells=("", "")),
        SourceLine(number=2, text="    h = jnp.tanh(x @ w)", cells=("22 %", "33.6 M"), share=0.22),
        SourceLine(number=3, text="    s = jnp.sort(h, axis=0)", cells=("71 %", "–"), share=0.71),
        SourceLine(number=4, text="    return (s ** 2).mean() + h.sum()", cells=("4 %", "0.3 M"), share=0.04),
        SourceLine(number=None, text="not attributed", cells=("3 %", ""), share=0.03, tone="muted"),
    ),
    program=(
        "{ lambda ; a:f32[512,256] b:f32[256,128]. let",
        "    c:f32[512,128] = dot_general[dimension_numbers=(([1], [0]), ([], []))] a b",
        "    d:f32[512,128] = tanh c",
        "    e:f32[512,128] = sort[dimension=0] d",
        "    f:f32[512,128] = integer_pow[y=2] e",
        "    g:f32[] = reduce_sum[axes=(0, 1)] f",
        "    h:f32[] = div g 65536.0:f32[]",
        "    i:f32[] = reduce_sum[axes=(0, 1)] d",
        "    j:f32[] = add h i",
        "  in (j,) }",
    ),
    ties=(
        Tie(source=(Range(1, 17, 22),), program=(Range(1, 4, 78),)),
        Tie(source=(Range(1, 8, 23),), program=(Range(2, 4, 27),)),
        Tie(source=(Range(2, 8, 27),), program=(Range(3, 4, 40),)),
        Tie(source=(Range(3, 12, 18),), program=(Range(4, 4, 39),)),
        Tie(source=(Range(3, 11, 26),), program=(Range(5, 4, 39), Range(6, 4, 33))),
        Tie(source=(Range(3, 29, 36),), program=(Range(7, 4, 39),)),
        Tie(source=(Range(3, 11, 36),), program=(Range(8, 4, 21),)),
    ),
    language="jaxpr",
)

RACE = Table(
    columns=(
        Column(title="", align="left"),
        Column(title="a call"),
        Column(title="interval"),
        Column(title="first call"),
        Column(title="", align="left"),
    ),
    rows=(
        (
            words("NumPy"),
            words("4.81 ms"),
            words("4.74–4.93"),
            words("5.2 ms"),
            Bar(share=0.92, low=0.9, high=0.95),
        ),
        (words("JAX, op by op"), words("3.02 ms"), words("2.97–3.11"), words("41 ms"), Bar(share=0.58)),
        (
            words("JAX, ", strong("jit")),
            words(strong("0.78 ms")),
            words("0.75–0.81"),
            words("95 ms"),
            Bar(share=0.15, low=0.14, high=0.16),
        ),
    ),
)

DIFF = Code(
    text=" def heat(u, a):\n-    u[1:-1] += a * (u[2:] - u[:-2])\n"
    "+    u = u.at[1:-1].add(a * (u[2:] - u[:-2]))\n     return u",
    caption="ported code: this is what ran",
    diff=True,
)

YEARS = tuple(float(year) for year in range(2020, 2061))
CHART = Chart(
    series=(
        Series(
            name="population",
            x=YEARS,
            y=tuple(1.0 + 0.00026 * (t - 2020) ** 2 for t in YEARS),
            low=tuple(0.95 + 0.00024 * (t - 2020) ** 2 for t in YEARS),
            high=tuple(1.05 + 0.00028 * (t - 2020) ** 2 for t in YEARS),
        ),
        Series(name="tangent", x=(2030.0, 2050.0), y=(1.0, 1.21), tone="warn", dashed=True),
    ),
    x="year",
    y="population, millions",
    alt="Population from 2020 to 2060 with its tangent at 2040.",
    mark_x=2040.0,
)

HEAT = Heat(
    values=tuple(tuple((i - 5.5) * (j - 7.5) / 40 for j in range(16)) for i in range(12)),
    rows="output",
    columns="input",
    alt="Jacobian of 12 outputs by 16 inputs.",
)


def everything() -> Page:
    """A page with every block, a dear tab and one that cannot be made."""
    return Page(
        say=words(strong("layer"), ": x f32[512,256] → f32[] · 8 equations · ", strong("33.9 Mflop")),
        conditions=words(
            "traced in 2.1 ms for cpu:0 · ", Text("✓ results agree", tone="good"), ", u as before"
        ),
        tabs=(
            tab(
                "jaxpr", PROGRAM, Aside(words=spell("Line 3, `jnp.sort(h, axis=0)`, takes 71 % of the time."))
            ),
            tab("times", RACE, DIFF),
            tab("curve", Prose(words=words("The curve and ", code("jax.grad(f)"), " of it.")), CHART, HEAT),
            Tab(
                title="XLA",
                blocks=Lazy(lambda: (Prose(words=words("compiled now")),)),
                hint="compiles the program",
            ),
            Tab(title="broken", blocks=Lazy(cannot), hint="fails when asked"),
        ),
        notes=(Aside(words=spell("`w` is captured (131 kB); pass it as an argument.")),),
    )


def cannot():
    raise ValueError("no <such> stage")
