"""What can be in the slots of a B1500A: source-measure units with their ranges and limits, and other modules.

Ranges are those of instruments §2.2; the current a unit gives at a voltage is Keysight's for these kinds of unit
(4155C driver guide, table 2-6; the B1500A's units are the same kinds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.simulated.twins.flex import RANGE, FlexError

__all__ = ["MODULES", "SMU_KINDS", "SmuKind", "current_range_a", "slots_of", "voltage_range_v"]

MODULES = ("B1510A", "B1511A", "B1511B", "B1514A", "B1517A", "B1520A", "B1525A", "B1530A")
SPGU, WGFMU = "B1525A", "B1530A"

_DEFAULT = ("B1511B", "B1517A", "0", "0", SPGU, WGFMU)
_SLOTS = 10

_VOLTAGE_CODES = {
    2: 0.2, 5: 0.5, 11: 2.0, 20: 2.0, 50: 5.0, 12: 20.0, 200: 20.0, 13: 40.0, 400: 40.0, 14: 100.0, 1000: 100.0,
    15: 200.0, 2000: 200.0,
}  # fmt: skip


def voltage_range_v(code: int) -> float:
    """Return the range a voltage code means, V; FlexError 124 for none."""
    found = _VOLTAGE_CODES.get(abs(code))
    if found is None:
        raise FlexError(RANGE)
    return found


def voltage_code(range_v: float) -> int:
    """Return the code the instrument itself answers with: ten times the volts."""
    return round(range_v * 10)


def current_range_a(code: int) -> float:
    """Return the range a current code means, A."""
    return float(f"1e{abs(code) - 20}")


def current_code(range_a: float) -> int:
    """Return the code of a current range: 20 is 1 A, one less per decade."""
    return round(20 + _decade(range_a))


def _decade(value: float) -> int:
    return int(f"{value:.0e}".split("e")[1])


@dataclass(frozen=True, slots=True)
class SmuKind:
    """A kind of source-measure unit.

    Attributes
    ----------
    short : str
        Its name in Keysight's books.
    voltages_v : tuple of float
        Voltage ranges, ascending.
    currents : range
        Codes of its current ranges.
    limits : tuple of (float, float)
        Up to so many volts it gives so many amperes.
    """

    short: str
    voltages_v: tuple[float, ...]
    currents: range
    limits: tuple[tuple[float, float], ...]

    @property
    def most_v(self) -> float:
        """Largest voltage, V."""
        return self.limits[-1][0]

    @property
    def most_a(self) -> float:
        """Largest current, A."""
        return self.limits[0][1]

    def most_a_at(self, voltage_v: float) -> float:
        """Return the largest current at a voltage, A; 0 beyond what the unit can do."""
        return next((amperes for volts, amperes in self.limits if abs(voltage_v) <= volts), 0.0)

    def most_v_at(self, current_a: float) -> float:
        """Return the largest voltage at a current, V; 0 beyond what the unit can do."""
        return max((volts for volts, amperes in self.limits if abs(current_a) <= amperes), default=0.0)

    def voltage_v(self, code: int, at_least_v: float) -> float:
        """Return the range for a value: by code, auto (0) or limited auto; FlexError 124 where the unit has none."""
        return self._chosen(self.voltages_v, voltage_range_v(code) if code else 0.0, at_least_v, code < 0)

    def current_a(self, code: int, at_least_a: float) -> float:
        """Return the range for a value: by code, auto (0) or limited auto; FlexError 124 where the unit has none."""
        known = tuple(current_range_a(each) for each in self.currents)
        return self._chosen(known, current_range_a(code) if code else 0.0, at_least_a, code < 0)

    @staticmethod
    def _chosen(known: tuple[float, ...], lowest: float, at_least: float, fixed: bool) -> float:
        if lowest and lowest not in known:
            raise FlexError(RANGE)
        if fixed:
            return lowest
        fitting = [each for each in known if each >= lowest and each >= abs(at_least) * (1 - 1e-9)]
        return fitting[0] if fitting else known[-1]


_MEDIUM = ((20.0, 0.1), (40.0, 0.05), (100.0, 0.02))
_MEDIUM_V = (0.5, 2.0, 5.0, 20.0, 40.0, 100.0)

SMU_KINDS: Mapping[str, SmuKind] = {
    "B1510A": SmuKind(
        "HPSMU", (2.0, 20.0, 40.0, 100.0, 200.0), range(11, 21),
        ((20.0, 1.0), (40.0, 0.5), (100.0, 0.125), (200.0, 0.05)),
    ),
    "B1511A": SmuKind("MPSMU", _MEDIUM_V, range(11, 20), _MEDIUM),
    "B1511B": SmuKind("MPSMU", _MEDIUM_V, range(11, 20), _MEDIUM),
    "B1514A": SmuKind("MCSMU", (0.2, 2.0, 20.0, 40.0), range(15, 21), ((30.0, 0.1),)),  # 0.1 A: a default, DC
    "B1517A": SmuKind("HRSMU", _MEDIUM_V, range(9, 20), _MEDIUM),
}  # fmt: skip


def slots_of(options: Mapping[str, Any]) -> dict[int, str]:
    """Return the modules by slot that the ``modules`` of a bench file name, in the order of the slots.

    Raises
    ------
    ValueError
        No such module, or more than the mainframe has slots for.
    """
    named = options.get("modules", list(_DEFAULT))
    if not isinstance(named, list) or len(named) > _SLOTS:
        raise ValueError(
            f"modules: a list of at most {_SLOTS} modules in the order of the slots, not {named!r}"
        )
    for model in named:
        if model not in (*MODULES, "0", ""):
            raise ValueError(f"modules: {model!r} is none of {', '.join(MODULES)} (an empty slot is 0)")
    return {slot: model for slot, model in enumerate(named, 1) if model not in ("0", "")}


def slots_reply(slots: Mapping[int, str]) -> str:
    """Word the reply to ``UNT?``: model and revision of every slot, ``0,0`` where it is empty."""
    return ";".join(f"{slots[slot]},0" if slot in slots else "0,0" for slot in range(1, _SLOTS + 1))
