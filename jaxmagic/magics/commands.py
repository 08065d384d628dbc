"""The magics, one row each: what parses its line, completes it, explains it and carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from jaxmagic.magics.grammar import HELP, Option, choice, integer, name, names, number, span, stretch, word

DEVICE = Option(
    name="device",
    short="d",
    metavar="NAME",
    kind=word(),
    source="jaxmagic.analysis.devices:device_names",
    help="the device for this once: cpu, gpu, cuda:1, tpu, …",
)
OUTPUT = Option(name="output", short="o", default=False, help="return the result object")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A magic.

    Args:
        name: without percent signs.
        summary: what it does, in one sentence.
        action: "module:function" in magics that carries it out, from a `Call` to a result or None.
        analysis: "module:function" that does the work, imported when it is first needed.
        result: the name of its result's class in `jaxmagic.results`.
        others: classes of results that some of its options make.
        options: besides `--help`.
        passes: the options that the analysis takes, by the same names.
        takes: what stands after the options, in the help.
        expression: whether that is an expression to look at.
        without: whether a function may be named without inputs.
        labels: whether the lines `label: expression` at the end of a body are contenders.
        examples: lines and what they do.
    """

    name: str
    summary: str
    analysis: str
    result: str
    action: str = "jaxmagic.magics.actions:look"
    others: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    passes: tuple[str, ...] = ()
    takes: str = "EXPR"
    expression: bool = True
    without: bool = False
    labels: bool = False
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def results(self) -> tuple[str, ...]:
        """The names of all classes of its results."""
        return (self.result, *self.others)


ROWS = (
    Command(
        name="jaxpr",
        summary="See what JAX makes of a function: its program at three stages, linked to your source.",
        analysis="jaxmagic.analysis.trace:look",
        result="Trace",
        action="jaxmagic.magics.actions:look_at_stage",
        others=("Retrace",),
        options=(
            Option(
                name="grad", short="g", default=False, help="look at the gradient of the function instead"
            ),
            Option(
                name="stage",
                short="s",
                metavar="STAGE",
                kind=choice("jaxpr", "stablehlo", "hlo"),
                default="jaxpr",
                help="which stage to show first; hlo compiles",
            ),
            Option(
                name="time",
                short="t",
                default=False,
                help="run it a few times and show where the time goes, line by line",
            ),
            Option(
                name="why",
                short="y",
                default=False,
                help="why a jitted function is traced once more: which argument is new to it",
            ),
            Option(name="graph", default=False, help="show the dataflow graph first"),
            Option(name="costs", default=False, help="show each line's costs and what bounds it first"),
            DEVICE,
            OUTPUT,
        ),
        passes=("grad", "time"),
        examples=(
            ("%jaxpr f(x)", "the program of f at x"),
            ("%jaxpr --time f(x)", "which lines its time goes to"),
            ("%jaxpr --grad f(x)", "the program of its gradient"),
            ("%%jaxpr f(f32[1024,1024], i32[])", "a cell that defines f, at types, with no memory"),
            ("%jaxpr --stage hlo jnp.tanh(x @ w)", "an expression, compiled"),
            ("%jaxpr --why jitted(x)", "why JAX traces it once more"),
        ),
    ),
    Command(
        name="jaxgrad",
        summary="Differentiate a function: its value and every partial derivative by name, checked.",
        analysis="jaxmagic.analysis.gradient:derive",
        result="Gradient",
        action="jaxmagic.magics.actions:differentiate",
        options=(
            Option(name="wrt", short="w", metavar="NAMES", kind=names(), help="by these inputs only: a,b"),
            Option(
                name="order",
                short="n",
                metavar="N",
                kind=integer(1, 8),
                default=1,
                help="1 for the gradient or Jacobian, 2 for the Hessian, … up to 8",
            ),
            Option(name="hess", default=False, help="the Hessian: the same as --order 2"),
            Option(
                name="jvp",
                metavar="DIRECTION",
                kind=word("an expression without blanks"),
                help="along this direction only: what is added to the first input, or a dict by name",
            ),
            Option(
                name="vjp",
                metavar="WEIGHTS",
                kind=word("an expression without blanks"),
                help="of the outputs' sum, weighed by these: a number for each output",
            ),
            Option(
                name="along",
                metavar="T=LOW..HIGH",
                kind=stretch(),
                help="picture the function along this number of several",
            ),
            Option(name="costs", default=False, help="time both modes against the function, show that first"),
            DEVICE,
            OUTPUT,
        ),
        passes=("wrt", "order", "along"),
        examples=(
            ("%jaxgrad height(2.0, speed=20.0)", "the derivative by each input"),
            ("%jaxgrad --wrt speed height(2.0, speed=20.0)", "by one of them"),
            ("%jaxgrad --order 2 jnp.sin(t)", "the second derivative"),
            ("%jaxgrad --jvp v f(x)", "the derivative of f along v"),
            ("%jaxgrad --along t=0..10 wave(2.0, t=1.0)", "its picture along t, with slope and curvature"),
        ),
    ),
    Command(
        name="jaxbench",
        summary="Race NumPy code against the same code on JAX, eager and under jit, results compared first.",
        analysis="jaxmagic.bench.race:run",
        result="Benchmark",
        action="jaxmagic.magics.actions:race",
        options=(
            Option(
                name="budget",
                short="b",
                metavar="SECONDS",
                kind=number(0.01, 3600.0),
                help="how long to measure, at most (2 by default, 10 for a sweep)",
            ),
            Option(name="grad", short="g", default=False, help="race the function with its gradient too"),
            Option(
                name="dtype",
                short="t",
                metavar="DTYPES",
                kind=names(),
                help="race precisions: float32,float64",
            ),
            Option(
                name="sweep",
                short="s",
                metavar="N=LOW..HIGH",
                kind=span(),
                help="race at growing sizes: n=100..1e6",
            ),
            Option(
                name="result",
                short="r",
                metavar="VARIABLE",
                kind=name(),
                help="keep the result in this variable",
            ),
            Option(
                name="compare",
                short="c",
                metavar="VARIABLE",
                kind=name(),
                alone="",
                help="set the race beside one that was kept, or beside the last one",
            ),
            Option(
                name="device",
                short="d",
                metavar="NAMES",
                kind=names(),
                source=DEVICE.source,
                help="on this device; several (cpu,gpu) race each other",
            ),
            OUTPUT,
        ),
        others=("Comparison", "Sweep"),
        labels=True,
        examples=(
            ("%jaxbench np.sort(x)", "NumPy, JAX and jit on one line of code"),
            ("%jaxbench --budget 10 heat(u, 0.1)", "a function of yours, measured for longer"),
            ("%jaxbench --sweep n=100..1e6 np.sort(np.random.rand(n))", "from which size on jit is ahead"),
            ("%jaxbench -r before heat(u, 0.1)", "keep the race; later `--compare before heat(u, 0.1)`"),
            ("%jaxbench --device cpu,gpu heat(u, 0.1)", "devices against each other and NumPy"),
            ("%%jaxbench", "a cell with one labelled contender a line: `mine: f(x)`"),
        ),
    ),
    Command(
        name="jaxdevice",
        summary="List the devices, choose the default one, run a cell on another, see where an array lives.",
        analysis="jaxmagic.analysis.devices:devices",
        result="Devices",
        action="jaxmagic.magics.actions:place",
        options=(
            Option(name="reset", short="r", default=False, help="go back to JAX's own default device"),
            OUTPUT,
        ),
        takes="NAME or EXPR",
        expression=False,
        examples=(
            ("%jaxdevice", "the devices, and which is the default"),
            ("%jaxdevice cpu:0", "new arrays go there from now on"),
            ("%jaxdevice x", "where the array x lives and how it is cut up"),
            ("%%jaxdevice gpu", "run this one cell there"),
        ),
    ),
    Command(
        name="jaxport",
        summary="Show NumPy code as plain JAX code.",
        analysis="jaxmagic.port:port",
        result="Port",
        action="jaxmagic.magics.actions:port",
        options=(
            Option(
                name="function",
                short="f",
                metavar="VARIABLE",
                kind=name(),
                help="leave the JAX function in this variable",
            ),
            Option(name="cell", short="c", default=False, help="put the JAX source into the next cell"),
            DEVICE,
            OUTPUT,
        ),
        without=True,
        examples=(
            ("%jaxport heat(u, 0.1)", "the port of heat, made from one run at these inputs"),
            ("%jaxport -f heat_jax heat(u, 0.1)", "the same, the function left as heat_jax"),
            ("%jaxport --cell heat(u, 0.1)", "the same, its source in the next cell"),
            ("%%jaxport heat(u, 0.1)", "the same in the cell that defines it"),
        ),
    ),
)
COMMANDS: Mapping[str, Command] = MappingProxyType({row.name: row for row in ROWS})


