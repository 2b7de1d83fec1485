"""What a scope makes of what its sockets saw: bandwidth, the moment of the trigger, noise, codes.

Numbers called a default no source states.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from drivers.simulated.terminals import Seen

__all__ = ["CODES_PER_DIVISION", "Record", "Vertical", "crossing", "digitised", "filtered"]

CODES_PER_DIVISION = 25
"""Of 8 bits; ten divisions are 250 of 256 codes (default)."""
FINE = 256
"""Codes of two bytes for one of 8 bits."""
NOISE_DIVISIONS = 0.02
"""Default: rms noise of a sample, in divisions."""
HIGH_RESOLUTION_BITS = 11
_POINTS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Vertical:
    """What a channel was set to when it was recorded."""

    scale_v: float
    offset_v: float
    position: float = 0.0


@dataclass(slots=True)
class Record:
    """What one acquisition recorded.

    Attributes
    ----------
    start_s, step_s : float
        Time of the first sample from the trigger, and between samples.
    codes : dict of int to ndarray of int16
        Channel -> codes of two bytes.
    vertical : dict of int to Vertical
    shots : int
        Waveforms it is the mean of.
    """

    start_s: float
    step_s: float
    codes: dict[int, NDArray[np.int16]] = field(default_factory=dict)
    vertical: dict[int, Vertical] = field(default_factory=dict)
    shots: int = 1


def filtered(seen: Seen, bandwidth_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times and voltage behind one pole at the bandwidth."""
    tau_s = 1 / (2 * np.pi * bandwidth_hz)
    begin_s, end_s = float(seen.t_s[0]), float(seen.t_s[-1])
    end_s += 10 * tau_s
    step_s = float(max(tau_s / 5, (end_s - begin_s) / _POINTS_MAX))
    times_s = begin_s + step_s * np.arange(int((end_s - begin_s) / step_s) + 2, dtype=np.float64)
    volts = np.interp(times_s, seen.t_s, seen.voltage_v)
    keep = np.exp(-step_s / tau_s)
    followed: NDArray[np.float64] = lfilter([1.0 - keep], [1.0, -keep], volts, zi=[keep * volts[0]])[0]
    return np.asarray(times_s, np.float64), followed


def crossing(
    times_s: NDArray[np.float64], volts: NDArray[np.float64], level_v: float, slope: str
) -> float | None:
    """Return when a voltage first goes through a level: RIS, FALL or EIT; None where it does not."""
    above = volts >= level_v
    changed = above[1:] != above[:-1]
    wanted = changed & {"RIS": above[1:], "FALL": ~above[1:]}.get(slope, changed)
    found = np.flatnonzero(wanted)
    if not len(found):
        return None
    at = int(found[0])
    part = (level_v - volts[at]) / (volts[at + 1] - volts[at])
    return float(times_s[at] + part * (times_s[at + 1] - times_s[at]))


def digitised(
    volts: NDArray[np.float64],
    vertical: Vertical,
    random: np.random.Generator,
    *,
    shots: int = 1,
    high_resolution: bool = False,
) -> NDArray[np.int16]:
    """Return the codes of two bytes; outside the screen they stay at its edge."""
    divisions = (volts - vertical.offset_v) / vertical.scale_v + vertical.position
    calmer = 8.0 if high_resolution else 1.0
    divisions += random.normal(0.0, NOISE_DIVISIONS / np.sqrt(calmer * shots), volts.shape)
    bits = HIGH_RESOLUTION_BITS if high_resolution or shots > 1 else 8
    step = FINE >> (bits - 8)
    codes = np.round(divisions * CODES_PER_DIVISION * FINE / step) * step
    edge = 127 * FINE
    return np.clip(codes, -edge, edge).astype(np.int16)
