"""What hangs on a temperature controller: a heated stage cooled by a cold head or the room, and its control loops.

The instrument controls ten times a second; in between the heater power is constant, so the linear stage and the lag
of its sensor are stepped exactly. Nothing depends on how time is cut. A stage that does not move any more is not
stepped at all, which is what makes a day cheap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from drivers.simulated.clock import TIME_END_NS

__all__ = ["TICK_NS", "Heater", "Loop", "Stage"]

TICK_NS = 100_000_000
"""Readings and outputs are refreshed ten times a second (instruments §2.9, unconfirmed)."""
_TICK_S = TICK_NS * 1e-9
_STILL = 2e-9  # change per tick, K and %, below which the rest of the way is less than 0.1 mK
_TOLD_K = 0.25  # a default: the most the stage may move between two steps of the bench
_LONGEST_TICKS = 600  # a minute: a stage that begins to move slowly is looked at again

OFF, CLOSED, ZONE, OPEN, MONITOR, WARM_UP = range(6)
"""Modes of ``OUTMODE`` (instruments §2.9)."""


@dataclass
class Heater:
    """What is plugged into an output.

    Attributes
    ----------
    ohm : float
        infinity: nothing, or broken; 0: shorted.
    on_stage : bool
        Whether its heat goes into the stage.
    """

    ohm: float = math.inf
    on_stage: bool = True


@dataclass
class Loop:
    """One output and its control loop.

    Attributes
    ----------
    limit_a, limit_v : float
        Of the output's hardware.
    voltage : bool
        It gives a voltage of up to `limit_v`, not a current.
    target, setpoint : float
        What was asked for, and where a ramp has got to; in the units of the control input.
    share : float
        Part of the full power (or voltage) that the range gives.
    output : float
        Percent of the range.
    error : int
        Of ``HTRST?``: 0 none, 1 open, 2 short.
    """

    limit_a: float
    limit_v: float
    voltage: bool = False
    heater: Heater = field(default_factory=Heater)
    mode: int = OFF
    input: int = 0
    p: float = 50.0
    i: float = 20.0
    d: float = 0.0
    manual: float = 0.0
    range: int = 0
    ramp: bool = False
    rate: float = 0.0
    target: float = 0.0
    setpoint: float = 0.0
    full_a: float = 1.0
    in_power: bool = False
    warm_up: float = 0.0
    integral: float = 0.0
    output: float = 0.0
    error: int = 0
    before_k: float = math.nan
    zones: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def ramping(self) -> bool:
        """Whether the setpoint is still on its way."""
        return self.setpoint != self.target

    def watt(self) -> float:
        """Return the power into the heater at the present output."""
        ohm = self.heater.ohm
        if not self.range or self.error or not ohm or math.isinf(ohm):
            return 0.0
        if self.voltage:
            volt = min(self.output / 100.0 * self.limit_v, self.limit_a * ohm)
            return volt * volt / ohm
        full_a = min(self.full_a, self.limit_a, self.limit_v / ohm)
        full_w = full_a * full_a * ohm * 10.0 ** (self.range - 3)  # decades of power per range
        share = self.output / 100.0
        return full_w * (share if self.in_power else share * share)

    def switch_off(self) -> None:
        """Turn the heater off."""
        self.range, self.output, self.integral, self.before_k = 0, 0.0, 0.0, math.nan

    def check_heater(self) -> None:
        """Find an open or shorted load once the output is on; it goes off then."""
        if self.range and not self.voltage and not 1.0 <= self.heater.ohm < 1e6:
            self.error = 1 if self.heater.ohm > 1.0 else 2
            self.switch_off()

    def move_setpoint(self) -> None:
        """Go on with a ramp for one tick."""
        if self.setpoint == self.target:
            return
        step = self.rate / 60.0 * _TICK_S
        if not self.ramp or not step or abs(self.target - self.setpoint) <= step:
            self.setpoint = self.target
        else:
            self.setpoint += math.copysign(step, self.target - self.setpoint)

    def control(self, reading_k: float, setpoint_k: float) -> None:
        """Set the output for the next tick; `reading_k` of its input, NaN where that is invalid."""
        if not self.range or self.mode == OFF:
            self.output, self.integral, self.before_k = 0.0, 0.0, math.nan
        elif self.mode == OPEN:
            self.output = self.manual
        elif self.mode == WARM_UP:
            self.output = self.warm_up if reading_k < setpoint_k else 0.0
        elif self.mode in (CLOSED, ZONE):
            if math.isnan(reading_k):
                self.switch_off()
                return
            error_k = setpoint_k - reading_k
            rising_k_s = 0.0 if math.isnan(self.before_k) else (reading_k - self.before_k) / _TICK_S
            self.before_k = reading_k
            # I is 1000/s, the reset time; D is percent of a quarter of it (maker's PID equation).
            reset_s = 1000.0 / self.i if self.i else math.inf
            wanted = self.manual + self.p * (error_k - self.d / 100.0 * reset_s / 4.0 * rising_k_s)
            more = self.p * error_k * _TICK_S / reset_s
            if 0.0 < wanted + self.integral < 100.0 or (wanted + self.integral >= 100.0) == (more < 0.0):
                self.integral = min(100.0, max(-100.0, self.integral + more))
            self.output = min(100.0, max(0.0, wanted + self.integral))


class Stage:
    """A thermal mass between its heaters and what cools it.

    Parameters
    ----------
    base_k : float
        Temperature of the cold head, or of the room.
    heat_capacity_j_k, conductance_w_k, sensor_lag_s : float
        Of the stage, of its link to the base, and the time constant of the sensor on it.
    """

    def __init__(
        self, base_k: float, *, heat_capacity_j_k: float, conductance_w_k: float, sensor_lag_s: float
    ) -> None:
        self.base_k = self.stage_k = self.sensor_k = base_k
        self.still = False
        self._per_watt = 1.0 / conductance_w_k
        tau_s = heat_capacity_j_k / conductance_w_k
        if abs(tau_s - sensor_lag_s) < 1e-6 * tau_s:
            sensor_lag_s *= 1.001  # the closed form below divides by the difference
        self._stays = math.exp(-_TICK_S / tau_s)
        self._lags = math.exp(-_TICK_S / sensor_lag_s)
        self._follows = tau_s / (tau_s - sensor_lag_s) * (self._stays - self._lags)
        self._moved_k = math.inf

    def step(self, watt: float) -> None:
        """Let one tick pass under a constant power."""
        goes_to = self.base_k + watt * self._per_watt
        away = self.stage_k - goes_to
        before, sensor = self.stage_k, self.sensor_k
        self.stage_k = goes_to + away * self._stays
        self.sensor_k = goes_to + away * self._follows + (sensor - goes_to) * self._lags
        self._moved_k = abs(self.stage_k - before)
        self.still = self._moved_k < _STILL and abs(self.sensor_k - sensor) < _STILL

    def next_ns(self, now_ns: int) -> int:
        """Return the time up to which the bench may go on without a look at the stage."""
        if self.still:
            return TIME_END_NS
        ticks = (
            1
            if not self._moved_k < _TOLD_K
            else min(_LONGEST_TICKS, int(_TOLD_K / max(self._moved_k, 1e-12)))
        )
        return (now_ns // TICK_NS + max(1, ticks)) * TICK_NS
