"""What pulses do to the cells: P1 to P12 (device-physics §9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.acceptance.bench import Bench
from labkit.acceptance.conditions import PLAIN, SILENT
from labkit.acceptance.explained import Explanation
from labkit.acceptance.population import accumulated_s, melted_s
from labkit.acceptance.row import Expected, Measured, Row, Status
from labkit.acceptance.statistics import mean_of, quantile_of, share_of, spread_of
from labkit.acceptance.subject import Experiment, Reference, Subject

__all__ = ["PUBLISHED_MEANS", "PULSE_LEVEL"]

_US = 1e-6
_SRNN = "YigitDemirag/srnn-pcm (J. Appl. Phys. 124, 152135), 200,000 devices of that law"
_SEB17 = "Sebastian et al. 2017, arXiv 1706.00511, text and axes"
_MELT = "defaults of the melt branch, population of 100,000 devices"
_OURS_MELT = "programming curve of this card, population of 100,000 devices"
_FLOOR = "the printed population has no RESET draw as its floor, the law has"
_AFTER = (1, 2, 3, 5, 10, 15, 20)
_MEAN_US = (2.05, 3.43, 4.47, 5.92, 7.83, 8.80, 9.39)
PUBLISHED_MEANS = (_AFTER, _MEAN_US)
"""Pulses, and the mean conductance after them in microsiemens (device-physics §3.2)."""
_SPREAD_US = (1.52, 1.97, 2.20, 2.38, 2.46, 2.55, 2.66)
_P5_US = (0.1, 0.4, 1.2, 2.5, 4.4, 5.3, 5.7)
_P95_US = (4.8, 6.9, 8.4, 10.2, 12.4, 13.5, 14.3)
_WAIT_S = 38.6
_TICK_S = 5e-9  # of the board's clock


def _derived(value: float, source: str = _SRNN) -> Reference:
    return Reference(value, Status.DERIVED, source)


def _accumulate(subject: Subject, clip_us: float | None, pulses: int, chip: int) -> NDArray[np.float64]:
    """Conductance of every cell after each pulse at the reference amplitude, shape (pulses, cells)."""
    curve = subject.card.programming_curve
    # The law as it was published: every device starts at its lowest conductance.
    changes: dict[str, float | str] = {
        "laws.programming_curve.parameters.reset_ln_spread": 0.0,
        "laws.programming_curve.parameters.reset_median_s": subject.card.accumulation.lowest_s,
    }
    if clip_us is not None:
        changes["laws.accumulation.parameters.highest_s"] = clip_us * _US
    card = subject.card.with_values(changes, source="as in the published law")
    after = []
    with subject.bench(subject.size(40_000, 3000), *PLAIN, card=card, chip=chip) as bench:
        bench.pulse(bench.reset_a)
        for _ in range(pulses):
            bench.wait(_WAIT_S)
            bench.pulse(curve.reference_current_a, width_s=curve.reference_width_s)
            after.append(bench.read()[0])
    return np.array(after)


def _accumulation(subject: Subject) -> Iterator[Row]:
    grown = _accumulate(subject, None, 50, chip=20)
    subject.evidence["accumulation"] = (
        np.quantile(grown, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1),
        grown.mean(axis=1),
    )
    law = (
        None
        if subject.follows("ibm90", "accumulation")
        else accumulated_s(subject.card.accumulation, 50, subject.card.programming_curve)
    )
    source = "accumulation law of this card, 100,000 devices"

    def reference(table_us: float, ours: float) -> Reference:
        return _derived(table_us * _US) if law is None else _derived(ours, source)

    conditions = "no drift, no read noise"
    for place, pulse in enumerate(_AFTER):
        found = grown[pulse - 1]
        theirs = found if law is None else law[pulse - 1]
        where = f"after pulse {pulse}, {conditions}"
        wanted = reference(_MEAN_US[place], float(theirs.mean()))
        yield subject.row(
            "P1", "mean conductance", where, wanted, Expected.within(wanted.value, absolute=0.10 * _US, unit="S"),
            mean_of(found), unit="S",
        )  # fmt: skip
        wanted = reference(_SPREAD_US[place], float(theirs.std()))
        yield subject.row(
            "P2", "spread of conductance", where, wanted, Expected.within(wanted.value, relative=0.035),
            spread_of(found), unit="S",
        )  # fmt: skip
        for share, table in ((0.05, _P5_US), (0.95, _P95_US)):
            wanted = reference(table[place], float(np.quantile(theirs, share)))
            yield subject.row(
                "P3", f"{100 * share:.0f} % quantile", where, wanted,
                Expected.within(wanted.value, absolute=0.2 * _US, unit="S"), quantile_of(found, share), unit="S",
            )  # fmt: skip
    theirs = grown[49] if law is None else law[49]
    wanted = reference(10.35, float(theirs.mean()))
    where = f"after pulse 50, {conditions}"
    yield subject.row(
        "P4", "mean at the asymptote", where, wanted, Expected.within(wanted.value, absolute=0.15 * _US, unit="S"),
        mean_of(grown[49]), unit="S",
    )  # fmt: skip
    wanted = reference(2.94, float(theirs.std()))
    yield subject.row(
        "P4", "spread at the asymptote", where, wanted, Expected.within(wanted.value, relative=0.04),
        spread_of(grown[49]), unit="S",
    )  # fmt: skip
    yield from _preset_scale(subject)


def _preset_scale(subject: Subject) -> Iterator[Row]:
    """P7: aihwkit's PCMPresetDevice, another fit of the same device, in its own weight units."""
    if not subject.follows("ibm90", "accumulation"):
        yield subject.absent("P7", "scale of aihwkit's PCMPresetDevice", "the card is another device")
        return
    aihwkit = "aihwkit 4545f11, simulator/presets/devices.py, arithmetic"
    weight, weights = 0.01, []  # its RESET
    for _ in range(20):
        step = 0.01 * (1.0 + 27.235 * np.exp(-2.5 * weight))
        weights.append((weight, step))
        weight += step
    first = 0.6 * (0.042 + weights[0][1] + 0.108 * weights[0][0])
    law = accumulated_s(subject.card.accumulation, 20, subject.card.programming_curve)
    for quantity, table, theirs, ours in (
        ("weight after pulse 20", 1.217, float(weight), mean_of(law[19])),
        ("spread of the first step", 0.191, float(first), spread_of(law[0])),
    ):
        yield subject.row(
            "P7", quantity, "aihwkit's PCMPresetDevice, noise-free, arithmetic", _derived(table, aihwkit),
            Expected.within(table, relative=0.01), Measured(theirs),
        )  # fmt: skip
        yield subject.row(
            "P7", f"microsiemens of the accumulation law per unit of {quantity}",
            "100,000 devices of the law of the card", _derived(7.85, aihwkit),
            Expected.between(7.7, 8.0, value=7.85), ours.scaled(1.0 / (theirs * _US)),
        )  # fmt: skip


