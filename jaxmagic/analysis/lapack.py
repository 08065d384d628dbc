"""What dense linear algebra costs, by the textbook: Golub and Van Loan, Matrix Computations, 4th ed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

# Flops of one real m×n problem (a square one has m = n).
_FLOPS: dict[str, Callable[[int, int], float]] = {
    "potrf": lambda _, n: n**3 / 3,
    "getrf": lambda m, n: 2 * m * n * min(m, n) - (m + n) * min(m, n) ** 2 + 2 * min(m, n) ** 3 / 3,
    "geqrf": lambda m, n: 2 * n**2 * (m - n / 3) if m >= n else 2 * m**2 * (n - m / 3),
    "orgqr": lambda m, n: 4 * (m**2 * n - m * n**2 + n**3 / 3),
    "trsm": lambda m, n: m**2 * n,
    "syevd": lambda _, n: 9 * n**3,
    "gesdd": lambda m, n: 4 * max(m, n) ** 2 * min(m, n) + 22 * min(m, n) ** 3,
    "geev": lambda _, n: 25 * n**3,
    "gehrd": lambda _, n: 10 * n**3 / 3,
    "sytrd": lambda _, n: 4 * n**3 / 3,
}
_SAME = {"ungqr": "orgqr", "heevd": "syevd", "gesvd": "gesdd", "gees": "geev", "hetrd": "sytrd"}
_TARGET = re.compile(
    rf"(?:lapack|cusolver|cublas|hipsolver)_[sdcz]?({'|'.join([*_FLOPS, *_SAME])})(?:_ffi)?$"
)
# A complex multiply-add is four real ones.
_COMPLEX = 4


def textbook(target: str, shapes: Sequence[tuple[int, ...]], *, is_complex: bool) -> float | None:
    """The flops of a call of LAPACK (or of a GPU's solver) at these operand shapes; None if unknown."""
    found = _TARGET.match(target)
    if not found or not shapes or len(shapes[0]) < 2:
        return None
    name = _SAME.get(found[1], found[1])
    matrix = shapes[-1] if name == "trsm" else shapes[0]
    *batch, m, n = matrix
    return math.prod(batch) * _FLOPS[name](m, n) * (_COMPLEX if is_complex else 1)
