"""Staircase sweeps of a source-measure unit of a B1500A, each carried out by the instrument in one go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import SettingOutOfRange
from drivers.instruments.keysight_b1500_formats import LIMITED, Words, spell
from drivers.instruments.keysight_b1500_modules import SmuKind, current_code
from drivers.properties import Part
from drivers.roles import Burst

if TYPE_CHECKING:
    from drivers.instruments.keysight_b1500 import KeysightB1500

__all__ = ["OVERHEAD_S", "STEPS", "SmuStaircases", "joined", "out_of_range"]

_HIGH_SPEED_S = (2e-6, 20e-3)
_PLC = (1, 100)
_STEP_S = 2e-6
STEPS = 10_001
OVERHEAD_S = 60e-6
"""What a reading takes beside its integration: a default [K]."""


class SmuStaircases(Part):
    """A unit with its sweeps; :class:`~drivers.instruments.keysight_b1500_smu.SmuChannel` adds the rest.

    Parameters
    ----------
    instrument : KeysightB1500
    slot : int
        Its channel number.
    kind : SmuKind
        What it can do.
    """

    def __init__(self, instrument: KeysightB1500, slot: int, kind: SmuKind) -> None:
        self.instrument, self.slot, self.kind = instrument, slot, kind
        self.names: Mapping[str, str] = {"slot": str(slot)}
        self.span_range_a = (0.0, float(f"1e{kind.currents_a[1] - 20}"))

    def __repr__(self) -> str:
        return f"<{self.kind.name} in slot {self.slot} of {self.instrument!r}>"

    def ask(self, query: str) -> str:
        """Ask the instrument something; returns its reply."""
        return self.instrument.ask(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the instrument's errors."""
        self.instrument.tell(command)

    def sweep(
        self,
        levels_v: NDArray[np.float64],
        *,
        aperture_s: float,
        limit_a: float,
        range_a: float | None = None,
    ) -> Burst:
        """Measure once at each voltage, on the instrument; 0 V before and after.

        The instrument has staircases and no lists: evenly spaced levels are one sweep, a triangle is two or three, and
        levels without any order are one for every two of them.

        Parameters
        ----------
        levels_v : ndarray of float64
            Volt.
        aperture_s, limit_a, range_a
            As of :meth:`burst`.

        Raises
        ------
        SettingOutOfRange, InterlockOpen, InstrumentError, LinkError
        """
        levels = np.asarray(levels_v, dtype=np.float64)
        if not levels.size:
            raise out_of_range("levels_v", levels.size, 1, STEPS)
        self._check(levels, limit_a)
        runs = _runs(levels)
        parts = []
        for at, (start, stop) in enumerate(runs):
            first, final = float(levels[start]), float(levels[stop - 1])
            stairs = f"WV {self.slot},1,0,{spell(first)},{spell(final)},{stop - start},{spell(abs(limit_a))}"
            done = [f"DV {self.slot},0,0,{spell(abs(limit_a))}"] if at == len(runs) - 1 else []
            setup = self._stairs_setup(aperture_s, range_a, [stairs], post=2)
            parts.append(self._swept(setup, stop - start, aperture_s, after=done, restart=at == 0))
        words = joined(parts)
        return self._gathered(words, voltage=levels)

    def stairs(
        self,
        start_v: float,
        stop_v: float,
        steps: int,
        *,
        aperture_s: float,
        limit_a: float,
        range_a: float | None = None,
        spacing: Literal["linear", "log"] = "linear",
        back: bool = False,
        hold_s: float = 0.0,
        delay_s: float = 0.0,
        stop_on_compliance: bool = False,
        in_step: tuple[SmuStaircases, float, float, float] | None = None,
    ) -> Burst:
        """Sweep a staircase and measure at each step; the instrument's own WV, with all it can do.

        Parameters
        ----------
        start_v, stop_v : float
            Volt; of one sign for a logarithmic sweep.
        steps : int
            1 to 10001.
        aperture_s, limit_a, range_a
            As of :meth:`burst`.
        spacing : {"linear", "log"}
        back : bool
            And back again; the last step comes twice.
        hold_s, delay_s : float
            Before the first step, and between each step and its measurement, seconds.
        stop_on_compliance : bool
            End the sweep there; the steps behind it are NaN.
        in_step : (SmuStaircases, float, float, float), optional
            Another unit that sweeps from a voltage to another, with its compliance, in as many steps.

        Returns
        -------
        Burst
            The voltages are those the instrument says it forced.

        Raises
        ------
        SettingOutOfRange, InterlockOpen, InstrumentError, LinkError
        """
        self._check([start_v, stop_v], limit_a)
        if not 1 <= steps <= STEPS:
            raise out_of_range("steps", steps, 1, STEPS)
        if spacing == "log" and start_v * stop_v <= 0:
            raise out_of_range("start_v", start_v, 0.0, math.inf)
        mode = {"linear": 1, "log": 2}[spacing] + (2 if back else 0)
        ends = f"{spell(start_v)},{spell(stop_v)}"
        sources = [f"WV {self.slot},{mode},0,{ends},{steps},{spell(abs(limit_a))}"]
        first = [f"CN {self.slot}"]
        after = [f"DV {self.slot},0,0,{spell(abs(limit_a))}"]
        if in_step is not None:
            other, from_v, to_v, other_limit_a = in_step
            other._check([from_v, to_v], other_limit_a)
            first.append(f"CN {other.slot}")
            limit = spell(abs(other_limit_a))
            sources.append(f"WSV {other.slot},0,{spell(from_v)},{spell(to_v)},{limit}")
            after.append(f"DV {other.slot},0,0,{limit}")
        setup = [*first, *self._stairs_setup(aperture_s, range_a, sources, post=1, stop=stop_on_compliance)]
        setup.append(f"WT {spell(hold_s)},{spell(delay_s)}")
        count = steps * (2 if back else 1)
        seconds = hold_s + count * delay_s
        words = self._swept(setup, count, aperture_s, after=after, seconds=seconds)
        return self._gathered(words, voltage=words.value[words.source])

    def _stairs_setup(
        self,
        aperture_s: float,
        range_a: float | None,
        sources: Sequence[str],
        *,
        post: int,
        stop: bool = False,
    ) -> list[str]:
        slot = self.slot
        code = 0 if range_a is None else -current_code(self.kind, range_a)
        return [
            f"CN {slot}",
            *self._converter(aperture_s)[0],
            f"CMM {slot},1",
            f"RI {slot},{code}",
            f"MM 2,{slot}",
            f"WM {2 if stop else 1},{post}",
            "WT 0,0",
            *sources,
        ]

    def _swept(
        self,
        setup: list[str],
        count: int,
        aperture_s: float,
        *,
        after: list[str],
        seconds: float = 0.0,
        restart: bool = True,
    ) -> Words:
        stamped = self.instrument.read_back == "8-byte"
        return self.instrument.execute(
            setup,
            words=(2 + stamped) * count,
            seconds=seconds + count * (aperture_s + OVERHEAD_S),
            after=after,
            restart=restart,
        )

    def flat(
        self, level_v: float, steps: int, *, aperture_s: float, limit_a: float, after: bool, restart: bool
    ) -> Words:
        """Run a staircase that stays where it is: so many readings with automatic ranges from one trigger."""
        level, limit = spell(level_v), spell(abs(limit_a))
        stairs = f"WV {self.slot},1,0,{level},{level},{steps},{limit}"
        done = [f"DV {self.slot},0,0,{limit}"] if after else []
        setup = self._stairs_setup(aperture_s, None, [stairs], post=2)
        return self._swept(setup, steps, aperture_s, after=done, restart=restart)

    # ---- inside -------------------------------------------------------------------------------------------
    def _converter(self, aperture_s: float) -> tuple[list[str], float]:
        """Return the commands that set the integration time nearest to `aperture_s`, and what it is."""
        if not aperture_s > 0:
            raise out_of_range("aperture_s", aperture_s, *_HIGH_SPEED_S)
        if aperture_s <= _HIGH_SPEED_S[1]:
            time_s = max(_HIGH_SPEED_S[0], round(aperture_s / _STEP_S) * _STEP_S)
            return [f"AAD {self.slot},0", f"AIT 0,3,{spell(time_s)}"], time_s
        line_hz = self.instrument.line_hz
        cycles = min(max(round(aperture_s * line_hz), _PLC[0]), _PLC[1])
        return [f"AAD {self.slot},1", f"AIT 1,2,{cycles}", "AZ 0"], cycles / line_hz

    def _check(self, levels_v: Sequence[float] | NDArray[np.float64], limit_a: float) -> None:
        """Check voltages and a compliance against what the unit can do."""
        largest = float(np.max(np.abs(levels_v)))
        low, high = self.kind.span_v
        if not largest <= high:
            raise out_of_range("level_v", float(max(levels_v, key=abs)), low, high, self)
        most = self.kind.most_a(largest)
        if not 0 < abs(limit_a) <= most:
            raise out_of_range("limit_a", limit_a, 0.0, most, self)

    def _gathered(self, words: Words, *, voltage: NDArray[np.float64]) -> Burst:
        current = words.kind == "I"
        count = int(np.count_nonzero(current))
        stamps = words.value[words.kind == "T"]
        times: NDArray[np.float64] = stamps - stamps[0] if stamps.size else np.full(count, np.nan)
        limited = words.status[current] & LIMITED != 0
        return Burst(voltage, words.value[current], limited, times)


def out_of_range(name: str, value: float, low: float, high: float, unit: object = "it") -> SettingOutOfRange:
    """Return the error for a setting the unit does not have."""
    return SettingOutOfRange(
        f"{name} = {value:g} is outside {low:g} .. {high:g} that {unit} can do; nothing was sent",
        setting=name,
        value=value,
        low=low,
        high=high,
    )


def joined(parts: list[Words]) -> Words:
    """Return words that came in several measurements as if they were one."""
    if len(parts) == 1:
        return parts[0]
    return Words(*(np.concatenate([getattr(each, name) for each in parts]) for name in Words.__slots__))


def _runs(levels: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Cut levels into stretches of even steps, each at most a sweep long: (first, behind the last)."""
    scale = 1e-9 * max(1.0, float(np.max(np.abs(levels))))
    runs = []
    start = 0
    while start < levels.size:
        stop = min(start + 2, levels.size)
        while (
            stop < levels.size
            and stop - start < STEPS
            and abs(levels[stop] - levels[stop - 1] - (levels[start + 1] - levels[start])) <= scale
        ):
            stop += 1
        runs.append((start, stop))
        start = stop
    return runs
