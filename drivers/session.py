"""One host's conversation with a board: its lock, its errors, how it finds its feet after a break.

A time-out or a broken link ends in :meth:`Session.recover`, the steps of controller-protocol §6.5: reopen, take
the lock back with the old token (which silences the old connection), compare the boot id, ask which batch ran
last. What follows from that is decided above.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from drivers.chip import BoardError
from drivers.errors import (
    BoardRestarted,
    ForeignBatch,
    InstrumentError,
    LinkError,
    LockRefused,
    MalformedAnswer,
    StaleAnswer,
)
from drivers.visa import Answer, Unit, VisaLink

__all__ = ["Accepted", "Session", "integers", "is_same"]

Accepted = tuple[int, int, int]
"""Id, entries done and CRC-32 of the last batch a board accepted."""


_CLOSE_TIMEOUT_S = 2.0


def is_same(a: Accepted, b: Accepted | None) -> bool:
    """Whether both speak of one batch, however far it was at either time; None is no batch."""
    return b is not None and (a[0], a[2]) == (b[0], b[2])


def integers(text: str, count: int) -> list[int]:
    """Read the first `count` whole numbers of a reply; further fields, which later versions add, are ignored.

    Raises
    ------
    StaleAnswer
        There are fewer, or they are no whole numbers.
    """
    fields = text.split(",")
    try:
        return [int(field) for field in fields[:count]] if len(fields) >= count else _stale(text, count)
    except ValueError:
        return _stale(text, count)


def _stale(text: str, count: int) -> list[int]:
    raise StaleAnswer(f"the board answered {text!r} where {count} whole numbers belong", got=text)


class Session:
    """A link that holds the board's lock.

    Parameters
    ----------
    link : VisaLink
    formats : sequence of Unit
        Settings of the connection, sent again after each reopening.

    Raises
    ------
    LockRefused
        Another host controls the board.

    Attributes
    ----------
    boot_id : int
        As it was when this host last spoke with the board.
    last : Accepted
        Last batch the board is known to have accepted.
    token : str
        Names this host; drawn at random and kept.
    sent : Accepted or None
        Last batch this host sent, whether or not it knows that the board accepted it; its entries done are 0.
    in_flight : int or None
        Batch that may be running, so that its cells are in doubt where the board restarts.
    started : str
        ``PROG``, ``READ`` or ``MVM``: whose state tells how the last operation ended.
    on_loss : callable
        Called where the board may have lost what it was told: selections, templates, settings.
    """

    def __init__(self, link: VisaLink, formats: Sequence[Unit] = ()) -> None:
        self.link = link
        self.token = f"labkit-{secrets.token_hex(8)}"
        self.formats = list(formats)
        self.on_loss: Callable[[], None] = lambda: None
        self.sent: Accepted | None = None
        self.in_flight: int | None = None
        self.started = "PROG"
        self._lock = threading.RLock()
        self.boot_id, self.last, _ = self._enter()

    # ---- messages -----------------------------------------------------------------------------------------
    def ask(
        self,
        units: Sequence[Unit],
        *,
        lengths: Sequence[int | None] = (),
        timeout_s: float | None = None,
        refused: type[InstrumentError] = InstrumentError,
    ) -> list[Answer]:
        """Send a message that ends with a query; returns one answer per query.

        It is sent again once after a broken link, so it must not program (:meth:`ask_once` is for that).

        Raises
        ------
        InstrumentError
            The board refused a unit; of the given kind.
        BoardRestarted, LockRefused, ForeignBatch, LinkError
            The link broke, and what was found behind it.
        """
        with self._lock:
            try:
                return self.ask_once(units, lengths=lengths, timeout_s=timeout_s, refused=refused)
            except LinkError as broken:
                self._go_on(broken)
                return self.ask_once(units, lengths=lengths, timeout_s=timeout_s, refused=refused)

    def ask_once(
        self,
        units: Sequence[Unit],
        *,
        lengths: Sequence[int | None] = (),
        timeout_s: float | None = None,
        refused: type[InstrumentError] = InstrumentError,
    ) -> list[Answer]:
        """As :meth:`ask`, but never twice."""
        with self._lock:
            answers = self.link.ask(units, lengths=lengths, timeout_s=timeout_s)
            wanted = sum(_is_query(unit) for unit in units)
            if len(answers) != wanted:
                raise _raised(self._drain([]), refused)
            return answers

    def errors(self) -> list[BoardError]:
        """Drain the error queue, which outlives a broken link (controller-protocol §4)."""
        found: list[BoardError] = []
        with self._lock:
            try:
                return self._drain(found)
            except LinkError as broken:
                self._go_on(broken)
                return self._drain(found)

    def _drain(self, found: list[BoardError]) -> list[BoardError]:
        """Append what the queue holds."""
        while True:
            (count,) = integers(self._told("SYST:ERR:COUN?"), 1)
            if not count:
                return found
            # Text in quotes may hold a semicolon, so each error is asked for by itself.
            found.extend(_parsed(self._told("SYST:ERR?")) for _ in range(count))

    def _told(self, query: str) -> str:
        answers = self.link.ask([query])
        return answers[0].text if answers else ""

    def failed(self, what: str) -> InstrumentError:
        """Return an error that says `what`, with the errors the board has queued."""
        errors = tuple(self.errors())
        said = "; ".join(str(error) for error in errors) or "the board names no error"
        return InstrumentError(f"{what}: {said}", errors=errors)

    # ---- after a break --------------------------------------------------------------------------------------
    def recover(self, broken: LinkError) -> tuple[Accepted, bool]:
        """Find the board again after a broken link (controller-protocol §6.5).

        Returns
        -------
        last : Accepted
            The last batch the board accepted.
        undisturbed : bool
            Whether nobody else controlled it meanwhile.

        Raises
        ------
        LinkError
            It does not answer any more.
        LockRefused
            Another host controls it now.
        BoardRestarted
            Its volatile state is lost.
        """
        with self._lock:
            try:
                self.link.reopen()
                boot_id, last, same_owner = self._enter()
            except LinkError as again:
                raise again from broken
            if boot_id != self.boot_id:
                before, self.boot_id, self.last = self.boot_id, boot_id, last
                in_flight, self.in_flight = self.in_flight, None
                self.on_loss()
                raise BoardRestarted(
                    "the board restarted: its power is off, and what it was told is lost; cells of a batch that "
                    "was in flight must be read before they are pulsed again",
                    before=before,
                    now=boot_id,
                    batch_id=in_flight,
                ) from broken
            if not same_owner:
                self.on_loss()
            return last, same_owner

    def _go_on(self, broken: LinkError) -> None:
        """Recover, and refuse to go on as if nothing had been where somebody else was at work."""
        last, undisturbed = self.recover(broken)
        if not self.is_known(last):
            raise self.foreign(last) from broken
        self.last = last
        if not undisturbed:
            raise self.disturbed() from broken

    def is_known(self, last: Accepted) -> bool:
        """Whether a batch is the last accepted one, or the last this host sent."""
        return is_same(last, self.last) or is_same(last, self.sent)

    def foreign(self, last: Accepted) -> ForeignBatch:
        """Return the error for a last batch this host did not send; later ids follow on it."""
        self.last = last
        return ForeignBatch(
            f"the board's last batch is {last[0]}, and this host did not send it: another program pulses this chip; "
            "stop it, and read all cells before going on",
            batch_id=last[0],
        )

    def disturbed(self) -> LockRefused:
        """Return the error for a board that another host controlled while the link was broken."""
        return LockRefused(
            f"another host controlled the board at {self.link.address} while the link was broken: its mask and "
            "settings may have changed; stop that program, send them again and repeat this call"
        )

    def _enter(self) -> tuple[int, Accepted, bool]:
        """Take the lock; returns boot id, last batch, and whether nobody else had the lock meanwhile."""
        units: list[Unit] = [f'SYST:LOCK:REQ? "{self.token}"', "SYST:BOOT?", "PROG:LAST?"]
        answers = [answer.text for answer in self.link.ask(units)]
        if len(answers) != len(units):
            self.link.close()
            raise MalformedAnswer(
                f"what answers at {self.link.address} is no PCM controller; check the address in the bench file",
                address=self.link.address,
            )
        granted, boot, last = answers
        if granted not in ("1", "2"):
            self.link.close()
            raise LockRefused(
                f"another host controls the board at {self.link.address}: stop that program first (its lock "
                "ends with its connection)"
            )
        if self.formats:
            self.ask_once([*self.formats, "SYST:LOCK:OWN?"])
        identity, done, crc = integers(last, 3)
        return integers(boot, 1)[0], (identity, done, crc), granted == "1"

    def close(self) -> None:
        """Give the lock back and close; never raises."""
        with self._lock:
            with suppress(Exception):  # the lock ends with the connection anyway
                self.link.ask(["SYST:LOCK:REL", "SYST:LOCK:OWN?"], timeout_s=_CLOSE_TIMEOUT_S)
            self.link.close()


def _is_query(unit: Unit) -> bool:
    head = unit if isinstance(unit, str) else unit[0]
    text = head if isinstance(head, str) else head.decode("latin-1")
    return text.split(" ", 1)[0].endswith("?")


def _parsed(text: str) -> BoardError:
    (code,) = integers(text, 1)
    said, _, info = text.partition(",")[2].strip().strip('"').replace('""', '"').partition(";")
    return BoardError(code, said, info)


def _raised(errors: list[BoardError], kind: type[InstrumentError]) -> InstrumentError:
    said = "; ".join(str(error) for error in errors) or "an answer is missing, and no error says why"
    return kind(f"the board refused: {said}", errors=tuple(errors))
