# ruff: noqa: B905, SIM118 written as people write NumPy
"""Lists and dicts whose elements are assigned: parameters, caches, tables; the caller's stay as they were."""

import copy

import jax
import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port
from jaxmagic.port.prove import Run, compare

RNG = np.random.default_rng(0)


def vec():
    return RNG.normal(size=3)


def tree():
    return {"w": vec(), "b": vec()}


def descent(p, g, rate=0.1):
    for k in p:
        p[k] -= rate * g[k]
    return p


def descent_by_items(p, g, rate=0.1):
    for k, v in p.items():
        v -= rate * g[k]


def through_a_name(p, g):
    w = p["w"]
    w -= g["w"]
    w[0] = 7.0
    return p["b"]


def replaced_and_not_changed(p, g):
    w = p["w"]
    p["w"] = w * 2 + g["b"]
    p["b"] += 1
    return w, p["w"]


def nested(p, g):
    for name in p:
        for k in p[name]:
            p[name][k] = p[name][k] * 2
    p["first"]["w"][1] = g["w"][0]
    return p["first"]["w"].sum()


def with_moments(p, g):
    m = {k: np.zeros_like(v) for k, v in p.items()}
    for t in range(1, 4):
        for k in p.keys():
            m[k] = 0.9 * m[k] + 0.1 * g[k]
            p[k] -= 0.1 * m[k] / (1 - 0.9**t)
    return p, m


def cached(p, x):
    cache = {}
    cache["z"] = p["w"] * x + p["b"]
    for i in range(2):
        cache[f"a{i}"] = np.tanh(cache["z"] + i)
    cache["z"] += 1
    return cache["a1"].sum(), cache


def by_key(p, g):
    out = {}
    for k, v in p.items():
        if k == "w":
            out[k] = v - g[k]
        else:
            out["bias"] = v * 2
    return out


def backwards(weights, x):
    kept = [x]
    for i in range(len(weights)):
        kept.append(np.tanh(weights[i] * kept[-1]))
    deltas = [None] * len(weights)
    deltas[-1] = kept[-1] - 1
    for i in range(len(weights) - 2, -1, -1):
        deltas[i] = deltas[i + 1] * weights[i + 1] * (1 - kept[i + 1] ** 2)
    for i in range(len(weights)):
        weights[i] -= 0.1 * deltas[i] * kept[i]
    return deltas


def common(a, b):
    table = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a)):
        for j in range(len(b)):
            table[i + 1][j + 1] = max(table[i][j + 1], table[i + 1][j], table[i][j] + a[i] * b[j])
    return table[-1][-1]


def where_data_decide(a, b):
    found = {"sum": 0.0, "count": 0}
    largest = [0.0] * len(a)
    for i in range(len(a)):
        if a[i] > b[i]:
            found["sum"] += a[i]
            found["count"] += 1
            largest[i] = a[i]
    return found, np.array(largest)


def recurrence(a, b):
    x = [0.0] * 30
    for i in range(1, 30):
        x[i] = 0.5 * x[i - 1] + a[i % 3] * b[0]
    return np.array(x)


def exchanged(xs, x):
    xs[0], xs[1] = xs[1], xs[0]
    xs[0][1] = x[0]
    return xs[1]


CASES = [
    *((function, tree, tree) for function in (descent, descent_by_items, through_a_name)),
    *((function, tree, tree) for function in (replaced_and_not_changed, with_moments, by_key)),
    (nested, lambda: {"first": tree(), "second": tree()}, tree),
    (cached, tree, vec),
    (backwards, lambda: [vec(), vec(), vec()], vec),
    *((function, vec, vec) for function in (common, where_data_decide, recurrence)),
    (exchanged, lambda: [vec(), vec()], vec),
]


@pytest.mark.parametrize(
    ("function", "one", "other"), CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_elements_are_assigned_as_in_numpy_and_the_callers_stay(function, one, other):
    made = port(function, one(), other())
    assert "eager" not in [note.kind for note in made.notes]
    for given in ((one(), other()), (one(), other())):
        own, kept = copy.deepcopy(given), copy.deepcopy(given)
        wanted = function(*own)
        with jax.enable_x64(True):  # noqa: FBT003
            for run in (made.function, jax.jit(made.function, static_argnames=made.static)):
                got = run(*given)
                after = list(given)
                if made.mutated:
                    got, *changed = (
                        got if made.returns else (None, *(got if len(made.mutated) > 1 else [got]))
                    )
                    places = function.__code__.co_varnames
                    for name, value in zip(made.mutated, changed):
                        after[places.index(name)] = value
                runs = [Run(result=r, after=dict(enumerate(a))) for r, a in ((wanted, own), (got, after))]
                assert compare(runs[0], runs[1]) == ()
        assert compare(Run(result=given, after={}), Run(result=kept, after={})) == ()


def test_an_element_that_data_choose_is_stored_op_by_op():
    def placed(k, a):
        x = [0.0] * 5
        for i in range(5):
            x[k[i]] = a[i]
        return np.array(x)

    made = port(placed, np.arange(5), np.ones(5))
    assert "eager" in [note.kind for note in made.notes]
    k, a = np.array([4, 0, 0, 2, 1]), np.linspace(0, 1, 5)
    np.testing.assert_allclose(made.function(k, a), placed(k, a), rtol=1e-6)


def test_an_array_in_a_dict_that_changes_under_another_name_is_refused():
    def held(a):
        found = {}
        found["a"] = a
        a[0] = 9.0
        return found["a"].sum()

    with pytest.raises(CannotPort, match="same memory"):
        port(held, np.ones(3))


def under_another_name(p, x):
    q = p
    q["w"] = x
    return x[x > -10]


def one_of_the_callers(p, x):
    q = dict(p)
    if x[0] > 0:
        q = p
    q["w"] = x
    return q["b"]


def inside_the_callers(p, x):
    for part in p.values():
        part["w"] = part["w"] * 2
    return x[x > -10]


def appended_to_the_callers(p, x):
    p["list"].append(x[0])
    return x[x > -10]


@pytest.mark.parametrize(
    ("function", "made"),
    [
        (under_another_name, tree),
        (one_of_the_callers, tree),
        (inside_the_callers, lambda: {"first": tree(), "second": tree()}),
        (appended_to_the_callers, lambda: {"list": [1.0]}),
    ],
)
def test_what_the_caller_would_not_see_is_refused(function, made):
    with pytest.raises(CannotPort):
        port(function, made(), np.array([-1.0, 2.0, 3.0]))


def test_two_names_of_one_list_stay_one_where_data_decide():
    def counted(x):
        first = {"sum": 0.0}
        second = first
        if x[0] > 0:
            second["sum"] = x[1]
        return first["sum"]

    made = port(counted, np.array([1.0, 2.0, 3.0]))
    for x in (np.array([1.0, 2.0, 3.0]), np.array([-1.0, 5.0, 7.0])):
        np.testing.assert_allclose(made.function(x), counted(x))


def test_keys_without_an_order_are_refused_in_words():
    with pytest.raises(CannotPort, match="`p` has a dict whose keys have no order"):
        port(descent, {1: vec(), "w": vec()}, {1: vec(), "w": vec()})
