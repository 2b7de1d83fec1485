"""The air stream of a ThermoStream and the device in it, stepped exactly ten times a second.

The air follows what the control asks for, the device follows the air; with the head up both go back to the room.
Time constants are defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from drivers.simulated.clock import TIME_END_NS

__all__ = ["TICK_NS", "Setpoint", "Stream"]

TICK_NS = 100_000_000
_TICK_S = TICK_NS * 1e-9
_AIR_S = 3.0  # of the air behind its heater
_FREE_S = 120.0  # of a device that is in no stream
_GAIN = 5.0  # degrees of air beyond the setpoint per degree the device lacks
_STILL_C = 1e-6
_TOLD_C = 0.25
_LONGEST_TICKS = 600


@dataclass
class Setpoint:
    """One setpoint: temperature, window and soak time, and the ramp to it (C/min; 9999: as fast as it goes)."""

    celsius: float
    window_c: float = 1.0
    soak_s: float = 30.0
    rate: float = 9999.0


@dataclass
class Stream:
    """Air and device.

    Attributes
    ----------
    room_c : float
    device_s : float
        Time constant of the device in the stream.
    """

    room_c: float
    device_s: float
    air_c: float = field(init=False)
    device_c: float = field(init=False)
    dynamic_c: float = field(init=False)
    in_window_s: float = 0.0
    at_setpoint_s: float = 0.0
    moved_c: float = math.inf

    def __post_init__(self) -> None:
        self.air_c = self.device_c = self.dynamic_c = self.room_c

    def step(
        self,
        setpoint: Setpoint,
        *,
        flows: bool,
        by_device: bool,
        limits_c: tuple[float, float],
        difference_c: float,
        cooled: bool,
    ) -> None:
        """Let one tick pass."""
        before, air_before = self.device_c, self.air_c
        step_c = setpoint.rate / 60.0 * _TICK_S
        if flows and setpoint.rate < 9999.0 and abs(setpoint.celsius - self.dynamic_c) > step_c:
            self.dynamic_c += math.copysign(step_c, setpoint.celsius - self.dynamic_c)
        else:
            self.dynamic_c = setpoint.celsius if flows else self.room_c
        if flows:
            wanted_c = self.dynamic_c
            if by_device:
                wanted_c += _GAIN * (self.dynamic_c - self.device_c)
                wanted_c = min(max(wanted_c, self.device_c - difference_c), self.device_c + difference_c)
            wanted_c = min(max(wanted_c, limits_c[0] if cooled else self.room_c), limits_c[1])
        else:
            wanted_c = self.room_c
        self.air_c += (wanted_c - self.air_c) * -math.expm1(-_TICK_S / _AIR_S)
        tau_s, around_c = (self.device_s, self.air_c) if flows else (_FREE_S, self.room_c)
        self.device_c += (around_c - self.device_c) * -math.expm1(-_TICK_S / tau_s)
        self.moved_c = max(abs(self.device_c - before), abs(self.air_c - air_before))
        sensed_c = self.device_c if by_device else self.air_c
        inside = flows and abs(sensed_c - setpoint.celsius) <= setpoint.window_c
        self.in_window_s = self.in_window_s + _TICK_S if inside else 0.0
        self.at_setpoint_s = self.at_setpoint_s + _TICK_S if flows else 0.0

    @property
    def still(self) -> bool:
        """Whether nothing moves any more."""
        return self.moved_c < _STILL_C

    def wait(self, ticks: int) -> None:
        """Let ticks pass in which nothing moves."""
        self.in_window_s += ticks * _TICK_S if self.in_window_s else 0.0
        self.at_setpoint_s += ticks * _TICK_S if self.at_setpoint_s else 0.0

    def next_ns(self, now_ns: int) -> int:
        """Return the time up to which the bench may go on without a look."""
        if self.still:
            return TIME_END_NS
        ticks = min(_LONGEST_TICKS, int(_TOLD_C / self.moved_c)) if self.moved_c < _TOLD_C else 1
        return (now_ns // TICK_NS + max(1, ticks)) * TICK_NS
