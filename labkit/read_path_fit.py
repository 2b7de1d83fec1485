"""Gain and offset of every column from readings of resistors, with intervals that say what is not known.

Weighted least squares of ``I_read = gain I + offset`` per column, ``I`` being the nominal current of each
reference cell. Three things spread the readings about the line, and their variances add:

- *tolerance*: the cell's own value is not its nominal one. It does not average out over repeats, only over
  cells: ``(gain I tolerance / 2)^2``, tolerance being 95 %, two standard deviations.
- *noise* of the mean of all readings of the cell, from how they scatter; pooled over all columns, since the
  converters are alike.
- *steps* of the converter that the noise did not smear. Noise of sigma steps leaves of their error the variance
  ``sum_k exp(-4 pi^2 k^2 sigma^2) / (2 pi^2 k^2)`` squared steps (the Fourier series of the sawtooth): 1/12
  without noise, nothing from half a step on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColumnFit", "fit_columns", "reading_variance_a2", "step_variance"]

Floats = NDArray[np.float64]

FALSE_ALARM = 5.7e-7
"""How often a sound column is called broken by one test: 5 standard deviations, both sides."""

_HARMONICS = np.arange(1, 51, dtype=np.float64)
_MEDIAN_SHARE = 0.37
"""Efficiency of the median absolute deviation, against the standard deviation, for normal numbers."""
_HALF_WIDTH = 1.959964  # of a 95 % interval, standard deviations


@dataclass(frozen=True, eq=False)
class ColumnFit:
    """What was found; arrays of shape (cols,), NaN where a column is broken.

    Attributes
    ----------
    gain, offset_a : ndarray of float64
    gain_half_width, offset_half_width_a : ndarray of float64
        Halves of the 95 % intervals.
    covariance_a : ndarray of float64
        Of the errors of gain and offset, ampere.
    broken : dict of int to str
        Columns that cannot be calibrated, and why.
    misfit : float or None
        Rms distance of the cells from the lines, standard deviations; None where two cells make each line.
    """

    gain: Floats
    offset_a: Floats
    gain_half_width: Floats
    offset_half_width_a: Floats
    covariance_a: Floats
    broken: dict[int, str]
    misfit: float | None


def step_variance(noise_steps: float) -> float:
    """Return the variance that the steps of a converter leave in a mean, in squared steps.

    Parameters
    ----------
    noise_steps : float
        Standard deviation of the noise in front of it, in steps.
    """
    if noise_steps == 0.0:
        return 1.0 / 12.0
    smeared = np.exp(-4.0 * np.pi**2 * _HARMONICS**2 * noise_steps**2)
    return float(np.sum(smeared / (2.0 * np.pi**2 * _HARMONICS**2)))


def reading_variance_a2(
    variance_a2: Floats, *, samples: int, repeats: int, step_a: float
) -> tuple[float, float]:
    """Return the variance of one reading, and that of the mean of all readings of a cell, A^2.

    Parameters
    ----------
    variance_a2 : ndarray of float64, shape (n,)
        How the readings of each cell of a kind scatter; NaN where it was not read.
    samples, repeats : int
        Conversions per reading, readings per cell.
    step_a : float
        Step of the converter, ampere.
    """
    from scipy.stats import chi2

    known = variance_a2[np.isfinite(variance_a2)]
    freedom = repeats - 1
    # From the median, which a few bad columns do not move.
    single = float(np.median(known)) * freedom / float(chi2.median(freedom)) if known.size else 0.0
    # A single conversion scatters by its noise and at most by what the steps add, 1/12.
    noise_steps = np.sqrt(max(0.0, single * samples / step_a**2 - 1.0 / 12.0))
    return single, single / repeats + step_variance(float(noise_steps)) * step_a**2


def fit_columns(
    current_a: Floats,
    read_a: Floats,
    variance_a2: Floats,
    kind: NDArray[np.int64],
    *,
    tolerance: float,
    samples: int,
    repeats: int,
    step_a: float,
) -> ColumnFit:
    """Fit a line to the references of each column.

    Parameters
    ----------
    current_a : ndarray of float64, shape (n, cols)
        Nominal current of each reference cell, ampere.
    read_a : ndarray of float64, shape (n, cols)
        Mean reading of each, ampere; NaN where it could not be read.
    variance_a2 : ndarray of float64, shape (n, cols)
        Sample variance of its readings.
    kind : ndarray of int, shape (n,)
        Which of them have the same nominal value.
    tolerance : float
        Of the nominal values, 95 %, as a fraction.
    samples, repeats : int
        Conversions per reading, readings per cell.
    step_a : float
        Step of the converter, ampere.
    """
    broken = _unread(read_a, kind)
    single = np.empty(kind.size)
    mean = np.empty(kind.size)
    for which in np.unique(kind):
        found = reading_variance_a2(
            variance_a2[kind == which].ravel(), samples=samples, repeats=repeats, step_a=step_a
        )
        single[kind == which], mean[kind == which] = found
    for column in _noisy(variance_a2, single, samples=samples, repeats=repeats, step_a=step_a):
        broken.setdefault(column, "its readings scatter far more than those of the others")
    known = np.isfinite(read_a)
    gain = np.ones(read_a.shape[1])
    for _ in range(2):  # the second time the tolerance is weighed with the gain that was found
        spread_a2 = np.square(gain * current_a * tolerance / 2.0) + mean[:, np.newaxis]
        weight = np.where(known, 1.0 / spread_a2, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            gain, offset, gain_a2, offset_a2, covariance = _lines(weight, current_a, read_a)
    with np.errstate(invalid="ignore"):
        distance = weight * np.square(read_a - gain * current_a - offset)
    chi_square = np.nansum(np.where(known, distance, 0.0), axis=0)
    freedom = known.sum(axis=0) - 2
    for column in _crooked(chi_square, freedom):
        broken.setdefault(column, "its references do not lie on one line")
    for column in _far_off(gain, np.array([column not in broken for column in range(gain.size)])):
        broken.setdefault(column, f"its gain of {gain[column]:.3g} lies far from that of the others")
    sound = np.ones(gain.size, np.bool_)
    sound[list(broken)] = False
    ends = int(freedom[sound].sum())
    return ColumnFit(
        gain=np.where(sound, gain, np.nan),
        offset_a=np.where(sound, offset, np.nan),
        gain_half_width=np.where(sound, _HALF_WIDTH * np.sqrt(np.abs(gain_a2)), np.nan),
        offset_half_width_a=np.where(sound, _HALF_WIDTH * np.sqrt(np.abs(offset_a2)), np.nan),
        covariance_a=np.where(sound, covariance, np.nan),
        broken=dict(sorted(broken.items())),
        misfit=float(np.sqrt(chi_square[sound].sum() / ends)) if ends > 0 else None,
    )


def _lines(weight: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Weighted least squares of each column: slope, intercept, their variances and covariance."""
    y = np.where(weight > 0.0, y, 0.0)
    total = weight.sum(axis=0)
    x_mean = (weight * x).sum(axis=0) / total
    y_mean = (weight * y).sum(axis=0) / total
    away = x - x_mean
    spread = (weight * away**2).sum(axis=0)
    slope = (weight * away * (y - y_mean)).sum(axis=0) / spread
    slope_variance = 1.0 / spread
    covariance = -x_mean * slope_variance
    return (
        slope,
        y_mean - slope * x_mean,
        slope_variance,
        1.0 / total + x_mean**2 * slope_variance,
        covariance,
    )


