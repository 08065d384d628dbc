"""The grammar: what goes in comes out, and every bad line names its fix."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmagic.errors import BadLine
from jaxmagic.magics.commands import COMMANDS, help_text
from jaxmagic.magics.grammar import HELP, Request, parse, render

NAMES = st.from_regex(r"[a-z_][a-z0-9_.'\[\]]{0,8}", fullmatch=True).filter(lambda s: s[0] not in "'\"")


def parsed(magic, line):
    return parse(magic, COMMANDS[magic].options, line)


def given_options(request, magic):
    defaults = {option.name: option.default for option in (*COMMANDS[magic].options, HELP)}
    return {name: value for name, value in request.options.items() if value != defaults[name]}


@pytest.mark.parametrize(
    ("magic", "line", "options", "expr", "silent"),
    [
        ("jaxpr", "f(x)", {}, "f(x)", False),
        ("jaxpr", "  f(x)  ;", {}, "f(x)", True),
        ("jaxpr", "-g -o f(x)", {"grad": True, "output": True}, "f(x)", False),
        ("jaxpr", "--grad --stage=hlo f(x)", {"grad": True, "stage": "hlo"}, "f(x)", False),
        ("jaxpr", "--stage hlo --device gpu:1 f(x)", {"stage": "hlo", "device": "gpu:1"}, "f(x)", False),
        ("jaxpr", "-- -x @ w", {}, "-x @ w", False),
        ("jaxpr", "-x @ w", {}, "-x @ w", False),
        ("jaxpr", "-f(x)", {}, "-f(x)", False),
        ("jaxpr", "-1 * x", {}, "-1 * x", False),
        ("jaxpr", "-- -o", {}, "-o", False),
        ("jaxpr", "f(x, '--grad')", {}, "f(x, '--grad')", False),
        ("jaxpr", "f('a;')", {}, "f('a;')", False),
        ("jaxpr", "f('$x {y}')", {}, "f('$x {y}')", False),
        ("jaxpr", "", {}, "", False),
        ("jaxpr", "--help", {"help": True}, "", False),
        ("jaxgrad", "--wrt birth,death f(x)", {"wrt": ("birth", "death")}, "f(x)", False),
        ("jaxgrad", "--wrt params['w'] f(x)", {"wrt": ("params['w']",)}, "f(x)", False),
        ("jaxgrad", "-n 2 f(x)", {"order": 2}, "f(x)", False),
        ("jaxbench", "--budget 0.5 f(x)", {"budget": 0.5}, "f(x)", False),
        ("jaxbench", '-d "cpu:0" f(x)', {"device": ("cpu:0",)}, "f(x)", False),
        ("jaxdevice", "cuda:1", {}, "cuda:1", False),
    ],
)
def test_a_line_is_options_then_an_expression_verbatim(magic, line, options, expr, silent):
    request = parsed(magic, line)
    assert (given_options(request, magic), request.expr, request.silent) == (options, expr, silent)


@pytest.mark.parametrize(
    ("magic", "line", "message", "fix"),
    [
        ("jaxpr", "--gard f(x)", "`%jaxpr` has no option `--gard`.", "Did you mean `--grad`?"),
        ("jaxpr", "--dev gpu f(x)", "`%jaxpr` has no option `--dev`.", "Did you mean `--device`?"),
        ("jaxpr", "-grad f(x)", "`%jaxpr` has no option `-grad`.", "Did you mean `--grad`?"),
        (
            "jaxpr",
            "--stage hol f(x)",
            "`--stage` takes jaxpr or stablehlo or hlo, not `hol`.",
            "Did you mean `hlo`?",
        ),
        (
            "jaxpr",
            "--stage",
            "`--stage` takes jaxpr or stablehlo or hlo, and none is given.",
            "Write `--stage STAGE`.",
        ),
        ("jaxpr", "--grad=yes f(x)", "`--grad` takes no value.", "Write `--grad` alone."),
        (
            "jaxpr",
            "--device --grad f(x)",
            "`--device` takes a name, and none is given.",
            "Write `--device NAME`.",
        ),
        (
            "jaxgrad",
            "--order two f(x)",
            "`--order` takes a whole number from 1 to 8, not `two`.",
            "Write `--order N`.",
        ),
        (
            "jaxgrad",
            "--order 0 f(x)",
            "`--order` takes a whole number from 1 to 8, not `0`.",
            "Write `--order N`.",
        ),
        ("jaxgrad", "-n 9 f(x)", "`-n` takes a whole number from 1 to 8, not `9`.", "Write `-n N`."),
        (
            "jaxgrad",
            "--wrt a, b f(x)",
            "`--wrt` takes names with commas and no blanks between them (a,b), not `a,`.",
            "Write `--wrt NAMES`.",
        ),
        (
            "jaxbench",
            "--budget nan f(x)",
            "`--budget` takes a number from 0.01 to 3600, not `nan`.",
            "Write `--budget SECONDS`.",
        ),
        (
            "jaxdevice",
            "--xyzzy",
            "`%jaxdevice` has no option `--xyzzy`.",
            "It has -r, --reset, -o, --output, -h, --help; "
            "`--` before an expression that starts with a dash.",
        ),
    ],
)
def test_a_bad_line_names_its_fix(magic, line, message, fix):
    with pytest.raises(BadLine) as caught:
        parsed(magic, line)
    assert (caught.value.message, caught.value.fix) == (message, fix)


def values_of(option):
    if option.kind is None:
        return st.just(value=True)
    if option.kind.choices:
        return st.sampled_from(option.kind.choices)
    return {
        "N": st.integers(1, 8),
        "SECONDS": st.floats(0.01, 3600.0),
        "VARIABLE": st.from_regex(r"[a-z]_[a-z0-9]*", fullmatch=True),
        "DTYPES": st.lists(NAMES, min_size=1, max_size=3).map(tuple),
        "N=LOW..HIGH": st.tuples(st.just("n"), st.floats(1, 1e3), st.floats(1.1e3, 1e9)),
        "T=LOW..HIGH": st.tuples(
            st.from_regex(r"[a-z]+(\.[a-z]+)?", fullmatch=True), st.floats(-1e9, 0), st.floats(1e-9, 1e9)
        ),
        "NAMES": st.lists(NAMES, min_size=1, max_size=3).map(tuple),
        "DIRECTION": st.from_regex(r"[a-z]+(\[\d\])?", fullmatch=True),
        "WEIGHTS": st.from_regex(r"[a-z]+\(\d\)", fullmatch=True),
        "NAME": st.from_regex(r"[a-z]+(:\d)?", fullmatch=True),
    }[option.metavar]


EXPRESSIONS = st.text(max_size=40).map(str.strip).filter(lambda s: not s.endswith(";"))


@pytest.mark.parametrize("magic", COMMANDS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_rendered_is_read_back(magic, data):
    options = (*COMMANDS[magic].options, HELP)
    chosen = data.draw(st.lists(st.sampled_from(options), unique_by=lambda option: option.name))
    values = {option.name: data.draw(values_of(option)) for option in chosen}
    expr = data.draw(EXPRESSIONS)
    request = parsed(magic, f"{render(options, values)} -- {expr}")
    everything = {option.name: option.default for option in options} | values
    assert request == Request(options=everything, expr=expr)


@pytest.mark.parametrize("magic", COMMANDS)
def test_help_is_made_from_the_table(magic):
    text = help_text(COMMANDS[magic])
    for option in COMMANDS[magic].options:
        assert f"--{option.name}" in text
        assert option.help in text
    for line, does in COMMANDS[magic].examples:
        assert line in text
        assert does in text
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("magic", COMMANDS)
def test_the_examples_of_the_help_are_lines_that_the_grammar_reads(magic):
    for line, _ in COMMANDS[magic].examples:
        parsed(magic, line.lstrip("%").removeprefix(magic))
