"""One number of the acceptance tables: what is expected of it, what the mock gave, and what that means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from labkit.report.wording import significant

__all__ = ["LEVEL", "Expected", "Measured", "Row", "Status", "Verdict"]

LEVEL = 0.95
"""Level of every interval that is shown."""
_Z95 = 1.959964
_NOTHING = "\u2013"


class Status(StrEnum):
    """How sure an expected number is; the words of the device card, and one for experiments on simulated chips."""

    PUBLISHED = "published"
    REPORTED = "reported"
    DERIVED = "derived"
    DEFAULT = "default"
    SIMULATED = "simulated"


class Verdict(StrEnum):
    """What became of a row."""

    OK = "ok"
    MISS = "miss"
    EXPLAINED = "explained"
    DOES_NOT_APPLY = "does not apply"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a row must be.

    Attributes
    ----------
    value : float or None
        The number of the table; None where only bounds are given.
    low, high : float
        What is accepted, both ends included.
    tolerance : str
        The same in words.
    """

    value: float | None
    low: float
    high: float
    tolerance: str

    @classmethod
    def within(
        cls, value: float, *, relative: float = 0.0, absolute: float = 0.0, unit: str = "1"
    ) -> Expected:
        """Accept what lies within a relative or an absolute distance, whichever is larger, of a value."""
        room = max(relative * abs(value), absolute)
        words = [f"± {100 * relative:.2g}\u00a0%"] if relative else []
        words += [f"± {written(absolute, unit)}"] if absolute else []
        return cls(value, value - room, value + room, " or ".join(words) or "exact")

    @classmethod
    def between(cls, low: float, high: float, *, value: float | None = None, unit: str = "1") -> Expected:
        """Accept what lies between two bounds, either of which may be infinite."""
        if math.isinf(low):
            words = f"≤ {written(high, unit)}"
        elif math.isinf(high):
            words = f"≥ {written(low, unit)}"
        else:
            words = f"{written(low, unit)} .. {written(high, unit)}"
        return cls(value, low, high, words)

    def holds(self, value: float) -> bool:
        """Whether a value is accepted; float rounding of the bounds is."""
        room = 1e-9 * max(abs(value), *(abs(x) for x in (self.low, self.high) if math.isfinite(x)), 1e-30)
        return self.low - room <= value <= self.high + room


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes
    ----------
    value : float
    error : float
        Standard error of sampling; 0 for arithmetic.
    """

    value: float
    error: float = 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Interval at :data:`LEVEL`; None where nothing was sampled."""
        if not (self.error > 0.0 and math.isfinite(self.error)):
            return None
        return self.value - _Z95 * self.error, self.value + _Z95 * self.error

    def scaled(self, factor: float) -> Measured:
        """Return it in another unit."""
        return Measured(self.value * factor, self.error * abs(factor))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tables.

    Attributes
    ----------
    id : str
        T1, P3 ... of device-physics §9.
    quantity, conditions : str
        What was measured, and how.
    status : Status
        Of the expected number.
    source : str
        Where it stands.
    unit : str
        Of all numbers here: "S", "s", "A", "V", "1", or "%" (numbers are fractions then).
    expected : Expected or None
    measured : Measured or None
    verdict : Verdict
    note : str
        Why a row is explained or does not apply, or what one should know of it.
    """

    id: str
    quantity: str
    conditions: str
    status: Status
    source: str
    unit: str
    expected: Expected | None
    measured: Measured | None
    verdict: Verdict
    note: str = ""

    @property
    def arithmetic(self) -> bool:
        """Whether it holds a formula to a number; no chip is asked."""
        return "arithmetic" in self.conditions

    @property
    def expected_text(self) -> str:
        """The expected number, as people read it."""
        if self.expected is None or self.expected.value is None:
            return _NOTHING
        return written(self.expected.value, self.unit)

    @property
    def tolerance_text(self) -> str:
        """What is accepted, in words."""
        return _NOTHING if self.expected is None else self.expected.tolerance

    @property
    def measured_text(self) -> str:
        """The measured number, as people read it."""
        return _NOTHING if self.measured is None else written(self.measured.value, self.unit, digits=4)

    @property
    def interval_text(self) -> str:
        """Its interval."""
        if self.measured is None or self.measured.interval is None:
            return ""
        low, high = self.measured.interval
        return f"{written(low, self.unit, digits=4)} .. {written(high, self.unit, digits=4)}"

    def to_dict(self) -> dict[str, object]:
        """Return the row as plain data, SI numbers; bounds that are infinite are left out."""
        expected, measured = self.expected, self.measured
        return {
            "id": self.id,
            "quantity": self.quantity,
            "conditions": self.conditions,
            "status": str(self.status),
            "source": self.source,
            "unit": "1" if self.unit == "%" else self.unit,
            "expected": None if expected is None else expected.value,
            "low": None if expected is None else _finite(expected.low),
            "high": None if expected is None else _finite(expected.high),
            "tolerance": self.tolerance_text,
            "measured": None if measured is None else _finite(measured.value),
            "interval": None if measured is None else measured.interval,
            "level": LEVEL if measured is not None and measured.interval is not None else None,
            "verdict": str(self.verdict),
            "note": self.note,
        }


_SCALES = {"S": (1e6, "\u00a0µS"), "A": (1e6, "\u00a0µA"), "%": (100.0, "\u00a0%"), "1": (1.0, "")}


def written(value: float, unit: str, *, digits: int | None = None) -> str:
    """Write a number with its unit: siemens as µS, fractions of unit "%" in percent.

    With `digits` significant digits, or by default with at most four, without trailing zeros.
    """
    if not math.isfinite(value):
        return _NOTHING
    factor, name = _SCALES.get(unit, (1.0, f"\u00a0{unit}"))
    scaled = value * factor
    if digits is None:
        text = f"{scaled:.4g}".replace("-", "\u2212")
        return f"{text}{name}" if "e" not in text else f"{significant(scaled, 2)}{name}"
    return f"{significant(scaled, digits)}{name}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
