"""How a 4225-PMU with its RPM samples what its terminal saw: settling, noise, resolution, range, invalid samples.

Where a number is called a default no source states it. Ranges are those of the KXCI manual (instruments §2.6).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from drivers.simulated.terminals import Seen

__all__ = ["OVER_RANGE", "Sampler", "ranges_of", "thermal"]

_RANGES_A = {
    (10.0, True): (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.2),
    (10.0, False): (1e-2, 0.2),
    (40.0, False): (1e-4, 1e-2, 0.8),
    (40.0, True): (1e-4, 1e-2, 0.8),
}
SETTLE_S = {1e-7: 134e-6, 1e-6: 20.4e-6, 1e-5: 8.36e-6, 1e-4: 1.04e-6, 1e-3: 370e-9, 1e-2: 160e-9}
"""Default: time a current range needs to settle to 0.1 %, seconds; 70 ns for those not named."""
NOISE_OF_RANGE_A, NOISE_OF_RANGE_V = 5e-4, 2e-4
"""Defaults: rms noise of one sample, in ranges."""
BITS = 14
"""Default: of the converters, which span the range and 10 % on either side."""
HEADROOM = 1.1
"""Default: current in ranges at which a range clamps."""
OVER_RANGE, RANGE_WHILE_AUTO, THERMAL = 1.0e22, 5.0e22, 4.0e22
"""Sentinels of samples that are none: LPT and S530 manuals (instruments §2.6)."""


def ranges_of(source_v: float, *, rpm: bool) -> tuple[float, ...]:
    """Return the current ranges of a channel on a source range, ampere."""
    return _RANGES_A[source_v, rpm]


def thermal(columns: dict[str, NDArray[np.float64]]) -> None:
    """Make the currents of measured columns what they are once the card has become too hot."""
    for name, values in columns.items():
        if name.startswith("I"):
            values[:] = THERMAL


class Sampler:
    """The two converters of one channel."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def clamp_a(self, range_a: float) -> float:
        """Return the current at which a measuring range limits the output."""
        return HEADROOM * range_a

    def take(
        self,
        seen: Seen,
        times_s: NDArray[np.float64],
        *,
        source_v: float,
        range_a: float,
        auto: bool,
        shots: int = 1,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sample voltage and current; `shots` repetitions are averaged.

        Samples where the range clamps are 1.0E22, or 5.0E22 where the range was being looked for.
        """
        volts = np.interp(times_s, seen.t_s, seen.voltage_v)
        amperes = self._settled(seen, times_s, range_a)
        clamped = np.abs(np.interp(times_s, seen.t_s, seen.current_a)) >= 0.999 * self.clamp_a(range_a)
        limited = np.interp(times_s, seen.t_s, seen.limited.astype(np.float64)) >= 0.5
        volts = self._converted(volts, source_v, NOISE_OF_RANGE_V, shots)
        amperes = self._converted(amperes, range_a, NOISE_OF_RANGE_A, shots)
        amperes[clamped | limited] = RANGE_WHILE_AUTO if auto else OVER_RANGE
        return volts, amperes

    def _settled(self, seen: Seen, times_s: NDArray[np.float64], range_a: float) -> NDArray[np.float64]:
        """Follow the current with one time constant, from the beginning of the wave on."""
        tau_s = SETTLE_S.get(range_a, 70e-9) / 6.9
        step_s = tau_s / 5
        end_s = float(times_s[-1])
        count = int(end_s / step_s) + 2
        if count > 200_000:  # so slow a wave is followed without delay
            return np.interp(times_s, seen.t_s, seen.current_a)
        grid_s = np.arange(count) * step_s
        current_a = np.interp(grid_s, seen.t_s, seen.current_a)
        keep = np.exp(-step_s / tau_s)
        followed, _ = lfilter([1.0 - keep], [1.0, -keep], current_a, zi=[keep * current_a[0]])
        return np.interp(times_s, grid_s, followed)

    def _converted(
        self, values: NDArray[np.float64], full: float, noise: float, shots: int
    ) -> NDArray[np.float64]:
        noisy = values + self._random.normal(0.0, noise * full / np.sqrt(shots), values.shape)
        step = 2 * HEADROOM * full / 2**BITS / np.sqrt(shots)
        converted: NDArray[np.float64] = np.round(noisy / step) * step
        return converted
