"""Instruments that speak TSP: chunks of Lua in, what they print out, errors in a queue of their own (instruments §2.1).

Nothing that is sent is answered unless it prints, so every command is followed by a look at ``errorqueue``; a chunk
that does not compile prints nothing at all, so questions are kept apart from commands.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from drivers.chip import BoardError, Identity
from drivers.errors import (
    InstrumentError,
    LinkError,
    LinkTimeout,
    MalformedAnswer,
    SettingOutOfRange,
    WrongInstrument,
)
from drivers.instrument import Instrument
from drivers.message_link import MessageLink

__all__ = ["NOT_A_NUMBER", "LuaValue", "TspInstrument", "lua_number", "lua_table_lines"]

NOT_A_NUMBER = 9.9e37
"""What an instrument answers for a value there is not is 9.91e37; everything from here on counts as that."""

LuaValue = float | int | str | bool
"""What a script may be called with."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MOST_ERRORS = 1000
_NO_SUCH_NAME = -292
_PER_LINE = 100
_END = "labkit-end"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1e-3, 0.2


def lua_number(value: float) -> str:
    """Return a number as Lua reads it, with the digits an instrument can use."""
    return f"{float(value):.9g}"


def lua_table_lines(name: str, values: Iterable[float]) -> list[str]:
    """Return lines of Lua that fill a global table, short enough for the instrument's input."""
    numbers = [lua_number(value) for value in values]
    lines = [f"{name} = {{}}"]
    for at in range(0, len(numbers), _PER_LINE):
        part = ",".join(numbers[at : at + _PER_LINE])
        lines.append(f"for _, value in ipairs({{{part}}}) do table.insert({name}, value) end")
    return lines


