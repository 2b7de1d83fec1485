"""What one should see in each figure, in words."""

from __future__ import annotations

from labkit.report.wording import age, count, percent

__all__ = [
    "accuracy",
    "convergence",
    "current_voltage",
    "drift",
    "error_by_target",
    "every_cell",
    "pulses",
    "residuals",
    "staircase",
    "traces",
]


def residuals(read_age_s: float) -> str:
    """Caption of the residual histogram; `read_age_s` is the median age at the read."""
    return (
        f"First independent read, {age(read_age_s)} after the last pulse, minus the target. The read by "
        "which the loop accepted a cell is not used, because it was chosen for being close. Good "
        "programming shows one narrow peak near zero. Mean, standard deviation and the dashed normal are "
        "those of the converged cells; their histogram may be narrower at its top and wider at its feet "
        "than the normal, since the spread depends on the target (next figure). Cells that did not "
        "converge are drawn apart: stuck cells stand far out. Zero targets are RESET cells: their "
        "residual is the conductance that is left."
    )


def error_by_target(*, with_laws: bool) -> str:
    """Caption of spread and bias against the target."""
    expectation = (
        "The dashed curve is the programming error on the run's card. On a chip like that of Joshi et al. "
        "2020 the points lie near it: up to 10 % below where read noise averages out, up to 40 % above "
        "where one short read adds its own noise; the curve itself misses the measured points behind it "
        "by up to 12 %. The dotted curve in panel b is the mean drift from the card's reference age to "
        "this read; points away from it are a systematic error of the loop."
        if with_laws
        else "The run holds no readable device card, so no expectation is drawn."
    )
    return (
        "Standard deviation, mean and number of cells in each level of target, from the same read as "
        f"above, with 95 % intervals; levels of fewer than 30 cells are left out. {expectation} Open "
        "circles far above the points are levels with stuck or unconverged cells."
    )


def convergence(passes: int, fraction: float, cells: int) -> str:
    """Caption of convergence per pass."""
    return (
        f"After {count(passes)} passes {percent(fraction, 2)} of {count(cells)} cells were accepted. The "
        "fraction should rise steeply and level off near 100 %; a plateau well below means that the "
        "margin is tighter than noise and pulse spread allow, or that cells are stuck. The rms verify "
        "error falls while cells approach their targets; where it is taken over the cells still active it "
        "rises again at the end, when only the difficult ones are left."
    )


def pulses(factor: int, unconverged: int) -> str:
    """Caption of the map of pulses; one pixel is `factor` cells wide and high."""
    scale = (
        f"One pixel is the mean of {factor} \u00d7 {factor} cells; cells that did not converge are not "
        "marked at this scale. "
        if factor > 1
        else ""
    )
    where = "should be scattered, not in lines" if factor == 1 else "are in the table of cells"
    return (
        f"{scale}Colours are logarithmic and are those of the distribution beside the map. Differences "
        "between layers of the network are expected, since pulses depend on the target. Anything beyond "
        "that which follows rows, columns or edges is a fault of lines, drivers or contacts; the "
        f"{count(unconverged)} unconverged cells {where}."
    )


def drift(reads: int, t0_s: float | None) -> str:
    """Caption of the drift of the read-backs; `t0_s` is the card's reference age, None without card."""
    law = (
        f"Dashed: target times (age / {t0_s:g} s) to the power \u2212\u03bd, with the mean exponent "
        "\u03bd of the card. Medians should follow it; a band that widens with age is the spread of "
        "exponents between cells."
        if t0_s is not None
        else "The run holds no readable device card, so no prediction is drawn."
    )
    return (
        "Median of the converged cells of each target (points) and the range holding the middle 80 % of "
        f"them (bands) in {reads} reads. {law}"
    )


def accuracy() -> str:
    """Caption of the accuracy over time."""
    return (
        "The programmed network classifies its test images with the conductances read back at each age. "
        "Without compensation all weights shrink together as the cells drift; how much that costs depends on "
        "the network (one of ReLU layers mostly loses scale, one with normalised layers loses its classes). "
        "One scale factor per layer, from the summed conductance at each age, takes the common drift out. What "
        "stays missing against the software is programming error, read noise and the spread of drift between "
        "cells."
    )


def every_cell(reads: int) -> str:
    """Caption of the cells one by one."""
    fan = (
        "Each line in panel b is one cell; lines that fall together drift alike, lines that cross do not. "
        if reads > 1
        else ""
    )
    return (
        "First independent read against the target; good programming lies on the line. "
        f"{fan}The read by which the loop accepted a cell is not shown."
    )


def traces(series_ohm: object, pulses: int) -> str:
    """Caption of the scope traces; `series_ohm` is the load resistor where it is known."""
    load = (
        f"the load resistor of {series_ohm:g} \u03a9"
        if isinstance(series_ohm, int | float)
        else "a load resistor"
    )
    return (
        f"{count(pulses)} pulses as the oscilloscope recorded them on both sides of {load}; the current is the "
        "difference of both voltages over it. An amorphous cell carries hardly any current until its threshold "
        "voltage is reached; then its voltage collapses within nanoseconds to that of the conducting state and the "
        "load line fixes the current. A crystalline cell conducts from the start. A RESET pulse ends steeply, so "
        "that the melt is quenched; a SET pulse is weaker and longer, or ends slowly."
    )


def current_voltage() -> str:
    """Caption of the I-V curves."""
    return (
        "Sweeps below the threshold voltage, one line per cell, darker for more conductance; readings at which the "
        "compliance acted are left out. Crystalline cells are ohmic; the lower the conductance, the more the current "
        "grows beyond Ohm's law."
    )


def staircase(cells: int) -> str:
    """Caption of the staircase of RESET pulses."""
    return (
        f"Conductance of {count(cells)} cells after each step of a rising staircase of RESET pulses. It stays where "
        "it is until the pulse melts, then falls as the amorphous volume grows; where that begins differs from "
        "cell to cell, which is why cells are programmed with a verify loop."
    )
