"""The making of a chip: what differs from device to device, and the state cells leave the factory in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import float32, uint32
from numpy.typing import NDArray

from drivers.simulated import layout
from drivers.simulated.jit import kernel
from drivers.simulated.pulse_kernel import BUFFER_SIZE, DRIFT_AT, Z_AT, begin_event
from drivers.simulated.random_numbers import LANES, Kind, normals, uniforms

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["device_constants", "make_devices"]

VIRGIN_AGE_NS = 86_400_000_000_000
"""Virgin cells are crystalline and have been at rest for a day when the clock of a chip begins. A default."""

_DEVICE, _PULSE = int(Kind.DEVICE), int(Kind.PULSE)
_ONE = float32(1.0)
_LEAST_SHARE = float32(0.1)
"""No draw of a device falls below a tenth of its mean: five sigma and more in the presets."""
_FULL, _MELT, _AMORPHOUS = layout.FULL, layout.MELT, layout.AMORPHOUS
_STEP, _DRIFT, _CONDUCTANCE = layout.STEP, layout.DRIFT, layout.CONDUCTANCE
_PULSED, _SEEN = layout.PULSED, layout.SEEN
_LOW, _HIGH, _STUCK, _FRESH = layout.LOW, layout.HIGH, layout.STUCK, layout.FRESH
_STUCK_SET, _STUCK_RESET = layout.STUCK_SET, layout.STUCK_RESET


def device_constants(card: DeviceCard) -> NDArray[np.float32]:
    """Means and spreads of the devices of a card, in the order :func:`make_devices` takes them."""
    curve, faults = card.programming_curve, card.faults
    return np.array(
        [
            curve.full_conductance_mean_s,
            curve.full_conductance_spread_s,
            curve.melt_current_mean_a,
            curve.melt_current_spread_a,
            curve.full_current_mean_a,
            curve.full_current_spread_a,
            card.accumulation.step_spread,
            faults.stuck_set_share,
            faults.stuck_set_share + faults.stuck_reset_share,
        ],
        np.float32,
    )


@kernel
def make_devices(first, last, state, device, time, mark, m, constants, key):  # type: ignore[no-untyped-def]
    """Draw the devices of blocks ``first`` .. ``last - 1``, and their virgin state.

    Bits depend on (key, cell) alone.
    """
    out = np.empty(8 * LANES, np.float32)
    buffer = np.ones(BUFFER_SIZE, np.float32)
    words = np.empty(4 * LANES, np.uint32)
    lane = np.empty(LANES, np.uint32)
    never = np.zeros(LANES, np.uint32)
    acts = np.ones(LANES, np.int32)
    for block in range(first, last):
        for i in range(LANES):
            lane[i] = uint32(block * LANES + i)
        normals(lane, never, _DEVICE, 0, key, words, out, 0)
        normals(lane, never, _DEVICE, 1, key, words, out, 4 * LANES)
        for i in range(LANES):
            full = constants[0] + constants[1] * out[i]
            melt = constants[2] + constants[3] * out[LANES + i]
            amorphous = constants[4] + constants[5] * out[2 * LANES + i]
            step = _ONE + constants[6] * out[3 * LANES + i]
            device[block, _FULL, i] = max(full, _LEAST_SHARE * constants[0])
            device[block, _MELT, i] = max(melt, _LEAST_SHARE * constants[2])
            device[block, _AMORPHOUS, i] = max(
                amorphous, device[block, _MELT, i] + _LEAST_SHARE * (constants[4] - constants[2])
            )
            device[block, _STEP, i] = max(step, _LEAST_SHARE)
            device[block, _DRIFT, i] = out[4 * LANES + i]
        uniforms(lane, never, _DEVICE, 3, key, out, 0)
        for i in range(LANES):
            is_reset = out[i] >= constants[7] and out[i] < constants[8]
            stuck = np.uint8(_STUCK_RESET) if is_reset else np.uint8(0)
            mark[block, _STUCK, i] = np.uint8(_STUCK_SET) if out[i] < constants[7] else stuck
            buffer[_CONDUCTANCE * LANES + i] = m.reset_median_s if is_reset else device[block, _FULL, i]
            buffer[DRIFT_AT + i] = device[block, _DRIFT, i]
        normals(
            lane, never, _PULSE, 0, key, words, buffer, Z_AT
        )  # pulses count from 1: event 0 is the making
        begin_event(buffer, acts, m)
        for r in range(layout.STATE_ROWS):
            state[block, r] = buffer[r * LANES : (r + 1) * LANES]
        time[block, _PULSED] = -VIRGIN_AGE_NS
        time[block, _SEEN] = -VIRGIN_AGE_NS
        mark[block, _LOW] = np.uint8(0) if m.noise_from_zero else np.uint8(_FRESH)
        mark[block, _HIGH] = np.uint8(m.weight.shape[0] if m.noise_from_zero else m.first_slow)
