"""What is checked before the first pulse: targets against the device, the pulse against the board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labkit.errors import EnvelopeExceeded, TargetOutOfRange

if TYPE_CHECKING:
    from calibration import DeviceCard
    from drivers.chip import Limits, Pulse
    from labkit.programming.settings import ProgramSettings

__all__ = ["check_pulse_shape", "check_targets"]

_ROUNDING = 1.0 + 1e-6  # of float32 targets, and of durations that were added up


def check_targets(
    cells: NDArray[np.uint32], target_s: NDArray[np.float32], card: DeviceCard, settings: ProgramSettings
) -> None:
    """Refuse targets that are negative, no number, or more than the mean device or the read range holds.

    Raises
    ------
    TargetOutOfRange
        With the first of them.
    """
    curve, drift = card.programming_curve, card.drift
    exponent = drift.mean_exponent(1.0)
    # Both limits as conductances at t0: one holds at the curve's own age, the other at the verify read.
    device_s = curve.full_conductance_mean_s / drift.factor(drift.pulse_reference_age_s, exponent)
    high_s = float(device_s)
    if settings.read_range_a is not None:
        range_s = settings.read_range_a / settings.read_voltage_v
        high_s = min(high_s, float(range_s / drift.factor(settings.verify_age_s, exponent)))
    bad = ~((target_s >= 0) & (target_s <= np.float32(high_s * _ROUNDING)))
    if not bad.any():
        return
    entry = int(bad.argmax())
    value = float(target_s[entry])
    raise TargetOutOfRange(
        f"cell {int(cells[entry])} has a target of {value:g} S, outside 0 .. {high_s:.4g} S, what the mean "
        f"device of card {card.name!r} and the read range hold ({int(np.count_nonzero(bad)):,} such cells): "
        "lower g_max_s, or use the card of this chip",
        target_s=value,
        low_s=0.0,
        high_s=high_s,
        cell=int(cells[entry]),
    )


def check_pulse_shape(pulse: Pulse, limits: Limits) -> None:
    """Refuse a pulse the board cannot make.

    Raises
    ------
    EnvelopeExceeded
        With the part that is out of its range.
    """
    shortest_s = pulse.rise_s + pulse.top_s + pulse.fall_s + limits.off_min_s
    for quantity, value, (low, high) in (
        ("rise", pulse.rise_s, limits.rise_s),
        ("top", pulse.top_s, limits.top_s),
        ("fall", pulse.fall_s, limits.fall_s),
        ("period", pulse.period_s, (shortest_s, limits.period_max_s)),
    ):
        if not low <= value * _ROUNDING or not value <= high * _ROUNDING:
            raise EnvelopeExceeded(
                f"a pulse {quantity} of {value:g} s is outside the {low:g} .. {high:g} s this board can "
                f"make; change pulse_{quantity}_s",
                quantity=quantity,
                value=value,
                limit=low if value < low else high,
                unit="s",
            )
