"""Outputs of a Lake Shore 335 / 336 and their control loops as objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from drivers.errors import SettingOutOfRange
from drivers.instruments.lakeshore_input import Connector, checked_number
from drivers.instruments.lakeshore_values import (
    Checked,
    ControlMode,
    HeaterSetup,
    Pid,
    Ramp,
    Reading,
)
from drivers.instruments.temperature_errors import HeaterFault, NotSettled
from drivers.properties import number

if TYPE_CHECKING:
    from drivers.instruments.lakeshore_336 import LakeShore336

__all__ = ["CurrentOutput", "Output", "VoltageOutput"]

_HEATER = {1: "its heater is open", 2: "its heater is shorted"}
KELVIN_PER_CELSIUS = 273.15


def _word(query: str, command: str, doc: str, words: Mapping[str, str]) -> Checked[str]:
    back = {sent: ours for ours, sent in words.items()}
    return Checked(
        query, command, doc, parse=lambda reply: back[reply.strip()], spell=lambda value: words[value]
    )


class Output(Connector):
    """One output and its control loop.

    Attributes
    ----------
    ranges : tuple of str
        What :attr:`range` can be.
    """

    ranges: ClassVar[tuple[str, ...]] = ()

    mode: Checked[ControlMode] = Checked(
        "OUTMODE? {key}",
        "OUTMODE {key},{}",
        "Control what drives the output.",
        parse=ControlMode.parse,
        spell=ControlMode.spell,
    )
    pid: Checked[Pid] = Checked(
        "PID? {key}", "PID {key},{}", "Control gain, reset and rate.", parse=Pid.parse, spell=Pid.spell
    )
    ramp: Checked[Ramp] = Checked(
        "RAMP? {key}", "RAMP {key},{}", "Control how the setpoint moves.", parse=Ramp.parse, spell=Ramp.spell
    )
    manual_percent = checked_number(
        "MOUT? {key}",
        "MOUT {key},{}",
        "Control the output in open loop, which adds to the controller's in closed loop, percent.",
        ".2f",
        unit="%",
        span=(0.0, 100.0),
    )
    output_percent = number("HTR? {key}", None, "Measure the output, percent of the range.", unit="%")

    # ---- setpoint ---------------------------------------------------------------------------------------------
    @property
    def setpoint_k(self) -> float:
        """Control the setpoint, kelvin, whatever units the input prefers; while it ramps, where it has got to."""
        return self._asked(f"SETP? {self.key}", float) + self._zero_k()

    @setpoint_k.setter
    def setpoint_k(self, kelvin: float) -> None:
        if not 0.0 <= kelvin <= 2000.0:
            raise SettingOutOfRange(
                f"setpoint_k = {kelvin:g} K is no temperature of {self!r}; nothing was sent",
                setting="setpoint_k", value=kelvin, low=0.0, high=2000.0,
            )  # fmt: skip
        spelled = _six(kelvin - self._zero_k())
        with self.together():
            self.tell(f"SETP {self.key},{spelled}")
            # A setpoint that ramps is on its way: it says so instead of being there.
            self.expect(
                f"SETP? {self.key};RAMPST? {self.key}",
                lambda reply: float(spelled) if reply.endswith(";1") else float(reply.split(";")[0]),
                float(spelled),
                f"setpoint of {self!r}",
            )

    @property
    def ramping(self) -> bool:
        """Get whether the setpoint is still on its way."""
        return bool(self._asked(f"RAMPST? {self.key}", int))

    def _settings(self) -> Iterator[tuple[str, Any]]:
        yield from super()._settings()
        yield "setpoint_k", self.setpoint_k

    def _zero_k(self) -> float:
        """Kelvin at zero of the setpoint's units."""
        source = self.mode.input
        if not source:
            return 0.0
        units = self._instrument.inputs[source].sensor_type.units
        if units == "sensor":
            raise SettingOutOfRange(
                f"the setpoint of {self!r} is in sensor units: set sensor_type of input {source} to kelvin",
                setting="setpoint_k",
            )
        return KELVIN_PER_CELSIUS if units == "celsius" else 0.0

    # ---- what is done with it ---------------------------------------------------------------------------------
    def heater_status(self) -> str:
        """Return "" or what is wrong with the heater; the instrument forgets it then."""
        return _HEATER.get(self._asked(f"HTRST? {self.key}", int), "")

    def switch_off(self) -> None:
        """Switch the heater off."""
        with self.together():
            self.tell(f"RANGE {self.key},0")
            self.expect(f"RANGE? {self.key}", int, 0, f"range of {self!r}")

    def wait_settled(
        self,
        temperature_k: float,
        *,
        within_k: float,
        for_s: float,
        timeout_s: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        poll_s: float = 1.0,
    ) -> Reading:
        """Wait until the control input has been near a temperature for a while.

        Parameters
        ----------
        temperature_k, within_k : float
            Middle and half width of the band, kelvin.
        for_s : float
            How long it has to stay in the band, seconds.
        timeout_s : float
            After this it is given up.
        clock, sleep : callable
            Seconds now, and to let seconds pass: ``time.monotonic`` and ``time.sleep``, or those of a simulated bench.
        poll_s : float
            From one reading to the next; readings are refreshed ten times a second.

        Returns
        -------
        Reading
            The last.

        Raises
        ------
        NotSettled
            It did not in time.
        SensorFault
            The input has no temperature.
        HeaterFault
            The output is off, or went off meanwhile.
        """
        source = self.mode.input
        if not source:
            raise HeaterFault(f"{self!r} controls no input: set its mode first")
        began = clock()
        inside_since = math.inf
        while True:
            reading, off = self._instrument.state_of(source, self.key)
            now = clock()
            kelvin = self._instrument.inputs[source].valid(reading)
            if off:
                raise HeaterFault(
                    f"{self!r} is off at {kelvin:.3f} K: "
                    f"{self.heater_status() or 'switched off, or the limit of an input was passed'}"
                )
            if abs(kelvin - temperature_k) > within_k:
                inside_since = math.inf
            else:
                inside_since = min(inside_since, now)
                if now - inside_since >= for_s:
                    return reading
            if now - began >= timeout_s:
                raise NotSettled(
                    f"{self!r} is at {kelvin:.3f} K after {timeout_s:g} s and not within {within_k:g} K of "
                    f"{temperature_k:g} K for {for_s:g} s; look at its range, its PID and its ramp",
                    wanted_k=temperature_k, got_k=kelvin, timeout_s=timeout_s,
                )  # fmt: skip
            sleep(poll_s)


