"""Spectra of read traces, and what the sampling makes of the spectrum of a law.

A board that reads cell after cell samples each of them now and then, for a short while: noise faster than the
sampling folds into the band. How much is known exactly, since every state of the law is an Ornstein-Uhlenbeck
process, and is subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.laws.read_noise import ReadNoise

__all__ = ["Spectrum", "folded", "spectrum_of"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One-sided power spectra of relative fluctuations.

    Attributes
    ----------
    f_hz : ndarray, shape (frequencies,)
    power : ndarray, shape (cells, frequencies)
        S_G / G^2, 1/Hz.
    """

    f_hz: _Floats
    power: _Floats


def spectrum_of(relative: _Floats, interval_s: float) -> Spectrum:
    """Return the spectra of traces, linear trend taken out, under a Hann window.

    Parameters
    ----------
    relative : ndarray, shape (samples, cells)
        Conductance over noise-free conductance.
    interval_s : float
        From sample to sample.
    """
    n = relative.shape[0]
    t = np.linspace(-1.0, 1.0, n)
    centred = relative - relative.mean(axis=0)
    centred = centred - np.outer(t, (t @ centred) / (t @ t))
    window = np.hanning(n + 1)[:n, np.newaxis]
    transform = np.fft.rfft(centred * window, axis=0)
    power = 2.0 * interval_s / float((window**2).sum()) * np.abs(transform) ** 2
    f_hz = np.fft.rfftfreq(n, interval_s)
    inside = slice(4, -1)  # the first ones hold what is left of the trend
    return Spectrum(f_hz[inside].astype(np.float64), np.ascontiguousarray(power[inside].T, np.float64))


def folded(
    law: ReadNoise, f_hz: _Floats, interval_s: float, *, aperture_s: float, spacing_s: float, samples: int
) -> _Floats:
    """Return what the sampling adds to the spectrum of a law, in units of Q_s^2, 1/Hz.

    The sampled spectrum of a state of time constant tau and variance v is ``2 D v (1 - a^2) / (1 - 2 a cos(2 pi f D)
    + a^2)``, a = exp(-D / tau), D the interval; its continuous one ``4 v tau / (1 + (2 pi f tau)^2)``.
    """
    tau, variance = law.time_constants_s(), law.state_variances()
    left = law.averaging_factor(aperture_s, spacing_s, samples)
    a = np.exp(-interval_s / tau)
    cosine = np.cos(2.0 * np.pi * f_hz[:, np.newaxis] * interval_s)
    sampled = 2.0 * interval_s * (1.0 - a**2) / (1.0 - 2.0 * a * cosine + a**2) @ (variance * left)
    continuous = 4.0 * tau / (1.0 + (2.0 * np.pi * f_hz[:, np.newaxis] * tau) ** 2) @ variance
    return np.asarray(sampled - continuous)
