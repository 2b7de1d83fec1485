"""How every figure looks: palette, type, axes, and the SVG that goes into the page.

Figures are drawn with matplotlib's object interface, without pyplot and its global state. Colours leave as
CSS variables with the light-mode value behind them, so that one file serves light pages, dark pages and
paper; text stays text. The palette is that of Okabe & Ito (2008), safe for common forms of colour blindness.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from labkit.report.wording import age

__all__ = [
    "BLUE",
    "GREEN",
    "GRID",
    "INK",
    "MUTED",
    "ORANGE",
    "PURPLE",
    "VERMILLION",
    "WIDTH_IN",
    "age_axis",
    "new_figure",
    "panel_title",
    "style",
    "to_svg",
]

INK = "#1b1f24"
MUTED = "#5b6570"
GRID = "#dde2e7"
BLUE = "#0072b2"
VERMILLION = "#d55e00"
GREEN = "#009e73"
ORANGE = "#e69f00"
PURPLE = "#aa5f8f"

_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    BLUE: "blue",
    VERMILLION: "vermillion",
    GREEN: "green",
    ORANGE: "orange",
    PURPLE: "purple",
}

WIDTH_IN = 7.0
"""Width of every figure: 504 pt, so that 8.5 pt type stands at 13 px in a 760 px column."""

_SETTINGS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.borderaxespad": 0.3,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.0,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "xtick.major.width": 0.7,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.0,
    "ytick.major.width": 0.7,
}

_AGES = (
    (1e-6, "1 µs"), (1e-5, "10 µs"), (1e-4, "0.1 ms"), (1e-3, "1 ms"), (1e-2, "10 ms"), (0.1, "0.1 s"),
    (1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h"), (86_400.0, "1 d"),
    (604_800.0, "1 wk"), (2_629_800.0, "1 mo"), (31_557_600.0, "1 y"), (315_576_000.0, "10 y"),
)  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """Apply the look of the report while figures are made and drawn."""
    with mpl.rc_context(_SETTINGS):
        yield


def new_figure(height_in: float) -> Figure:
    """Return an empty figure of the report's width, `height_in` inches high."""
    return Figure(figsize=(WIDTH_IN, height_in), layout="constrained")


def panel_title(axes: Axes, letter: str, text: str) -> None:
    """Title a panel at its left edge: a bold letter and what it shows."""
    axes.set_title(f"{letter}\u2002{text}" if letter else text, loc="left", pad=7.0)


def age_axis(axes: Axes, low_s: float, high_s: float, *, room: float = 1.35) -> None:
    """Make x a logarithmic axis of ages, labelled in words (1 min, 1 h, 1 d).

    Parameters
    ----------
    low_s, high_s : float
        Smallest and largest age shown, seconds.
    room : float
        Factor left free at the right, e.g. for labels.
    """
    low, high = low_s / 1.35, high_s * room
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    inside = [(seconds, text) for seconds, text in _AGES if low <= seconds <= high]
    if len(inside) < 2:
        inside = [(seconds, age(seconds)) for seconds in sorted({low_s, high_s})]
    chosen = inside[:: -(1 + (len(inside) - 1) // 9)]
    axes.xaxis.set_major_locator(FixedLocator([seconds for seconds, _ in chosen]))
    axes.set_xticklabels([text for _, text in chosen])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def to_svg(figure: Figure, name: str, description: str) -> str:
    """Draw a figure as an SVG element for the page.

    Parameters
    ----------
    figure : Figure
        The figure; call this inside :func:`style`.
    name : str
        Seeds the identifiers inside, which must differ between the figures of one page.
    description : str
        What a screen reader says.
    """
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.set_canvas(FigureCanvasSVG(figure))
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<style type="text/css">.*?</style>', "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1var(--figure-type, sans-serif)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    box = re.search(r'viewBox="[^"]*"', text)
    if box is None:
        raise ValueError(f"figure {name} gave no SVG")
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return re.sub(
        r"<svg[^>]*>",
        lambda _: (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]} '
            f'role="img" aria-label="{label}">'
        ),
        text,
        count=1,
    )
