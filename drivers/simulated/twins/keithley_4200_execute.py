"""What ``:PMU:EXECUTE`` does: look at the settings, play both channels at once, sample what they saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.terminals import Seen, Wave
from drivers.simulated.twins.keithley_4200_pulses import (
    LLEC_OHM,
    OUTPUT_OHM,
    POINTS_MAX,
    PulseChannel,
    drive,
    output_limit_a,
    sample_times,
)
from drivers.simulated.twins.keithley_4200_samples import ranges_of, thermal
from drivers.simulated.twins.kxci_errors import KxciError

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_4200_pmu import Pmu
    from drivers.simulated.twins.keithley_4200_segments import Segment

__all__ = ["Executed", "execute"]

THERMAL_W, THERMAL_S = 5.0, 1.0
"""Defaults: mean power in an output stage that is too much for longer than this."""
LLEC_FAILED = 1 << 30
"""Bit of the status word: load-line effect compensation did not reach the voltage (default)."""
_RATE_MIN_HZ = 1e3


@dataclass(slots=True)
class Executed:
    """What a channel measured, by column name; `heat_j` became heat in its output stage."""

    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    heat_j: float = 0.0
    too_hot: bool = False
    _parts: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    @property
    def points(self) -> int:
        """Points that can be fetched."""
        return max(map(len, self.columns.values()), default=0)

    def add(self, **columns: NDArray[np.float64]) -> None:
        """Append to the columns."""
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(np.atleast_1d(values))

    def finish(self, burst_s: float) -> None:
        """Put the columns together, and see whether the output stage was too hot."""
        self.columns = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        self.too_hot = burst_s > THERMAL_S and self.heat_j / burst_s > THERMAL_W
        if self.too_hot:
            thermal(self.columns)


def execute(pmu: Pmu) -> dict[int, Executed]:
    """Run what a card is set to; KxciError for what it cannot do, before anything is played."""
    active = {number: channel for number, channel in pmu.channels.items() if channel.output}
    if not active:
        raise KxciError(-967)
    began_ns = pmu.bench.now_ns
    found = _arbitrary(pmu, active) if pmu.arb else _standard(pmu, active)
    for each in found.values():
        each.finish((pmu.bench.now_ns - began_ns) * 1e-9)
    return found


def _limit_a(pmu: Pmu, number: int) -> float:
    channel = pmu.channels[number]
    clamp_a = pmu.samplers[number].clamp_a(channel.measuring_a(rpm=pmu.rpm))
    return min(clamp_a, output_limit_a(channel.source_v))


def _played(pmu: Pmu, waves: dict[int, Wave]) -> dict[int, Seen]:
    """Play what the modules connect to the outside; the others see nothing."""
    outside = {pmu.names[number]: wave for number, wave in waves.items() if pmu.rpm_path[number] == 0}
    seen = pmu.bench.play(outside) if outside else {}
    if not outside:
        pmu.bench.pass_s(
            max(float(wave.t_s[-1]) + wave.period_s * (wave.count - 1) for wave in waves.values())
        )
    nothing = {
        number: Seen(wave.t_s, 0.0 * wave.t_s, 0.0 * wave.t_s, np.zeros(len(wave.t_s), np.bool_))
        for number, wave in waves.items()
    }
    return {number: seen.get(pmu.names[number], nothing[number]) for number in waves}


def _heat_j(seen: Seen, count: int) -> float:
    return float(np.trapezoid(seen.current_a**2, seen.t_s)) * OUTPUT_OHM * count


def _range_a(pmu: Pmu, channel: PulseChannel, seen: Seen) -> float:
    """Return the range the channel measures on: the fixed one, or the smallest that holds what it saw."""
    largest = channel.measuring_a(rpm=pmu.rpm)
    if not channel.auto:
        return largest
    lowest = channel.range_a if channel.range_type == 1 else 0.0
    peak = float(np.abs(seen.current_a).max())
    ranges = ranges_of(channel.source_v, rpm=pmu.rpm)
    return next((each for each in ranges if each >= lowest * 0.999 and peak <= each), largest)


# ---- standard pulses --------------------------------------------------------------------------------------
def _standard(pmu: Pmu, active: dict[int, PulseChannel]) -> dict[int, Executed]:
    shots = _shots(active)
    limits = {number: _limit_a(pmu, number) for number in active}
    for number, channel in active.items():
        channel.check(pmu.period_s)
        if pmu.mode in (1, 3) and not any(channel.acquire):
            raise KxciError(-947)
        for shot in shots:
            drive(channel, *shot[number])
    discrete = pmu.mode in (1, 2)
    repeats = pmu.count if discrete else 1
    if pmu.mode in (1, 3) and repeats * len(shots) > POINTS_MAX:
        raise KxciError(-949)
    rate_hz = _pulse_rate(pmu, active, repeats * len(shots))
    found = {number: Executed() for number in active}
    played = 0
    for shot in shots:
        waves = {
            number: channel.wave(*shot[number], pmu.period_s, 1 if discrete else pmu.count, limits[number])
            for number, channel in active.items()
        }
        for _ in range(repeats):
            seen = _played(pmu, waves)
            for number in active:
                found[number].heat_j += _heat_j(seen[number], waves[number].count)
                _measure(pmu, number, seen[number], found[number], rate_hz, played * pmu.period_s)
            played += 1
    return found


def _shots(active: dict[int, PulseChannel]) -> list[dict[int, tuple[float, float]]]:
    """Return base and amplitude of every channel, one entry for every point of sweep and step."""
    sweeps = {number: channel.sweep for number, channel in active.items() if channel.sweep}
    steps = {number: channel.step for number, channel in active.items() if channel.step and not channel.sweep}
    if steps and not sweeps:
        raise KxciError(-953)
    if len({len(each) for each in sweeps.values()}) > 1 or len({len(each) for each in steps.values()}) > 1:
        raise KxciError(-948)
    fixed = {number: (channel.base_v, channel.amplitude_v) for number, channel in active.items()}
    outer = max(map(len, steps.values()), default=1)
    inner = max(map(len, sweeps.values()), default=1)
    return [
        {
            number: sweeps[number][i]
            if number in sweeps
            else steps[number][o]
            if number in steps
            else fixed[number]
            for number in active
        }
        for o in range(outer)
        for i in range(inner)
    ]


def _pulse_rate(pmu: Pmu, active: dict[int, PulseChannel], pulses: int) -> float:
    """Halve the sample rate until the points fit (-952 where none does)."""
    rate_hz = pmu.rate_hz
    if pmu.mode not in (2, 4):
        return rate_hz
    longest_s = max(np.diff(channel.captured(pmu.period_s))[0] for channel in active.values())
    while max(1, int(longest_s * rate_hz + 1e-6)) * pulses > POINTS_MAX:
        rate_hz /= 2
        if rate_hz < _RATE_MIN_HZ:
            raise KxciError(-952)
    return rate_hz


def _measure(pmu: Pmu, number: int, seen: Seen, found: Executed, rate_hz: float, since_s: float) -> None:
    if pmu.mode == 0:
        return
    channel = pmu.channels[number]
    averaged = pmu.count if pmu.mode in (3, 4) else 1
    range_a = _range_a(pmu, channel, seen)
    state = LLEC_FAILED if channel.llec and _out_of_reach(channel, seen) else 0

    def take(times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return pmu.samplers[number].take(
            seen, times_s, source_v=channel.source_v, range_a=range_a, auto=channel.auto, shots=averaged
        )

    if pmu.mode in (2, 4):
        times_s = sample_times(channel.captured(pmu.period_s), rate_hz)
        volts, amperes = take(times_s)
        found.add(V=volts, I=amperes, T=since_s + times_s, S=np.full(len(times_s), float(state)))
        return
    for level, window_s, wanted in zip("HL", channel.windows(pmu.period_s), channel.acquire, strict=True):
        if wanted:
            times_s = sample_times(window_s, rate_hz)[:POINTS_MAX]
            volts, amperes = take(times_s)
            mean = {
                "V": volts.mean(), "I": _mean(amperes), "T": since_s + times_s.mean(), "S": float(state)
            }  # fmt: skip
            found.add(**{name + level: np.array([value]) for name, value in mean.items()})


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean, or the sentinel where a sample is one."""
    bad = values[np.abs(values) > 1e10]
    return float(bad[0]) if len(bad) else float(values.mean())


