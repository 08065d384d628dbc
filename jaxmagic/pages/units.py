"""Numbers in words: units, significant digits, thousands, and "unknown" where nothing is known.

Everything here takes plain numbers (`None` means unknown) and returns text. A page never formats a
number by hand, so that 61 ms is spelled in one way wherever it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

UNKNOWN = "unknown"
MINUS = "−"

_SI = {-5: "f", -4: "p", -3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E"}
# Above this, thousands separators no longer help to read a number.
_LONG, _SHORT = 1e9, 1e-4


def figure(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits: `0.0123`, `4.81`, `1,303,000`, `−3.2e-9`.

    Integers are exact up to a thousand million: `65,536`.
    """
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return _not_finite(value)
    if isinstance(value, int) and abs(value) < _LONG:
        return _minus(f"{value:,}")
    rounded = _round(value, digits)
    if rounded and not _SHORT <= abs(rounded) < _LONG:
        return scientific(value, digits)
    return _minus(f"{rounded:,.{_decimals(rounded, digits)}f}")


def brief(value: float | None, digits: int = 3) -> str:
    """As `figure`, without zeros at the end: `0.5` rather than `0.500`."""
    text = figure(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def signed(value: float | None, digits: int = 3) -> str:
    """A change, with its sign: `+1,793`, `−0.25`, `0`."""
    text = brief(value, digits)
    return f"+{text}" if value is not None and value > 0 else text


def scientific(value: float | None, digits: int = 1) -> str:
    """Mantissa and exponent as one writes them: `3e-9`, `2.2e-16`, `0`."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return _not_finite(value)
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return _minus(f"{mantissa}e{int(exponent)}")


def count(value: int | None) -> str:
    """A whole number: `26,624,050`."""
    return UNKNOWN if value is None else _minus(f"{value:,}")


def counted(value: int | None, thing: str, things: str = "") -> str:
    """A number of things: `1 equation`, `8 equations`, `2 entries`."""
    return f"{count(value)} {thing if value == 1 else things or thing + 's'}"


def ordinal(value: int) -> str:
    """A place in a row: `1st`, `12th`, `23rd`, `1,001st`."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value:,}{'th' if value % 100 in (11, 12, 13) else suffix}"


def flop(value: float | None, digits: int = 3) -> str:
    """Floating-point operations: `33.9 Mflop`, `12 flop`."""
    return _scaled(value, "flop", digits)


def size(value: float | None, digits: int = 3) -> str:
    """Bytes, in powers of 1,000: `918 kB`, `1.2 MB`, `0 B`."""
    return _scaled(value, "B", digits)


def amount(value: float | None, digits: int = 3) -> str:
    """A number shortened by its prefix, for narrow columns: `33.6 M`, `12`."""
    return _scaled(value, "", digits).rstrip()


def seconds(value: float | None, digits: int = 3) -> str:
    """A time: `1.84 ms`, `78.0 µs`, `2.00 s`, `3.5 min`. Zeros at the end are measured digits."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 3600:
        return f"{brief(value / 3600, digits)} h"
    if abs(value) >= 120:
        return f"{brief(value / 60, digits)} min"
    return _scaled(value, "s", digits, keep_zeros=True)


def seconds_range(low: float, high: float, digits: int = 3) -> str:
    """Two times in the unit of the larger one: `4.74–4.93 ms`."""
    power = min(_power(_round(high, digits)), 0)
    scale, unit = 1000.0**power, _SI.get(power, "") + "s"
    if power not in _SI:
        return f"{seconds(low, digits)}–{seconds(high, digits)}"
    places = _decimals(high / scale, digits)
    return f"{low / scale:,.{places}f}–{high / scale:,.{places}f} {unit}"


def ratio(value: float | None, digits: int = 2) -> str:
    """How many times: `6.2`, `0.15`, `1,200`."""
    return figure(value, digits)


def ratio_range(low: float, high: float, digits: int = 2) -> str:
    """A range of ratios to the same place: `5.9–6.4`."""
    places = _decimals(_round(high, digits), digits)
    return f"{low:,.{places}f}–{high:,.{places}f}"


def ratio_within(low: float, estimate: float, high: float) -> tuple[str, str]:
    """A ratio and its range to the same place, the one that the range can tell: `6.2`, `5.9–6.4`.

    At least two significant digits of the ratio, at most hundredths: `3.00`, `2.98–3.02`.
    """
    told = -math.floor(math.log10(high - low)) if high > low else 2
    places = min(max(told, _decimals(_round(estimate, 2), 2)), 2)
    return f"{estimate:,.{places}f}", f"{low:,.{places}f}–{high:,.{places}f}"


def percent(share: float | None) -> str:
    """A share of 1: `22 %`, `< 1 %`, `0 %`; of a change also `−22 %`, `> −1 %`."""
    if share is None:
        return UNKNOWN
    if not math.isfinite(share):
        return _not_finite(share)
    if 0 < abs(share) < 0.005:
        return "< 1 %" if share > 0 else "> −1 %"
    return _minus(f"{share * 100 + 0.0:,.0f} %")  # + 0.0: no zero has a sign


def listed(items: Sequence[str], last: str = "and") -> str:
    """A list in a sentence: `a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def _scaled(value: float | None, unit: str, digits: int, *, keep_zeros: bool = False) -> str:
    """With the SI prefix that leaves one to three digits before the point."""
    if value is None:
        return UNKNOWN
    if value == 0 or not math.isfinite(value):
        return f"{'0' if value == 0 else _not_finite(value)} {unit}"
    rounded = _round(value, digits)
    least = -5 if unit == "s" else 0
    power = min(max(_power(rounded), least), max(_SI))
    number = rounded / 1000.0**power
    text = figure(number, digits) if keep_zeros else brief(number, digits)
    return f"{text} {_SI[power]}{unit}"


def _round(value: float, digits: int) -> float:
    rounded = float(f"{value:.{digits - 1}e}")
    return rounded if math.isfinite(rounded) else value  # the largest floats round up to no float


def _power(value: float) -> int:
    """The power of 1,000 that a number is counted in: 4.81e-3 in −1."""
    return 0 if value == 0 else math.floor(int(f"{value:e}".split("e")[1]) / 3)


def _decimals(value: float, digits: int) -> int:
    """Places after the point that show so many significant digits."""
    return 0 if value == 0 else max(digits - 1 - int(f"{value:e}".split("e")[1]), 0)


def _minus(text: str) -> str:
    return MINUS + text[1:] if text.startswith("-") else text


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return "∞" if value > 0 else f"{MINUS}∞"
