"""Analyses that remember what they were handed, and results built by hand."""

from __future__ import annotations

from jaxmagic import results
from jaxmagic.results import Lazy, Stage


def stage(name):
    return Stage(name=name, text=f"the {name} of it", links=(), seconds=0.001)


def trace(name="f", **changes):
    facts = {
        "name": name,
        "inputs": (),
        "outputs": (),
        "equations": (),
        "lines": (),
        "sources": (),
        "flops": 0.0,
        "bytes": 0.0,
        "transcendentals": 0.0,
        "trace_seconds": 0.001,
        "device": "cpu:0",
        "stages": {each: Lazy.of(stage(each)) for each in ("jaxpr", "stablehlo", "hlo")},
    }
    return results.Trace(**facts | changes)


class Recorder:
    """Stands in for an analysis: keeps its targets and options, returns a result."""

    def __init__(self, result):
        self.result = result
        self.targets = []
        self.options = []

    def __call__(self, target, **options):
        self.targets.append(target)
        self.options.append(options)
        return self.result

    @property
    def target(self):
        return self.targets[-1]