def _out_of_reach(channel: PulseChannel, seen: Seen) -> bool:
    """Tell whether the output would have needed more than the source range has."""
    needed = np.abs(seen.voltage_v) + (OUTPUT_OHM - LLEC_OHM) * np.abs(seen.current_a)
    return bool(seen.limited.any() or needed.max() > channel.source_v * (1 + 1e-6))


# ---- segment arb ------------------------------------------------------------------------------------------
def _arbitrary(pmu: Pmu, active: dict[int, PulseChannel]) -> dict[int, Executed]:
    waves: dict[int, Wave] = {}
    lines: dict[int, list[Segment]] = {}
    for number, channel in active.items():
        if channel.auto:
            raise KxciError(-967)
        lines[number] = pmu.segments[number].unrolled(channel.source_v, rpm=pmu.rpm)
        levels = [value for each in lines[number] for value in (each.start_v, each.stop_v)]
        driven = drive(channel, *levels)
        times_s = np.concatenate([[0.0], np.cumsum([each.time_s for each in lines[number]])])
        ohm = LLEC_OHM if channel.llec else OUTPUT_OHM
        open_v = np.array([driven[0], *driven[1::2]])
        waves[number] = Wave(times_s, open_v, ohm, _limit_a(pmu, number), 1, float(times_s[-1]))
    rate_hz = _segment_rate(pmu, lines)
    seen = _played(pmu, waves)
    found = {number: Executed() for number in active}
    for number in active:
        found[number].heat_j = _heat_j(seen[number], 1)
        _measure_segments(pmu, number, lines[number], seen[number], found[number], rate_hz)
    return found