def imported(home: str) -> Any:
    """The thing that "module:function" names."""
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)


# -- help -----------------------------------------------------------------------------------------


def help_text(command: Command) -> str:
    """What `%magic?` and `%magic --help` show, made from the row."""
    return "\n".join(
        [
            f"%{command.name} [options] [--] {command.takes}",
            f"%%{command.name} [options] [--] [{command.takes}]",
            "",
            command.summary,
            "",
            "Options",
            *_columns([_spelled(option) for option in (*command.options, HELP)]),
            "",
            *_columns([("--", "end of the options")]),
            *_columns([("… ;", "show nothing")]),
            *(("", *_ways(command)) if command.expression else ()),
            "",
            "Examples",
            *_columns(list(command.examples)),
        ]
    )


def _spelled(option: Option) -> tuple[str, str]:
    spelling = ", ".join(option.spellings) + (f" {option.metavar}" if option.metavar else "")
    choices = f" ({', '.join(option.kind.choices)})" if option.kind and option.kind.choices else ""
    return spelling, option.help + choices


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max(24, *(len(left) for left, _ in rows))
    return [f"  {left.ljust(width)}  {right}" for left, right in rows]


def _ways(command: Command) -> list[str]:
    return [
        "EXPR is looked at with its inputs:",
        "  f(a, b=c)                 your own function (or jitted function, partial, method, module)",
        "  np.tanh(x @ w)            anything else: a function of the arrays that it names; what calls such",
        "                            as np.random.rand(9) make in it is an input too, made once",
        "  f(f32[8,128], i32[])      types as JAX prints them stand for arrays that need not exist",
        f"A cell of %%{command.name} runs as a plain cell would. Without EXPR, the call in its last line is",
        "looked at, else the last function that it defines, at its defaults or annotated types.",
    ]
