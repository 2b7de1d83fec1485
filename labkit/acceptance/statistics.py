"""Estimates with their standard errors: means, spreads, quantiles, shares, and what a bootstrap gives.

Of no values at all every estimate is NaN, which no tolerance accepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.acceptance.row import Measured

__all__ = [
    "bootstrapped",
    "mean_of",
    "median_of",
    "quantile_of",
    "rms_of",
    "share_of",
    "slope_of",
    "spread_of",
]

_Floats = NDArray[np.float64]
_RESAMPLES = 200
_NOTHING = Measured(math.nan)


def _finite(values: ArrayLike) -> _Floats:
    array = np.asarray(values, np.float64).ravel()
    return array[np.isfinite(array)]


def mean_of(values: ArrayLike) -> Measured:
    """Return the mean; its standard error is s / sqrt(n)."""
    x = _finite(values)
    if not x.size:
        return _NOTHING
    return Measured(float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else 0.0)


def spread_of(values: ArrayLike) -> Measured:
    """Return the standard deviation s; its standard error is s sqrt((k - 1) / (4 n)), k the kurtosis.

    That holds whatever the distribution; for a normal one (k = 3) it is s / sqrt(2 n).
    """
    x = _finite(values)
    if not x.size:
        return _NOTHING
    deviation = x - x.mean()
    variance = float(np.mean(deviation**2))
    if variance == 0.0:
        return Measured(0.0)
    kurtosis = float(np.mean((deviation**2 / variance) ** 2))
    s = math.sqrt(variance * x.size / (x.size - 1))
    return Measured(s, s * math.sqrt(max(kurtosis - 1.0, 0.0) / (4.0 * x.size)))


def rms_of(values: ArrayLike) -> Measured:
    """Return the root of the mean square, with its standard error."""
    square = mean_of(_finite(values) ** 2)
    root = math.sqrt(square.value)
    return Measured(root, square.error / (2.0 * root) if root > 0 else 0.0)


def quantile_of(values: ArrayLike, share: float) -> Measured:
    """Return a quantile; its standard error is half the distance of the order statistics one binomial sigma off."""
    x = _finite(values)
    if not x.size:
        return _NOTHING
    step = math.sqrt(share * (1.0 - share) / x.size)
    low, middle, high = np.quantile(x, [max(share - step, 0.0), share, min(share + step, 1.0)])
    return Measured(float(middle), float(0.5 * (high - low)))


def median_of(values: ArrayLike) -> Measured:
    """Return the median and its standard error."""
    return quantile_of(values, 0.5)


def share_of(count: int, total: int) -> Measured:
    """Return a share; its binomial standard error counts two more of either kind (Agresti and Coull 1998)."""
    if not total:
        return _NOTHING
    p = (count + 2.0) / (total + 4.0)
    return Measured(count / total, math.sqrt(p * (1.0 - p) / (total + 4.0)))


def slope_of(x: ArrayLike, y: ArrayLike) -> Measured:
    """Return the slope of the straight line through points, its error from what the line leaves."""
    (slope, _), covariance = np.polyfit(np.asarray(x, np.float64), np.asarray(y, np.float64), 1, cov=True)
    return Measured(float(slope), math.sqrt(float(covariance[0, 0])))


def bootstrapped(
    estimate: Callable[[NDArray[np.intp]], float], n: int, *, seed: int, resamples: int = _RESAMPLES
) -> Measured:
    """Return an estimate over cells and its standard error by resampling them.

    Parameters
    ----------
    estimate : callable
        Of the cells at these places, some of them several times.
    n : int
        Number of cells.
    """
    random = np.random.default_rng(seed)
    again = [estimate(random.integers(0, n, n)) for _ in range(resamples)]
    return Measured(estimate(np.arange(n)), float(np.std(again, ddof=1)))
