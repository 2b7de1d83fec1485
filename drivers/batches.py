"""Batches: each pulse exactly once, whatever the link does (controller-protocol §6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.amplitudes import batch_crc, codes_of, template_units
from drivers.blocks import block_of
from drivers.chip import Batch, BatchReport, BoardError, Limits, Pulse, State
from drivers.errors import BatchRefused, InstrumentError, LinkError, StaleAnswer
from drivers.results import fetch
from drivers.selections import Selections
from drivers.session import Accepted, Session, integers, is_same
from drivers.visa import Unit

__all__ = ["Batches"]


class Batches:
    """The programming side of a controller.

    Parameters
    ----------
    session : Session
    limits : Limits
        Of the board.
    selections : Selections
        Shared with whoever else names cells to the board.
    form : str
        Format of the amplitudes: ``U16``, ``F32`` or ``U8``.
    """

    def __init__(self, session: Session, limits: Limits, selections: Selections, form: str) -> None:
        self._session, self._limits, self._selections, self._form = session, limits, selections, form
        self._templates: dict[Pulse, int] = {}
        self._accepted: Accepted | None = None
        self._total = 0

    def forget(self) -> None:
        """Forget the templates: the board has, or may have."""
        self._templates.clear()

    def next_id(self) -> int:
        """Return the smallest id the board will accept."""
        return self._session.last[0] + 1

    def program(self, batch: Batch) -> None:
        """Start a batch.

        Amplitudes go as 16-bit fractions of the full scale where the board takes them: 7 nA of 450 uA.

        Raises
        ------
        BatchRefused
            Nothing was pulsed; the errors are the board's.
        ForeignBatch
            Somebody else programmed meanwhile.
        LockRefused
            Another host controls the board, or did while the link was broken.
        BoardRestarted
            The board lost its state while the batch was on its way; its ``batch_id`` says which.
        LinkError
            The board does not answer any more.
        """
        latest = self._session.last[0]
        if batch.id <= latest:
            # Said here, because after a lost answer the board's last batch would pass for this one.
            refusal = BoardError(106, "Batch id not newer", f"last {latest} got {batch.id}")
            raise BatchRefused(f"the board would refuse: {refusal}", errors=(refusal,))
        codes = codes_of(batch.amplitude, batch.pulse, self._form)
        room = self._limits.block_max_bytes
        if codes.nbytes > room:
            raise BatchRefused(
                f"{codes.size} amplitudes are {codes.nbytes} bytes, the board takes {room} in one message: "
                "program fewer cells at once"
            )
        block = block_of(codes)
        before = (self._session.in_flight, self._session.sent, self._session.started)
        try:
            last = self._deliver(batch, block, room - codes.nbytes)
        except BatchRefused:
            self._session.in_flight, self._session.sent, self._session.started = before
            raise
        self._session.last = self._accepted = last
        self._total = batch.cells.size

    def _deliver(self, batch: Batch, block: bytes, room: int) -> Accepted:
        """Send a batch, again where the board has proved that it never got it; returns its acceptance."""
        for attempt in (1, 2):
            # First the template: its message can fail, and then no selection may count as sent.
            template = self._template(batch.pulse)
            handle, units = self._find(batch.cells, room)
            head = f"{batch.id},{handle},{template},".encode()
            tail = f",{batch.count}".encode() if batch.count != 1 else b""
            mine = (batch.id, 0, batch_crc(self._session.token, (head, block, tail)))
            units.append(("PROG:CELL ", head, block, tail))
            earlier, self._session.sent = self._session.sent, mine
            self._session.in_flight, self._session.started = batch.id, "PROG"
            try:
                (answer,) = self._session.ask_once([*units, "PROG:LAST?"], refused=BatchRefused)
                identity, done, crc = integers(answer.text, 3)
                last = identity, done, crc
            except LinkError as broken:
                self._selections.forget()  # how much of the message arrived is not known
                last, undisturbed = self._session.recover(broken)
                never = not is_same(last, mine)
                if never and (is_same(last, self._session.last) or is_same(last, earlier)):
                    self._session.last = last
                    if not undisturbed:
                        raise self._session.disturbed() from broken
                    if attempt == 1:
                        continue  # an id that is taken already is refused by the board
                    raise
            except BaseException:
                self._selections.forget()  # the message ended somewhere among its units
                raise
            if not is_same(last, mine):
                raise self._session.foreign(last)
            return last
        raise AssertionError("the second attempt returns or raises")

    def _find(self, cells: NDArray[np.uint32], room: int) -> tuple[int, list[Unit]]:
        """Return the handle of a batch's cells; where `room` is too small, their list goes ahead by itself."""
        try:
            handle, units = self._selections.find(cells)
        except InstrumentError as error:
            raise BatchRefused(str(error)) from error
        if sum(len(unit[1]) for unit in units) <= room:
            return handle, units
        try:
            self._session.ask([*units, "SYST:LOCK:OWN?"], refused=BatchRefused)
        except BaseException:
            self._selections.forget()
            raise
        return handle, []

    def _template(self, pulse: Pulse) -> int:
        """Return the template of a pulse, defining it where the board does not have it."""
        if pulse in self._templates:
            return self._templates[pulse]
        if len(self._templates) >= self._limits.templates:
            self._templates.pop(next(iter(self._templates)))
        index = next(n for n in range(1, self._limits.templates + 1) if n not in self._templates.values())
        (answer,) = self._session.ask(
            [*template_units(index, pulse), f"PULS:DEF? {index}"], refused=BatchRefused
        )
        rounded = [float(field) for field in answer.text.split(",")[:4]]
        asked = (pulse.rise_s, pulse.top_s, pulse.fall_s, pulse.period_s)
        tick_s = 1.0 / self._limits.clock_hz
        # Ten digits are answered, so a long period comes back with an error of its own.
        if any(
            abs(got - want) > 0.01 * tick_s + 1e-9 * want for got, want in zip(rounded, asked, strict=True)
        ):
            raise BatchRefused(
                f"the board made a pulse of {rounded} s of {list(asked)} s (rise, top, fall, period): choose "
                f"multiples of its clock, {tick_s:g} s"
            )
        self._templates[pulse] = index
        return index

    def report(self) -> BatchReport:
        """Report of the last accepted batch."""
        state, last = self._session.ask(["PROG:STAT?", "PROG:LAST?"])
        fields = state.text.split(",")
        identity, _, crc = integers(last.text, 3)
        if len(fields) < 9 or fields[0] != str(identity):
            raise StaleAnswer(f"the report {state.text!r} is not that of batch {identity}", got=state.text)
        numbers = [int(field) for field in fields[2:9]]
        mine = is_same((identity, 0, crc), self._session.sent)
        return BatchReport(identity, mine, State(fields[1]), *numbers)

    def flags(self) -> NDArray[np.uint8]:
        """One :class:`~drivers.chip.EntryCode` per entry of the last accepted batch."""
        return self._fetch("PROG:FLAG?", "<u1")

    def stamps_ns(self) -> NDArray[np.uint64]:
        """End of the last pulse of each entry of the last batch, board ns; 0 = not pulsed."""
        return self._fetch("PROG:TST?", "<u8")

    def _fetch(self, query: str, dtype: str) -> NDArray[Any]:
        total = self._total
        if self._accepted is None or self._session.last != self._accepted:
            report = self.report()
            total, identity = report.total, report.id
        else:
            identity = self._accepted[0]
        return fetch(self._session, f"{query} ", str(identity), total, dtype, self._limits.block_max_bytes)
