"""Lake Shore 336 and 335: four (two) sensor inputs, four (two) outputs with control loops.

The instrument has no error queue and does not answer what it does not understand (instruments §2.9). Every message of
this driver therefore ends with ``*ESR?``, so that a refused command is known at once instead of by a time-out, and
carries the read-back of what it set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from drivers.chip import BoardError, Identity
from drivers.errors import InstrumentError, MalformedAnswer, SettingOutOfRange
from drivers.instrument import Instrument
from drivers.instruments.lakeshore_input import Input
from drivers.instruments.lakeshore_output import CurrentOutput, Output, VoltageOutput
from drivers.instruments.lakeshore_values import ControlMode, Pid, Ramp, Reading
from drivers.message_link import MessageLink
from drivers.properties import Part

__all__ = ["LakeShore336"]

_ESR_BITS = {
    4: "query error: a reply was lost or asked for in vain",
    8: "device error",
    16: "execution error: a parameter cannot be, or not now",
    32: "command error: no such command",
    128: "power was off: settings of before are gone and heaters are off",
}
_LONGEST = 1024
_PRESETS_A = {"336": (0.0, 0.707, 1.0, 1.414, 2.0), "335": (0.0, 0.707, 1.0, 1.414, 1.732)}
T = TypeVar("T")
_Expected = tuple[Callable[[str], Any], Any, str]
_SERIAL_INTERVAL_S = 0.05  # at most 20 commands a second there (instruments §2.9)


class LakeShore336(Instrument):
    """A Lake Shore 336 or 335 behind a VISA address; made by :meth:`open`.

    Parameters
    ----------
    link, identity
        As of :class:`~drivers.instrument.Instrument`.
    interval_s : float, optional
        Least time between two messages; 50 ms on serial lines, none elsewhere.
    pause, now : callable
        How it waits for that.

    Attributes
    ----------
    inputs : dict of str to Input
        "A" .. "D".
    outputs : dict of str to Output
        "out1" .. "out4".
    """

    models = ("336", "335")
    write_end = "\r\n"
    read_end = "\r\n"

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        interval_s: float | None = None,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        serial = link.address.upper().startswith("ASRL")
        self._interval_s = interval_s if interval_s is not None else _SERIAL_INTERVAL_S * serial
        self._pause, self._now, self._sent_at = pause, now, -1e9
        self._commands: list[str] = []
        self._expected: dict[str, _Expected] = {}
        super().__init__(link, identity=identity)
        wide = self._identity.model.startswith("336")
        self.inputs = {key: Input(self, key) for key in ("ABCD" if wide else "AB")}
        presets = _PRESETS_A["336" if wide else "335"]
        self.outputs: dict[str, Output] = {f"out{key}": CurrentOutput(self, key, presets) for key in "12"}
        if wide:
            self.outputs |= {f"out{key}": VoltageOutput(self, key) for key in "34"}
        self._talk("*CLS;*ESR?")  # what happened before is none of ours

    def __getattr__(self, name: str) -> Any:
        try:
            return self.parts()[name]
        except KeyError:
            raise AttributeError(f"{self!r} has no {name}; it has {', '.join(self.parts())}") from None

    def parts(self) -> Mapping[str, Part]:
        """Return inputs and outputs by name."""
        return {**self.__dict__.get("inputs", {}), **self.__dict__.get("outputs", {})}

    # ---- messages ---------------------------------------------------------------------------------------------
    def _talk(self, message: str) -> str:
        wait_s = self._sent_at + self._interval_s - self._now()
        if wait_s > 0:
            self._pause(wait_s)
        self._sent_at = self._now()
        return self.link.query(message)

    def _exchange(self, message: str) -> str:
        """Send commands and queries; return the replies without the status, which is looked at."""
        replies, _, status = self._talk(f"{message};*ESR?").rpartition(";")
        found = self._events(status, message)
        if found:
            raise self.failure(found)
        return replies

    def ask(self, query: str) -> str:
        """Ask something; a question it does not understand raises InstrumentError at once, not after a time-out."""
        with self._mine:
            self.check()
            return self._exchange(query)

    def tell(self, command: str) -> None:
        """Send a command, at the end of a :meth:`together` block in one message with the others.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        if len(command) + len(";*ESR?") > _LONGEST:
            raise SettingOutOfRange(
                f"{command[:40]}... is longer than the {_LONGEST} characters {self!r} takes"
            )
        with self._mine:
            self._commands.append(command)
            if not self._together:
                self.check()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send several commands in one message, read them back in the same, and look at the errors once.

        Nothing is sent where the block ends with an error.
        """
        with self._mine:
            self._together += 1
            try:
                yield
            except BaseException:
                self._commands, self._expected = [], {}
                raise
            finally:
                self._together -= 1
            if not self._together:
                self.check()

    def expect(self, query: str, parse: Callable[[str], Any], value: Any, what: str) -> None:
        """Check in the next message that the reply to `query` is `value`; InstrumentError where it is not."""
        self._expected[query] = parse, value, what  # of a setting that is set twice, the second counts

    def check(self) -> None:
        """Send what waits, read it back and look at the event status.

        Raises
        ------
        InstrumentError
            Something was refused, or is not what was set.
        """
        commands, self._commands = self._commands, []
        expected, self._expected = self._expected, {}
        queries = list(expected)
        while commands or queries:
            message, asked = "", []
            for units in (commands, queries):
                while units and len(message) + len(units[0]) + len(";;*ESR?") <= _LONGEST:
                    if units is queries:
                        asked.append(units[0])
                    message += ";" * bool(message) + units.pop(0)
                if units:
                    break
            replies = self._exchange(message).split(";")
            for query in asked:
                count = query.count("?")
                self._compare(query, ";".join(replies[:count]), *expected[query])
                replies = replies[count:]

    def _compare(self, query: str, reply: str, parse: Callable[[str], Any], value: Any, what: str) -> None:
        got = self.parsed(query, reply, parse)
        if got != value:
            raise InstrumentError(
                f"{what} was set to {value} and reads back as {got}: the instrument did not take it"
            )

    def parsed(self, query: str, reply: str, parse: Callable[[str], T]) -> T:
        """Return what a reply says; MalformedAnswer where it cannot be read."""
        try:
            return parse(reply)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} to {query}: not a value it can have",
                address=self.link.address,
            ) from error

    def errors(self) -> list[BoardError]:
        """Return and forget the events its status register has."""
        return self._events(self._talk("*ESR?"), "")

    def _events(self, status: str, message: str) -> list[BoardError]:
        try:
            bits = int(status)
        except ValueError:
            raise MalformedAnswer(
                f"{self!r} answered {status[:40]!r} where its event status was asked for; read it again, and check "
                "the link if it stays",
                address=self.link.address,
            ) from None
        return [BoardError(bit, text, message) for bit, text in _ESR_BITS.items() if bits & bit]

    # ---- readings ---------------------------------------------------------------------------------------------
    def readings(self, inputs: str = "") -> dict[str, Reading]:
        """Take the readings of several inputs, all when left out, in one message.

        Raises
        ------
        InstrumentError, LinkError
            As of :meth:`ask`.
        """
        keys = inputs or "".join(self.inputs)
        replies = self.ask(";".join(f"KRDG? {key};SRDG? {key};RDGST? {key}" for key in keys)).split(";")
        return {key: self._reading(replies[3 * at : 3 * at + 3]) for at, key in enumerate(keys)}

    def state_of(self, source: str, output: str) -> tuple[Reading, bool]:
        """Take the reading of an input, and whether an output is off, in one message."""
        *replies, heater = self.ask(f"KRDG? {source};SRDG? {source};RDGST? {source};RANGE? {output}").split(
            ";"
        )
        return self._reading(replies), heater.strip() == "0"

    def _reading(self, replies: list[str]) -> Reading:
        return self.parsed(
            "KRDG?;SRDG?;RDGST?", ";".join(replies), lambda reply: Reading.parse(*reply.split(";"))
        )

    # ---- what is done with it ---------------------------------------------------------------------------------
    def regulate(
        self,
        temperature_k: float,
        *,
        input: str = "A",  # noqa: A002 - what it is called on the front
        output: str = "out1",
        range: str = "high",  # noqa: A002
        rate_k_s: float | None = None,
        pid: Pid | None = None,
    ) -> None:
        """Start to hold a temperature: control loop, ramp and setpoint, then the heater.

        Parameters
        ----------
        temperature_k : float
        input, output : str
        range : str
            Of the output's ``ranges``.
        rate_k_s : float, optional
            Rate of the ramp from the present temperature, kelvin per second; at once when left out.
        pid : Pid, optional
            As they are when left out.

        Raises
        ------
        SettingOutOfRange, InstrumentError
            Not possible, or not taken; the heater is not switched on then.
        SensorFault
            The input has no temperature to go by.
        """
        loop: Any = self.outputs[output]
        if input not in self.inputs or range not in loop.ranges:
            raise SettingOutOfRange(
                f"{self!r} has inputs {', '.join(self.inputs)}, ranges {', '.join(loop.ranges)}"
            )
        start_k = self.inputs[input].temperature_k()
        with self.together():
            loop.mode = ControlMode("closed-loop", input)
            loop.ramp = Ramp(on=False)
            if pid is not None:
                loop.pid = pid
        if rate_k_s is not None:
            loop.setpoint_k = start_k
            loop.ramp = Ramp(True, rate_k_s)
        loop.setpoint_k = temperature_k
        loop.range = range

    def make_safe(self) -> None:
        """Bring every heater off, and see that it is."""
        self._commands, self._expected = [], {}
        with self.together():
            for loop in self.outputs.values():
                loop.switch_off()

    def reset(self) -> None:
        """Return to the settings of power-on (``*RST``); the heaters go off."""
        self.make_safe()
        self.tell("*RST")
