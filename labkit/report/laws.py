"""The laws of a run's device card, as the figures need them: over targets in siemens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.card import DeviceCard
from calibration.errors import CalibrationError
from calibration.laws.drift import Drift
from calibration.laws.programming_error import ProgrammingError

__all__ = ["Laws", "laws_of"]


@dataclass(frozen=True)
class Laws:
    """Expectations from a device card.

    Attributes
    ----------
    card : str
        Name of the card.
    error, drift
        Its programming error (device-physics §2.1) and drift (device-physics §2.2).
    error_source, drift_source : str
        Where the card says their numbers come from.
    """

    card: str
    error: ProgrammingError
    drift: Drift
    error_source: str
    drift_source: str

    @property
    def t0_s(self) -> float:
        """Age at which the programming error holds and the drift factor is one, seconds."""
        return self.drift.t0_s

    def sigma_s(self, target_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standard deviation of the programming error, siemens, in the shape of `target_s`."""
        return self.error.sigma_s(target_s / self.error.g_max_s)

    def mean_exponent(self, target_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean drift exponent, in the shape of `target_s`."""
        return self.drift.mean_exponent(target_s / self.error.g_max_s)

    def drifted_s(self, target_s: NDArray[np.float64], age_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where the mean drift has brought `target_s` at `age_s`, siemens; shapes broadcast."""
        return target_s * self.drift.factor(age_s, self.mean_exponent(target_s))


def laws_of(card: Mapping[str, Any]) -> Laws | None:
    """Return the laws of the card in a manifest, or None where it is no device card or lacks one of them."""
    try:
        device = DeviceCard.from_dict(card)
        return Laws(
            card=device.name,
            error=device.programming_error,
            drift=device.drift,
            error_source=_source(device, "programming_error", ""),
            drift_source=_source(device, "drift", "mean"),
        )
    except CalibrationError:
        return None


def _source(device: DeviceCard, law: str, beginning: str) -> str:
    """Return the distinct sources of a law's numbers whose names begin so."""
    parameters = device.laws[law].parameters
    sources = [
        f"{parameter.source} ({parameter.status})"
        for name, parameter in parameters.items()
        if name.startswith(beginning) and not isinstance(parameter, str)
    ]
    return "; ".join(dict.fromkeys(sources))
