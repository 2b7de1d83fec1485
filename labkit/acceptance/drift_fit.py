"""Mean and spread of the drift exponent from noisy reads: maximum likelihood of the covariance (algorithms §5.3).

The logarithms of the reads of one cell are ``l - nu x_j + n_j``, x the logarithm of the age. The noise of PCM is
correlated in time, and a spread of slopes taken cell by cell would contain it (+40 % at one day of reads). So the
covariance over cells is fitted: of the levels l, of nu, of the two together, of the 1/f states with their known
time constants and an unknown strength, and of white noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labkit.acceptance.row import Measured

if TYPE_CHECKING:
    from calibration.laws.read_noise import ReadNoise

__all__ = ["DriftFit", "fit_drift", "noise_shape"]

_Floats = NDArray[np.float64]
_STEP = 1e-3


@dataclass(frozen=True)
class DriftFit:
    """Population of the drift exponent.

    Attributes
    ----------
    mean, spread : Measured
        Of nu.
    strength : float
        Fitted Q_s.
    """

    mean: Measured
    spread: Measured
    strength: float


def noise_shape(
    law: ReadNoise,
    ages_s: _Floats,
    *,
    aperture_s: float,
    spacing_s: float,
    samples: int,
    pinned_above_s: float = math.inf,
) -> _Floats:
    """Return the covariance of reads at these ages in units of Q_s^2, shape (ages, ages).

    The states of the law, each averaged over the read; between two reads it fades with its time constant.

    Parameters
    ----------
    law : ReadNoise
    ages_s : ndarray, shape (ages,)
    aperture_s, spacing_s, samples
        Of each read.
    pinned_above_s : float
        States slower than this were taken out of the level at the pulse (device-physics §1.6 b), so that only
        what they have moved since then is noise.
    """
    tau = law.time_constants_s()
    variance = law.state_variances()
    left = law.averaging_factor(aperture_s, spacing_s, samples)
    lag_s = np.abs(ages_s[:, np.newaxis] - ages_s[np.newaxis, :])
    fading = np.exp(-lag_s[..., np.newaxis] / tau)
    shape: _Floats = fading @ variance
    np.fill_diagonal(shape, float(variance @ left))
    slow = tau > pinned_above_s
    kept = np.exp(-ages_s[:, np.newaxis] / tau[slow]) @ variance[slow]
    return shape - kept[:, np.newaxis] - kept[np.newaxis, :] + float(variance[slow].sum())


def fit_drift(g_s: _Floats, ages_s: _Floats, shape: _Floats) -> DriftFit:
    """Fit the exponents of a population of cells.

    Parameters
    ----------
    g_s : ndarray of float64, shape (ages, cells)
        Reads, siemens; cells with one that is not positive are left out.
    ages_s : ndarray of float64, shape (ages,)
    shape : ndarray of float64, shape (ages, ages)
        Covariance of the noise over its strength squared; see :func:`noise_shape`.
    """
    from scipy.optimize import minimize

    good = np.all(np.isfinite(g_s) & (g_s > 0.0), axis=0)
    y = np.log(g_s[:, good])
    n, x = int(good.sum()), np.log(ages_s / ages_s[0])
    mean, sample = y.mean(axis=1), np.cov(y)
    design = np.stack([np.ones_like(x), -x], axis=1)
    slopes = np.polyfit(x, y, 1)[0]
    # Moments to start from: the slopes of single cells are too wide, the levels nearly right.
    start = [0.5 * math.log(sample[0, 0]), math.log(0.7 * slopes.std()), 0.0]

    def covariance(p: _Floats) -> _Floats:
        level, spread, rho = math.exp(p[0]), math.exp(p[1]), math.tanh(p[2])
        cross = rho * level * spread * (x[:, np.newaxis] + x[np.newaxis, :])
        white = math.exp(2.0 * p[4]) * np.eye(x.size)
        return np.asarray(
            level**2 + spread**2 * np.outer(x, x) - cross + math.exp(2.0 * p[3]) * shape + white
        )

    def loss(p: _Floats) -> float:
        v = covariance(p)
        try:
            factor = np.linalg.cholesky(v)
        except np.linalg.LinAlgError:
            return 1e12
        whole = np.linalg.inv(v)
        theta = np.linalg.solve(design.T @ whole @ design, design.T @ whole @ mean)
        rest = mean - design @ theta
        log_determinant = 2.0 * float(np.log(np.diag(factor)).sum())
        return 0.5 * (
            log_determinant + (n - 1) / n * float(np.sum(whole * sample)) + float(rest @ whole @ rest)
        )

    bounds = [(-9.0, 1.0), (-9.0, 1.0), (-3.0, 3.0), (-9.0, 1.0), (-9.0, 1.0)]
    found = min(
        (
            minimize(loss, [*start, math.log(q), math.log(w)], method="L-BFGS-B", bounds=bounds)
            for q, w in ((0.02, 0.01), (0.005, 0.05))
        ),
        key=lambda result: float(result.fun),
    )
    p = np.asarray(found.x, np.float64)
    whole = np.linalg.inv(covariance(p))
    information = design.T @ whole @ design
    theta = np.linalg.solve(information, design.T @ whole @ mean)
    mean_error = math.sqrt(float(np.linalg.inv(information)[1, 1]) / n)
    spread = math.exp(p[1])
    spread_error = spread * _log_error(loss, p, n, bounds)
    return DriftFit(Measured(float(theta[1]), mean_error), Measured(spread, spread_error), math.exp(p[3]))


def _log_error(loss: object, p: _Floats, n: int, bounds: list[tuple[float, float]]) -> float:
    """Return the standard error of ln(spread of nu) from the Hessian of all parameters that are at no bound."""
    assert callable(loss)  # noqa: S101
    free = [k for k, (low, high) in enumerate(bounds) if low + 0.05 < p[k] < high - 0.05]
    if 1 not in free:
        return math.inf
    hessian = np.empty((len(free), len(free)))
    for a, i in enumerate(free):
        for b, j in enumerate(free):
            total = 0.0
            for sign_i, sign_j in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = p.copy()
                moved[i] += sign_i * _STEP
                moved[j] += sign_j * _STEP
                total += sign_i * sign_j * float(loss(moved))
            hessian[a, b] = total / (4.0 * _STEP * _STEP)
    inverse = np.linalg.pinv(n * hessian)
    return math.sqrt(max(float(inverse[free.index(1), free.index(1)]), 0.0))
