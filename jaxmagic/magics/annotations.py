"""Array types from the annotations of a function's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxmagic.magics.expression import array_type
from jaxmagic.target import ArrayType

_SCALARS = {float: "f32", int: "i32", bool: "bool", complex: "c64"}
# Element types as jaxtyping lists them, JAX's usual pick among several first.
_SHORT = {
    "float32": "f32",
    "int32": "i32",
    "complex64": "c64",
    "bool": "bool",
    "bool_": "bool",
    "prng_key": "key",
    **{
        f"{kind}{bits}": f"{kind[0]}{bits}"
        for kind in ("float", "int", "uint")
        for bits in (64, 16, 32, 8, 4)
    },
    "bfloat16": "bf16",
    "complex128": "c128",
}


def annotated_type(annotation: Any, namespace: Mapping[str, Any]) -> ArrayType | None:
    """The array type that an annotation says: "f32[8]", jaxtyping's `Float[Array, "8"]`, `float`.

    Args:
        annotation: as `inspect.signature` gives it.
        namespace: the names that an annotation in a string sees.

    Returns:
        None where it says none, or leaves a size open.
    """
    if isinstance(annotation, str):
        return array_type(annotation) or _spelt(_evaluated(annotation, namespace))
    return _spelt(annotation)


def _spelt(annotation: Any) -> ArrayType | None:
    if isinstance(annotation, str):
        return array_type(annotation)
    if isinstance(annotation, type) and annotation in _SCALARS:
        return ArrayType(_SCALARS[annotation], ())
    return _jaxtyping(annotation)


def _evaluated(annotation: str, namespace: Mapping[str, Any]) -> Any:
    """An annotation that `from __future__ import annotations` left as text; None where it is no code."""
    try:
        return eval(annotation, dict(namespace))
    except Exception:  # noqa: BLE001 # whatever a user wrote as an annotation
        return None


def _jaxtyping(annotation: Any) -> ArrayType | None:
    sizes, dtypes = getattr(annotation, "dim_str", None), getattr(annotation, "dtypes", None)
    if not isinstance(sizes, str) or not all(size.isdigit() for size in sizes.split()):
        return None
    allowed = [dtypes] if isinstance(dtypes, str) else dtypes if isinstance(dtypes, (list, tuple)) else []
    short = next((short for long, short in _SHORT.items() if long in allowed), None)
    return ArrayType(short, tuple(map(int, sizes.split()))) if short else None
