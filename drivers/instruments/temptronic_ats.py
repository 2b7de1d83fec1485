"""Temptronic / inTEST ATS ThermoStream: forces the temperature of a device with a stream of air (instruments §2.10)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from drivers.chip import BoardError, Identity
from drivers.errors import MalformedAnswer, SettingOutOfRange
from drivers.instrument import Instrument
from drivers.instruments.temperature_errors import NotSettled, SensorFault
from drivers.message_link import MessageLink
from drivers.properties import choice, number, switch, whole

__all__ = ["TemptronicAts"]

_INVALID_C = 400.0
ZERO_K = 273.15
_ERRORS = {
    1: "overheat",
    2: "air temperature loop is open",
    8: "low flow",
    16: "low input air pressure",
    32: "air sensor open",
    128: "internal error",
    512: "flow sensor",
    1024: "no line sense",
    2048: "non-volatile memory",
    4096: "battery-backed memory",
    16384: "no sensor of the device is selected",
}
_ESR = {16: "execution error: a parameter cannot be, or not now", 32: "command error: no such command"}
_AT, _END_OF_TEST = 1, 4
_HOT, _AMBIENT, _COLD = 0, 1, 2
_PAUSE_S = 0.05


def _kelvin(reply: str) -> float:
    return float(reply) + ZERO_K


def _celsius(kelvin: float) -> str:
    return f"{kelvin - ZERO_K:.1f}"


class TemptronicAts(Instrument):
    """A ThermoStream; has the role :class:`drivers.roles.Thermometer`. Made by :meth:`open`.

    Parameters
    ----------
    link, identity
        As of :class:`~drivers.instrument.Instrument`.
    pause : callable
        Waits 50 ms before each query, which the instrument needs.
    """

    models = ("ATS-5", "ATS-6", "ATS5", "ATS6")

    setpoint_k = number(
        "SETP?",
        "SETP {}",
        "Control the chosen setpoint, kelvin; see :meth:`force`.",
        unit="K",
        span=(-99.9 + ZERO_K, 225.0 + ZERO_K),
        parse=_kelvin,
        spell=_celsius,
    )
    window_k = number(
        "WNDW?", "WNDW {}", "Control how near counts as at temperature.", unit="K", span=(0.1, 9.9)
    )
    soak_s = number(
        "SOAK?",
        "SOAK {}",
        "Control how long it has to be near before it counts.",
        unit="s",
        span=(0.0, 9999.0),
    )
    chosen = whole(
        "SETN?", "SETN {}", "Control the number of the setpoint: 0 hot, 1 ambient, 2 cold.", span=(0, 17)
    )
    lowest_k = number(
        "LLIM?",
        "LLIM {}",
        "Control the lowest temperature of the air.",
        unit="K",
        span=(-99.0 + ZERO_K, 25.0 + ZERO_K),
        parse=_kelvin,
        spell=_celsius,
    )
    highest_k = number(
        "ULIM?",
        "ULIM {}",
        "Control the highest temperature of the air.",
        unit="K",
        span=(25.0 + ZERO_K, 225.0 + ZERO_K),
        parse=_kelvin,
        spell=_celsius,
    )
    difference_k = number(
        "ADMD?", "ADMD {}", "Control how far the air may be from the device.", unit="K", span=(10.0, 300.0)
    )
    head = choice("HEAD?", "HEAD {}", "Control the head.", {"up": "0", "down": "1"})
    by_device = switch("DUTM?", "DUTM {}", "Control whether the device's sensor is followed, not the air's.")
    sensor = choice(
        "DSNS?", "DSNS {}", "Control the type of the device's sensor.", {"none": "0", "T": "1", "K": "2"}
    )
    flow = switch(None, "FLOW {}", "Set whether air flows.")
    longest_s = number(
        "TTIM?", "TTIM {}", "Control how long one setpoint may take at most.", unit="s", span=(0.0, 9999.0)
    )

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(link, identity=identity)
        simulated = self._identity.simulated
        self._pause = pause if pause is not None else ((lambda seconds: None) if simulated else time.sleep)
        self._known = 0  # of the errors of the machine: those that were told
        self.link.write("*CLS")
        self.link.write("%RM")

    # ---- messages ---------------------------------------------------------------------------------------------
    def ask(self, query: str) -> str:
        """Ask something."""
        self._pause(_PAUSE_S)
        return self.link.query(query)

    def errors(self) -> list[BoardError]:
        """Return what was refused, and errors of the machine: each once, as they stand until they are cleared."""
        refused, register = self._bits("*ESR?"), self._bits("EROR?")
        found = [BoardError(bit, text) for bit, text in _ESR.items() if refused & bit]
        new, self._known = register & ~self._known, register
        return found + [BoardError(bit, text) for bit, text in _ERRORS.items() if new & bit]

    def clear_errors(self) -> None:
        """Clear the errors of the machine."""
        self.tell("CLER")

    def _bits(self, query: str) -> int:
        return int(self._value(query, int))

    def _value(self, query: str, parse: Callable[[str], Any]) -> Any:
        reply = self.ask(query)
        try:
            return parse(reply)
        except ValueError as error:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:60]!r} to {query}: not a value it can have",
                address=self.link.address,
            ) from error

    # ---- temperatures -----------------------------------------------------------------------------------------
    def temperature_k(self) -> float:
        """Return the temperature of what is followed, the device or the air, kelvin.

        Raises
        ------
        SensorFault
            There is none: above 400 C the instrument means no valid reading.
        """
        return self._temperature("TEMP?", "what it follows")

    def air_k(self) -> float:
        """Return the temperature of the air, kelvin; raises SensorFault."""
        return self._temperature("TMPA?", "the air")

    def device_k(self) -> float:
        """Return the temperature of the device, kelvin; raises SensorFault where it has no sensor."""
        return self._temperature("TMPD?", "the device")

    def _temperature(self, query: str, what: str) -> float:
        celsius = float(self._value(query, float))
        if not celsius <= _INVALID_C:
            raise SensorFault(
                f"{self!r} has no temperature of {what}: it answers {celsius:g} C; look at the sensor and its type",
                input=query.removesuffix("?"),
                status=(f"{celsius:g} C",),
            )
        return celsius + ZERO_K

    @property
    def at_temperature(self) -> bool:
        """Get whether the setpoint's window was held for the soak time."""
        return bool(self._bits("TECR?") & _AT)

    # ---- what is done with it ---------------------------------------------------------------------------------
    def force(self, temperature_k: float) -> None:
        """Bring the device to a temperature: choose the setpoint of its side of the room, set it, let air flow.

        Cold setpoints are those up to 20 C, hot ones those from 30 C. The head must be down: it is not moved here,
        somebody's fingers may be below it.

        Raises
        ------
        SettingOutOfRange, InstrumentError
            Not possible, or not taken; air does not flow then.
        """
        if self.head != "down":
            raise SettingOutOfRange(
                f"the head of {self!r} is up: bring it down (head = 'down') when nothing is in its way",
                setting="head",
            )
        celsius = temperature_k - ZERO_K
        with self.together():
            self.chosen = _COLD if celsius <= 20.0 else _HOT if celsius >= 30.0 else _AMBIENT
            self.setpoint_k = temperature_k
        self.flow = True

    def wait_settled(
        self,
        *,
        timeout_s: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        poll_s: float = 1.0,
    ) -> float:
        """Wait until the setpoint's window was held for its soak time.

        Parameters
        ----------
        timeout_s : float
        clock, sleep : callable
            Seconds now, and to let seconds pass.
        poll_s : float
            From one look to the next.

        Returns
        -------
        float
            Temperature, kelvin.

        Raises
        ------
        NotSettled
            It was not in time, or not before the longest test time of the instrument.
        InstrumentError
            The instrument reports errors.
        """
        began = clock()
        while True:
            status = self._bits("TECR?")
            if status & _AT:
                return self.temperature_k()
            self.check()
            late = clock() - began >= timeout_s
            if late or status & _END_OF_TEST:
                reason = f"after {timeout_s:g} s" if late else "at the end of the instrument's test time"
                got_k, wanted_k = self.temperature_k(), self.setpoint_k
                raise NotSettled(
                    f"{self!r} is at {got_k:.1f} K and not at {wanted_k:.1f} K {reason}; look at the limits of the "
                    "air, its distance to the device, window and soak time",
                    wanted_k=wanted_k,
                    got_k=got_k,
                    timeout_s=timeout_s,
                )
            sleep(poll_s)

    def make_safe(self) -> None:
        """Stop the air; the head stays where it is."""
        self.link.write("FLOW 0")
        found = [error for error in self.errors() if error.code in _ESR]
        if found:
            raise self.failure(found)

    def reset(self) -> None:
        """Reset to the operator screen with its default settings."""
        self.tell("RSTO")
