"""The st90 personality: S1 to S7 (device-physics §9.5).

The papers behind it were read as abstracts: they give bounds, not parameters. What a row accepts beyond a printed
bound is said in its note.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.chip import ReadSetup
from drivers.multiplies import quantise_inputs
from drivers.products import Rectangle
from labkit.acceptance.bench import FINE, Bench
from labkit.acceptance.conditions import ALIKE, SILENT, VARYING
from labkit.acceptance.loops import Later, run_loop
from labkit.acceptance.row import Expected, Measured, Row, Status
from labkit.acceptance.statistics import bootstrapped, mean_of, share_of, spread_of
from labkit.acceptance.subject import Experiment, Reference, Subject
from labkit.programming import ProgramSettings

__all__ = ["ST90"]

_Floats = NDArray[np.float64]
_LEVELS = (0.25, 0.5, 0.75, 1.0)
_PER_LEVEL = 512
_FOURTEEN_H_S, _SIXTY_FOUR_H_S = 14 * 3600.0, 64 * 3600.0
_WARM_K = 358.15
_MATERIALS = "Antolini et al. 2021, Materials 14, 1624, abstract"
_RATIO = "Antolini et al. 2023, abstract"
_RCCT = "Antolini et al. 2024, OJSSCS 4, 69, abstract"


def _published(value: float, source: str) -> Reference:
    return Reference(value, Status.PUBLISHED, source)


# ---------------------------------------------------------------- cells


def _levels(subject: Subject) -> Iterator[Row]:
    """S1, S2, S3: four levels of 512 cells, programmed by the default loop and read for 14 h."""
    card = subject.card
    g = np.repeat(_LEVELS, _PER_LEVEL)
    off = [effect for effect in VARYING if effect not in ("telegraph_noise", "faults")]
    with subject.bench(g.size, *off, chip=60) as bench:
        result = run_loop(bench, g, ProgramSettings(), Later())
        bench.wait(card.t0_s)
        start_ns = bench.chip.clock_ns()
        setup = ReadSetup(samples=8)
        reads, times_s = [], []
        for age_s in np.geomspace(card.t0_s, _FOURTEEN_H_S, subject.size(60, 30)):
            bench.wait(age_s - card.t0_s - 1e-9 * (bench.chip.clock_ns() - start_ns))
            reads.append(bench.chip.read(bench.cells, setup).g_s.astype(np.float64))
            times_s.append(card.t0_s + 1e-9 * (bench.chip.clock_ns() - start_ns))
    good = result.converged
    read_s = np.array(reads)
    first = read_s[0] / (g * card.g_max_s)
    for level in _LEVELS:
        yield subject.row(
            "S1", "initial spread of a level", f"g = {level:g}, 512 cells, default loop, converged cells, one read",
            _published(0.06, _MATERIALS), Expected.between(-np.inf, 0.06, unit="%"),
            spread_of(first[good & (g == level)]), unit="%",
        )  # fmt: skip
    log_age = np.log(np.array(times_s))
    relative = np.log(read_s[:, good] / read_s[:, good].mean(axis=0))
    centred = log_age - log_age.mean()
    slopes = centred @ relative / (centred @ centred)
    left = (relative - relative.mean(axis=0) - np.outer(centred, slopes)).std(axis=0, ddof=2)
    yield subject.row(
        "S2", "cells whose current is noisy by less than 9 %", "reads over 14 h, drift of each cell taken out",
        _published(0.5, _MATERIALS), Expected.between(0.5, 1.0, unit="%"),
        share_of(int(np.count_nonzero(left < 0.09)), left.size), unit="%",
        note='"in most cases" is read as more than half',
    )  # fmt: skip
    lost = [
        mean_of(1.0 - read_s[-1][good & (g == level)] / read_s[0][good & (g == level)].mean())
        for level in _LEVELS
    ]
    yield subject.row(
        "S3", "drift of the worst level", "14 h, mean of 512 cells", _published(0.15, _MATERIALS),
        Expected.between(-np.inf, 0.15, unit="%"), max(lost, key=lambda found: found.value), unit="%",
    )  # fmt: skip


def _residual(subject: Subject) -> Iterator[Row]:
    """S5: what a ratio to reference cells leaves of drift."""
    card, law = subject.card, subject.card.drift
    cells = subject.size(10_000, 2500)
    with subject.bench(cells, *SILENT, *ALIKE, chip=61) as bench:
        bench.melt_to(0.5)
        g_s, age_s = bench.read_at([card.t0_s, _FOURTEEN_H_S], FINE)
    reference = g_s[:, :64].mean(axis=1)
    ratio = (g_s[1, 64:] / reference[1]) / (g_s[0, 64:] / reference[0])
    expected = float(law.spread_exponent(0.5) * np.log(np.median(age_s[1] / age_s[0])))
    yield subject.row(
        "S5", "relative spread of the ratio to reference cells", "14 h, g = 0.5, no read noise",
        Reference(expected, Status.DERIVED, "sigma_nu ln(t / t0)"), Expected.within(expected, relative=0.05),
        spread_of(ratio), unit="%", note="five percent: sampling and second order, as T8",
    )  # fmt: skip


# ---------------------------------------------------------------- products


@dataclass(frozen=True)
class _Matrix:
    """Signed weights as pairs of cells in a rectangle, and a reference column at its right.

    Attributes
    ----------
    g : ndarray, shape (rows, 2 cols + 1)
        Targets over full scale.
    inputs : ndarray of int8, shape (k, rows)
    """

    g: _Floats
    inputs: NDArray[np.int8]

    @classmethod
    def drawn(cls, rows: int, cols: int, vectors: int, seed: int) -> _Matrix:
        """Draw weights of four magnitudes and both signs, and inputs of both signs."""
        random = np.random.default_rng(seed)
        magnitude = random.choice(_LEVELS, (rows, cols))
        positive = random.random((rows, cols)) < 0.5
        g = np.zeros((rows, 2 * cols + 1))
        g[:, 0:-1:2] = np.where(positive, magnitude, 0.0)
        g[:, 1:-1:2] = np.where(positive, 0.0, magnitude)
        g[:, -1] = random.choice(_LEVELS, rows)
        return cls(g, quantise_inputs(random.uniform(-1.0, 1.0, (vectors, rows)), 1.0).codes)

    @property
    def ideal(self) -> _Floats:
        """Outputs of ideal cells and inputs as they are driven, shape (k, cols)."""
        signed = self.g[:, 0:-1:2] - self.g[:, 1:-1:2]
        return np.asarray((self.inputs / 127.0) @ signed)

    def outputs(self, bench: Bench, setup: ReadSetup) -> tuple[_Floats, float]:
        """Return the outputs over full scale, shape (k, cols), and the reference current over its target."""
        rows, cols = self.g.shape
        geometry = bench.chip.geometry()
        rectangle = Rectangle(0, 0, 0, rows, cols)
        assert geometry.cols == cols  # noqa: S101 - the chip is made for it
        unit_a = bench.card.g_max_s * setup.voltage_v
        product = bench.chip.multiply(Rectangle(0, 0, 0, rows, cols - 1), self.inputs, setup)
        found = product.differential().astype(np.float64) / unit_a
        cells = rectangle.cells(geometry)[:, -1]
        reading = bench.chip.read(cells, ReadSetup(samples=64)).g_s.astype(np.float64)
        return found, float(reading.mean() / (self.g[:, -1].mean() * bench.card.g_max_s))


def _programmed(bench: Bench, matrix: _Matrix) -> None:
    run_loop(bench, matrix.g.ravel(), ProgramSettings(), Later())


def _decay(subject: Subject) -> Iterator[Row]:
    """S4: mean of the products over time, by themselves and over the reference."""
    card = subject.card
    matrix = _Matrix.drawn(64, 64, 64, seed=5)
    setup = ReadSetup(voltage_v=0.1, samples=16)
    lost = {}
    for name, kelvin, wait_s, chip in (
        ("RT", None, _FOURTEEN_H_S, 62),
        ("85 °C", _WARM_K, _SIXTY_FOUR_H_S, 63),
    ):
        with subject.bench(matrix.g.size, cols=matrix.g.shape[1], chip=chip) as bench:
            _programmed(bench, matrix)
            bench.wait(card.t0_s)
            start, first = matrix.outputs(bench, setup)
            if kelvin is not None:
                bench.control.temperature_k = kelvin
            bench.wait(wait_s)
            late, last = matrix.outputs(bench, setup)
        plain = _scale_change(start, late, 1.0, 7)
        ratio = _scale_change(start, late, last / first, 7)
        lost[name] = (plain, ratio)
    plain, ratio = lost["RT"]
    yield subject.row(
        "S4", "mean decay of a product over the reference current", "14 h at room temperature, 64 x 64",
        _published(0.0, _RCCT), Expected.within(0.0, absolute=0.02, unit="%"), ratio, unit="%",
        note=f"\"~0\" is read as two percent; {100 * plain.value:.1f} % without the reference",
    )  # fmt: skip
    plain, ratio = lost["85 °C"]
    reduced = abs(plain.value) / max(abs(ratio.value), 1e-9)
    yield subject.row(
        "S4", "reduction of the mean decay by the reference", "64 h at 85 °C, 64 x 64", _published(3.0, _RCCT),
        Expected.between(3.0, np.inf), Measured(reduced),
        note=f"{100 * plain.value:.1f} % without, {100 * ratio.value:.1f} % with the reference",
    )  # fmt: skip


def _scale_change(start: _Floats, late: _Floats, reference: float, seed: int) -> Measured:
    """Return 1 minus the factor by which products have changed, over that of the reference."""

    def change(places: NDArray[np.intp]) -> float:
        a, b = start[places].ravel(), late[places].ravel()
        good = np.isfinite(a) & np.isfinite(b)
        return 1.0 - float(a[good] @ b[good] / (a[good] @ a[good])) / reference

    return bootstrapped(change, start.shape[0], seed=seed, resamples=100)


def _accuracy(found: _Floats, ideal: _Floats, reference: float) -> Measured:
    """MAC accuracy, 1 - mean abs(y - y_ideal) / full scale, one digital factor over the reference (§7.4)."""
    y = found / reference
    good = np.isfinite(y)
    factor = float(y[good] @ ideal[good] / (y[good] @ y[good]))
    error = mean_of(np.abs(factor * y - ideal)[good])
    full = float(np.abs(ideal).max())
    return Measured(1.0 - error.value / full, error.error / full)


def _products(subject: Subject) -> Iterator[Row]:
    """S6, S7: accuracy of whole products, at first, after 14 h, and after 64 h at 85 °C."""
    card = subject.card
    rows = subject.size(512, 128)
    matrix = _Matrix.drawn(rows, rows // 2, 64, seed=6)
    setup = ReadSetup(voltage_v=0.05, samples=64)
    accuracy = []
    with subject.bench(matrix.g.size, cols=matrix.g.shape[1], chip=64) as bench:
        _programmed(bench, matrix)
        bench.wait(card.t0_s)
        for kelvin, wait_s in ((None, 0.0), (None, _FOURTEEN_H_S), (_WARM_K, _SIXTY_FOUR_H_S)):
            if kelvin is not None:
                bench.control.temperature_k = kelvin
            bench.wait(wait_s)
            found, reference = matrix.outputs(bench, setup)
            accuracy.append(_accuracy(found, matrix.ideal, reference))
    size = f"{rows} x {rows} cells, signed, all effects on"
    definition = (
        "1 - mean error over the largest output, one factor for all; the paper's definition is not known"
    )
    yield subject.row(
        "S6", "accuracy of products under drift", f"14 h, {size}", _published(0.95, _RATIO),
        Expected.between(0.95, 1.0, unit="%"), accuracy[1], unit="%", note=definition,
    )  # fmt: skip
    yield subject.row(
        "S7", "accuracy of products", f"at first, {size}", _published(0.974, _RCCT),
        Expected.within(0.974, absolute=0.02, unit="%"), accuracy[0], unit="%",
        note=f"two points accepted; {definition}",
    )  # fmt: skip
    lost = accuracy[0].value - accuracy[2].value
    yield subject.row(
        "S7", "loss of accuracy in the worst case", f"64 h at 85 °C, {size}", _published(0.03, _RCCT),
        Expected.between(-np.inf, 0.03, unit="%"),
        Measured(lost, float(np.hypot(accuracy[0].error, accuracy[2].error))), unit="%",
    )  # fmt: skip


def _only_st90(subject: Subject) -> str:
    ours = subject.follows("st90", "programming_error", "drift", "read_noise", "temperature")
    return "" if ours else "the numbers are of the preset st90"


_LAWS = ("programming_error", "drift", "read_noise", "programming_curve", "temperature")

ST90 = (
    Experiment("four levels", ("S1", "S2", "S3"), _LAWS, _levels, 1.0, 0.6, _only_st90),
    Experiment("products over time", ("S4",), _LAWS, _decay, 2.0, 2.0, _only_st90),
    Experiment("ratio to references", ("S5",), _LAWS, _residual, 0.3, 0.2, _only_st90),
    Experiment("products", ("S6", "S7"), _LAWS, _products, 20.0, 3.0, _only_st90),
)
