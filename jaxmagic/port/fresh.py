"""Names that nothing in a function has yet."""

from __future__ import annotations

import ast
import itertools

from jaxmagic.port.collect import Unit


class Names:
    """New names for a unit that nothing in it has."""

    def __init__(self, unit: Unit) -> None:
        code = unit.function.__code__
        free = {node.id for node in ast.walk(unit.node) if isinstance(node, ast.Name)}
        self.taken_locals = set(unit.locals)
        self.taken = set(unit.locals) | free | set(code.co_names) | {"jnp", "lax", "jax", "np"}

    def new(self, wish: str) -> str:
        """The wish, numbered if it is taken."""
        numbered = (wish if n == 1 else f"{wish}_{n}" for n in itertools.count(1))
        name = next(name for name in numbered if name not in self.taken)
        self.taken.add(name)
        self.taken_locals.add(name)
        return name
