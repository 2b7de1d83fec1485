"""What a B1500A can have in its slots, and the numbers it calls ranges by (instruments §2.2)."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.errors import MalformedAnswer, SettingOutOfRange

__all__ = ["SMU_KINDS", "Module", "SmuKind", "current_code", "modules_of", "voltage_code"]

SPGU, WGFMU = "B1525A", "B1530A"


@dataclass(frozen=True, slots=True)
class SmuKind:
    """A kind of source-measure unit.

    Attributes
    ----------
    name : str
        Keysight's short name.
    currents_a : (int, int)
        Codes of its smallest and largest current range: 20 is 1 A, one less per decade.
    voltages_v : tuple of float
        Voltage ranges.
    limits : tuple of (float, float)
        Up to so many volts it gives so many amperes.
    """

    name: str
    currents_a: tuple[int, int]
    voltages_v: tuple[float, ...]
    limits: tuple[tuple[float, float], ...]

    @property
    def span_v(self) -> tuple[float, float]:
        """Lowest and highest voltage."""
        return -self.limits[-1][0], self.limits[-1][0]

    @property
    def span_a(self) -> tuple[float, float]:
        """Lowest and highest current."""
        return -self.limits[0][1], self.limits[0][1]

    def most_a(self, voltage_v: float) -> float:
        """Return the largest current at a voltage, A; 0 beyond what it can do."""
        return next((amperes for volts, amperes in self.limits if abs(voltage_v) <= volts), 0.0)


_MEDIUM_V = (0.5, 2.0, 5.0, 20.0, 40.0, 100.0)
_MEDIUM = ((20.0, 0.1), (40.0, 0.05), (100.0, 0.02))

SMU_KINDS: dict[str, SmuKind] = {
    "B1510A": SmuKind(
        "HPSMU", (11, 20), (2.0, 20.0, 40.0, 100.0, 200.0),
        ((20.0, 1.0), (40.0, 0.5), (100.0, 0.125), (200.0, 0.05)),
    ),
    "B1511A": SmuKind("MPSMU", (11, 19), _MEDIUM_V, _MEDIUM),
    "B1511B": SmuKind("MPSMU", (11, 19), _MEDIUM_V, _MEDIUM),
    "B1514A": SmuKind("MCSMU", (15, 20), (0.2, 2.0, 20.0, 40.0), ((30.0, 0.1),)),
    "B1517A": SmuKind("HRSMU", (9, 19), _MEDIUM_V, _MEDIUM),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Module:
    """What is in a slot.

    Attributes
    ----------
    slot : int
    model : str
        B1511B.
    revision : str
    """

    slot: int
    model: str
    revision: str

    @property
    def name(self) -> str:
        """Keysight's short name where it is known, the model otherwise."""
        if self.model in SMU_KINDS:
            return SMU_KINDS[self.model].name
        return {SPGU: "SPGU", WGFMU: "WGFMU", "B1520A": "MFCMU"}.get(self.model, self.model)


def modules_of(reply: str) -> dict[int, Module]:
    """Return the modules by slot that a reply to ``UNT?`` names.

    Raises
    ------
    MalformedAnswer
        It is no such reply.
    """
    found = {}
    for slot, item in enumerate(reply.strip().split(";"), 1):
        model, comma, revision = item.partition(",")
        if not comma or not model:
            raise MalformedAnswer(f"{reply[:80]!r} is no list of modules: read it again, and check the link")
        if model.strip() != "0":
            found[slot] = Module(slot, model.strip().split("/")[0], revision.strip())
    return found


def current_code(kind: SmuKind, range_a: float) -> int:
    """Return the code of the smallest current range that holds a current.

    Raises
    ------
    SettingOutOfRange
        The unit has none.
    """
    for code in range(kind.currents_a[0], kind.currents_a[1] + 1):
        if abs(range_a) <= float(f"1e{code - 20}") * (1 + 1e-9):
            return code
    raise SettingOutOfRange(
        f"range_a = {range_a:g} A is more than the ranges of the {kind.name} hold; nothing was sent",
        setting="range_a",
        value=range_a,
        low=0.0,
        high=float(f"1e{kind.currents_a[1] - 20}"),
    )


def voltage_code(kind: SmuKind, range_v: float) -> int:
    """Return the code of the smallest voltage range that holds a voltage: ten times its volts.

    Raises
    ------
    SettingOutOfRange
        The unit has none.
    """
    for each in kind.voltages_v:
        if abs(range_v) <= each * (1 + 1e-9):
            return round(each * 10)
    raise SettingOutOfRange(
        f"range_v = {range_v:g} V is more than the ranges of the {kind.name} hold; nothing was sent",
        setting="range_v",
        value=range_v,
        low=0.0,
        high=kind.voltages_v[-1],
    )
