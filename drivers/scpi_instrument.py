"""The base of drivers for instruments that speak SCPI: how errors are asked for, blocks, and who answers instead.

After every command the error queue is asked, in a message of its own: a command error makes an instrument drop the
rest of a message, the question with it (instruments §3). On a stream both messages go out in one write, so that a
setting costs one round trip there.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from drivers.blocks import header_of, items_of
from drivers.chip import BoardError, Identity
from drivers.errors import InstrumentError, MalformedAnswer, WrongInstrument
from drivers.instrument import Instrument

__all__ = ["ScpiInstrument", "error_of"]

_ENTRY = re.compile(r'\s*([+-]?\d+)\s*,\s*"(.*)"\s*', re.DOTALL)
_ERRORS_MAX = 100
_OVERFLOW = -350
_OTHERS: tuple[tuple[str, str], ...] = (
    (r"26\d\d[AB]?|37\d\d|707[AB]|708[AB]", "it speaks TSP"),
    (r"B15\d\dA|E52\d\dA|415[56][ABC]", "it speaks FLEX"),
    (r"4200A?.*", "it speaks KXCI"),
)
"""Models of other languages, and what to say of them."""


def error_of(entry: str) -> BoardError:
    """Read an entry of an error queue, ``-222,"Data out of range;..."``; code 0 is no error.

    Raises
    ------
    ValueError
        It is none.
    """
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(f"{entry[:80]!r} is no entry of an error queue")
    text, _, info = found.group(2).replace('""', '"').partition(";")
    return BoardError(int(found.group(1)), text.strip(), info.strip())


class ScpiInstrument(Instrument):
    """An instrument with ``SYSTem:ERRor?``.

    Attributes
    ----------
    error_query : str
        What takes the oldest entry out of the error queue.
    found_at_opening : tuple of BoardError
        What the error queue held when it was opened: nothing this driver did.
    """

    error_query: ClassVar[str] = "SYST:ERR?"

    def __init__(self, link: Any, *, identity: Identity | None = None) -> None:
        super().__init__(link, identity=identity)
        self.found_at_opening = tuple(self.errors())

    def _identified(self) -> Identity:
        try:
            return super()._identified()
        except WrongInstrument as error:
            model = [*str(error.got).split(","), ""][1].strip().upper().removeprefix("MODEL").strip()
            hint = next((words for pattern, words in _OTHERS if re.fullmatch(pattern, model)), None)
            if hint is None:
                raise
            raise WrongInstrument(
                f"{error}; {hint}, and needs the driver for that", **error.numbers
            ) from None

    # ---- errors -------------------------------------------------------------------------------------------
    def tell(self, command: str | bytes) -> None:
        """Send a command, then ask for the instrument's errors, once per :meth:`together`.

        Raises
        ------
        InstrumentError
            The instrument refused it, or did something else than was asked for.
        """
        data = command.encode("latin-1") if isinstance(command, str) else command
        with self._mine:
            self._untold = True
            if self._together:
                self.link.write(data)
                return
            if self.link.is_stream:
                entry = self.link.query(data + self.write_end.encode("latin-1") + self.error_query.encode())
            else:
                self.link.write(data)
                entry = self.link.query(self.error_query)
            self._untold = False
            self._raise(self._errors_from(entry))

    def errors(self) -> list[BoardError]:
        """Return and forget the errors the instrument has waiting, oldest first."""
        return self._errors_from(self.link.query(self.error_query))

    def ask_checked(self, query: str, *, timeout_s: float | None = None) -> str:
        """Ask something together with the errors, in one message; returns the reply without them.

        For messages that cannot hold a command error: after one, nothing would answer.

        Raises
        ------
        InstrumentError
            There are errors.
        MalformedAnswer
            The reply does not end in an entry of the error queue.
        """
        with self._mine:
            reply = self.link.query(f"{query};:{self.error_query}", timeout_s=timeout_s)
            value, entry = _parted(reply)
            self._raise(self._errors_from(entry))
            return value

    def _raise(self, found: list[BoardError]) -> None:
        if found:
            raise self.failure(found)

    def _errors_from(self, entry: str) -> list[BoardError]:
        found: list[BoardError] = []
        while (error := self._read(entry)).code != 0 and len(found) < _ERRORS_MAX:
            found.append(error)
            entry = self.link.query(self.error_query)
        return found

    def _read(self, entry: str) -> BoardError:
        try:
            return error_of(entry)
        except ValueError as error:
            raise MalformedAnswer(
                f"{self!r} answered {entry[:80]!r} to {self.error_query}: its replies are out of step; open it again"
            ) from error

    def failure(self, found: list[BoardError]) -> InstrumentError:
        """Return what to raise for errors; says where the queue ran over."""
        error = super().failure(found)
        if any(entry.code == _OVERFLOW for entry in found):
            return type(error)(f"{error} (its queue ran over: errors behind these are lost)", **error.numbers)
        return error

    # ---- blocks -------------------------------------------------------------------------------------------
    def upload(self, command: str, values: NDArray[Any], dtype: str) -> None:
        """Send values as a definite block behind a command, then look at the errors.

        Parameters
        ----------
        command : str
            All that stands before the block, ``:DATA1:DAC VOLATILE,``.
        values : ndarray
        dtype : str
            numpy type with its byte order, ``">i2"``.

        Raises
        ------
        ValueError
            The byte order is not stated.
        InstrumentError
            The instrument refused it.
        """
        wire = np.ascontiguousarray(values, _ordered(dtype))
        self.tell(b"".join((command.encode("latin-1"), header_of(wire.nbytes), wire.tobytes())))

    def download(
        self, query: str, dtype: str, count: int | None = None, *, timeout_s: float | None = None
    ) -> NDArray[Any]:
        """Ask for a definite block and return its items.

        Parameters
        ----------
        query : str
        dtype : str
            numpy type with its byte order, ``">f4"``.
        count : int, optional
            How many there must be.

        Raises
        ------
        MalformedAnswer
            The block has another length.
        """
        _ordered(dtype)
        return items_of(self.link.query_block(query, timeout_s=timeout_s), dtype, count)


def _ordered(dtype: str) -> np.dtype[Any]:
    kind = np.dtype(dtype)
    if kind.itemsize > 1 and dtype[:1] not in ("<", ">"):
        raise ValueError(f"{dtype!r} does not state its byte order; write '<' or '>' in front")
    return kind


def _parted(reply: str) -> tuple[str, str]:
    """Part a reply from the entry of the error queue behind it, whose text may hold semicolons."""
    found = re.search(r';(?=\s*[+-]?\d+\s*,\s*"(?:[^"]|"")*"\s*$)', reply)
    return (reply[: found.start()], reply[found.end() :]) if found else ("", reply)