def _six(value: float) -> str:
    """Return a number with the six digits a setpoint has."""
    return f"{value:.{max(0, 6 - len(str(int(abs(value)))))}f}"


class CurrentOutput(Output):
    """A heater output, a current source."""

    ranges = ("off", "low", "medium", "high")

    range = _word(
        "RANGE? {key}",
        "RANGE {key},{}",
        "Control the power range; each step is a decade, off turns the heater off.",
        {"off": "0", "low": "1", "medium": "2", "high": "3"},
    )

    def __init__(self, instrument: LakeShore336, key: str, presets_a: tuple[float, ...]) -> None:
        super().__init__(instrument, key)
        self._presets_a = presets_a

    @property
    def heater(self) -> HeaterSetup:
        """Control the load and the greatest current."""
        return self._asked(f"HTRSET? {self.key}", partial(HeaterSetup.parse, presets=self._presets_a))

    @heater.setter
    def heater(self, value: HeaterSetup) -> None:
        try:
            spelled = HeaterSetup.spell(value, max(self._presets_a))
        except (KeyError, ValueError) as error:
            raise SettingOutOfRange(
                f"heater = {value} is nothing {self!r} can be set to ({error}); nothing was sent",
                setting="heater", value=value,
            ) from error  # fmt: skip
        first = (
            "" if self._instrument.identify().model == "336" else "0,"
        )  # the 335 has current or voltage there
        with self.together():
            self.tell(f"HTRSET {self.key},{first}{spelled}")
            parse = partial(HeaterSetup.parse, presets=self._presets_a)
            self.expect(f"HTRSET? {self.key}", parse, parse(spelled), f"heater of {self!r}")

    def _settings(self) -> Iterator[tuple[str, Any]]:
        yield from super()._settings()
        yield "heater", self.heater


class VoltageOutput(Output):
    """An unpowered output, 0 .. 10 V."""

    ranges = ("off", "on")

    range = _word("RANGE? {key}", "RANGE {key},{}", "Control whether it is on.", {"off": "0", "on": "1"})
