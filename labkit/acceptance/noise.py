"""Read noise: T9 to T14 (device-physics §9.1): its strength, spectrum, growth with age, and what averaging gains."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration import DeviceCard
from drivers.chip import ReadSetup
from labkit.acceptance.bench import Bench
from labkit.acceptance.conditions import ALIKE, STEADY
from labkit.acceptance.explained import PAGE, Explanation
from labkit.acceptance.row import Expected, Measured, Row, Status
from labkit.acceptance.spectra import folded, spectrum_of
from labkit.acceptance.statistics import median_of, rms_of, slope_of, spread_of
from labkit.acceptance.subject import Experiment, Reference, Subject
from labkit.acceptance.target_level import AIHWKIT, LEVELS

if TYPE_CHECKING:
    from calibration.laws.read_noise import ReadNoise

__all__ = ["NOISE"]

_OVERHEAD_S = 1e-6
_QUIET = (*STEADY, "converter", *ALIKE)
_STRENGTH = (0.0713, 0.0393, 0.0251, 0.0160, 0.0123, 0.0102, 0.0088)
_STATES = "law of the states"


@dataclass(frozen=True)
class _Record:
    """How a trace is taken: `reads` of so many cells, each of one conversion of `aperture_s`, pauses between."""

    cells: int
    reads: int
    aperture_s: float = 1e-3
    pause_s: float = 0.0


_SLOW = _Record(1890, 2800)
"""Thirty groups of 64 cells: 32 ms from read to read, 90 s in all, from 0.1 Hz up."""
_SLOW_SHORT = _Record(630, 1000, pause_s=30e-3)
_FAST = _Record(189, 2800)
"""Three groups: 3.6 ms from read to read, up to 50 Hz with little folded into the band."""
_FAST_SHORT = _Record(63, 1000)


@dataclass(frozen=True, eq=False)
class _Trace:
    """Spectra of the levels over their conductance and strength squared, what was folded taken out.

    Attributes
    ----------
    f_hz : ndarray, shape (frequencies,)
    power : ndarray, shape (levels, cells, frequencies)
        In units of Q_s^2, 1/Hz.
    slope : float
        Of the law; S f^slope is flat.
    """

    f_hz: NDArray[np.float64]
    power: NDArray[np.float64]
    slope: float

    def band(self, low_hz: float, high_hz: float) -> NDArray[np.float64]:
        """Mean of S f^slope over a band, in units of Q_s^2, shape (levels, cells)."""
        inside = (self.f_hz >= low_hz) & (self.f_hz <= high_hz)
        return np.asarray((self.power[:, :, inside] * self.f_hz[inside] ** self.slope).mean(axis=2))


def _recorded(bench: Bench, levels: tuple[float, ...], cells: NDArray[np.uint32], record: _Record) -> _Trace:
    """Take a trace of cells, as many of each level."""
    setup = ReadSetup(samples=1, aperture_s=record.aperture_s)
    per_level = cells.size // len(levels)
    relative, ages = [], []
    truth_s = bench.truth_s(cells)
    first_s = float(np.median(bench.read(setup, cells)[1]))
    nu = bench.card.drift.mean_exponent(np.repeat(levels, per_level))
    for _ in range(record.reads):
        g_s, age_s = bench.read(setup, cells)
        relative.append(g_s / (truth_s * (age_s / first_s) ** -nu))
        ages.append(float(age_s[0]))
        bench.wait(record.pause_s)
    interval_s = float(np.mean(np.diff(ages)))
    found = spectrum_of(np.array(relative), interval_s)
    law = bench.card.read_noise
    more = folded(
        law, found.f_hz, interval_s, aperture_s=record.aperture_s, spacing_s=record.aperture_s + _OVERHEAD_S,
        samples=1,
    )  # fmt: skip
    strength = np.repeat(law.strength(np.array(levels)), per_level)
    power = found.power / strength[:, np.newaxis] ** 2 - more
    return _Trace(found.f_hz, power.reshape(len(levels), per_level, -1), law.spectral_slope)


def _traces(
    subject: Subject, card: DeviceCard, levels: tuple[float, ...], *, short: bool, chip: int
) -> tuple[_Trace, _Trace]:
    slow, fast = (_SLOW_SHORT, _FAST_SHORT) if short else (_SLOW, _FAST)
    per_level = slow.cells // len(levels)
    with subject.levels(len(levels) * per_level, *_QUIET, card=card, chip=chip) as bench:
        bench.set_levels(np.repeat(levels, per_level))
        bench.wait_for_age(60.0)
        first = bench.cells.reshape(len(levels), per_level)[:, : fast.cells // len(levels)]
        return _recorded(bench, levels, bench.cells, slow), _recorded(
            bench, levels, first.ravel().copy(), fast
        )


def _spectrum(subject: Subject) -> Iterator[Row]:
    """T9, T10, of the median cell.

    What slow noise a pulse found is divided out (device-physics §1.6 b), which scales the noise of each cell up or
    down: by 23 % at g = 0.04. A mean over cells would be 8 % high there, their median is not.
    """
    law = subject.card.read_noise
    levels = _gentle(subject, LEVELS)
    slow, fast = _traces(subject, subject.card, levels, short=subject.quick, chip=6)
    subject.evidence["spectrum"] = [(trace.f_hz, trace.power[2:].mean(axis=(0, 1))) for trace in (slow, fast)]
    strengths = []
    for place, g in enumerate(levels):
        ours = float(law.strength(g))
        table = _STRENGTH[LEVELS.index(g)]
        wanted = subject.reference("read_noise", Reference(table, Status.PUBLISHED, AIHWKIT), ours)
        square = median_of(slow.band(0.1, 2.0)[place])
        root = float(np.sqrt(square.value))
        found = Measured(ours * root, ours * square.error / (2.0 * root))
        strengths.append((g, found))
        yield subject.row(
            "T9", "Q_s", f"g = {g:g}, median cell, 0.1 .. 2 Hz", wanted, Expected.within(wanted.value, relative=0.05),
            found,
        )  # fmt: skip
    subject.evidence["strengths"] = strengths
    one = Reference(1.0, Status.DERIVED, _STATES)
    for trace, low, high in ((slow, 0.1, 1.0), (slow, 1.0, 5.0), (fast, 5.0, 50.0)):
        yield subject.row(
            "T10", _flat_name(law.spectral_slope),
            f"{low:g} .. {high:g} Hz, median cell of all levels, what is folded in subtracted", one,
            Expected.between(0.95, 1.08, value=1.0), median_of(trace.band(low, high)),
        )  # fmt: skip


def _flat_name(slope: float) -> str:
    return "S f over G^2 Q_s^2" if slope == 1.0 else f"S f^{slope:g} over G^2 Q_s^2"


def _steep(subject: Subject) -> Iterator[Row]:
    """T14: an option of the law, whatever the slope of the card itself."""
    card = subject.card.with_values(
        {"laws.read_noise.parameters.spectral_slope": 1.21}, source="reported for the long-term simulation"
    )
    slow, fast = _traces(subject, card, (0.4, 0.8), short=True, chip=7)
    edges = np.geomspace(0.1, 50.0, 15)
    x, y = [], []
    for low, high in pairwise(edges):
        trace = slow if high <= 5.0 else fast
        inside = (trace.f_hz >= low) & (trace.f_hz < high)
        x.append(float(np.log(trace.f_hz[inside]).mean()))
        y.append(float(np.log(trace.power[:, :, inside].mean())))
    yield subject.row(
        "T14", "spectral slope, with weights of the states ~ tau^0.21", "0.1 .. 50 Hz",
        Reference(-1.21, Status.REPORTED, "Joshi et al. 2020, Nat. Commun. 11, 2473, quoted"),
        Expected.within(-1.21, absolute=0.03), slope_of(x, y),
    )  # fmt: skip


_TABLE_G = (0.01, 0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_TABLE_AGES_S = (1.0, 25.0, 1e5)
_POSITIVE_FROM = 0.4
_AGES = {1.0: "1 s", 25.0: "25 s", 1e5: "1e5 s"}


def _published_growth(g: float, age_s: float) -> float:
    """Return the spread over G that aihwkit's formula gives (device-physics §2.3, table §2.4)."""
    strength: float = min(0.0088 / g**0.65, 0.2)
    return strength * math.sqrt(math.log((age_s + 250e-9) / (2.0 * 250e-9)))