def _segment_rate(pmu: Pmu, lines: dict[int, list[Segment]]) -> float:
    rate_hz = pmu.rate_hz
    spots = max(sum(each.measure == 1 for each in found) for found in lines.values())
    if spots > POINTS_MAX:
        raise KxciError(-963)
    while any(
        sum(max(1, int((each.last_s - each.first_s) * rate_hz + 1e-6)) for each in found if each.measure == 2)
        + sum(each.measure == 1 for each in found)
        > POINTS_MAX
        for found in lines.values()
    ):
        rate_hz /= 2
        if rate_hz < _RATE_MIN_HZ:
            raise KxciError(-951)
    return rate_hz


def _measure_segments(
    pmu: Pmu, number: int, lines: list[Segment], seen: Seen, found: Executed, rate_hz: float
) -> None:
    """Sample all measured segments at once, then take means where means were asked for."""
    channel = pmu.channels[number]
    begins = np.concatenate([[0.0], np.cumsum([each.time_s for each in lines])])[:-1]
    times = [
        begin + sample_times((each.first_s, each.last_s), rate_hz)
        for begin, each in zip(begins, lines, strict=True)
        if each.measure
    ]
    if not times:
        return
    volts, amperes = pmu.samplers[number].take(
        seen,
        np.concatenate(times),
        source_v=channel.source_v,
        range_a=channel.measuring_a(rpm=pmu.rpm),
        auto=False,
    )
    state = LLEC_FAILED if channel.llec and _out_of_reach(channel, seen) else 0
    at = 0
    for each, times_s in zip([line for line in lines if line.measure], times, strict=True):
        part = slice(at, at + len(times_s))
        at += len(times_s)
        if each.measure == 1:
            found.add(
                V=volts[part].mean(),
                I=np.array([_mean(amperes[part])]),
                T=times_s.mean(),
                S=np.array([float(state)]),
            )
        else:
            found.add(V=volts[part], I=amperes[part], T=times_s, S=np.full(len(times_s), float(state)))
