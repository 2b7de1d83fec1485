"""How the verify loop worked: convergence per pass, and pulses over the array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from labkit.report.evidence import Cells
from labkit.report.style import BLUE, GREEN, INK, MUTED, VERMILLION, new_figure, panel_title

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PulseMap", "convergence", "pulse_map"]

_US = 1e6
_PIXELS = 1 << 20
_UNPROGRAMMED = (0.55, 0.58, 0.61, 0.38)
_UNCONVERGED = (0.835, 0.369, 0.0, 1.0)


def convergence(passes: pd.DataFrame, cells: int) -> Figure:
    """Draw the fraction converged and the verify error over the passes of the loop.

    Parameters
    ----------
    passes : DataFrame
        Table ``passes`` of a run.
    cells : int
        Number of programmed cells.
    """
    number = passes["pass"].to_numpy()
    fraction = 100.0 * passes["converged_total"].to_numpy() / max(cells, 1)
    error_us = _US * passes["rms_error_s"].to_numpy(np.float64)
    figure = new_figure(2.6)
    left, right = figure.subplots(1, 2)
    size = 3.4 if number.size <= 25 else 2.2
    left.plot(number, fraction, "o-", color=BLUE, ms=size)
    left.set_ylim(0, 104)
    left.annotate(
        f"{fraction[-1]:.2f} %", (number[-1], fraction[-1]), xytext=(0, -9), textcoords="offset points",
        ha="right", va="top", color=BLUE, fontsize=8.5, fontweight="bold",
    )  # fmt: skip
    left.set_ylabel("cells converged (%)")
    panel_title(left, "a", "Converged")
    good = np.isfinite(error_us) & (error_us > 0)
    right.plot(number[good], error_us[good], "o-", color=GREEN, ms=size)
    if good.any():
        right.set_yscale("log")
        right.set_ylim(0.75 * error_us[good].min(), 1.35 * error_us[good].max())
        narrow = error_us[good].max() < 25 * error_us[good].min()
        right.yaxis.set_major_locator(
            LogLocator(subs=(1.0, 2.0, 3.0, 5.0) if narrow else (1.0,), numticks=12)
        )
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        right.yaxis.set_minor_formatter(NullFormatter())
    right.set_ylabel("rms verify error (µS)")
    panel_title(right, "b", "Verify error")
    for axes in (left, right):
        axes.set_xlabel("pass")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
    return figure


class PulseMap:
    """Pulse counts laid out as the array, banks tiled side by side.

    Attributes
    ----------
    pulses : ndarray, shape (banks, rows / factor, cols / factor)
        Mean pulses of the programmed cells of each pixel, NaN where none is programmed.
    unconverged : ndarray of bool, same shape
        Pixels with a programmed cell that did not converge; all False where `factor` > 1.
    factor : int
        Edge of one pixel in cells.
    """

    def __init__(self, cells: Cells, banks: int, rows: int, cols: int) -> None:
        total = banks * rows * cols
        self.banks, self.rows, self.cols = banks, rows, cols
        self.factor = max(1, int(np.ceil(np.sqrt(total / _PIXELS))))
        index = cells.index.astype(np.int64)
        bank, place = np.divmod(index, rows * cols)
        row, col = np.divmod(place, cols)
        high, wide = -(-rows // self.factor), -(-cols // self.factor)
        pixel = (bank * high + row // self.factor) * wide + col // self.factor
        shape = (banks, high, wide)
        size = banks * high * wide
        number = np.bincount(pixel, minlength=size)
        given = np.bincount(pixel, cells.pulses, size)
        mean = np.divide(given, number, out=np.full(size, np.nan), where=number > 0)
        self.pulses: NDArray[np.float64] = mean.reshape(shape)
        failed = np.bincount(pixel, ~cells.converged, size) > 0
        self.unconverged: NDArray[np.bool_] = (failed & (self.factor == 1)).reshape(shape)


def pulse_map(content: PulseMap, pulses: NDArray[np.uint32]) -> Figure:
    """Draw pulses per cell over the array, with their distribution as the colour scale.

    Parameters
    ----------
    content : PulseMap
        The array.
    pulses : ndarray, shape (n,)
        Pulses of the programmed cells.
    """
    across = int(np.ceil(np.sqrt(content.banks * content.rows / content.cols)))
    across = min(max(across, 1), content.banks)
    down = -(-content.banks // across)
    aspect = down * content.pulses.shape[1] / (across * content.pulses.shape[2])
    figure = new_figure(float(np.clip(4.7 * aspect, 1.9, 5.2)) + 0.55)
    left, right = figure.subplot_mosaic([["map", "scale"]], width_ratios=[4.7, 1.25]).values()

    top = max(2, int(np.ceil(np.quantile(pulses, 0.995))))
    colours = mpl.colormaps["cividis"]

    def shade(number: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.log(np.clip(number, 1.0, top)) / np.log(top), np.float64)

    image = colours(shade(np.nan_to_num(content.pulses, nan=1.0)), bytes=True)
    image[np.isnan(content.pulses)] = np.round(255 * np.array(_UNPROGRAMMED))
    image[content.unconverged] = np.round(255 * np.array(_UNCONVERGED))
    _draw_banks(left, image, content, across, down)
    panel_title(left, "a", "Pulses per cell over the array")

    bins = np.arange(0, top + 2) - 0.5
    counts, _ = np.histogram(np.minimum(pulses, top), bins)
    share = 100.0 * counts / pulses.size
    right.barh(np.arange(top + 1), share, height=1.0, color=colours(shade(np.arange(top + 1.0))), lw=0)
    right.set_xscale("log")
    right.set_xlim(max(0.5 * share[share > 0].min(), 1e-4), 130.0)
    right.xaxis.set_major_locator(FixedLocator([0.001, 0.01, 0.1, 1.0, 10.0, 100.0]))
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.xaxis.set_minor_locator(NullLocator())
    right.set_ylim(-0.5, top + 0.5)
    right.set_xlabel("cells (%)")
    right.set_ylabel("pulses")
    ticks = np.asarray(MaxNLocator(integer=True, nbins=9).tick_values(0, top), np.float64)
    right.yaxis.set_major_locator(FixedLocator([*ticks[ticks < 0.93 * top].tolist(), float(top)]))
    right.yaxis.set_major_formatter(
        FuncFormatter(
            lambda value, _: f"≥ {value:g}" if value == top and pulses.max() > top else f"{value:g}"
        )
    )
    right.grid(axis="y", visible=False)
    mean = float(pulses.mean())
    right.axhline(mean, color=INK, lw=0.9, ls=(0, (4, 2)))
    right.text(
        1.0,
        0.985,
        f"mean {mean:.2f}\n(dashed)",
        transform=right.transAxes,
        ha="right",
        va="top",
        fontsize=7.8,
    )
    panel_title(right, "b", "Distribution")
    if content.unconverged.any():
        left.plot([], [], "s", color=VERMILLION, ms=5, label="not converged")
    left.plot([], [], "s", color=MUTED, alpha=0.4, ms=5, label="not programmed")
    below = left.transAxes + ScaledTranslation(0.0, -17 / 72, figure.dpi_scale_trans)
    left.legend(
        loc="upper right", bbox_to_anchor=(1.0, 0.0), bbox_transform=below, ncols=2, handletextpad=0.2,
        columnspacing=1.2,
    )  # fmt: skip
    return figure


def _draw_banks(axes: Axes, image: NDArray[np.uint8], content: PulseMap, across: int, down: int) -> None:
    high, wide = image.shape[1:3]
    gap = max(1, round(0.015 * max(high, wide))) if content.banks > 1 else 0
    sheet = np.zeros((down * (high + gap) - gap, across * (wide + gap) - gap, 4), np.uint8)
    for bank in range(content.banks):
        top, side = (bank // across) * (high + gap), (bank % across) * (wide + gap)
        sheet[top : top + high, side : side + wide] = image[bank]
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if content.banks == 1:
        axes.imshow(sheet, interpolation="none", extent=(0, content.cols, content.rows, 0), aspect="equal")
        axes.set_xlabel("column (bit line)", loc="left")
        axes.set_ylabel("row (word line)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 2.5, 5, 10]))
        return
    axes.imshow(sheet, interpolation="none", aspect="equal")
    axes.set_xticks([wide / 2 + i * (wide + gap) for i in range(across)] if down == 1 else [])
    axes.set_yticks([high / 2 + i * (high + gap) for i in range(down)])
    if down == 1:
        axes.set_xticklabels([f"bank {i}" for i in range(across)])
        axes.set_yticks([])
    else:
        firsts = range(0, content.banks, across)
        lasts = [min(first + across, content.banks) - 1 for first in firsts]
        names = [f"banks {a}\u2013{b}" if a < b else f"bank {a}" for a, b in zip(firsts, lasts, strict=True)]
        axes.set_yticklabels(names, rotation=90, va="center")
    axes.tick_params(length=0)