def _lower_clip(subject: Subject) -> Iterator[Row]:
    published = subject.follows("ibm90", "accumulation")
    clip_us = 12.0 if published else 0.6 * subject.card.accumulation.highest_s / _US
    last = _accumulate(subject, clip_us, 20, chip=21)[19]
    law, curve = subject.card.accumulation, subject.card.programming_curve
    theirs = last if published else accumulated_s(law, 20, curve, highest_s=clip_us * _US)[19]
    source = _SRNN if published else "accumulation law of this card, 100,000 devices"
    where = f"clip at {clip_us:.3g} µS, after pulse 20, no drift, no read noise"
    mean_s, spread_s = (8.92 * _US, 1.97 * _US) if published else (float(theirs.mean()), float(theirs.std()))
    yield subject.row(
        "P5", "mean conductance", where, _derived(mean_s, source),
        Expected.within(mean_s, absolute=0.1 * _US, unit="S"), mean_of(last), unit="S",
    )  # fmt: skip
    yield subject.row(
        "P5", "spread of conductance", where, _derived(spread_s, source),
        Expected.within(spread_s, relative=0.04), spread_of(last), unit="S",
    )  # fmt: skip


@dataclass(frozen=True)
class _SetOnly:
    """A verify loop of SET pulses alone: RESET on overshoot, until within the margin or out of pulses."""

    margin_s: float = 0.5 * _US
    pulses_max: int = 60

    def run(
        self, bench: Bench, targets_s: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which cells converged, and the SET pulses each has had."""
        curve = bench.card.programming_curve
        done = np.zeros(targets_s.size, np.bool_)
        pulses = np.zeros(targets_s.size, np.int64)
        bench.pulse(bench.reset_a)
        live = np.arange(targets_s.size)
        while live.size:
            amplitude = np.full(live.size, curve.reference_current_a)
            bench.pulse(amplitude, bench.cells[live], width_s=curve.reference_width_s)
            pulses[live] += 1
            error_s = bench.read(cells=bench.cells[live])[0] - targets_s[live]
            done[live] = np.abs(error_s) <= self.margin_s
            over = live[error_s > self.margin_s]
            if over.size:
                bench.pulse(np.full(over.size, bench.reset_a), bench.cells[over])
            live = live[~done[live] & (pulses[live] < self.pulses_max)]
        return done, pulses


def _set_only(subject: Subject) -> Iterator[Row]:
    per_level = subject.size(10_000, 2000)
    targets_us = (10.0, 12.5)
    changes = {"laws.programming_curve.parameters.reset_ln_spread": 0.0}
    card = subject.card.with_values(changes, source="as in the published law")
    where = "margin 0.5 µS, RESET on overshoot, at most 60 SET pulses, no read noise, devices alike"
    with subject.bench(2 * per_level, *PLAIN, "device_spread", card=card, chip=22) as bench:
        done, pulses = _SetOnly().run(bench, np.repeat(targets_us, per_level) * _US)
    for place, (target, share, mean) in enumerate(zip(targets_us, (0.95, 0.71), (21.0, 29.0), strict=True)):
        part = slice(place * per_level, (place + 1) * per_level)
        good = done[part]
        yield subject.row(
            "P6", "cells that converge", f"target {target:g} µS, {where}", _derived(share),
            Expected.within(share, absolute=0.02, unit="%"), share_of(int(good.sum()), per_level), unit="%",
        )  # fmt: skip
        yield subject.row(
            "P6", "mean pulses of those that do", f"target {target:g} µS, {where}", _derived(mean),
            Expected.within(mean, absolute=1.0), mean_of(pulses[part][good]),
        )  # fmt: skip


def _amplitudes(subject: Subject) -> Iterator[Row]:
    currents_ua = np.array([50, 60, 70, 80, 90, 100])
    per_level = subject.size(20_000, 3000)
    amplitude_a = np.repeat(currents_ua, per_level) * 1e-6
    means = []
    with subject.bench(amplitude_a.size, *PLAIN, chip=23) as bench:
        bench.pulse(bench.reset_a)
        for pulse in range(1, 51):
            bench.wait(1.0)
            bench.pulse(amplitude_a)
            if pulse in (1, 2, 5, 10, 20, 50):
                g_s = bench.read()[0].reshape(currents_ua.size, per_level)
                means.append(g_s.mean(axis=1))
    means_s = np.array(means)
    error_s = float(g_s.std(axis=1).max()) * np.sqrt(2.0 / per_level)
    published = Reference(0.0, Status.PUBLISHED, _SEB17)
    where = "50 .. 100 µA, 50 pulses of 50 ns, no drift, no read noise"
    for quantity, steps in (
        ("smallest step of the mean to the next current", np.diff(means_s, axis=1)),
        ("smallest step of the mean to the next pulses", np.diff(means_s, axis=0)),
    ):
        yield subject.row(
            "P8", quantity, where, published, Expected.between(0.0, np.inf, unit="S"),
            Measured(float(steps.min()), error_s), unit="S",
        )  # fmt: skip
    yield subject.row(
        "P8", "mean at 100 µA after 50 pulses", where, Reference(11e-6, Status.PUBLISHED, _SEB17),
        Expected.between(9e-6, 13e-6, value=11e-6, unit="S"), mean_of(g_s[-1]), unit="S",
    )  # fmt: skip


def _dead_zone(subject: Subject) -> Iterator[Row]:
    curve = subject.card.programming_curve
    cells = subject.size(2000, 500)
    low_a, narrow_s = 0.996 * curve.dead_zone_a, curve.min_width_s - _TICK_S
    with subject.bench(cells, *SILENT, "drift", chip=24) as bench:
        bench.melt_to(0.5)
        before = bench.truth_s()
        bench.pulse(low_a)
        weak = bench.truth_s()
        bench.pulse(300e-6, width_s=narrow_s)
        narrow = bench.truth_s()
        bench.pulse(300e-6, width_s=curve.min_width_s)
        wide = bench.truth_s()
    source = Reference(0.0, Status.PUBLISHED, _SEB17)
    for quantity, after in (
        (f"cells changed by a pulse of {low_a * 1e6:.3g} µA", weak),
        (f"cells changed by a pulse of {narrow_s * 1e9:.0f} ns", narrow),
    ):
        yield subject.row(
            "P9", quantity, "noise-free conductance", source, Expected.within(0.0),
            Measured(float(np.count_nonzero(after != before))),
        )  # fmt: skip
    yield subject.row(
        "P9", f"share of cells changed by the same pulse of {curve.min_width_s * 1e9:.0f} ns",
        "noise-free conductance", Reference(1.0, Status.PUBLISHED, _SEB17), Expected.between(0.99, 1.0),
        share_of(int(np.count_nonzero(wide != before)), cells),
    )  # fmt: skip


def _reference_ages(subject: Subject) -> Iterator[Row]:
    """P10: from the age of the pulse laws to those of the target laws."""
    drift = subject.card.drift
    if not subject.follows("ibm90", "drift"):
        yield subject.absent("P10", "conversion of reference ages", "the card has ages of its own")
        return
    for age_s, value in ((20.0, 1.0266), (25.0, 1.0175)):
        yield subject.row(
            "P10", f"G({age_s:g} s) / G(38.6 s)", "nu = 0.04, arithmetic", _derived(value, "arithmetic"),
            Expected.within(value, absolute=6e-5), Measured(float(drift.factor(age_s, 0.04, 38.6))),
        )  # fmt: skip


_MELT_TABLE = ((250, 20.4, 3.9), (287, 14.0, 2.8), (300, 12.1, 2.6), (350, 5.5, 2.4), (400, 0.96, 1.4))


def _melt(subject: Subject) -> Iterator[Row]:
    ours = subject.follows("ibm90", "programming_curve")
    curve = subject.card.programming_curve
    where = "one 50 ns pulse on crystalline cells, no drift, no read noise"
    per_level = subject.size(40_000, 6000)
    if ours:
        table = [(c * _US, m * _US, s * _US) for c, m, s in _MELT_TABLE]
    else:
        span_a = curve.full_current_mean_a - curve.melt_current_mean_a
        currents_a = curve.melt_current_mean_a + span_a * np.array([0.17, 0.37, 0.44, 0.72])
        found = [(float(c), melted_s(curve, float(c), floored=False)) for c in currents_a]
        table = [(c, float(g.mean()), float(g.std())) for c, g in found]
    source = _MELT if ours else _OURS_MELT
    with subject.bench(len(table) * per_level, *PLAIN, chip=25) as bench:
        bench.pulse(np.repeat([c for c, _, _ in table], per_level))
        g_s = bench.read()[0].reshape(len(table), per_level)
    _curve(subject)
    for (current_a, mean_s, spread_s), found_s in zip(table, g_s, strict=True):
        floored_s = melted_s(curve, current_a, floored=True)
        conditions = f"{current_a * 1e6:.0f} µA, {where}"
        for quantity, value, floored, measured in (
            ("mean conductance", mean_s, float(floored_s.mean()), mean_of(found_s)),
            ("spread of conductance", spread_s, float(floored_s.std()), spread_of(found_s)),
        ):
            room_s = max(0.03 * value, 0.05 * _US)
            yield subject.row(
                "P11", quantity, conditions, Reference(value, Status.DEFAULT, source),
                Expected.within(value, relative=0.03, absolute=0.05 * _US, unit="S"), measured, unit="S",
                unless=Explanation(floored - room_s, floored + room_s, _FLOOR),
            )  # fmt: skip
    theirs = melted_s(curve, table[-1][0], floored=True)
    conditions = f"{table[-1][0] * 1e6:.0f} µA, {where}, the RESET draw as a floor"
    for quantity, value, measured in (
        ("mean conductance", float(theirs.mean()), mean_of(g_s[-1])),
        ("spread of conductance", float(theirs.std()), spread_of(g_s[-1])),
    ):
        yield subject.row(
            "P11", quantity, conditions, Reference(value, Status.DEFAULT, _OURS_MELT),
            Expected.within(value, relative=0.03, absolute=0.05 * _US, unit="S"), measured, unit="S",
        )  # fmt: skip


def _curve(subject: Subject) -> None:
    """Sweep the current for the figure: one pulse on crystalline cells and on RESET cells."""
    curve = subject.card.programming_curve
    currents_a = np.linspace(0.05, 1.2, 47) * curve.full_current_mean_a
    per_level = subject.size(500, 200)
    amplitude_a = np.repeat(currents_a, per_level)
    quantiles = []
    with subject.bench(amplitude_a.size, *PLAIN, chip=29) as bench:
        for width_s in (50e-9, 1e-6):
            if width_s > 50e-9:
                bench.pulse(bench.reset_a)
            bench.pulse(amplitude_a, width_s=width_s)
            quantiles.append(np.quantile(bench.read()[0].reshape(-1, per_level), [0.1, 0.5, 0.9], axis=1))
    subject.evidence["curve"] = (currents_a, *quantiles)


def _reset_tail(subject: Subject) -> Iterator[Row]:
    ours = subject.follows("ibm90", "programming_curve")
    curve = subject.card.programming_curve
    cells = subject.size(40_000, 10_000)
    currents_a = (450e-6, 440e-6) if ours else tuple(curve.full_current_mean_a * x for x in (1.125, 1.1))
    for place, (current_a, share) in enumerate(zip(currents_a, (0.006, 0.019), strict=True)):
        if not ours:
            share = float(np.mean(melted_s(curve, current_a, floored=True) > 1e-6))
        with subject.bench(cells, *PLAIN, chip=26 + place) as bench:
            bench.pulse(current_a)
            above = int(np.count_nonzero(bench.read()[0] > 1e-6))
        yield subject.row(
            "P12", "cells above 1 µS after a RESET", f"{current_a * 1e6:.0f} µA, 50 ns, no drift, no read noise",
            Reference(share, Status.DEFAULT, _MELT if ours else "programming curve of this card"),
            Expected.within(share, absolute=0.003, unit="%"), share_of(above, cells), unit="%",
        )  # fmt: skip


def _clips(subject: Subject) -> str:
    curve, law = subject.card.programming_curve, subject.card.accumulation
    lowest_full_s = curve.full_conductance_mean_s - 3.0 * curve.full_conductance_spread_s
    return "" if 0.6 * law.highest_s < lowest_full_s else "its cells end below the clip of the law"


def _only_ibm90_steps(subject: Subject) -> str:
    ours = subject.follows("ibm90", "accumulation", "programming_curve")
    return "" if ours else "the numbers are of the pulses of ibm90"


_CURVES = ("accumulation", "programming_curve")

PULSE_LEVEL = (
    Experiment("accumulation", ("P1", "P2", "P3", "P4", "P7"), _CURVES, _accumulation, 3.0, 1.0),
    Experiment("a lower clip", ("P5",), _CURVES, _lower_clip, 1.0, 0.5, _clips),
    Experiment("SET-only loop", ("P6",), _CURVES, _set_only, 3.0, 1.0, _only_ibm90_steps),
    Experiment("amplitudes", ("P8",), _CURVES, _amplitudes, 2.0, 1.0, _only_ibm90_steps),
    Experiment("dead zone", ("P9",), ("programming_curve",), _dead_zone, 0.2, 0.2),
    Experiment("reference ages", ("P10",), ("drift",), _reference_ages, 0.01, 0.01),
    Experiment("melt branch", ("P11",), ("programming_curve",), _melt, 2.0, 0.5),
    Experiment("RESET tail", ("P12",), ("programming_curve",), _reset_tail, 1.0, 0.3),
)
