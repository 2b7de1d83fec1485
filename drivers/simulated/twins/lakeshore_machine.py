"""What a Lake Shore 335 / 336 does by itself: reading its inputs and driving its outputs ten times a second."""

from __future__ import annotations

import math

from drivers.simulated.clock import TIME_END_NS
from drivers.simulated.terminals import Bench
from drivers.simulated.twins.lakeshore_inputs import Inputs
from drivers.simulated.twins.lakeshore_plant import TICK_NS, ZONE, Heater, Loop, Stage
from drivers.simulated.twins.lakeshore_sensors import SENSOR_OVER, SENSOR_ZERO, ZERO_K, Sensor, pt100_k
from drivers.simulated.twins.lakeshore_settings import Refused, Value, settings_of

__all__ = ["Machine"]

_PRESETS_A = {"336": (0.0, 0.707, 1.0, 1.414, 2.0), "335": (0.0, 0.707, 1.0, 1.414, 1.732)}
"""Greatest currents of ``HTRSET``; the first is the user's own (maker's Python driver)."""
_LIMITS_A = {"336": {"1": 2.0, "2": 1.414}, "335": {"1": 1.732, "2": 1.0}}
_COMPLIANCE_V = {"1": 50.0, "2": 35.4}  # a default for output 2: 1.414 A into 25 Ohm
_OVERLOAD, _NEW_READING, _RAMPS_DONE = 2, 16, {"1": 8, "2": 4}
"""Bits of ``OPST?`` (maker's Python driver)."""
_QUIET = 1e-7  # change of an output per tick, %, below which it is at rest
_VOLTAGE = (0.1, 10.0)  # A, V of the unpowered outputs 3 and 4


