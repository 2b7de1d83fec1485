"""The laws after program-and-verify: T1 to T17 (device-physics §9.1), but for the noise, which is in noise.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from labkit.acceptance.bench import FINE
from labkit.acceptance.conditions import ALIKE, SILENT, STEADY, VARYING
from labkit.acceptance.drift_fit import fit_drift, noise_shape
from labkit.acceptance.row import Expected, Measured, Row, Status
from labkit.acceptance.statistics import mean_of, median_of, rms_of, spread_of
from labkit.acceptance.subject import Experiment, Reference, Subject

__all__ = ["TARGET_LEVEL"]

_US = 1e-6
_DAY_S, _YEAR_S = 86_400.0, 31_557_600.0
AIHWKIT = "aihwkit 4545f11, inference/noise/pcm.py"
_FIGURE = "aihwkit docs, figure pcm_prog_plot, read off to ±0.01 µS"
_JOSHI = "Joshi et al. 2020, Nat. Commun. 11, 2473, quoted"
LEVELS = (0.04, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
MEASURED_POINTS = (
    (0.04, 0.31), (0.06, 0.37), (0.1, 0.51), (0.2, 0.68), (0.3, 0.77), (0.4, 0.94), (0.5, 0.91), (0.6, 0.97),
    (0.7, 0.98), (0.8, 1.09), (0.9, 1.17), (1.0, 1.05),
)  # fmt: skip
"""Programming error of the 90 nm chip over g, in microsiemens, from g = 0.04 up."""


# ---------------------------------------------------------------- programming error


def _error_law(subject: Subject) -> Iterator[Row]:
    """T3 and T5: arithmetic of the polynomial."""
    law, g = subject.card.programming_error, np.linspace(0.0, 1.0, 10_001)
    sigma_s = law.sigma_s(g)
    derived = Status.DERIVED
    peak = Measured(float(sigma_s.max()))
    yield subject.row(
        "T3", "largest programming error", "law, arithmetic", Reference(1.086e-6, derived, AIHWKIT),
        Expected.within(1.086e-6, relative=0.01), peak, unit="S",
    )  # fmt: skip
    yield subject.row(
        "T3", "where it is largest", "law, arithmetic", Reference(0.84, derived, AIHWKIT),
        Expected.within(0.84, relative=0.01), Measured(float(g[sigma_s.argmax()])),
    )  # fmt: skip
    yield subject.row(
        "T3", "rms programming error over full scale", "law, uniform g, arithmetic",
        Reference(0.0356, derived, AIHWKIT), Expected.within(0.0356, relative=0.01),
        Measured(float(np.sqrt(np.mean(sigma_s**2)) / subject.card.g_max_s)), unit="%",
    )  # fmt: skip
    g_s = np.linspace(0.25e-6, 25e-6, 1000)
    refit_s = -0.00178767 * g_s**2 / _US + 0.07585724 * g_s + 0.28638599 * _US
    excess_s = refit_s - law.sigma_s(g_s / subject.card.g_max_s)
    source = "cross-sim, PCM_Joshi.py: Sandia's refit of Joshi Fig. 3b"
    for quantity, value, found in (("smallest", 0.002, excess_s.min()), ("largest", 0.022, excess_s.max())):
        yield subject.row(
            "T5", f"{quantity} excess of Sandia's refit", "0.25 .. 25 µS, arithmetic",
            Reference(value * _US, derived, source),
            Expected.within(value * _US, absolute=0.0005 * _US, unit="S"), Measured(float(found)), unit="S",
        )  # fmt: skip


_T1_US = {0.06: 0.377, 0.1: 0.448, 0.2: 0.610, 0.4: 0.862, 0.6: 1.020, 0.8: 1.085, 1.0: 1.055}
_CLAMPED_US = {0.01: 0.238, 0.02: 0.289, 0.04: 0.340}
_MORE = (0.3, 0.5, 0.7, 0.9)


def _shortcut(subject: Subject) -> Iterator[Row]:
    """T1, T2, T4: the error that the target-level shortcut draws."""
    ours = subject.follows("ibm90", "programming_error")
    law, g_max_s = subject.card.programming_error, subject.card.g_max_s
    levels = sorted({*_T1_US, *_CLAMPED_US, *_MORE})
    per_level = subject.size(10_000, 2000)
    where = "target-shortcut, at t0, no read noise"
    with subject.bench(len(levels) * per_level, *SILENT, "drift", shortcut=True, chip=1) as bench:
        bench.place(np.repeat(levels, per_level))
        g_s = bench.read()[0].reshape(len(levels), per_level)
    spread = {g: spread_of(found) for g, found in zip(levels, g_s, strict=True)}
    subject.evidence["shortcut"] = (levels, [spread[g] for g in levels])
    for g, table_us in (_CLAMPED_US | _T1_US).items():
        if ours:
            reference = Reference(table_us * _US, Status.PUBLISHED, AIHWKIT)
        else:
            random = np.random.default_rng(5)
            drawn_s = g * g_max_s + law.sigma_s(g) * random.standard_normal(400_000)
            clamped_s = float(np.maximum(drawn_s, 0.0).std())
            reference = Reference(clamped_s, Status.DERIVED, "programming error of this card, clamped at 0")
        what = "spread of the programmed conductance"
        yield subject.row(
            "T1", what, f"g = {g:g}, {where}", reference, Expected.within(reference.value, relative=0.03),
            spread[g], unit="S",
        )  # fmt: skip
    if not ours:
        yield subject.absent("T2", "spread against the measured points", "they are of ibm90")
        yield subject.absent("T4", "upper bound of the spread", "it is of ibm90")
        return
    for g, point_us in MEASURED_POINTS:
        yield subject.row(
            "T2", "spread against the measured point", f"g = {g:g}, {where}",
            Reference(point_us * _US, Status.PUBLISHED, _FIGURE), Expected.within(point_us * _US, relative=0.15),
            spread[g], unit="S",
        )  # fmt: skip
    eleven = [spread[g] for g in levels if g >= 0.04 and g != 0.06]
    yield subject.row(
        "T4", "largest spread of eleven levels", where, Reference(1.2e-6, Status.REPORTED, _JOSHI),
        Expected.between(-np.inf, 1.2e-6, unit="S"), max(eleven, key=lambda found: found.value), unit="S",
    )  # fmt: skip


# ---------------------------------------------------------------- drift

_NU_MEAN = (0.0743, 0.0601, 0.0493, 0.0490, 0.0490, 0.0490, 0.0490)
_NU_SPREAD = (0.0343, 0.0229, 0.0142, 0.0080, 0.0080, 0.0080, 0.0080)


def _exponents(subject: Subject) -> Iterator[Row]:
    """T6: exponents fitted to noisy reads, or taken from reads without noise where only the law is tested."""
    card, law = subject.card, subject.card.drift
    printed = subject.follows("ibm90", "drift", "read_noise", "programming_curve")
    per_level = subject.size(60_000, 3000)  # the fit is 0.0015 high at g = 0.04: sampling must not add to it
    off = (*STEADY, "converter", *ALIKE) if printed else (*SILENT, *ALIKE)
    with subject.levels(len(LEVELS) * per_level, *off, chip=2) as bench:
        bench.set_levels(np.repeat(LEVELS, per_level))
        # Devices are alike: where their noise-free conductances differ, slow noise was taken out at the pulse.
        pinned = bench.truth_s().reshape(len(LEVELS), per_level).std(axis=1) > 0
        g_s, age_s = bench.read_at(card.t0_s * np.geomspace(1.0, 5000.0, 12))
    ages = np.median(age_s, axis=1)
    subject.evidence["drift"] = (LEVELS, ages, g_s.reshape(ages.size, len(LEVELS), per_level)[:, :, :1500])
    found = []
    for place, g in enumerate(LEVELS):
        cells = slice(place * per_level, (place + 1) * per_level)
        if printed:
            how = "12 reads over 3.7 decades, covariance fit"
            shape = noise_shape(
                card.read_noise, ages, aperture_s=FINE.aperture_s, spacing_s=FINE.aperture_s + 1e-6,
                samples=FINE.samples, pinned_above_s=law.pulse_reference_age_s if pinned[place] else np.inf,
            )  # fmt: skip
            fit = fit_drift(g_s[:, cells], ages, shape)
            mean, spread = fit.mean, fit.spread
        else:
            how = "no read noise"
            span = np.log(age_s[-1, cells] / age_s[0, cells])
            nu = np.log(g_s[0, cells] / g_s[-1, cells]) / span
            mean, spread = mean_of(nu), spread_of(nu)
        found.append((g, mean, spread))
        folded_mean, folded_spread = _folded(float(law.mean_exponent(g)), float(law.spread_exponent(g)))
        for quantity, table, ours, measured, tolerance in (
            ("mean of nu", _NU_MEAN, folded_mean, mean, (0.0, 0.002 if g < 0.05 else 0.001)),
            ("spread of nu", _NU_SPREAD, folded_spread, spread, (0.06, 0.0)),
        ):
            wanted = subject.reference("drift", Reference(table[place], Status.PUBLISHED, AIHWKIT), ours)
            yield subject.row(
                "T6",
                quantity,
                f"g = {g:g}, {how}",
                wanted,
                Expected.within(wanted.value, relative=tolerance[0], absolute=tolerance[1]),
                measured,
            )
    subject.evidence["exponents"] = found


def _folded(mean: float, spread: float) -> tuple[float, float]:
    """Mean and spread of the absolute value of a normal exponent."""
    nu = (
        np.abs(mean + spread * np.random.default_rng(8).standard_normal(400_000))
        if spread
        else np.array([mean])
    )
    return float(nu.mean()), float(nu.std())


_FACTORS = ((100.0, 0.924), (1e3, 0.826), (1e4, 0.738), (_DAY_S, 0.664), (1e6, 0.589), (_YEAR_S, 0.497))
_LEFT = ((1e3, 0.031), (_DAY_S, 0.067), (_YEAR_S, 0.114))
_NAMES = {100.0: "100 s", 1e3: "1000 s", 1e4: "1e4 s", _DAY_S: "1 day", 1e6: "1e6 s", _YEAR_S: "1 year"}


def _mean_drift(subject: Subject) -> Iterator[Row]:
    """T7, T8: what drift takes on average, and the spread that ideal scaling leaves."""
    law, t0_s = subject.card.drift, subject.card.t0_s
    g = 0.6
    ages_s = [t0_s, *(age for age, _ in _FACTORS if age > t0_s)]
    with subject.levels(subject.size(20_000, 5000), *SILENT, *ALIKE, chip=3) as bench:
        bench.set_levels(g)
        g_s, age_s = bench.read_at(ages_s)
    ratio = g_s / g_s[0]
    nu, width = float(law.mean_exponent(g)), float(law.spread_exponent(g))
    where = f"g = {g:g}, no read noise"
    table_of = dict(_FACTORS)
    for place, age in enumerate(ages_s[1:], 1):
        table = table_of[age]
        log_age = float(np.log(np.median(age_s[place] / age_s[0])))
        # The mean of a power of a normal exponent is above the power of its mean.
        ours = float(np.exp(-nu * log_age + 0.5 * (width * log_age) ** 2))
        wanted = subject.reference("drift", Reference(table, Status.DERIVED, f"{AIHWKIT}, arithmetic"), ours)
        yield subject.row(
            "T7", "mean drift factor", f"{_NAMES[age]}, {where}", wanted,
            Expected.within(wanted.value, absolute=0.004), mean_of(ratio[place]),
        )  # fmt: skip
    for age, table in _LEFT:
        place = ages_s.index(age)
        log_age = float(np.log(np.median(age_s[place] / age_s[0])))
        wanted = subject.reference(
            "drift", Reference(table, Status.DERIVED, f"{AIHWKIT}, arithmetic"), width * log_age
        )
        yield subject.row(
            "T8", "relative spread after ideal global scaling", f"{_NAMES[age]}, {where}", wanted,
            Expected.within(wanted.value, relative=0.05), spread_of(ratio[place] / ratio[place].mean()), unit="%",
        )  # fmt: skip


# ---------------------------------------------------------------- zero weights


def _zero_weights(subject: Subject) -> Iterator[Row]:
    """T15: a RESET cell."""
    curve = subject.card.programming_curve
    cells = subject.size(20_000, 4000)
    with subject.bench(cells, *VARYING, chip=4) as bench:
        bench.pulse(1.2 * curve.full_current_mean_a)
        bench.wait_for_age(subject.card.drift.pulse_reference_age_s)
        g_s = bench.truth_s()
    where = "one RESET, noise-free conductance at the reference age of the pulse laws"
    wanted = Reference(curve.reset_median_s, Status.DEFAULT, "median of the RESET state in the card")
    yield subject.row(
        "T15", "median of a zero-weight cell", where, wanted,
        Expected.within(wanted.value, relative=0.02), median_of(g_s), unit="S",
        note="two percent are four standard errors; the table gives no tolerance",
    )  # fmt: skip
    clamped = Reference(
        0.105e-6, Status.DERIVED, f"{AIHWKIT}: mean of its clamped error at g = 0, an artefact"
    )
    yield subject.row(
        "T15", "mean of a zero-weight cell above zero, over its median", where, clamped,
        Expected.between(1.0, 1.2), mean_of(g_s / np.median(g_s)),
        note="a lognormal of 0.3 has 1.05; the clamped normal of aihwkit has no median above 0",
    )  # fmt: skip


# ---------------------------------------------------------------- other devices


def _hermes(subject: Subject) -> str:
    names = [name for name in ("hermes14", "hermes14-pair") if subject.follows(name, "programming_error")]
    return "" if names else "the table is of the presets hermes14 and hermes14-pair"


def _hermes_error(subject: Subject) -> Iterator[Row]:
    pair = subject.follows("hermes14-pair", "programming_error")
    g = np.linspace(0.0, 1.0, 41)[1:]
    per_level = subject.size(2500, 500)
    with subject.bench(g.size * per_level, *SILENT, "drift", shortcut=True, chip=5) as bench:
        bench.place(np.repeat(g, per_level))
        error_s = bench.read()[0] - np.repeat(g, per_level) * subject.card.g_max_s
    law_s = subject.card.programming_error.sigma_s(np.linspace(0.0, 1.0, 10_001))
    value = 0.0431 if pair else 0.0781
    wanted = Reference(value, Status.DERIVED, "aihwkit 4545f11, inference/noise/hermes.py, arithmetic")
    name = "two devices per polarity" if pair else "one device per polarity"
    law_rms = Measured(float(np.sqrt(np.mean(law_s**2))) / subject.card.g_max_s)
    yield subject.row(
        "T16", "rms programming error over full scale", f"{name}, law, uniform g, arithmetic", wanted,
        Expected.within(value, relative=0.03), law_rms, unit="%",
    )  # fmt: skip
    yield subject.row(
        "T16", "rms programming error over full scale", f"{name}, target-shortcut, at t0, no read noise", wanted,
        Expected.within(value, relative=0.03), rms_of(error_s).scaled(1.0 / subject.card.g_max_s), unit="%",
    )  # fmt: skip


_SHORT_A = (0.00021926, -0.00187352, 0.00655714, -0.0146159, 0.02578764)
_SHORT_B_US = (0.00111906, -0.00908577, 0.0307015, -0.0677079, 0.117763)


def _short_term(subject: Subject) -> Iterator[Row]:
    """T17: aihwkit's short-term read noise of 14 nm cells, arithmetic; no law of a card uses it."""
    source = "aihwkit 4545f11, tiles/analog_mvm_irdrop_t.py"
    for width_ns, slope, offset_us in ((1.0, 0.0258, 0.118), (10.0, 0.0161, 0.073), (100.0, 0.0113, 0.050)):
        x = np.log10(width_ns)
        for quantity, table, value, unit in (
            ("part of the conductance", slope, float(np.polyval(_SHORT_A, x)), "%"),
            ("offset", offset_us * _US, float(np.polyval(_SHORT_B_US, x)) * _US, "S"),
        ):
            yield subject.row(
                "T17", f"short-term read noise, {quantity}", f"{width_ns:g} ns, arithmetic",
                Reference(table, Status.DERIVED, source), Expected.within(table, relative=0.01), Measured(value),
                unit=unit,
            )  # fmt: skip


