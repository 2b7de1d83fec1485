"""Numbers as a reader wants them: siemens as µS, seconds as hours, keys with their unit taken off."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["age", "bare", "count", "percent", "quantity", "rows", "significant"]

_PREFIXES = (
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)
_UNITS = {"a": "A", "v": "V", "k": "K", "ohm": "Ω", "hz": "Hz", "w": "W", "j": "J"}
_CONDUCTANCES = (
    "g_",
    "target",
    "zero_limit",
    "margin",
    "conductance",
    "accept",
    "error",
    "sigma",
    "tolerance",
    "floor",
)
_AGES = ((31_557_600.0, "y"), (86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_NBSP = "\u00a0"
"""Between a number and its unit, where no line may break."""


def significant(value: float, digits: int = 3) -> str:
    """Format with `digits` significant digits, never in exponent notation between 1e-4 and 1e9."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "\u2013"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    text = (
        f"{round(value, places):,.{max(places, 0)}f}" if 1e-4 <= abs(value) < 1e9 else f"{value:.{digits}g}"
    )
    return text.replace("-", "\u2212")


def count(value: float) -> str:
    """Format a whole number with thousands separated."""
    return f"{round(value):,}"


def percent(fraction: float, digits: int = 1) -> str:
    """Format a fraction in percent; only the exact 0 and 1 read as 0 % and 100 %."""
    if fraction in (0.0, 1.0):
        return f"{fraction:.0%}".replace("%", f"{_NBSP}%")
    text = f"{100 * fraction:.{digits}f}"
    if float(text) in (0.0, 100.0):
        least = 10.0**-digits
        text = f"< {least:.{digits}f}" if fraction < 0.5 else f"> {100 - least:.{digits}f}"
    return f"{text}{_NBSP}%"


def age(seconds: float) -> str:
    """Format a time span: ``25 s``, ``3 h``, ``30.4 d``."""
    if not math.isfinite(seconds):
        return "\u2013"
    for size, unit in _AGES:
        if seconds >= size * 0.9995:
            return f"{seconds / size:.3g}{_NBSP}{unit}"
    return _engineering(seconds, "s")


def quantity(key: str, value: Any) -> str:
    """Format a setting by the unit its key ends in (``_s`` is siemens for conductances, seconds else)."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "\u2013"
    if not isinstance(value, int | float):
        return str(value)
    stem, _, suffix = key.lower().rpartition("_")
    if suffix == "s" and stem:
        conductance = any(word in f"{stem}_" for word in _CONDUCTANCES) and not any(
            word in stem for word in ("age", "stamp")
        )
        return (
            _engineering(value, "S") if conductance else _engineering(value, "s") if value < 1 else age(value)
        )
    if suffix == "ns" and stem:
        return f"{value:,}{_NBSP}ns" if value > 1e15 else age(value * 1e-9)
    if suffix in _UNITS and stem:
        return _engineering(value, _UNITS[suffix])
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 100_000 else f"{value:.6g}"


def bare(key: str) -> str:
    """Return a key in words, its unit taken off: ``voltage_v`` becomes ``voltage``."""
    stem, _, suffix = key.rpartition("_")
    return (stem if stem and suffix in {*_UNITS, "s", "ns"} else key).replace("_", " ")


def rows(content: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Flatten nested settings into (key, formatted value) pairs, nested keys joined by a dot."""
    found: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{above}{key}"
        if isinstance(value, dict):
            found += rows(value, f"{name}.")
        elif isinstance(value, list):
            found.append((name, ", ".join(quantity(key, entry) for entry in value) or "\u2013"))
        else:
            found.append((name, quantity(key, value)))
    return found


def _engineering(value: float, unit: str) -> str:
    for size, prefix in _PREFIXES:
        if abs(value) >= size * 0.9999995:
            return f"{value / size:.6g}{_NBSP}{prefix}{unit}".replace("-", "\u2212")
    return f"0{_NBSP}{unit}" if value == 0 else f"{value:.6g}{_NBSP}{unit}"