class TspInstrument(Instrument):
    """The base of drivers for instruments that speak TSP.

    Parameters
    ----------
    pause : callable, optional
        Waits between two looks at an operation that takes its time, gets seconds; left out, wall time passes for
        instruments and none for simulated ones.
    """

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(link, identity=identity)
        if pause is None:
            pause = _no_pause if self._identity.simulated else time.sleep
        self._pause = pause
        self._speaks_tsp()

    def _identified(self) -> Identity:
        try:
            return super()._identified()
        except WrongInstrument as error:
            got = str(error.got or "")
            if re.search(r"MODEL\s*24[567]\d", got.upper()):
                language = self._language()
                raise WrongInstrument(
                    f"{error} (a 2450-class instrument in its {language} command set: its TSP has other names than "
                    "that of the 2600, and no SCPI is understood in TSP)",
                    expected=error.expected,
                    got=error.got,
                ) from error
            raise

    def _language(self) -> str:
        try:
            return self.link.query("*LANG?").strip()[:20] or "unknown"
        except LinkError:
            return "unknown"

    def _speaks_tsp(self) -> None:
        """See that what answers ``*IDN?`` runs Lua too, and is the model it says it is."""
        question = "print(localnode.model)"
        try:
            reply = self.link.query(question).strip()
        except LinkError as error:
            raise WrongInstrument(
                f"{self.link.address} answers *IDN? and does not answer {question}: it is not in its TSP command set "
                "(a SCPI instrument is silent there); switch its command set or check the driver in the bench file",
                expected="TSP",
                got=f"nothing ({error})",
            ) from error
        if reply.upper().removeprefix("MODEL").strip() != self._identity.model.upper():
            raise WrongInstrument(
                f"{self.link.address} is a {self._identity.model} by *IDN? and answers {question} with {reply[:60]!r}: "
                "earlier replies are still under way, or it is not in its TSP command set; open it again",
                expected=self._identity.model,
                got=reply,
            )

    # ---- questions ------------------------------------------------------------------------------------------------
    def ask_values(self, *expressions: str, timeout_s: float | None = None) -> list[str]:
        """Ask for the values of Lua expressions in one message; returns what is printed for each."""
        message = f"print({', '.join(expressions)})"
        reply = self.link.query(message, timeout_s=timeout_s)
        values = reply.split("\t")
        if len(values) != len(expressions):
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} to {message[:80]!r}: {len(values)} values for {len(expressions)}; "
                "earlier replies may be under way, reopen the link",
                address=self.link.address,
            )
        return values

    def ask_numbers(self, *expressions: str, timeout_s: float | None = None) -> list[float]:
        """Ask for numbers in one message; nil and 9.91e37 are NaN, true and false 1 and 0."""
        return [self._number(value) for value in self.ask_values(*expressions, timeout_s=timeout_s)]

    def _number(self, reply: str) -> float:
        words = {"nil": np.nan, "true": 1.0, "false": 0.0}
        try:
            value = words[reply] if reply in words else float(reply)
        except ValueError:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} where a number was asked for; look at its errors",
                address=self.link.address,
            ) from None
        return float("nan") if abs(value) >= NOT_A_NUMBER else value

    def read_columns(self, columns: list[str], count: int) -> NDArray[np.float64]:
        """Read parts of reading buffers as one binary block: shape (len(columns), count), 9.91e37 as NaN.

        Parameters
        ----------
        columns : list of str
            Like ``"smua.nvbuffer1.statuses"``.
        count : int
            Readings of each.

        Raises
        ------
        MalformedAnswer, LinkTimeout
            The block is broken; the link is closed then.
        """
        message = (
            f"format.data = format.REAL64 format.byteorder = format.LITTLEENDIAN "
            f"printbuffer(1, {count}, {', '.join(columns)}) format.data = format.ASCII"
        )
        block = self.link.query_open_block(message, 8 * count * len(columns))
        found = np.frombuffer(block, "<f8").reshape(count, -1).T.copy()
        found[np.abs(found) >= NOT_A_NUMBER] = np.nan
        return found

    # ---- commands -------------------------------------------------------------------------------------------------
    def tell_lines(self, lines: Iterable[str]) -> None:
        """Send several lines of Lua in one message, then look at the errors.

        Raises
        ------
        InstrumentError
            The instrument refused any of them.
        """
        self.tell("\n".join(lines))

    def errors(self) -> list[BoardError]:
        """Return and forget the errors the instrument has waiting."""
        found: list[BoardError] = []
        while len(found) < _MOST_ERRORS:
            reply = self.link.query("print(errorqueue.count, errorqueue.next())")
            try:
                count, code, *words, _severity, node = reply.split("\t")
                left, number, where = int(float(count)), int(float(code)), int(float(node))
            except ValueError:
                raise MalformedAnswer(
                    f"{self!r} answered {reply[:80]!r} to the question for its errors; earlier replies may be under "
                    "way, reopen the link",
                    address=self.link.address,
                ) from None
            if number == 0:
                break
            found.append(BoardError(number, "\t".join(words), "" if where in (0, 1) else f"node {where}"))
            if left <= 1:
                break
        return found

    # ---- scripts --------------------------------------------------------------------------------------------------
    def upload_script(self, name: str, source: str) -> None:
        """Upload a script under a name; one of that name that is there already is replaced.

        Raises
        ------
        SettingOutOfRange
            It cannot be a name.
        InstrumentError
            The script does not compile; the error says in which line.
        """
        self._check_name(name)
        with self._mine:
            self.delete_script(name)
            self.tell("\n".join([f"loadscript {name}", *source.splitlines(), "endscript"]))

    def delete_script(self, name: str) -> None:
        """Clear a script out of the instrument's memory, where there is one of that name."""
        self._check_name(name)
        with self._mine:
            self.link.write(f'script.delete("{name}")')
            found = [error for error in self.errors() if error.code != _NO_SUCH_NAME]
            if found:
                raise self.failure(found)

    def run_script(self, name: str, *arguments: LuaValue, timeout_s: float | None = None) -> list[str]:
        """Run a script or a function of the instrument by its name; returns the lines it printed.

        Parameters
        ----------
        name : str
            Like ``"sweep"`` or ``"smua.reset"``.
        *arguments
            What it is called with.
        timeout_s : float, optional
            How long it may take between two lines.

        Raises
        ------
        InstrumentError
            It stopped with a run-time error, or left errors in the queue.
        """
        for part in name.split("."):
            self._check_name(part)
        call = ", ".join([name, *map(_literal, arguments)])
        lines: list[str] = []
        with self._mine:
            # A run-time error outside pcall would end the chunk without a last line, and this would wait for ever.
            line = self.link.query(
                f'do local ok, words = pcall({call}) print("{_END}", ok, words) end', timeout_s=timeout_s
            )
            while not line.startswith(_END):
                lines.append(line)
                line = self.link.read(timeout_s=timeout_s)
            _, passed, words = (*line.split("\t", 2), "", "")[:3]
            if passed != "true":
                raise InstrumentError(
                    f"{self!r}: {name} stopped: {words}; what it printed until then: {lines[-3:]}",
                    errors=(BoardError(-286, words), *self.errors()),
                )
            self.check()
        return lines

    def _check_name(self, name: str) -> None:
        if not _NAME.match(name):
            raise SettingOutOfRange(
                f"{name!r} is no name Lua could call a script by; nothing was sent",
                setting="name",
                value=name,
            )

    # ---- waiting --------------------------------------------------------------------------------------------------
    @property
    def has_serial_poll(self) -> bool:
        """Whether the status byte can be read beside the messages: GPIB, VXI-11 and HiSLIP."""
        return self.link.address.upper().startswith(("GPIB", "TCPIP")) and not self.link.is_stream

    def wait_until(self, done: Callable[[], bool], *, expected_s: float, allowed_s: float) -> None:
        """Wait until `done` says so: first for most of what is expected, then look ever more rarely.

        Raises
        ------
        LinkTimeout
            It took longer than `allowed_s`.
        """
        waited_s, pause_s = 0.0, max(_FIRST_PAUSE_S, 0.8 * expected_s)
        while True:
            self._pause(pause_s)
            waited_s += pause_s
            if done():
                return
            if waited_s > allowed_s:
                raise LinkTimeout(
                    f"{self!r} is still busy after {waited_s:.3g} s where {expected_s:.3g} s were expected; abort it",
                    address=self.link.address,
                    timeout_s=allowed_s,
                )
            pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 0.1 * waited_s))


def _no_pause(seconds: float) -> None:
    """Let no wall time pass: the clock of a simulated bench moves by itself when it is asked again."""


def _literal(value: LuaValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return lua_number(value)
