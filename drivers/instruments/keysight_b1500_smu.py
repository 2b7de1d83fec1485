"""A source-measure unit of a B1500A: spot, sampling and staircase sweep, each carried out by the instrument in one go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import SettingOutOfRange
from drivers.instruments.keysight_b1500_formats import LIMITED, Words, spell
from drivers.instruments.keysight_b1500_modules import SmuKind, current_code
from drivers.properties import Control, Part, choice, number, switch
from drivers.roles import Burst

if TYPE_CHECKING:
    from drivers.instruments.keysight_b1500 import KeysightB1500

__all__ = ["SmuChannel"]

_HIGH_SPEED_S = (2e-6, 20e-3)
_PLC = (1, 100)
_STEP_S = 2e-6
_OVERHEAD_S = 60e-6
"""What a sample takes beside its integration: a default [K]; samples that come too late are left out and come as NaN."""

_SHORTEST_S, _LONGEST_S, _SHORT_S = 100e-6, 65.535, 2e-3
_SAMPLES, _STEPS = 100_001, 10_001
_SPOTS = 60
"""Triggers that fit one message of 256 characters beside what goes with them."""


def _fixed(code: str) -> float:
    """Return the range a code of RI means; 0 for auto."""
    return 0.0 if int(code) == 0 else float(f"1e{abs(int(code)) - 20}")


class SmuChannel(Part):
    """One unit; has the role of :class:`drivers.roles.SourceMeter`.

    Attributes
    ----------
    slot : int
        Its channel number.
    kind : SmuKind
        What it can do.
    """

    output = Control(
        "*LRN? 0|CN{slot}",
        "{} {slot}",
        "Control whether the output switch is closed; it closes at 0 V with a compliance of 100 uA.",
        parse=lambda reply: reply == "1",
        spell=lambda on: "CN" if on else "CL",
    )
    measuring_range_a = number(
        "*LRN? 32|RI{slot}",
        "RI {slot},{}",
        "Control the fixed current range of triggered measurements; 0 is automatic.",
        unit="A",
        parse=_fixed,
        span="span_range_a",
        spell=lambda value: "0" if not value else str(-math.ceil(20 + math.log10(value) - 1e-9)),
    )
    converter = choice(
        "*LRN? 55|AAD{slot}",
        "AAD {slot},{}",
        "Control which converter measures.",
        {"high-speed": "0", "high-resolution": "1"},
    )
    measures = choice(
        "*LRN? 46|CMM{slot}",
        "CMM {slot},{}",
        "Control what a triggered measurement gives.",
        {"compliance-side": "0", "current": "1", "voltage": "2", "force-side": "3", "both": "4"},
    )
    filter = switch("*LRN? 30|FL{slot}", "FL {},{slot}", "Control the output filter.")
    series_resistor = switch(
        "*LRN? 53|SSR{slot}", "SSR {slot},{}", "Control the 1 Mohm resistor in series with the output."
    )

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

    # ---- what it forces -----------------------------------------------------------------------------------
    def hold(self, level_v: float, *, limit_a: float) -> None:
        """Put a voltage on the terminals and leave it there.

        Parameters
        ----------
        level_v : float
            Volt.
        limit_a : float
            Compliance, ampere.

        Raises
        ------
        SettingOutOfRange, InterlockOpen, InstrumentError
        """
        self._check([level_v], limit_a)
        self.tell(f"CN {self.slot};DV {self.slot},0,{spell(level_v)},{spell(limit_a)}")

    def hold_current(self, level_a: float, *, limit_v: float) -> None:
        """Put a current on the terminals, ampere, with a voltage compliance, and leave it there."""
        self._check([limit_v], level_a)
        self.tell(f"CN {self.slot};DI {self.slot},0,{spell(level_a)},{spell(limit_v)}")

    def zero(self) -> None:
        """Bring the terminals to 0 V; the output switch is closed then."""
        self.tell(f"CN {self.slot};DZ {self.slot}")

    def restore(self) -> None:
        """Put back on the terminals what :meth:`zero` took away."""
        self.tell(f"RZ {self.slot}")

    # ---- single readings ----------------------------------------------------------------------------------
    def measure(self, *, range_a: float | None = None) -> Burst:
        """Measure current and voltage once, of whatever is forced; returns arrays of one element.

        Parameters
        ----------
        range_a : float, optional
            Fixed range that holds this current; automatic when left out.
        """
        code = 0 if range_a is None else -current_code(self.kind, range_a)
        words = self.instrument.spot(f"TTIV {self.slot},{code},0")
        return self._gathered(words, voltage=words.value[words.kind == "V"])

    # ---- many readings ------------------------------------------------------------------------------------
    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        """Measure `samples` times at one voltage, one after the other, on the instrument; 0 V before and after.

        With a fixed range it is a sampling measurement; samples the instrument left out are NaN. With automatic
        ranges, which a sampling would pay for with its first samples, it is so many triggers in one message.

        Parameters
        ----------
        level_v : float
            Volt.
        samples : int
        aperture_s : float
            Integration time: 2 us to 20 ms in steps of 2 us (high speed), then up to 100 power line cycles.
        limit_a : float
            Compliance, ampere.
        range_a : float, optional
            Fixed measuring range that holds this current; automatic when left out.

        Raises
        ------
        SettingOutOfRange, InterlockOpen, InstrumentError, LinkError
        """
        self._check([level_v], limit_a)
        if not 1 <= samples <= _SAMPLES:
            raise _out_of_range("samples", samples, 1, _SAMPLES)
        converter, integrates_s = self._converter(aperture_s)
        if range_a is None:
            return self._spots(level_v, samples, converter, integrates_s, limit_a)
        return self._sampled(level_v, samples, converter, integrates_s, limit_a, range_a)

    def _sampled(
        self,
        level_v: float,
        samples: int,
        converter: list[str],
        integrates_s: float,
        limit_a: float,
        range_a: float,
    ) -> Burst:
        interval_s = max(_SHORTEST_S, integrates_s + _OVERHEAD_S)
        step_s = 1e-5 if interval_s < _SHORT_S else 1e-3
        interval_s = math.ceil(interval_s / step_s - 1e-6) * step_s
        slot, code = self.slot, current_code(self.kind, range_a)
        stamped = self.instrument.read_back == "8-byte"
        words = self.instrument.execute(
            [
                f"CN {slot}",
                *converter,
                f"CMM {slot},1",
                f"RI {slot},{-code}",
                f"MM 10,{slot}",
                "MSC 1,1",
                "ML 1",
                f"MV {slot},0,0,{spell(level_v)},{spell(limit_a)}",
                f"MT 0,{spell(interval_s)},{samples},0",
            ],
            words=(2 + stamped) * samples,
            seconds=samples * interval_s,
            fewer=2 + stamped,
        )
        index = words.value[words.kind == "X"].astype(int) - 1
        current = words.kind == "I"
        due_s: NDArray[np.float64] = np.arange(samples, dtype=np.float64) * interval_s
        nothing, level = np.full(samples, np.nan), np.full(samples, float(level_v))
        found = Burst(level, nothing, np.zeros(samples, dtype=np.bool_), due_s)
        found.current_a[index] = words.value[current]
        found.limited[index] = words.status[current] & LIMITED != 0
        if stamped and index.size:
            times = words.value[words.kind == "T"]
            found.t_s[:] += times[0] - found.t_s[index[0]]
            found.t_s[index] = times
            found.t_s[:] -= found.t_s[0]
        return found

    def _spots(
        self, level_v: float, samples: int, converter: list[str], integrates_s: float, limit_a: float
    ) -> Burst:
        slot, parts = self.slot, []
        stamped = self.instrument.read_back == "8-byte"
        setup = [f"CN {slot}", *converter, f"CMM {slot},1", f"RI {slot},0", f"MM 1,{slot}"]
        setup.append(f"DV {slot},0,{spell(level_v)},{spell(limit_a)}")
        for at in range(0, samples, _SPOTS):
            count = min(_SPOTS, samples - at)
            last = at + count == samples
            parts.append(
                self.instrument.execute(
                    setup if at == 0 else [],
                    words=1 + stamped,
                    seconds=count * (integrates_s + _OVERHEAD_S),
                    repeat=count,
                    after=[f"DV {slot},0,0,{spell(limit_a)}"] if last else [],
                    restart=at == 0,
                )
            )
        words = _joined(parts)
        return self._gathered(words, voltage=np.full(samples, float(level_v)))

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
            raise _out_of_range("levels_v", levels.size, 1, _STEPS)
        self._check(levels, limit_a)
        runs = _runs(levels)
        parts = []
        for at, (start, stop) in enumerate(runs):
            first, final = float(levels[start]), float(levels[stop - 1])
            stairs = f"WV {self.slot},1,0,{spell(first)},{spell(final)},{stop - start},{spell(abs(limit_a))}"
            done = [f"DV {self.slot},0,0,{spell(abs(limit_a))}"] if at == len(runs) - 1 else []
            setup = self._stairs_setup(aperture_s, range_a, [stairs], post=2)
            parts.append(self._swept(setup, stop - start, aperture_s, after=done, restart=at == 0))
        words = _joined(parts)
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
        in_step: tuple[SmuChannel, float, float, float] | None = None,
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
        in_step : (SmuChannel, float, float, float), optional
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
        if not 1 <= steps <= _STEPS:
            raise _out_of_range("steps", steps, 1, _STEPS)
        if spacing == "log" and start_v * stop_v <= 0:
            raise _out_of_range("start_v", start_v, 0.0, math.inf)
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
            seconds=seconds + count * (aperture_s + _OVERHEAD_S),
            after=after,
            restart=restart,
        )

    # ---- inside -------------------------------------------------------------------------------------------
    def _converter(self, aperture_s: float) -> tuple[list[str], float]:
        """Return the commands that set the integration time nearest to `aperture_s`, and what it is."""
        if not aperture_s > 0:
            raise _out_of_range("aperture_s", aperture_s, *_HIGH_SPEED_S)
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
            raise _out_of_range("level_v", float(max(levels_v, key=abs)), low, high, self)
        most = self.kind.most_a(largest)
        if not 0 < abs(limit_a) <= most:
            raise _out_of_range("limit_a", limit_a, 0.0, most, self)

    def _gathered(self, words: Words, *, voltage: NDArray[np.float64]) -> Burst:
        current = words.kind == "I"
        count = int(np.count_nonzero(current))
        stamps = words.value[words.kind == "T"]
        times: NDArray[np.float64] = stamps - stamps[0] if stamps.size else np.full(count, np.nan)
        limited = words.status[current] & LIMITED != 0
        return Burst(voltage, words.value[current], limited, times)


def _out_of_range(name: str, value: float, low: float, high: float, unit: object = "it") -> SettingOutOfRange:
    return SettingOutOfRange(
        f"{name} = {value:g} is outside {low:g} .. {high:g} that {unit} can do; nothing was sent",
        setting=name,
        value=value,
        low=low,
        high=high,
    )


def _joined(parts: list[Words]) -> Words:
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
            and stop - start < _STEPS
            and abs(levels[stop] - levels[stop - 1] - (levels[start + 1] - levels[start])) <= scale
        ):
            stop += 1
        runs.append((start, stop))
        start = stop
    return runs
