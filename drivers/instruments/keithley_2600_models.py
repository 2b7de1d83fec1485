"""What the models of the 2600B can do (instruments §2.1; 2600 reference manual, table 6-1)."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.errors import WrongInstrument

__all__ = ["FULL_SCALE", "Abilities", "abilities"]

FULL_SCALE = 1.01
"""Sources reach 101 % of a range (instruments §2.1)."""

_DECADES = (1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)


@dataclass(frozen=True, slots=True)
class Abilities:
    """Channels, ranges (ascending) and limits of a model; SI units."""

    channels: tuple[str, ...]
    ranges_v: tuple[float, ...]
    ranges_a: tuple[float, ...]
    least_limit_v: float
    least_limit_a: float

    def range_v(self, volts: float) -> float:
        """Return the smallest voltage range that reaches a level."""
        return next(each for each in self.ranges_v if abs(volts) <= FULL_SCALE * each)

    def range_a(self, amperes: float) -> float:
        """Return the smallest current range that holds a current."""
        return next(each for each in self.ranges_a if abs(amperes) <= each * (1 + 1e-9))


_SINGLE = ("2601", "2611", "2635")


def abilities(model: str) -> Abilities:
    """Return what a model can do; the 2600A has the ranges of the 2600B.

    Raises
    ------
    WrongInstrument
        No such model is known.
    """
    number = model[:4]
    channels = ("a",) if number in _SINGLE else ("a", "b")
    low, high = (0.1, 1.0, 6.0, 40.0), (0.2, 2.0, 20.0, 200.0)
    if number in ("2601", "2602", "2604"):
        return Abilities(channels, low, (100e-9, *_DECADES, 3.0), 0.01, 10e-9)
    if number in ("2611", "2612", "2614"):
        return Abilities(channels, high, (100e-9, *_DECADES, 1.5), 0.02, 10e-9)
    if number in ("2634", "2635", "2636"):
        lowest = (1e-9,) if number == "2634" else (100e-12, 1e-9)
        return Abilities(channels, high, (*lowest, 10e-9, 100e-9, *_DECADES, 1.5), 0.02, 100e-12)
    raise WrongInstrument(f"{model}: a 2600 whose ranges are not known", expected="2601 .. 2636", got=model)
