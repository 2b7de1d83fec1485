"""The figures of an acceptance page: the mock as points and bands, published numbers and laws beside it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from calibration import DeviceCard
from labkit.acceptance.pulse_level import PUBLISHED_MEANS
from labkit.acceptance.row import Measured
from labkit.acceptance.target_level import MEASURED_POINTS
from labkit.report.figures import Figure
from labkit.report.statistics import Z95
from labkit.report.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    VERMILLION,
    age_axis,
    new_figure,
    panel_title,
    style,
    to_svg,
)

__all__ = ["draw"]

_US = 1e6
_LAW: dict[str, Any] = {"color": INK, "ls": (0, (4, 2)), "lw": 1.2}


def draw(card: DeviceCard, evidence: dict[str, Any]) -> list[tuple[Figure, Canvas]]:
    """Draw every figure there is evidence for; the SVG of the page, and the canvas for other files."""
    found = []
    with style():
        for needs, make in _FIGURES:
            if any(name in evidence for name in needs):
                name, title, canvas, caption, source = make(card, evidence)
                svg = to_svg(canvas, f"acceptance-{name}", f"{title}. {caption}")
                found.append((Figure(name, title, svg, caption, source), canvas))
    return found


_Drawn = tuple[str, str, Canvas, str, str]


def _errorbar(axes: Axes, x: Any, found: list[Measured], factor: float, **look: Any) -> None:
    values = np.array([m.value for m in found]) * factor
    errors = np.array([m.error for m in found]) * factor
    axes.errorbar(x, values, Z95 * errors, capsize=2.0, lw=1.0, **look)


def _pulses(card: DeviceCard, evidence: dict[str, Any]) -> _Drawn:
    figure = new_figure(3.1)
    left, right = figure.subplots(1, 2)
    if "curve" in evidence:
        currents_a, crystalline, reset = evidence["curve"]
        for label, bands, colour in (
            ("50 ns, crystalline before", crystalline, BLUE),
            ("1 µs, RESET before", reset, VERMILLION),
        ):
            left.fill_between(
                _US * currents_a, _US * bands[0], _US * bands[2], color=colour, alpha=0.22, lw=0
            )
            left.plot(_US * currents_a, _US * bands[1], color=colour, label=label)
        left.legend(loc="upper left", handlelength=1.6)
        left.set_ylim(0.0, 1.45 * _US * card.g_max_s)
    left.set_xlabel("pulse current (µA)")
    left.set_ylabel("conductance (µS)")
    panel_title(left, "a", "One pulse: median, 10 .. 90 %")
    if "accumulation" in evidence:
        bands, mean = evidence["accumulation"]
        pulses = np.arange(1, mean.size + 1)
        right.fill_between(
            pulses, _US * bands[0], _US * bands[4], color=BLUE, alpha=0.16, lw=0, label="5 .. 95 %"
        )
        right.fill_between(
            pulses, _US * bands[1], _US * bands[3], color=BLUE, alpha=0.25, lw=0, label="25 .. 75 %"
        )
        right.plot(pulses, _US * mean, color=BLUE, label="mean")
        if card.name == "ibm90":
            right.plot(*PUBLISHED_MEANS, "o", color=VERMILLION, ms=3.6, label="published law", zorder=3)
        right.legend(loc="upper left", ncols=2, handlelength=1.4, columnspacing=1.2)
        right.set_ylim(0.0, 1.3 * _US * float(bands[4].max()))
    right.set_xlabel("SET pulses since the RESET")
    panel_title(right, "b", "Blind SET pulses")
    return (
        "pulses", "What pulses do", figure,
        "a: a single pulse on cells that were crystalline or RESET before; the melt branch is a default of the card. "
        "b: the accumulation fan of 50 blind SET pulses against the means of the published law.",
        "P1 to P4, P11 and a sweep of the current; no drift, no read noise",
    )  # fmt: skip


def _drift(card: DeviceCard, evidence: dict[str, Any]) -> _Drawn:
    levels, ages_s, g_s = evidence["drift"]
    figure = new_figure(3.3)
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    colours = (ORANGE, VERMILLION, PURPLE, BLUE, GREEN, MUTED, INK)
    for place, g in enumerate(levels):
        colour = colours[place % len(colours)]
        left.plot(ages_s, _US * g_s[:, place, :25], color=colour, lw=0.4, alpha=0.35)
        left.plot(ages_s, _US * np.median(g_s[:, place], axis=1), color=colour, lw=1.8)
        left.annotate(
            f"{g:g}", (ages_s[-1], _US * float(np.median(g_s[-1, place]))), xytext=(5, 0),
            textcoords="offset points", va="center", color=colour, fontsize=8.0, fontweight="bold",
        )  # fmt: skip
    left.set_yscale("log")
    age_axis(left, float(ages_s[0]), float(ages_s[-1]), room=2.4)
    left.set_xlabel("age since the last pulse")
    left.set_ylabel("conductance (µS)")
    panel_title(left, "a", "25 cells of each level, and the median")
    fits = evidence.get("exponents", [])
    g = np.array([level for level, _, _ in fits])
    grid = np.geomspace(0.03, 1.0, 200)
    for values, law, colour, label in (
        ([mean for _, mean, _ in fits], card.drift.mean_exponent(grid), BLUE, "mean"),
        ([spread for _, _, spread in fits], card.drift.spread_exponent(grid), GREEN, "spread"),
    ):
        right.plot(grid, law, **_LAW)
        _errorbar(right, g, values, 1.0, fmt="o", color=colour, ms=4, label=label)
    right.set_xscale("log")
    right.set_xticks([0.05, 0.1, 0.2, 0.5, 1.0], ["0.05", "0.1", "0.2", "0.5", "1"])
    right.set_ylim(0.0, None)
    right.set_xlabel("target over full scale, g")
    right.set_ylabel("drift exponent \u03bd")
    right.legend(loc="upper right", handlelength=1.2)
    panel_title(right, "b", "Fitted, and the law (dashed)")
    return (
        "drift", "Drift", figure,
        "a: reads of single cells. b: mean and spread of the exponent, by a fit of the covariance of the reads where "
        "they are noisy, which keeps the noise out of the spread; bars are 95 % intervals.",
        f"T6; law of the card: {card.laws['drift'].form}",
    )  # fmt: skip


def _noise(card: DeviceCard, evidence: dict[str, Any]) -> _Drawn:
    figure = new_figure(3.1)
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    for (f_hz, power), colour, label in zip(
        evidence["spectrum"], (BLUE, GREEN), ("slow trace", "fast trace"), strict=True
    ):
        edges = np.geomspace(f_hz[0], min(f_hz[-1], 60.0), 24)
        inside = [(f_hz >= a) & (f_hz < b) for a, b in pairwise(edges)]
        x = [float(f_hz[part].mean()) for part in inside if part.any()]
        y = [float(power[part].mean()) for part in inside if part.any()]
        left.loglog(x, y, "o", color=colour, ms=3.4, label=label)
    grid = np.geomspace(0.08, 60.0, 50)
    left.loglog(grid, grid**-card.read_noise.spectral_slope, label="law", **_LAW)
    left.set_xlabel("frequency (Hz)")
    left.set_ylabel("S$_G$ / (G² Q$_s$²)  (1/Hz)")
    left.legend(loc="lower left", handlelength=1.8)
    panel_title(left, "a", "Spectrum over strength")
    g = np.array([level for level, _ in evidence["strengths"]])
    levels = np.geomspace(0.03, 1.0, 200)
    right.loglog(levels, card.read_noise.strength(levels), **_LAW)
    _errorbar(right, g, [found for _, found in evidence["strengths"]], 1.0, fmt="o", color=BLUE, ms=4)
    right.set_xticks([0.05, 0.1, 0.2, 0.5, 1.0], ["0.05", "0.1", "0.2", "0.5", "1"])
    right.set_yticks([0.01, 0.02, 0.05, 0.1], ["0.01", "0.02", "0.05", "0.1"])
    right.minorticks_off()
    right.set_xlabel("target over full scale, g")
    right.set_ylabel("strength Q$_s$")
    panel_title(right, "b", "Strength, and the law (dashed)")
    return (
        "noise", "Read noise", figure,
        "a: mean spectrum of all levels but the two lowest, in units of the strength of each. What noise faster "
        "than the sampling folds into the band is computed from the law and subtracted. "
        "b: strength of the median cell, from 0.1 to 2 Hz.",
        f"T9, T10; law of the card: {card.laws['read_noise'].form}",
    )  # fmt: skip


def _error(card: DeviceCard, evidence: dict[str, Any]) -> _Drawn:
    figure = new_figure(3.1)
    axes = figure.subplots()
    full_us = _US * card.g_max_s
    grid = np.linspace(0.0, 1.0, 200)
    if "programming_error" in card.laws:
        axes.plot(full_us * grid, _US * card.programming_error.sigma_s(grid), label="law of the card", **_LAW)
    if card.name == "ibm90":
        g, point = np.array(MEASURED_POINTS).T
        axes.plot(
            full_us * g, point, "D", color=VERMILLION, ms=4.4, label="measured on the chip (published figure)"
        )
    if "emergent" in evidence:
        levels, _, singles, statics = evidence["emergent"]
        _errorbar(
            axes, full_us * levels, singles, _US, fmt="s-", color=BLUE, ms=3.4, label="mock, one read at 25 s"
        )
        _errorbar(
            axes,
            full_us * levels,
            statics,
            _US,
            fmt="o-",
            color=GREEN,
            ms=3.4,
            label="mock, average over a second",
        )
    if "shortcut" in evidence:
        levels, spreads = evidence["shortcut"]
        _errorbar(
            axes,
            full_us * np.array(levels),
            spreads,
            _US,
            fmt="x",
            color=PURPLE,
            ms=4,
            label="target-shortcut",
        )
    axes.set_ylim(0.0, None)
    axes.set_xlim(0.0, 1.04 * full_us)
    axes.set_xlabel("target conductance (µS)")
    axes.set_ylabel("spread of the error (µS)")
    axes.legend(loc="lower right", handlelength=2.0)
    return (
        "error", "Programming error", figure,
        "The mock draws no programming error in its mode physics: it comes out of pulses, noise, drift and the verify "
        "loop. Whether the published points contain the noise of the read behind them is not known, so they should "
        "lie between the two curves of the mock.",
        "E1, T1, T2",
    )  # fmt: skip


def _temperature(card: DeviceCard, evidence: dict[str, Any]) -> _Drawn:
    kelvin, medians = evidence["temperature"]
    figure = new_figure(2.9)
    axes = figure.subplots()
    grid_k = np.linspace(float(kelvin[0]), float(kelvin[-1]), 60)
    for (g, ratio), colour in zip(medians, (VERMILLION, ORANGE, BLUE, GREEN), strict=False):
        law = card.temperature.factor(g, grid_k) / card.temperature.factor(g, grid_k[0])
        axes.plot(grid_k - 273.15, law, **_LAW)
        axes.plot(kelvin - 273.15, ratio, "o", color=colour, ms=4.5, label=f"g = {g:g}")
    axes.set_yscale("log")
    axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    axes.minorticks_off()
    axes.set_xlabel("temperature (°C)")
    axes.set_ylabel("median of G / G(25 °C)")
    axes.legend(loc="upper left", handlelength=1.2)
    return (
        "temperature", "Conductance over temperature", figure,
        "Median of each level, and the law of the card (dashed). The activation energies are defaults: no curve is "
        "published for this cell.",
        "C6",
    )  # fmt: skip


_FIGURES: tuple[tuple[tuple[str, ...], Callable[[DeviceCard, dict[str, Any]], _Drawn]], ...] = (
    (("curve", "accumulation"), _pulses),
    (("drift",), _drift),
    (("spectrum",), _noise),
    (("emergent", "shortcut"), _error),
    (("temperature",), _temperature),
)
