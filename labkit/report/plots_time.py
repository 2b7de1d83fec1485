"""What time does: drift of the read-backs, and the accuracy of the network on the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labkit.report.evidence import Cells, ReadBack
from labkit.report.laws import Laws
from labkit.report.statistics import Z95
from labkit.report.style import BLUE, GREEN, INK, VERMILLION, age_axis, new_figure, panel_title

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Level", "accuracy_over_time", "drift", "drift_levels"]

_US = 1e6
_FEWEST = 50


@dataclass(frozen=True, eq=False)
class Level:
    """Cells of nearly one target.

    Attributes
    ----------
    label : str
        The target in microsiemens, as the figure names it.
    target_s : float
        Their mean target, siemens.
    member : ndarray of bool, shape (cells,)
        Which cells they are.
    """

    label: str
    target_s: float
    member: NDArray[np.bool_]


def drift_levels(cells: Cells, reads: list[ReadBack], g_max_s: float) -> list[Level]:
    """Choose up to six groups of converged cells, evenly spaced in target.

    Only cells every read has a reading of take part. Few distinct targets are taken as they are; else
    windows of ±2.5 % of full scale. Groups of fewer than 50 cells are left out.
    """
    target = cells.target_s.astype(np.float64)
    usable = cells.converged & (target > 0)
    for read in reads:
        usable &= np.isfinite(read.g_s) & np.isfinite(read.age_s)
    known = np.unique(cells.target_s[usable]).astype(np.float64)
    wanted = np.array([0.1, 0.2, 0.4, 0.6, 0.8, 1.0]) * g_max_s
    half = 0.025 * g_max_s
    if 0 < known.size <= 32:
        wanted = (
            known if known.size <= 6 else np.unique([known[np.abs(known - goal).argmin()] for goal in wanted])
        )
        half = 1e-4 * g_max_s
    levels = []
    for goal in wanted:
        member = usable & (np.abs(target - goal) <= half)
        if np.count_nonzero(member) >= _FEWEST:
            levels.append(Level(f"{_US * goal:.3g}", float(target[member].mean()), member))
    return levels


def drift(levels: list[Level], reads: list[ReadBack], laws: Laws | None, g_max_s: float) -> Figure:
    """Draw conductance against age per level, and the drift exponent against the target.

    Parameters
    ----------
    levels : list of Level
        Groups of cells; see :func:`drift_levels`.
    reads : list of ReadBack
        At least two, in the order of age.
    laws : Laws or None
        Their prediction is ``G_T (age / t0)^-mean_nu`` (device-physics §2.2).
    g_max_s : float
        Full scale, siemens.
    """
    ages = np.array([read.median_age_s for read in reads])
    exponents = ages[-1] >= 3 * ages[0]
    figure = new_figure(3.5)
    panels = figure.subplots(1, 2 if exponents else 1, squeeze=False, width_ratios=[1.9, 1][: 1 + exponents])[
        0
    ]
    axes = panels[0]
    grid = np.geomspace(ages[0], ages[-1], 60)
    for number, level in enumerate(levels):
        bands = np.array([np.quantile(_US * read.g_s[level.member], [0.1, 0.5, 0.9]) for read in reads]).T
        axes.fill_between(ages, bands[0], bands[2], color=BLUE, alpha=0.22, lw=0)
        axes.plot(ages, bands[1], "o-", color=BLUE, ms=3.4, label=_first(number, "median"))
        if laws is not None:
            predicted_s = laws.drifted_s(np.array([level.target_s]), grid)
            axes.plot(
                grid, _US * predicted_s, color=INK, lw=1.1, ls=(0, (4, 2)), label=_first(number, "prediction")
            )
        axes.annotate(
            level.label, (ages[-1], bands[1][-1]), xytext=(7, 0), textcoords="offset points",
            va="center", color=BLUE, fontsize=8.0, fontweight="bold",
        )  # fmt: skip
    age_axis(axes, ages[0], ages[-1], room=2.2)
    axes.set_ylim(0.0, 1.16 * _US * g_max_s)
    axes.set_xlabel("age since the last pulse")
    axes.set_ylabel("conductance (µS)")
    axes.legend(loc="upper right", ncols=2, handlelength=2.2, columnspacing=1.4)
    panel_title(axes, "a" if exponents else "", "Read-backs by target (µS, at the right)")
    if exponents:
        _exponents(panels[1], levels, reads[0], reads[-1], laws, g_max_s)
    return figure


def _exponents(
    axes: Axes, levels: list[Level], first: ReadBack, last: ReadBack, laws: Laws | None, g_max_s: float
) -> None:
    target, middle, error = [], [], []
    for level in levels:
        # Medians of both reads: noise of single readings and readings below zero do not tilt the slope.
        g_first, g_last = first.g_s[level.member], last.g_s[level.member]
        span = float(np.log(np.median(last.age_s[level.member]) / np.median(first.age_s[level.member])))
        a, b = float(np.median(g_first)), float(np.median(g_last))
        if a <= 0 or b <= 0:
            continue
        target.append(level.target_s)
        middle.append(float(np.log(a / b) / span))
        # The interval of the median of ln(G_last / G_first), from its middle 68 %.
        ratio = g_last / np.where(g_first > 0, g_first, np.nan)
        low, high = np.nanquantile(ratio, [0.1587, 0.8413])
        error.append(float(1.2533 * 0.5 * (high - low) * (a / b) / np.sqrt(g_first.size) / span))
    x = _US * np.array(target)
    axes.errorbar(
        x, middle, Z95 * np.array(error), fmt="o", color=BLUE, capsize=2.0, lw=1.0, label="this chip"
    )
    if laws is not None:
        grid_s = np.linspace(0.03, 1.0, 150) * g_max_s
        axes.plot(
            _US * grid_s, laws.mean_exponent(grid_s), color=INK, ls=(0, (4, 2)), lw=1.2, label="prediction"
        )
    axes.set_ylim(0.0, 1.35 * max([0.08, *middle]))
    axes.set_xlim(0.0, 1.06 * _US * g_max_s)
    axes.set_xlabel("target conductance (µS)")
    axes.set_ylabel("drift exponent \u03bd")
    axes.legend(loc="lower right", handlelength=2.2)
    panel_title(axes, "b", "Drift exponent")


def accuracy_over_time(accuracy: pd.DataFrame, software: float | None) -> Figure:
    """Draw the accuracy on the chip against age, with and without global drift compensation.

    Parameters
    ----------
    accuracy : DataFrame
        Table ``accuracy`` of a run.
    software : float or None
        Accuracy of the same weights in floating point, a fraction.
    """
    frame = accuracy.sort_values("age_s")
    age_s = frame["age_s"].to_numpy(np.float64)
    lines = [
        ("global drift compensation", "accuracy_compensated", GREEN, "o-"),
        ("no compensation", "accuracy_plain", VERMILLION, "s-"),
    ]
    figure = new_figure(2.9)
    axes = figure.subplots()
    values = []
    for label, column, colour, marker in lines:
        if column in frame:
            percent = 100.0 * frame[column].to_numpy(np.float64)
            axes.plot(age_s, percent, marker, color=colour, label=label, ms=4)
            values.append(percent)
            axes.annotate(
                f"{percent[-1]:.1f}", (age_s[-1], percent[-1]), xytext=(7, 0), textcoords="offset points",
                va="center", color=colour, fontsize=8.0, fontweight="bold",
            )  # fmt: skip
    if software is not None:
        axes.axhline(100.0 * software, color=INK, ls=(0, (4, 2)), lw=1.2, label="software, floating point")
        values.append(np.array([100.0 * software]))
    every = np.concatenate(values)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = max(0.15 * (high - low), 0.25)
    axes.set_ylim(max(0.0, low - room), min(100.0 + 0.05 * room, high + room))
    age_axis(axes, age_s[0], age_s[-1], room=1.75)
    axes.set_xlabel("age of the programmed weights")
    axes.set_ylabel("test accuracy (%)")
    axes.legend(loc="lower left", handlelength=2.4)
    return figure


def _first(number: int, label: str) -> str | None:
    return label if number == 0 else None
