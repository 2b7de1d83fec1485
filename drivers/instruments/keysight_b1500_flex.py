"""A B1500A as something that speaks FLEX: messages, status and errors, and measured data read without being asked for.

FLEX is no SCPI: it has no ``*CLS``, no ``SYST:ERR?``, and the status byte has a layout of its own (bit 0 data, bit 3
interlock, bit 4 idle, bit 5 error; instruments §2.2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from drivers.chip import BoardError, Identity
from drivers.errors import InstrumentError, InterlockOpen, LinkTimeout, MalformedAnswer
from drivers.instrument import Instrument
from drivers.instruments.keysight_b1500_formats import Words, parse_eight, parse_four
from drivers.instruments.keysight_b1500_learn import field
from drivers.message_link import MessageLink

__all__ = ["ERROR", "INTERLOCK", "FlexInstrument"]

DATA_READY, WAITING, INTERLOCK, IDLE, ERROR = 1, 2, 8, 16, 32
_ERRORS = 30
_MESSAGE = 250
"""Characters of a message; the instrument takes 256 with the terminator (a default [K])."""

_SLOWEST_POLL_S = 0.05
_INTERLOCK_CODE = 202


class FlexInstrument(Instrument):
    """What is common to all a B1500A does.

    Parameters
    ----------
    link : MessageLink
    identity : Identity, optional
    read_back : {"8-byte", "4-byte"}
        How many readings come back. Four bytes are half of it, without time stamps, to 1 in 50 000 of the range.
    pause : callable
        Waits so many seconds between two looks at the status.
    """

    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        read_back: Literal["8-byte", "4-byte"] = "8-byte",
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._seen = 0
        self._cache: dict[str, str] | None = None
        self.read_back: Literal["8-byte", "4-byte"] = read_back
        self.pause = pause
        super().__init__(link, identity=identity)

    def _identified(self) -> Identity:
        try:
            return super()._identified()
        except LinkTimeout as error:
            raise LinkTimeout(
                f"nothing answers at {self.link.address}: close EasyEXPERT on the B1500A (its starter, Start "
                "EasyEXPERT, has to run and to be idle), and compare the GPIB address",
                **error.numbers,
            ) from error

    # ---- messages -----------------------------------------------------------------------------------------
    def ask(self, query: str) -> str:
        """Ask something; returns the reply, or one command out of a learned one (``*LRN? 32|RI1``)."""
        asked, bar, head = query.partition("|")
        if not bar:
            return self.link.query(query)
        if self._cache is not None and asked in self._cache:
            return field(self._cache[asked], head)
        reply = self.link.query(asked)
        if self._cache is not None:
            self._cache[asked] = reply
        return field(reply, head)

    def tell_all(self, commands: Sequence[str]) -> None:
        """Send commands in as few messages as they fit in, then look at the errors once.

        Raises
        ------
        InstrumentError, InterlockOpen
        """
        with self.together():
            message = ""
            for command in commands:
                if message and len(message) + len(command) >= _MESSAGE:
                    self.tell(message)
                    message = ""
                message = f"{message};{command}" if message else command
            if message:
                self.tell(message)

    def learn(self, kind: int) -> str:
        """Return the commands that would bring back the settings of a kind (``*LRN?``); 1 to 10 are the slots."""
        return self.link.query(f"*LRN? {kind}")

    def settings(self) -> dict[str, Any]:
        """Return every readable setting by name; what several of them are learned from is asked for once."""
        with self._mine:
            self._cache = {}
            try:
                return super().settings()
            finally:
                self._cache = None

    # ---- status and errors --------------------------------------------------------------------------------
    def _poll(self) -> int:
        """Return the status byte; what the poll clears is kept for :meth:`errors`."""
        status = self.link.status_byte()
        self._seen |= status & (ERROR | INTERLOCK)
        return status

    def errors(self) -> list[BoardError]:
        """Return and forget the errors: asked for only where the status byte tells of any, if there is one."""
        if not self.link.is_stream:
            self._poll()
            if not self._seen & (ERROR | INTERLOCK):
                return []
        found = []
        for _ in range(_ERRORS + 1):
            code, _, text = self.link.query("ERRX?").partition(",")
            try:
                number = int(code)
            except ValueError:
                raise MalformedAnswer(
                    f"{self!r} answered {code[:40]!r} to ERRX?: that is no error code; clear the link and ask again",
                    address=self.link.address,
                ) from None
            if number == 0:
                break
            found.append(BoardError(number, text.strip().strip('"')))
        return found

    def failure(self, found: list[BoardError]) -> InstrumentError:
        """Return what to raise for errors: an open interlock is told apart."""
        interlock, self._seen = bool(self._seen & INTERLOCK), 0
        if interlock or any(each.code == _INTERLOCK_CODE for each in found):
            told = "; ".join(str(each) for each in found)
            return InterlockOpen(
                f"{self!r} allows only +-42 V while its interlock is open ({told}): close the fixture, or wire the "
                "interlock; nothing was forced",
                errors=tuple(found),
            )
        return super().failure(found)

    def check(self) -> None:
        """Look at the instrument's errors.

        Raises
        ------
        InstrumentError, InterlockOpen
        """
        try:
            super().check()
        finally:
            self._seen = 0

    def wait_idle(self, seconds: float) -> int:
        """Wait until the instrument has done what it was told (bit 4 of its status byte); returns the byte.

        Parameters
        ----------
        seconds : float
            How long that may take beyond the link's time-out.

        Raises
        ------
        LinkTimeout
            It still works then.
        """
        deadline = time.monotonic() + seconds + self.link.timeout_s
        pause_s = 1e-3
        while not (status := self._poll()) & IDLE:
            if time.monotonic() > deadline:
                raise LinkTimeout(
                    f"{self!r} is still busy after {seconds + self.link.timeout_s:g} s: abort() it, or allow it more "
                    "time; it may wait for a trigger",
                    address=self.link.address,
                    timeout_s=seconds + self.link.timeout_s,
                )
            self.pause(pause_s)
            pause_s = min(2 * pause_s, _SLOWEST_POLL_S)
        return status

    # ---- measuring ----------------------------------------------------------------------------------------
    def execute(
        self,
        setup: Sequence[str],
        *,
        words: int,
        seconds: float,
        after: Sequence[str] = (),
        restart: bool = True,
        fewer: int = 0,
    ) -> Words:
        """Set up a measurement, trigger it, and read what it measured.

        Parameters
        ----------
        setup : sequence of str
            Commands before the trigger.
        words : int
            Data words.
        seconds : float
            How long it takes.
        after : sequence of str
            Commands behind the trigger, sent whatever came of it.
        restart : bool
            The timer begins at 0.
        fewer : int
            Data may be missing in groups of so many words: their number is asked for.

        Raises
        ------
        InstrumentError, InterlockOpen, LinkError
        """
        eight = self.read_back == "8-byte"
        size = 8 if eight else 4
        style = "FMT 13,1;TSC 1" if eight else "FMT 3,1;TSC 0"
        with self._mine:
            try:
                self.tell_all([*setup, style, *(["TSR"] if restart else [])])
                self.link.write("XE")
            except InstrumentError:
                if after:
                    self.link.write(";".join(after))
                raise
            if after:
                self.link.write(";".join(after))
            self._settled(seconds)
            if fewer:
                words = self.count("NUB?")
                if words % fewer or not words:
                    raise MalformedAnswer(
                        f"{self!r} has {words} data words, no whole samples: look at its errors and repeat",
                        address=self.link.address,
                    )
            wait_s = self.link.timeout_s + (seconds if self.link.is_stream else 0.0)
            data = self.link.read_bytes(words * size + 2, timeout_s=wait_s)
            return self._parsed(data, parse_eight if eight else parse_four)

    def spot(self, command: str) -> Words:
        """Send one high-speed spot measurement (TTIV) and return its three words."""
        with self._mine:
            self.link.write(f"FMT 13,0;{command}")
            self._settled(self.link.timeout_s)
            return self._parsed(self.link.read_bytes(3 * 8 + 2), parse_eight)

    def _settled(self, seconds: float) -> None:
        """Wait for a measurement and look at the errors, where the interface tells without disturbing the data."""
        if not self.link.is_stream:
            self.wait_idle(seconds)
            self.check()

    def count(self, query: str) -> int:
        """Ask for a whole number.

        Raises
        ------
        MalformedAnswer
            The reply is none.
        """
        reply = self.link.query(query)
        try:
            return int(reply)
        except ValueError:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:40]!r} to {query}: no number; clear the link and repeat",
                address=self.link.address,
            ) from None

    def _parsed(self, data: bytes, parse: Callable[[bytes], Words]) -> Words:
        if data[-2:] != b"\r\n":
            raise MalformedAnswer(
                f"{self!r} sent data of another length than was measured: repeat it, and look at its errors",
                address=self.link.address,
            )
        try:
            return parse(data[:-2])
        except ValueError as error:
            raise MalformedAnswer(
                f"{self!r} sent data that cannot be read ({error}): compare one reading in FMT 1",
                address=self.link.address,
            ) from error