def _gentle(subject: Subject, levels: tuple[float, ...]) -> tuple[float, ...]:
    """Leave out levels at which more than the law would be tested.

    Fluctuations as large as the conductance, or a strength so steep that the last digits of a conductance change
    it. Of the published law all levels stay.
    """
    law = subject.card.read_noise
    if subject.follows("ibm90", "read_noise"):
        return levels
    g = np.array(levels)
    strength = law.strength(g)
    steepness = np.abs(np.log(law.strength(1.01 * g) / law.strength(0.99 * g))) / 0.02
    kept = (strength > 0) & (strength * np.sqrt(law.state_variances().sum()) < 0.45) & (steepness < 1.5)
    return tuple(float(level) for level in g[kept])


def _grown(law: ReadNoise, age_s: float, steps: float = 0.0) -> float:
    """Return the spread over G of one read at an age, states that started at zero, in units of Q_s.

    With `steps` each state moves only so many times in a time constant.
    """
    left = law.averaging_factor(1e-7, 1e-7 + _OVERHEAD_S, 1)
    moved = age_s / law.time_constants_s()
    if steps:
        moved = np.floor(moved * steps) / steps
    return float(np.sqrt(np.sum(law.state_variances() * left * -np.expm1(-2.0 * moved))))


def _unless(law: ReadNoise, g: float, age_s: float, spread: float) -> Explanation:
    """Say what may keep the spread from what it should be."""
    return _positive(spread) if spread > _POSITIVE_FROM else _stepwise(law, g, age_s)


