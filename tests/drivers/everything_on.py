"""A life with everything in it: a card with every law at work, and a history that visits all of them.

The history is a list of steps that no random number of the chip enters, so that chips can live it in one go, in
pieces, with a break in the middle, or in another order of their cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from silicon import EIGHT_BITS, IBM90, SECOND_NS

from drivers.simulated.chip import SimulatedChip

EVERYTHING_ON = IBM90.with_values(
    {
        "laws.telegraph_noise.parameters.fluctuators_max": 2.0,
        "laws.endurance.parameters.scale_pulses": 120.0,
    },
    source="test: two fluctuators, and cells that wear out within the history",
)
HOT_K, WARM_K, ROOM_K = 400.0, 330.0, 300.0
"""At 400 K a state of this card lives for a day."""

Cells = NDArray[np.uint32]
Cut = Callable[[Cells], list[Cells]]
Results = list[NDArray[np.float32]]


class Step(NamedTuple):
    """Something that happens to a chip; `values` belong to `cells`, each a nanosecond after the one before."""

    act: str
    at_ns: int
    cells: Cells
    values: NDArray[np.float32]
    options: dict[str, Any]


_NOBODY, _NOTHING = np.empty(0, np.uint32), np.empty(0, np.float32)
_CHAIN = {"aperture_s": 1e-6, "spacing_s": 2e-6}


def whole(cells: Cells) -> list[Cells]:
    return [cells]


def physics(cells: int, turns: int = 10, seed: int = 5) -> list[Step]:
    """Pulses of every branch, reads at every voltage, observations, heat, switching, wear and too much current."""
    return list(_Author(cells, seed).of_pulses(turns))


def target_shortcut(cells: int, turns: int = 10, seed: int = 5) -> list[Step]:
    """The same for cells that are placed."""
    return list(_Author(cells, seed).of_targets(turns))


def live(chip: SimulatedChip, steps: Iterable[Step], cut: Cut = whole) -> Results:
    """Let a chip live through steps, every call to it cut in several; returns all that it told."""
    told: Results = []
    for step in steps:
        if step.act == "heat":
            chip.set_temperature(step.options["kelvin"], step.at_ns)
            continue
        value = np.full(chip.cells, np.nan, np.float32)
        value[step.cells] = step.values
        first, second = (np.full(chip.cells, np.nan, np.float32) for _ in range(2))
        for part in cut(step.cells):
            at_ns = step.at_ns + part.astype(np.int64)
            if step.act == "pulse":
                chip.pulse(part, value[part], at_ns, **step.options)
            elif step.act == "place":
                chip.place(part, value[part], at_ns)
            elif step.act == "read":
                first[part], second[part] = chip.read(part, at_ns, **step.options)
            else:
                first[part], second[part] = chip.observe(part, at_ns, **step.options)
        if step.act in ("read", "observe"):
            told += [first, second]
    return told


def assert_same_life(chip: SimulatedChip, told: Results, other: SimulatedChip, expected: Results) -> None:
    """Everything two chips told, and all that is in their cells, bit for bit."""
    assert len(told) == len(expected)
    for number, (got, want) in enumerate(zip(told, expected, strict=True)):
        np.testing.assert_array_equal(got, want, err_msg=f"answer {number}")
    for name, array in chip.arrays.items().items():
        np.testing.assert_array_equal(array, other.arrays.items()[name], err_msg=name)


class _Author:
    def __init__(self, cells: int, seed: int) -> None:
        self.everyone = np.arange(cells, dtype=np.uint32)
        self.rng = np.random.default_rng(seed)
        self.now_ns = SECOND_NS

    def some(self, turn: int) -> Cells:
        if turn % 3 == 0:
            return self.everyone
        size = self.rng.integers(1, self.everyone.size)
        return np.sort(self.rng.permutation(self.everyone)[:size])

    def wait(self, low: float = 5.0, high: float = 12.0) -> None:
        self.now_ns += int(10 ** self.rng.uniform(low, high))

    def of_pulses(self, turns: int) -> Iterable[Step]:
        rng = self.rng
        for turn in range(turns):
            yield from self.weather(turn)
            cells = self.some(turn)
            # Dead zone, SET branch, partial melt and full RESET; zero and NaN are no pulses.
            amplitude_a = rng.uniform(0.0, 460e-6, cells.size)
            amplitude_a[rng.random(cells.size) < 0.05] = np.nan
            # One cell in a thousand lives through a current that opens half of those it meets.
            amplitude_a[rng.random(cells.size) < 1e-3] = 650e-6
            shape = {"rise_s": 5e-9, "top_s": 50e-9, "fall_s": 5e-9, "count": 1 + 7 * (turn % 3)}
            if turn % 4 == 3:
                shape["fall_s"] = 200e-9  # which crystallises part of what it melts
            if turn % 5 == 4:
                shape |= {"rise_s": 1e-9, "top_s": 1e-9, "fall_s": 1e-9}  # too short to do anything
            yield Step("pulse", self.now_ns, cells, amplitude_a.astype(np.float32), shape)
            yield from self.looks(cells, turn)

    def of_targets(self, turns: int) -> Iterable[Step]:
        for turn in range(turns):
            yield from self.weather(turn)
            cells = self.some(turn)
            target_s = self.rng.uniform(0.0, 25e-6, cells.size)
            target_s[self.rng.random(cells.size) < 0.1] = 0.0
            target_s[self.rng.random(cells.size) < 0.05] = np.nan
            yield Step("place", self.now_ns, cells, target_s.astype(np.float32), {})
            yield from self.looks(cells, turn)

    def weather(self, turn: int) -> Iterable[Step]:
        self.wait()
        kelvin = (ROOM_K, HOT_K, HOT_K, WARM_K)[turn % 4]  # once from hot to hot
        yield Step("heat", self.now_ns, _NOBODY, _NOTHING, {"kelvin": kelvin})
        self.wait()

    def looks(self, cells: Cells, turn: int) -> Iterable[Step]:
        for samples, voltage_v in ((1, 0.2), (3, -0.2), (70, 0.35)):
            self.wait(high=13.5)
            options = {"voltage_v": voltage_v, "samples": samples, **_CHAIN, **EIGHT_BITS}
            yield Step("read", self.now_ns, cells, _nothing_for(cells), options)
        others = self.some(turn + 1)
        self.wait()
        options = {"voltage_v": 0.2, "samples": 4, "held_from_s": 10.0 ** (turn % 4 - 1), **_CHAIN}
        yield Step("observe", self.now_ns, others, _nothing_for(others), options)
        if turn % 2 == 1:
            few = others[:: 1 + turn]
            self.wait()
            options = {
                "voltage_v": 0.9,
                "samples": 2,
                **_CHAIN,
                **EIGHT_BITS,
            }  # some switch, all are disturbed
            yield Step("read", self.now_ns, few, _nothing_for(few), options)


def _nothing_for(cells: Cells) -> NDArray[np.float32]:
    return np.full(cells.size, np.nan, np.float32)