class Machine:
    """Inputs, outputs and settings of a 335 or 336 with a stage behind it.

    Parameters
    ----------
    name, bench
        Of the twin.
    model : str
        "335" or "336".
    stage : Stage
    sensors : dict of str to Sensor
        By input.
    heaters : dict of str to Heater
        By output.
    noise_k : float
        Standard deviation of a reading.
    follows_room : bool
        The base of the stage is the room, whose temperature the bench knows.
    """

    def __init__(
        self,
        name: str,
        bench: Bench,
        *,
        model: str,
        stage: Stage,
        sensors: dict[str, Sensor],
        heaters: dict[str, Heater],
        noise_k: float,
        follows_room: bool,
    ) -> None:
        self.bench, self.model, self.stage, self.sensors = bench, model, stage, sensors
        self._follows_room = follows_room
        self.inputs = tuple(sensors)
        self.loops = {
            key: Loop(_LIMITS_A[model][key], _COMPLIANCE_V[key], heater=heater)
            if key in _LIMITS_A[model]
            else Loop(*_VOLTAGE, voltage=True, heater=heater)
            for key, heater in heaters.items()
        }
        self.table = settings_of(model, "".join(self.inputs), "".join(self.loops))
        self._values: dict[tuple[str, ...], tuple[Value, ...]] = {}
        self.events = 0  # of OPSTR?
        self._new = False
        self.readers = Inputs(
            stage,
            sensors,
            noise_k=noise_k,
            stream=lambda key: bench.random(name, "reading", key),
            get=self.get,
        )
        self._tick = bench.now_ns // TICK_NS
        self._still = False
        self._told_k = math.nan
        self.restore_defaults()

    # ---- time ---------------------------------------------------------------------------------------------------
    def passed(self) -> int:
        """Bring the stage up to the bench's time; returns up to when time may pass without another look."""
        now = self.bench.now_ns
        if self._follows_room and self.stage.base_k != (room := self.bench.ambient_k()):
            self.stage.base_k, self._still = room, False
        ticks = now // TICK_NS - self._tick
        if ticks > 0:
            self._tick += ticks
            self.readers.tick = self._tick
            self._new = True
            self.events |= _NEW_READING | self._overload()
            while ticks and not self._still:
                self._control()
                ticks -= 1
        if not abs(self.stage.stage_k - self._told_k) < 1e-3:
            self._told_k = self.stage.stage_k
            self.bench.heat(self._told_k)
        return TIME_END_NS if self._still else self.stage.next_ns(now)

    def _control(self) -> None:
        """One round of the instrument: setpoints, limits, outputs; then a tick of the stage."""
        quiet, watt = True, 0.0
        for key, loop in self._busy:
            before = loop.output
            if loop.setpoint != loop.target:
                loop.move_setpoint()
                quiet = False
                if loop.setpoint == loop.target and key in "12":
                    self.events |= _RAMPS_DONE[key]
            if loop.mode == ZONE and loop.range:
                self._take_zone(key, loop)
            loop.control(self.readers.truth_k(loop.input), self._setpoint_k(key, loop))
            quiet = quiet and abs(loop.output - before) < _QUIET
        for number, limit_k in self._limits:
            if self.readers.truth_k(number) > limit_k:
                self.all_off()
        for _, loop in self._busy:
            if loop.heater.on_stage:
                watt += loop.watt()
        self.stage.step(watt)
        self._still = quiet and self.stage.still

    def touched(self) -> None:
        """Note that something changed: the stage may begin to move."""
        self._busy = [(key, loop) for key, loop in self.loops.items() if loop.range or loop.ramping]
        limits = [(number, float(self.get("TLIMIT", key)[0])) for number, key in enumerate(self.inputs, 1)]
        self._limits = [(number, limit_k) for number, limit_k in limits if limit_k]
        self._units = {
            key: int(self.get("INTYPE", self.inputs[loop.input - 1])[4]) if loop.input else 1
            for key, loop in self.loops.items()
        }
        self.readers.touched()
        self._still = self.stage.still = False
        self.bench.on_time(self.passed)

    def all_off(self) -> None:
        """Turn every heater off, as an over-temperature does."""
        for loop in self.loops.values():
            loop.switch_off()

    def _take_zone(self, key: str, loop: Loop) -> None:
        setpoint_k = self._setpoint_k(key, loop)
        for number in range(1, 11):
            upper, p, i, d, manual, heater, source, rate = self.get("ZONE", key, str(number))
            if setpoint_k <= float(upper):
                loop.p, loop.i, loop.d, loop.manual = float(p), float(i), float(d), float(manual)
                loop.range, loop.rate = int(heater) or loop.range, float(rate) or loop.rate
                loop.input = int(source) or loop.input
                return

    # ---- status -------------------------------------------------------------------------------------------------
    def _overload(self) -> int:
        over = any(self.readers.status(key) & (SENSOR_OVER | SENSOR_ZERO) for key in self.inputs)
        return _OVERLOAD if over else 0

    def condition(self) -> int:
        """Return the operation condition (``OPST?``): new reading since the last time, overload, ramps done."""
        value = _NEW_READING if self._new else 0
        self._new = False
        return (
            value
            | self._overload()
            | sum(
                bit
                for key, bit in _RAMPS_DONE.items()
                if self.loops[key].ramp and not self.loops[key].ramping
            )
        )

    def _setpoint_k(self, key: str, loop: Loop) -> float:
        units = self._units[key]
        if units == 3:
            return pt100_k(loop.setpoint)
        return loop.setpoint + (ZERO_K if units == 2 else 0.0)

    # ---- settings ----------------------------------------------------------------------------------------------
    def restore_defaults(self) -> None:
        """Go back to factory settings."""
        self._values = {("INNAME", key): (f"Input {key}",) for key in self.inputs}
        self.readers.curves.clear()
        for key in self.loops:
            self._values["OUTMODE", key] = (1 if key in "12" else 0, min(int(key), len(self.inputs)), 0)
            for header in ("SETP", "PID", "RAMP", "MOUT", "OUTMODE", "RANGE"):
                self._apply(header, key)
            if key in self.table["HTRSET"].keys:
                self._apply("HTRSET", key)
        self.touched()

    def restart(self) -> None:
        """Do what power-on does: heaters stay on only where ``OUTMODE`` says so."""
        for key, loop in self.loops.items():
            if not self.get("OUTMODE", key)[2]:
                loop.switch_off()
        self.touched()

    def get(self, header: str, *keys: str) -> tuple[Value, ...]:
        """Return the values of a setting."""
        return self._values.get((header, *keys)) or self.table[header].default

    def shown(self, header: str, keys: tuple[str, ...]) -> str:
        """Return a setting as it is answered."""
        values = list(self.get(header, *keys))
        if header == "SETP":
            values[0] = self.loops[keys[0]].setpoint
        elif header == "RANGE":
            values[0] = self.loops[keys[0]].range
        return ",".join(
            field.shown(value) for field, value in zip(self.table[header].fields, values, strict=True)
        )

    def set(self, header: str, keys: tuple[str, ...], words: list[str]) -> None:
        """Set what a command says; raises Refused."""
        fields = self.table[header].fields
        if not words or len(words) > len(fields):
            raise Refused(header)
        values = list(self.get(header, *keys))
        for number, (field, word) in enumerate(zip(fields, words, strict=False)):
            if word:  # what is left out stays as it is
                values[number] = field.parse(word)
        self._values[header, *keys] = self._agreed(header, keys, values)
        if keys and keys[0] in self.loops:
            self._apply(header, keys[0])
        self.touched()

    def _agreed(self, header: str, keys: tuple[str, ...], values: list[Value]) -> tuple[Value, ...]:
        """Refuse or correct what does not go with other settings."""
        key = keys[0] if keys else ""
        if (
            header == "INCRV"
            and values[0]
            and not self.readers.curve(int(values[0])).fits(int(self.get("INTYPE", key)[0]))
        ):
            values[0] = 0  # curve and input type must match, else the input has none (331 manual p. 128)
        elif header == "INTYPE" and (curve := self.readers.curve_of(key)) and not curve.fits(int(values[0])):
            self._values["INCRV", key] = (0,)
        elif (
            (header == "SETP" and not self._may_be(key, float(values[0])))
            or (header == "RANGE" and self.loops[key].voltage and int(values[0]) > 1)
            or (header == "OUTMODE" and int(values[0]) > ZONE + 1 and key not in self.table["WARMUP"].keys)
        ):
            raise Refused(header)
        return tuple(values)

    def _may_be(self, key: str, setpoint: float) -> bool:
        """Tell whether a setpoint is between absolute zero and the limit of the control input's curve."""
        loop = self.loops[key]
        source = self.inputs[loop.input - 1] if loop.input else ""
        units = self._units[key]
        curve = self.readers.curve_of(source) if source else None
        if units == 3:
            return setpoint >= 0.0
        low, high = 0.0, curve.limit_k if curve else 9999.0
        return low <= setpoint + (ZERO_K if units == 2 else 0.0) <= high

    def _apply(self, header: str, key: str) -> None:
        """Carry a setting into the control loop."""
        loop, values = self.loops[key], self.get(header, key)
        if header == "SETP":
            loop.target = float(values[0])
            if not (loop.ramp and loop.rate):
                loop.setpoint = loop.target
        elif header == "PID":
            loop.p, loop.i, loop.d = (float(value) for value in values)
        elif header == "RAMP":
            loop.ramp, loop.rate = bool(values[0]), float(values[1])
        elif header == "MOUT":
            loop.manual = float(values[0])
        elif header == "WARMUP":
            loop.warm_up = float(values[1])
        elif header == "OUTMODE":
            loop.mode, loop.input = int(values[0]), int(values[1])
            loop.integral, loop.before_k = 0.0, math.nan
        elif header == "RANGE":
            loop.range = int(values[0])
            loop.error = 0
            if not loop.range:
                loop.switch_off()
            loop.check_heater()
        elif header == "HTRSET":
            *_, preset, user_a, display = values
            loop.full_a = _PRESETS_A[self.model][int(preset)] or float(user_a)
            loop.in_power = display == 2
            if self.model == "335":
                loop.voltage = bool(values[0])
                loop.limit_v = 10.0 if loop.voltage else 35.4