def _unread(read_a: Floats, kind: NDArray[np.int64]) -> dict[int, str]:
    """Columns that do not have two references of different value."""
    known = np.isfinite(read_a)
    kinds = np.array([known[kind == which].any(axis=0) for which in np.unique(kind)]).sum(axis=0)
    broken = dict.fromkeys(np.flatnonzero(kinds == 1).tolist(), "only references of one value could be read")
    return broken | dict.fromkeys(np.flatnonzero(kinds == 0).tolist(), "none of its references could be read")


def _noisy(variance_a2: Floats, single: Floats, *, samples: int, repeats: int, step_a: float) -> list[int]:
    """Columns one of whose references scatters beyond what happens by chance."""
    from scipy.stats import chi2

    limit = float(chi2.isf(0.5 * FALSE_ALARM, repeats - 1)) / (repeats - 1)
    # The last term is what the steps alone can scatter: half a step to either side.
    allowed = limit * (single + step_a**2 / (4.0 * samples))[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        return [int(column) for column in np.flatnonzero((variance_a2 > allowed).any(axis=0))]


def _crooked(chi_square: Floats, freedom: NDArray[np.int64]) -> list[int]:
    from scipy.stats import chi2

    limit = chi2.isf(0.5 * FALSE_ALARM, np.maximum(freedom, 1))
    return [int(column) for column in np.flatnonzero((freedom > 0) & (chi_square > limit))]


def _far_off(gain: Floats, trusted: NDArray[np.bool_]) -> list[int]:
    """Columns whose gain lies farther from the median than chance allows, or is not above zero.

    Few columns say little about how gains spread, so the limit is that of Student's t: 5 standard deviations
    of many columns, more of few.
    """
    from scipy.stats import t as student

    with np.errstate(invalid="ignore"):
        dead = trusted & ~(gain > 0.0)
    sound = trusted & ~dead
    if np.count_nonzero(sound) < 3:
        return [int(column) for column in np.flatnonzero(dead)]
    centre = float(np.median(gain[sound]))
    spread = 1.4826 * float(np.median(np.abs(gain[sound] - centre)))
    freedom = max(1.0, _MEDIAN_SHARE * (np.count_nonzero(sound) - 1))
    limit = float(student.isf(0.5 * FALSE_ALARM, freedom)) * spread
    far = sound & (np.abs(gain - centre) > max(limit, 1e-6 * abs(centre)))
    return [int(column) for column in np.flatnonzero(far | dead)]