def _stepwise(law: ReadNoise, g: float, age_s: float) -> Explanation:
    """Say what it costs that a slow state moves once in an eighth of its time constant (decision 0005)."""
    left = float(law.strength(g)) * _grown(law, age_s, steps=8.0)
    share = 100.0 * left / (float(law.strength(g)) * _grown(law, age_s))
    why = (
        f"slow states move once in an eighth of their time constant, which leaves {share:.1f} % of the spread"
    )
    return Explanation(0.96 * left, 1.04 * left, why)


def _positive(spread: float) -> Explanation:
    """Say what the read chain leaves of a normal fluctuation that would take the conductance below zero."""
    y = spread * np.random.default_rng(6).standard_normal(400_000)
    kept = np.where(y >= -0.5, 1.0 + y, 0.5 * np.exp(1.0 + 2.0 * np.minimum(y, -0.5)))
    left = float(kept.std())
    share = 100.0 * left / spread
    why = f"conductances stay positive, which leaves {share:.0f} % of the spread a normal law would have"
    return Explanation(0.96 * left, 1.04 * left, why)


def _accumulated(subject: Subject) -> Iterator[Row]:
    """T11: states that start at zero, as the published marginal needs."""
    law = subject.card.read_noise
    width_s = law.read_width_s
    changes: dict[str, float | str] = {
        "laws.read_noise.parameters.start": "zero",
        "laws.read_noise.parameters.tau_min_s": 4.0 * float(np.exp(0.577)) * width_s,
    }
    card = subject.card.with_values(changes, source="zero start, device-physics §1.6")
    per_level = subject.size(10_000, 2500)
    setup = ReadSetup(samples=1, aperture_s=1e-7)
    levels = _gentle(subject, _TABLE_G)
    found = []
    with subject.levels(len(levels) * per_level, *_QUIET, card=card, chip=8) as bench:
        bench.set_levels(np.repeat(levels, per_level))
        for age_s in _TABLE_AGES_S:
            bench.wait_for_age(age_s)
            ratio = bench.read(setup)[0] / bench.truth_s()
            found.append(ratio.reshape(len(levels), per_level))
    for age_s, ratios in zip(_TABLE_AGES_S, found, strict=True):
        for g, ratio in zip(levels, ratios, strict=True):
            ours = float(law.strength(g)) * _grown(card.read_noise, age_s)
            table = Reference(_published_growth(g, age_s), Status.PUBLISHED, AIHWKIT)
            wanted = subject.reference("read_noise", table, ours)
            yield subject.row(
                "T11", "accumulated spread over G", f"g = {g:g}, {_AGES[age_s]}, zero-start states", wanted,
                Expected.within(wanted.value, relative=0.04), spread_of(ratio), unit="%",
                unless=_unless(card.read_noise, g, age_s, wanted.value),
            )  # fmt: skip


