"""Read path, converter, temperature and faults: C1 to C10 (device-physics §9.4)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from calibration.laws.current_voltage import HoppingCurrentVoltage, hopping_voltage_v
from drivers.chip import ReadSetup
from labkit.acceptance.bench import FINE
from labkit.acceptance.conditions import ALIKE, PLAIN, SILENT
from labkit.acceptance.row import Expected, Measured, Row, Status
from labkit.acceptance.statistics import mean_of, median_of, share_of, spread_of
from labkit.acceptance.subject import Experiment, Reference, Subject

__all__ = ["CIRCUIT"]

_US = 1e-6
_HOPPING = "hopping law with 6 nm between sites, arXiv 2210.14035; arithmetic"
_MANY_STEPS = 5  # from there on conductances have nothing to do with the steps
_NOTHING_S = 20e-9
_COOL_K, _WARM_K = 298.15, 358.15


def _derived(value: float, source: str) -> Reference:
    return Reference(value, Status.DERIVED, source)


def _hopping(subject: Subject) -> Iterator[Row]:
    """C1, C2: arithmetic of the physical form of the I-V law."""
    law = HoppingCurrentVoltage(0.2, 0.0, 20e-9, 6e-9)
    ohmic = float(law.factor(0.0, 0.2) / law.factor(0.0, 1e-6))
    yield subject.row(
        "C1", "current at 0.2 V over the ohmic one", "sinh law, 20 nm, 300 K, arithmetic", _derived(1.24, _HOPPING),
        Expected.within(1.24, relative=0.01), Measured(ohmic),
    )  # fmt: skip
    for thickness_nm, value in ((10, 0.09), (40, 0.34)):
        found = float(hopping_voltage_v(thickness_nm * 1e-9, 6e-9, 300.0))
        yield subject.row(
            "C2", "V_0", f"{thickness_nm} nm, 300 K, arithmetic", _derived(value, _HOPPING),
            Expected.within(value, absolute=0.005, unit="V"), Measured(found), unit="V",
        )  # fmt: skip


def _series(subject: Subject) -> Iterator[Row]:
    """C3: what a resistance in series takes from a reading."""
    card = subject.card.with_values(
        {
            "laws.lines.parameters.series_ohm": 4000.0,
            "laws.lines.parameters.bit_line_ohm": 0.0,
            "laws.lines.parameters.word_line_ohm": 0.0,
        },
        source="4 kOhm in series",
    )
    off = [effect for effect in PLAIN if effect != "lines"]
    with subject.bench(256, *off, *ALIKE, card=card, chip=40) as bench:
        bench.melt_to(25.0 * _US / card.g_max_s)
        shown = bench.read()[0] / bench.truth_s()
    yield subject.row(
        "C3", "what 4 kOhm in series take from a reading", "25 µS", Reference(-0.09, Status.DEFAULT, "G / (1 + G R)"),
        Expected.within(-1.0 / 11.0, absolute=0.001, unit="%"), mean_of(shown - 1.0), unit="%",
    )  # fmt: skip


def _melting_a(subject: Subject, low: float, high: float, cells: int) -> NDArray[np.float64]:
    """Return currents between two shares of the one that melts all of the mean device."""
    return subject.card.programming_curve.full_current_mean_a * np.linspace(low, high, cells)


def _converter(subject: Subject) -> Iterator[Row]:
    """C4: steps of the converter, and what rounding to them leaves."""
    chain = subject.card.read_chain
    range_a = 1e-5
    step_s = chain.step_a(range_a) / chain.read_voltage_v
    changes = {"laws.read_chain.parameters.noise_fraction_of_range": 0.0}
    card = subject.card.with_values(changes, source="steps alone")
    off = [effect for effect in PLAIN if effect != "converter"]
    setup = ReadSetup(chain.read_voltage_v, 1, 1e-6, range_a)
    with subject.bench(subject.size(20_000, 8000), *off, card=card, chip=41) as bench:
        bench.pulse(_melting_a(subject, 0.575, 0.975, bench.cells.size))
        g_s, truth_s = bench.read(setup)[0], bench.truth_s()
        error_s = (g_s - truth_s)[truth_s > _MANY_STEPS * step_s]
    default = Status.DEFAULT
    table = subject.follows("ibm90", "read_chain")
    source = "8 bits (Sebastian et al. 2017), full scale 10 µA (default)"
    wanted_a = 39e-9 if table else chain.step_a(range_a)
    yield subject.row(
        "C4", "step of the converter", "10 µA range", Reference(wanted_a, default, source),
        Expected.within(wanted_a, relative=0.005),
        Measured(float(np.diff(np.unique(g_s)).min()) * chain.read_voltage_v), unit="A",
    )  # fmt: skip
    codes = g_s / step_s
    yield subject.row(
        "C4", "largest distance of a reading from a whole step, in steps", "10 µA range, at 0.2 V",
        Reference(0.0, default, source), Expected.between(0.0, 0.002),
        Measured(float(np.abs(codes - np.rint(codes)).max())),
    )  # fmt: skip
    wanted_s = 0.0563 * _US if table else step_s / np.sqrt(12.0)
    yield subject.row(
        "C4", "rms of rounding", "10 µA range, cells above five steps, noise of the converter off",
        Reference(wanted_s, default, "LSB / sqrt(12)"),
        Expected.within(wanted_s, relative=0.02), spread_of(error_s), unit="S",
        note="two percent are four standard errors",
    )  # fmt: skip


_ROUNDING = ((4, 0.023), (5, 0.011), (6, 0.0056), (8, 0.0014), (10, 0.0004))


def _bits(subject: Subject) -> Iterator[Row]:
    """C5: what a converter of few bits costs, by its law."""
    card = subject.card
    for bits, value in _ROUNDING:
        changes: dict[str, float | str] = {
            "laws.read_chain.parameters.adc_bits": bits, "laws.read_chain.parameters.adc_zero": 0
        }  # fmt: skip
        chain = card.with_values(changes, source="fewer bits").read_chain
        range_a = 1.25 * card.g_max_s * chain.read_voltage_v
        rms = chain.step_a(range_a) / np.sqrt(12.0) / (card.g_max_s * chain.read_voltage_v)
        yield subject.row(
            "C5", "rms of rounding over full scale", f"{bits} bits over 1.25 of full scale, arithmetic",
            _derived(value, "LSB / sqrt(12)"), Expected.within(value, absolute=0.5 * 10.0 ** _place(value), unit="%"),
            Measured(float(rms)), unit="%", note="to the digits of the table",
        )  # fmt: skip


def _place(value: float) -> int:
    """Power of ten of the last digit of a number with two significant ones, as the table prints them."""
    text = f"{100.0 * value:g}"
    return -len(text.partition(".")[2]) - 2


_HEAT = ((0.0, 8.1), (0.1, 5.6), (0.4, 2.3), (1.0, 1.14))


def _heat(subject: Subject) -> Iterator[Row]:
    """C6: conductance over temperature."""
    law = subject.card.temperature
    per_level = subject.size(20_000, 1000)
    grid_k = np.linspace(_COOL_K, _WARM_K, 4)
    # A RESET cell at g = 0.004 would show 2 % less than one at g = 0.
    changes = {"laws.programming_curve.parameters.reset_median_s": 5e-9}
    card = subject.card.with_values(changes, source="nearly no conductance")
    # The spread of the activation energies stays, that of the pulses does not.
    with subject.bench(len(_HEAT) * per_level, *SILENT, "drift", "cycle_spread", card=card, chip=42) as bench:
        bench.melt_to(np.repeat([max(g, 1e-9) for g, _ in _HEAT], per_level))
        programmed_s = bench.truth_s().reshape(len(_HEAT), per_level)
        found = []
        for kelvin in grid_k:
            bench.control.temperature_k = float(kelvin)
            found.append(bench.read()[0].reshape(len(_HEAT), per_level))
    ratio = np.array(found) / found[0]
    medians = []
    table = subject.follows("ibm90", "temperature")
    for place, (g, value) in enumerate(_HEAT):
        if g > 0.0:  # devices differ in what a pulse leaves; those close to the level stand for it
            near = np.abs(programmed_s[place] / (g * subject.card.g_max_s) - 1.0) < 0.1
        else:
            near = programmed_s[place] < _NOTHING_S
        medians.append((g, np.median(ratio[:, place, near], axis=1)))
        ours = float(law.factor(g, _WARM_K) / law.factor(g, _COOL_K))
        wanted = value if table else ours
        yield subject.row(
            "C6", "median of G(85 °C) / G(25 °C)", f"g = {g:g}, no noise", Reference(wanted, Status.DEFAULT, "card"),
            Expected.within(wanted, relative=0.03), median_of(ratio[-1][place][near]),
        )  # fmt: skip
    subject.evidence["temperature"] = (grid_k, medians)


def _drift_over_heat(subject: Subject) -> Iterator[Row]:
    """C7: exponents do not depend on the temperature."""
    kelvin = np.array([298.15, 318.15, 338.15, 358.15])
    cells = subject.size(10_000, 2500)
    exponents = []
    for number, at_k in enumerate(kelvin):
        with subject.bench(cells, *SILENT, *ALIKE, chip=43 + number) as bench:
            bench.control.temperature_k = float(at_k)
            bench.melt_to(0.6)
            g_s, age_s = bench.read_at([20.0, 1e4])
        exponents.append(mean_of(np.log(g_s[0] / g_s[1]) / np.log(age_s[1] / age_s[0])))
    values = np.array([found.value for found in exponents])
    weight = kelvin - kelvin.mean()
    slope = float(weight @ values / (weight @ weight))
    error = float(exponents[0].error / np.sqrt(weight @ weight))
    yield subject.row(
        "C7", "slope of the mean of nu over temperature, 1/K", "25 .. 85 °C, g = 0.6, no noise",
        Reference(0.0, Status.PUBLISHED, "line cells over 125 .. 300 K: no dependence"),
        Expected.within(0.0, absolute=4.0 * error), Measured(slope, error),
        note="four standard errors",
    )  # fmt: skip


def _stuck(subject: Subject) -> Iterator[Row]:
    """C8: cells that never worked."""
    faults = subject.card.faults
    cells = subject.size(200_000, 40_000)
    off = [effect for effect in PLAIN if effect != "faults"]
    with subject.bench(cells, *off, *ALIKE, chip=47) as bench:
        bench.pulse(bench.reset_a)
        low = bench.read()[0]
        bench.melt_to(0.6)
        high = bench.read()[0]
    level_s = 0.3 * subject.card.g_max_s
    for kind, count, share in (
        ("low-resistance", int(np.count_nonzero(low > level_s)), faults.stuck_set_share),
        ("high-resistance", int(np.count_nonzero(high < level_s)), faults.stuck_reset_share),
    ):
        four = 4.0 * float(np.sqrt(share * cells)) / cells
        yield subject.row(
            "C8", f"cells stuck {kind}", "new chip, after a RESET and after a pulse to g = 0.6",
            Reference(share, Status.DEFAULT, "card"), Expected.within(share, absolute=four, unit="%"),
            share_of(count, cells), unit="%", note="four standard deviations of a Poisson count",
        )  # fmt: skip


def _wear(subject: Subject) -> Iterator[Row]:
    """C9: cells that wear out, with the scale of the law brought down to a thousand pulses."""
    law = subject.card.endurance
    scale = 1000.0
    card = subject.card.with_values(
        {"laws.endurance.parameters.scale_pulses": scale}, source="worn within minutes"
    )
    cells = subject.size(10_000, 3000)
    off = [effect for effect in PLAIN if effect != "endurance"]
    level_s = 0.3 * card.g_max_s
    steps = (500, 500, 500)
    given = 0
    with subject.bench(cells, *off, *ALIKE, card=card, chip=48) as bench:
        for step in steps:
            bench.melt_to(0.6)
            bench.pulse(bench.reset_a, count=step - 2)
            low = bench.read()[0]
            bench.melt_to(0.6)
            high = bench.read()[0]
            given += step
            stuck_set, stuck_reset = low > level_s, high < level_s
            worn = int(np.count_nonzero(stuck_set | stuck_reset))
            share = float(-np.expm1(-((given / scale) ** law.shape)))
            four = 4.0 * float(np.sqrt(share * (1.0 - share) / cells))
            yield subject.row(
                "C9", "cells worn out", f"{given} pulses, Weibull scale {scale:g}, shape {law.shape:g}",
                Reference(share, Status.DEFAULT, "card"), Expected.within(share, absolute=four, unit="%"),
                share_of(worn, cells), unit="%", note="four standard deviations of a binomial count",
            )  # fmt: skip
    kinds = law.stuck_set_share
    four = 4.0 * float(np.sqrt(kinds * (1.0 - kinds) / max(worn, 1)))
    yield subject.row(
        "C9", "low-resistance ones among the worn", f"{given} pulses", Reference(kinds, Status.DEFAULT, "card"),
        Expected.within(kinds, absolute=four, unit="%"),
        share_of(int(np.count_nonzero(stuck_set)), max(worn, 1)), unit="%",
        note="four standard deviations of a binomial count",
    )  # fmt: skip


def _reference_voltage(subject: Subject) -> Iterator[Row]:
    """C10: at the reference voltage the current is G V, whatever the I-V law is elsewhere."""
    law = subject.card.current_voltage
    off = [effect for effect in PLAIN if effect != "current_voltage"]
    with subject.bench(2048, *off, chip=49) as bench:
        bench.pulse(_melting_a(subject, 0.575, 0.9875, bench.cells.size))
        setup = ReadSetup(law.reference_v, FINE.samples, FINE.aperture_s, 1e-5)
        shown = bench.read(setup)[0] / bench.truth_s()
    yield subject.row(
        "C10", "current over G V", f"{law.reference_v:g} V, cells of all conductances",
        Reference(1.0, Status.DEFAULT, "definition of G"), Expected.within(1.0, absolute=1e-3),
        median_of(shown), note="a thousandth is the converter's step after averaging",
    )  # fmt: skip


_CURVE = ("programming_curve", "read_chain")

CIRCUIT = (
    Experiment("hopping law", ("C1", "C2"), (), _hopping, 0.01, 0.01),
    Experiment("series resistance", ("C3",), (*_CURVE, "lines"), _series, 0.1, 0.1),
    Experiment("steps of the converter", ("C4",), _CURVE, _converter, 0.2, 0.1),
    Experiment("bits of the converter", ("C5",), ("read_chain",), _bits, 0.1, 0.1),
    Experiment("heat", ("C6",), (*_CURVE, "temperature"), _heat, 0.3, 0.2),
    Experiment("drift over heat", ("C7",), (*_CURVE, "drift", "temperature"), _drift_over_heat, 0.4, 0.2),
    Experiment("stuck cells", ("C8",), (*_CURVE, "faults"), _stuck, 1.0, 0.3),
    Experiment("wear", ("C9",), (*_CURVE, "endurance"), _wear, 1.0, 0.5),
    Experiment("reference voltage", ("C10",), (*_CURVE, "current_voltage"), _reference_voltage, 0.1, 0.1),
)
