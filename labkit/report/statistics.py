"""Numbers behind the figures: spread and bias per target level with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LevelStatistics", "level_edges", "level_statistics"]

_LEVELS_MAX = 32
_BINS = 25
Z95 = 1.959964
"""Half width of a 95 % normal interval in standard errors."""


@dataclass(frozen=True, eq=False)
class LevelStatistics:
    """Mean and standard deviation of residuals per target level; arrays have shape (levels,).

    Attributes
    ----------
    target_s : mean target of the level's cells, siemens
    n : number of cells
    mean_s, std_s : mean and standard deviation of the residuals, siemens
    mean_error_s, std_error_s : standard errors of both
    """

    target_s: NDArray[np.float64]
    n: NDArray[np.int64]
    mean_s: NDArray[np.float64]
    std_s: NDArray[np.float64]
    mean_error_s: NDArray[np.float64]
    std_error_s: NDArray[np.float64]


def level_edges(target_s: NDArray[np.float32], g_max_s: float) -> NDArray[np.float64]:
    """Return bin edges of targets: around each level where there are few, else of equal widths."""
    levels = np.unique(target_s[target_s > 0]).astype(np.float64)
    if 1 <= levels.size <= _LEVELS_MAX:
        middles = 0.5 * (levels[1:] + levels[:-1])
        return np.concatenate(([0.5 * levels[0]], middles, [1.5 * levels[-1]]))
    top = max(g_max_s, float(levels[-1]) if levels.size else g_max_s)
    return np.linspace(0.0, top * (1 + 1e-6), _BINS + 1)


def level_statistics(
    target_s: NDArray[np.float32],
    residual_s: NDArray[np.float64],
    edges_s: NDArray[np.float64],
    *,
    fewest: int = 30,
) -> LevelStatistics:
    """Compute mean and spread of residuals per target level.

    The standard error of a standard deviation s of n residuals with kurtosis k is s sqrt((k - 1) / (4 n)),
    whatever their distribution.

    Parameters
    ----------
    target_s, residual_s : ndarray, shape (n,)
        Targets and residuals, siemens; residuals are finite.
    edges_s : ndarray, shape (levels + 1,)
        Edges of the levels; cells outside are not used.
    fewest : int
        Levels of fewer cells are left out.
    """
    target = target_s.astype(np.float64)
    # Levels open at the left: a target of exactly zero belongs to none.
    where = np.searchsorted(edges_s, target, side="left") - 1
    inside = (where >= 0) & (where < edges_s.size - 1)
    where, target, residual = where[inside], target[inside], residual_s[inside]

    def total(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(where, weights, edges_s.size - 1).astype(np.float64, copy=False)

    count = np.bincount(where, minlength=edges_s.size - 1)
    enough = count >= max(2, fewest)
    n = np.maximum(count, 2).astype(np.float64)
    mean = total(residual) / n
    square = (residual - mean[where]) ** 2
    second = total(square) / n
    std = np.sqrt(second * n / (n - 1.0))
    # In units of the variance first: fourth powers of siemens are too small for floating point.
    scaled = square / np.where(second > 0.0, second, 1.0)[where]
    kurtosis = total(scaled**2) / n
    return LevelStatistics(
        target_s=(total(target) / n)[enough],
        n=count[enough],
        mean_s=mean[enough],
        std_s=std[enough],
        mean_error_s=(std / np.sqrt(n))[enough],
        std_error_s=(std * np.sqrt(np.maximum(kurtosis - 1.0, 0.0) / (4.0 * n)))[enough],
    )