def _shots(subject: Subject) -> Iterator[Row]:
    """T12: noise from read to read."""
    law = subject.card.read_noise
    gentle = _gentle(subject, LEVELS)
    quietest = gentle[int(np.argmin(law.strength(np.array(gentle))))]
    g = 0.6 if subject.follows("ibm90", "read_noise") else quietest
    # So many cells that one pass over them takes what is missing to a millisecond from read to read.
    cells = 23_000
    setup = ReadSetup(samples=1, aperture_s=1e-7)
    source = f"{_STATES}, tau_min = 1e-7 s"
    yield subject.unreachable(
        "T12", "shot-to-shot noise over Q_s", "lag 10 µs", Reference(2.28, Status.DERIVED, source),
        note=f"two readings of one cell through the board lie 0.6 ms apart at least ({PAGE})",
    )  # fmt: skip
    strength = float(law.strength(g))
    with subject.levels(cells, *_QUIET, chip=9) as bench:
        bench.set_levels(g)
        bench.wait_for_age(25.0)
        for name, lag_s, pause_s, value in (("1 ms", 1e-3, 0.0, 3.13), ("1 s", 1.0, 0.998, 4.09)):
            differences, lags = [], []
            for _ in range(subject.size(3, 1)):
                bench.wait(1.0)
                first, early = bench.read(setup)
                bench.wait(pause_s)
                second, late = bench.read(setup)
                ratio = np.log(second / first)
                differences.append(ratio - ratio.mean())
                lags.append(float(np.median(late - early)))
            half = rms_of(np.concatenate(differences)).scaled(1.0 / (np.sqrt(2.0) * strength))
            ours = float(np.sqrt(law.structure_half_variance(lag_s)))
            wanted = subject.reference("read_noise", Reference(value, Status.DERIVED, source), ours)
            yield subject.row(
                "T12", "shot-to-shot noise over Q_s", f"lag {name} (measured: {np.mean(lags):.4g} s), g = {g:g}",
                wanted, Expected.within(wanted.value, relative=0.05), half,
            )  # fmt: skip


def _noisy(subject: Subject) -> str:
    if float(subject.card.read_noise.strength(0.6)) == 0.0:
        return "the card has no read noise"
    return (
        ""
        if len(_gentle(subject, LEVELS)) > 2
        else "its noise is as large as its conductances, or too steep in g"
    )


def _noisy_steep(subject: Subject) -> str:
    tables = "it is an option of the law of ibm90"
    return "" if subject.follows("ibm90", "read_noise") else tables


_LAWS = ("read_noise", "drift", "read_chain")

NOISE = (
    Experiment("noise spectrum", ("T9", "T10"), _LAWS, _spectrum, 16.0, 5.0, _noisy),
    Experiment("noise over age", ("T11",), _LAWS, _accumulated, 0.5, 0.3, _noisy),
    Experiment("noise from read to read", ("T12",), _LAWS, _shots, 0.5, 0.3, _noisy),
    Experiment("steep spectrum", ("T14",), _LAWS, _steep, 4.0, 4.0, _noisy_steep),
)
