"""Programming error, judged by an independent read: residuals, and spread and bias against the target."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from labkit.report.evidence import Cells
from labkit.report.laws import Laws
from labkit.report.statistics import Z95, LevelStatistics
from labkit.report.style import BLUE, GRID, INK, MUTED, ORANGE, VERMILLION, new_figure, panel_title

__all__ = ["error_by_target", "residual_histogram"]

_US = 1e6
_BINS = 121


def residual_histogram(cells: Cells, residual_s: NDArray[np.float64]) -> Figure:
    """Draw histograms of residuals, zero and non-zero targets apart, beside normals of the same spread.

    Parameters
    ----------
    cells : Cells
        The programmed cells.
    residual_s : ndarray, shape (n,)
        First independent read minus target, siemens; NaN where unread.
    """
    known = np.isfinite(residual_s)
    classes = [
        (
            title,
            colour,
            _US * residual_s[known & kind & cells.converged],
            _US * residual_s[known & kind & ~cells.converged],
        )
        for title, colour, kind in (
            ("Targets above zero", BLUE, ~cells.zero),
            ("Zero targets", ORANGE, cells.zero),
        )
    ]
    classes = [entry for entry in classes if entry[2].size >= 2]
    figure = new_figure(2.9)
    panels = figure.subplots(1, len(classes), squeeze=False, sharey=False)[0]
    for axes, letter, (title, colour, converged, others) in zip(panels, "ab", classes, strict=False):
        _histogram(axes, converged, others, colour)
        panel_title(axes, letter if len(classes) > 1 else "", title)
    panels[0].set_ylabel("cells per µS")
    return figure


def _histogram(axes: Axes, values: NDArray[np.float64], others: NDArray[np.float64], colour: str) -> None:
    mean, std = float(values.mean()), float(values.std(ddof=1))
    low, high = np.quantile(values, [0.0005, 0.9995])
    half = 1.3 * max(float(high - mean), float(mean - low), 1e-4)
    edges = _edges(values, mean - half, mean + half)
    counts, _ = np.histogram(values, edges)
    width = edges[1] - edges[0]
    floor = 0.5 / width
    axes.stairs(
        np.maximum(counts / width, floor), edges, baseline=floor, fill=True, color=colour, alpha=0.35, lw=0
    )
    axes.stairs(
        np.maximum(counts / width, floor), edges, baseline=floor, color=colour, lw=1.0, label="converged"
    )
    lost, _ = np.histogram(others, edges)
    if others.size:
        axes.stairs(
            np.maximum(lost / width, floor),
            edges,
            baseline=floor,
            color=VERMILLION,
            lw=1.0,
            label="not converged",
        )
    grid = np.linspace(edges[0], edges[-1], 301)
    spread = max(std, 1e-9)
    normal = values.size / (spread * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((grid - mean) / spread) ** 2)
    axes.plot(
        grid, np.where(normal >= floor, normal, np.nan), color=INK, lw=1.2, ls=(0, (4, 2)), label="normal"
    )
    axes.axvline(0.0, color=MUTED, lw=0.7)
    axes.set_yscale("log")
    axes.set_ylim(floor, 6.0 * counts.max() / width)
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("read \u2212 target (µS)")
    outside = values.size + others.size - int(counts.sum()) - int(lost.sum())
    lines = [f"{values.size:,} converged", f"mean {_signed(mean)} µS", f"std {std:.3f} µS"]
    if outside:
        lines.append(f"{outside:,} off scale")
    axes.text(
        0.985, 0.97, "\n".join(lines), transform=axes.transAxes, ha="right", va="top", fontsize=7.8,
        linespacing=1.45,
    )  # fmt: skip
    axes.legend(loc="upper left", handlelength=1.5, fontsize=7.5, handletextpad=0.5, borderaxespad=0.1)


def _edges(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return bin edges; readings on a converter's grid get bins of whole steps, else gaps would appear."""
    width = (high - low) / _BINS
    grid = np.unique(np.round(values[:: max(1, values.size // 50_000)], 7))
    if 2 <= grid.size < 2000:
        steps = np.diff(grid)
        step = float(np.median(steps[steps > 1e-6])) if (steps > 1e-6).any() else width
        width = step * max(1.0, np.ceil(width / step))
        low = float(grid[grid.size // 2]) + step / 2 - width * np.ceil((grid[grid.size // 2] - low) / width)
    count = int(np.ceil((high - low) / width)) + 1
    return np.linspace(low, low + width * (count - 1), count, dtype=np.float64)


def error_by_target(
    converged: LevelStatistics,
    everyone: LevelStatistics,
    laws: Laws | None,
    g_max_s: float,
    read_age_s: float,
) -> Figure:
    """Draw the standard deviation, the bias and the number of cells per target level.

    Parameters
    ----------
    converged, everyone : LevelStatistics
        Of the cells the loop accepted, and of all programmed cells.
    laws : Laws or None
        The card's laws; without them the curves of expectation are left out.
    g_max_s : float
        Full scale, siemens.
    read_age_s : float
        Median age at the read, seconds; the expected bias is the drift from the reference age to it.
    """
    figure = new_figure(4.9)
    spread, bias, number = figure.subplots(3, 1, sharex=True, height_ratios=[3.1, 1.7, 0.8])
    x = _US * converged.target_s
    spread.plot(
        _US * everyone.target_s, _US * everyone.std_s, "o", mfc="none", mec=VERMILLION, mew=0.9, ms=5.5,
        label="all programmed cells",
    )  # fmt: skip
    spread.errorbar(
        x, _US * converged.std_s, Z95 * _US * converged.std_error_s, fmt="o", color=BLUE, capsize=2.0, lw=1.0,
        label="converged cells, 95 % interval",
    )  # fmt: skip
    grid_s = np.linspace(0.01, 1.0, 200) * g_max_s
    if laws is not None:
        spread.plot(
            _US * grid_s,
            _US * laws.sigma_s(grid_s),
            color=INK,
            ls=(0, (4, 2)),
            lw=1.2,
            label=f"card {laws.card}",
        )
    top = 1.3 * _US * max(
        float(converged.std_s.max(initial=0.0)),
        float(laws.sigma_s(grid_s).max()) if laws is not None else 0.0,
        float(np.median(everyone.std_s)) if everyone.std_s.size else 0.0,
        1e-9,
    )  # fmt: skip
    above = int(np.count_nonzero(_US * everyone.std_s > top))
    spread.set_ylim(0.0, top)
    spread.set_ylabel("standard deviation (µS)")
    spread.legend(loc="lower right", handlelength=2.2)
    if above:
        spread.text(
            0.01, 0.97, f"{above} level{'s' * (above > 1)} of all programmed cells above the scale",
            transform=spread.transAxes, fontsize=7.8, va="top", color=VERMILLION,
        )  # fmt: skip
    panel_title(spread, "a", "Spread of the read about its target")

    bias.axhline(0.0, color=MUTED, lw=0.7)
    bias.errorbar(
        x,
        _US * converged.mean_s,
        Z95 * _US * converged.mean_error_s,
        fmt="o",
        color=BLUE,
        capsize=2.0,
        lw=1.0,
    )
    if laws is not None:
        shift_s = laws.drifted_s(grid_s, np.array(read_age_s)) - grid_s
        bias.plot(
            _US * grid_s, _US * shift_s, color=INK, ls=(0, (1, 1.6)), lw=1.2,
            label=f"mean drift from {laws.t0_s:g} s to {read_age_s:.3g} s",
        )  # fmt: skip
        bias.legend(loc="lower left", handlelength=2.2)
    bias.set_ylabel("mean (µS)")
    bias.margins(y=0.35)
    panel_title(bias, "b", "Bias")

    width = 0.8 * float(np.min(np.diff(np.concatenate(([0.0], x))), initial=_US * g_max_s)) if x.size else 1.0
    number.bar(x, converged.n, width=max(width, 0.004 * _US * g_max_s), color=MUTED, alpha=0.55)
    number.set_yscale("log")
    number.set_ylim(
        0.7 * max(1, int(converged.n.min(initial=10))) / 3, 2.0 * float(converged.n.max(initial=10))
    )
    number.yaxis.set_major_locator(LogLocator(numticks=3))
    number.yaxis.set_minor_locator(NullLocator())
    number.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    number.set_ylabel("cells")
    number.set_xlabel("target conductance (µS)")
    number.set_xlim(0.0, max(1.03 * _US * g_max_s, float(x.max(initial=0.0)) + 0.6 * width))
    number.grid(axis="x", color=GRID)
    figure.align_ylabels()
    return figure


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\u2212")