def _drifts(subject: Subject) -> str:
    still = float(subject.card.drift.mean_exponent(0.6)) == 0.0
    return "the card has no drift" if still else ""


def _only_ibm90_error(subject: Subject) -> str:
    return "" if subject.follows("ibm90", "programming_error") else "the numbers are of ibm90"


_DRIFT = ("drift", "read_noise", "read_chain")

TARGET_LEVEL = (
    Experiment(
        "programming error, drawn",
        ("T1", "T2", "T4"),
        ("programming_error",),
        _shortcut,
        1.0,
        0.3,
    ),
    Experiment(
        "programming error, law",
        ("T3", "T5"),
        ("programming_error",),
        _error_law,
        0.01,
        0.01,
        _only_ibm90_error,
    ),
    Experiment("drift exponents", ("T6",), _DRIFT, _exponents, 6.0, 1.0, _drifts),
    Experiment("mean drift", ("T7", "T8"), _DRIFT, _mean_drift, 0.5, 0.2, _drifts),
    Experiment("zero weights", ("T15",), ("programming_curve",), _zero_weights, 0.2, 0.1),
    Experiment("short-term noise, 14 nm", ("T17",), (), _short_term, 0.01, 0.01, _hermes),
    Experiment(
        "programming error, 14 nm", ("T16",), ("programming_error",), _hermes_error, 1.0, 0.3, _hermes
    ),
)
