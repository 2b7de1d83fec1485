"""Pulses that are a cell's last: by wear, and by a current beyond what it bears (device-physics §5)."""

from __future__ import annotations

from numpy import float32, int32

from drivers.simulated import layout
from drivers.simulated.jit import subroutine
from drivers.simulated.random_numbers import LANES, Draw, Kind, exp2, log2, normals, random_words, uniform

__all__ = ["over_current", "worn_out"]

_DEVICE, _DAMAGE, _ENDURANCE = int(Kind.DEVICE), int(Draw.DAMAGE), int(Draw.ENDURANCE)
_STUCK_SET, _STUCK_RESET, _OPEN = layout.STUCK_SET, layout.STUCK_RESET, layout.STUCK_OPEN
_ZERO, _LN2 = float32(0.0), float32(0.69314718)
_SMALLEST_RANK = float32(2.0**-25)


@subroutine
def over_current(  # type: ignore[no-untyped-def]
    lane, no_event, buffer, words, amplitude, scratch, conductance, kind, lives, m, key
):
    """Open the lanes whose current (row at `amplitude`) is more than the device bears.

    The four rows at `scratch` hold nothing the other lanes still need: they are written where one is at risk.
    """
    risk = int32(0)
    for i in range(LANES):
        risk += int32(buffer[amplitude + i] >= m.least_damage_a) & lives[i]
    if risk == int32(0):
        return
    normals(lane, no_event, _DEVICE, _DAMAGE, key, words, buffer, scratch)
    for i in range(LANES):
        bears = m.damage_mean_a + m.damage_spread_a * buffer[scratch + i]
        dies = (lives[i] != int32(0)) & (buffer[amplitude + i] >= bears)
        kind[i] = int32(_OPEN) if dies else kind[i]
        buffer[conductance + i] = _ZERO if dies else buffer[conductance + i]
        lives[i] = int32(0) if dies else lives[i]


@subroutine
def worn_out(  # type: ignore[no-untyped-def]
    lane, event, no_event, buffer, words, full, conductance, kind, lives, m, key
):
    """Stick the lanes whose number of pulses (`event`) has reached the lifetime of the device."""
    old = int32(0)
    for i in range(LANES):
        old += int32(float32(event[i]) >= m.earliest_failure) & lives[i]
    if old == int32(0):
        return
    random_words(lane, no_event, _DEVICE, _ENDURANCE, key, words)
    for i in range(LANES):
        survival = uniform(words[i]) + _SMALLEST_RANK
        lifetime = m.lifetime_pulses * exp2(
            m.inverse_lifetime_shape * log2(max(-_LN2 * log2(survival), float32(1e-30)))
        )
        dies = (lives[i] != int32(0)) & (float32(event[i]) >= lifetime)
        crystalline = uniform(words[LANES + i]) < m.stuck_set_share
        end = int32(_STUCK_SET) if crystalline else int32(_STUCK_RESET)
        g = buffer[full + i] if crystalline else m.reset_median_s
        kind[i] = end if dies else kind[i]
        buffer[conductance + i] = g if dies else buffer[conductance + i]
        lives[i] = int32(0) if dies else lives[i]
