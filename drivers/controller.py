"""Driver of the PCM test-chip controller (controller-protocol.md, CORE and TEMP).

::

    with PcmController.open("TCPIP0::192.168.0.5::5025::SOCKET") as chip:
        chip.power(True)
        chip.outputs(True)
        chip.program(Batch(chip.next_batch_id(), cells, pulse, amplitude_a))
        chip.wait(60.0)

Whole-array messages: a batch is one message up, a read one message up and one reply down. Every answer is
compared with what was asked; a pulse is never sent twice unless the board has proved that it never got it.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.amplitudes import batch_crc, codes_of, template_units
from drivers.blocks import block_of, items_of
from drivers.chip import (
    Batch,
    BatchReport,
    BoardError,
    Geometry,
    Identity,
    Limits,
    Pulse,
    Reading,
    ReadSetup,
    State,
)
from drivers.errors import (
    BatchRefused,
    InstrumentError,
    LinkError,
    ProtocolMismatch,
    StaleAnswer,
)
from drivers.selections import Selections
from drivers.session import Accepted, Session, integers, is_same
from drivers.visa import Answer, Unit, VisaLink

__all__ = ["PROTOCOL", "PcmController"]

PROTOCOL = "1.1"
"""Version this driver was written for; a later minor version adds, another major one changes."""

_SAFE_TIMEOUT_S = 0.25


class PcmController:
    """A chip behind a controller board; see :class:`drivers.chip.Chip` for what every call does.

    Made by :meth:`open`; a context manager that closes the link and leaves the outputs as they are.

    Attributes
    ----------
    protocol_version : str
        What the board speaks.
    """

    def __init__(self, link: VisaLink) -> None:
        self._link = link
        self._session = Session(link)
        self._closed = False
        try:
            self._learn()
        except BaseException:
            self._session.close()
            raise
        self._session.on_loss = self._forget
        self._selections = Selections(
            self._geometry.cells, self._limits.selections, self._limits.block_max_bytes
        )
        self._templates: dict[Pulse, int] = {}
        self._setup: ReadSetup | None = None
        self._accepted: Accepted | None = None
        self._total = 0
        self._started = "PROG"

    @classmethod
    def open(
        cls, address: str, *, backend: str = "@py", timeout_s: float = 60.0, transcript: Any = None
    ) -> PcmController:
        """Open the board at a VISA address and take its lock.

        Parameters
        ----------
        address : str
            e.g. ``TCPIP0::192.168.0.5::5025::SOCKET``.
        backend : str
            PyVISA backend: ``"@py"``, or ``"bench.yaml@pcm"`` for a simulated bench in this process.
        timeout_s : float
            How long an answer may take, beyond the time the board itself needs, seconds.
        transcript : callable or list, optional
            Gets a line for every message and reply.

        Raises
        ------
        LinkError
            Nothing answers there.
        LockRefused
            Another host controls the board.
        ProtocolMismatch
            It speaks another major version, or lacks CORE.
        """
        link = VisaLink(address, backend=backend, timeout_s=timeout_s, transcript=transcript)
        try:
            return cls(link)
        except BaseException:
            link.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PcmController {self._link.address}>"

    def _learn(self) -> None:
        units: list[Unit] = ["SYST:CAP?", "ARR:GEOM?", "SYST:LIM?"]
        capabilities, geometry, limits = self._session.ask(units)
        version, *groups = capabilities.text.split(",")
        if version.partition(".")[0] != PROTOCOL.partition(".")[0] or "CORE" not in groups:
            raise ProtocolMismatch(
                f"the board at {self._link.address} speaks {capabilities.text}, this driver {PROTOCOL} CORE: "
                "update the older of the two",
                version=version,
                wanted=PROTOCOL,
            )
        self.protocol_version = version
        self._capabilities = frozenset(groups)
        self._geometry = Geometry(*integers(geometry.text, 3))
        try:
            self._limits = Limits.from_json(json.loads(limits.block or b""))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ProtocolMismatch(
                f"the limits of the board at {self._link.address} cannot be used ({error!r}): compare SYST:LIM? "
                "with its manual",
                version=version,
                wanted=PROTOCOL,
            ) from error
        forms = self._limits.program_formats
        self._form = next((form for form in ("U16", "F32", "U8") if form in forms), "U8")
        self._session.formats = [f"FORM:PROG {self._form}"]
        self._session.ask([*self._session.formats, "FORM:PROG?"])
        (identity,) = self._session.ask(["*IDN?"])
        maker, model, serial, firmware = (identity.text.split(",") + [""] * 4)[:4]
        self._identity = Identity(maker, model, serial, firmware, simulated=model.endswith("-SIM"))

    def _forget(self) -> None:
        self._selections.forget()
        self._templates.clear()
        self._setup = None

    # ---- identity and limits ------------------------------------------------------------------------------
    def identify(self) -> Identity:
        """Who answers."""
        return self._identity

    def capabilities(self) -> frozenset[str]:
        """Command groups present, ``CORE`` always among them."""
        return self._capabilities

    def geometry(self) -> Geometry:
        """Banks, rows and columns."""
        return self._geometry

    def limits(self) -> Limits:
        """Limits of the board, SI units."""
        return self._limits

    def messages(self) -> int:
        """Messages sent over the link since it was opened."""
        return self._link.messages

    def boot_id(self) -> int:
        """Return a number that changes whenever volatile board state was lost."""
        return self._number("SYST:BOOT?")

    def clock_ns(self) -> int:
        """Board time, nanoseconds since boot."""
        return self._number("SYST:TIME?")

    def set_epoch(self, unix_ns: int) -> int:
        """Tie board time to Unix time; returns the board time at which it was set."""
        answer = self.ask([f"SYST:TIME:EPOC {int(unix_ns)}", "SYST:TIME:EPOC?"])[0].text
        return integers(answer, 2)[1]

    def temperature_k(self) -> float | None:
        """Chip temperature, or None where no sensor is fitted."""
        if "TEMP" not in self._capabilities:
            return None
        return float(self.ask(["ARR:TEMP?"])[0].text)

    def errors(self) -> list[BoardError]:
        """Drain the error queue."""
        return self._session.errors()

    def ask(
        self, units: list[Unit], *, lengths: tuple[int | None, ...] = (), timeout_s: float | None = None
    ) -> list[Answer]:
        """Send a message of your own that ends with a query and does not program; one answer per query.

        Raises
        ------
        InstrumentError
            A unit was refused.
        LinkError, BoardRestarted, LockRefused, ForeignBatch
            The link broke twice, or what was behind it.
        """
        return self._session.ask(units, lengths=lengths, timeout_s=timeout_s)

    def send(self, units: list[Unit]) -> None:
        """Send a message of your own without a query; a refusal is seen in :meth:`errors`.

        Raises
        ------
        LinkError
            The link broke; the next message finds out what was behind it.
        """
        self._link.send(units)

    def _number(self, query: str) -> int:
        return integers(self.ask([query])[0].text, 1)[0]

    # ---- safety -------------------------------------------------------------------------------------------
    def power(self, on: bool) -> None:
        """Switch the array supply; returns when the rails are in tolerance.

        Raises
        ------
        InstrumentError
            It did not come on: the board's errors say why.
        """
        state = self.ask([f"ARR:POW {'ON' if on else 'OFF'}", "*WAI", "ARR:POW?"])[0].text
        if state != ("ON" if on else "OFF"):
            raise self._failed(f"the array power is {state} after it was switched {'on' if on else 'off'}")

    def outputs(self, on: bool) -> None:
        """Connect or open the outputs.

        Raises
        ------
        InstrumentError
            They did not: power off, interlock open.
        """
        state = self.ask([f"OUTP {'ON' if on else 'OFF'}", "*WAI", "OUTP?"])[0].text
        if state != str(int(on)):
            raise self._failed(f"the outputs are {state} after they were switched {'on' if on else 'off'}")

    def safe(self) -> None:
        """Open the outputs and latch the power off, over a link of its own.

        Never raises and never waits for what runs on the board; it gives the board a quarter of a second to
        say that it has done so, where a millisecond is what it is allowed.
        """
        with suppress(Exception):
            own = VisaLink(self._link.address, backend=self._link.backend, timeout_s=_SAFE_TIMEOUT_S)
            try:
                own.send(["SYST:SAFE"])
                own.ask(["ARR:POW?"])
            finally:
                own.close()

    def abort(self) -> None:
        """End the running operation at the next cell boundary."""
        self.ask(["SYST:ABOR", "*OPC?"])
        self._session.in_flight = None

    def mask(self, cells: NDArray[np.uint32]) -> None:
        """Forbid exactly these cells to every later batch and read."""
        if cells.size and cells.max() >= self._geometry.cells:
            raise InstrumentError(f"cell {cells.max()} is outside the chip of {self._geometry.cells} cells")
        bits = np.zeros(self._geometry.cells, np.bool_)
        bits[cells] = True
        self.ask([("ARR:MASK ", block_of(np.packbits(bits, bitorder="little"))), "SYST:LOCK:OWN?"])

    def close(self) -> None:
        """Release the board; its outputs are left as they are."""
        if not self._closed:
            self._closed = True
            self._session.close()

    def _failed(self, what: str) -> InstrumentError:
        errors = tuple(self.errors())
        said = "; ".join(str(error) for error in errors) or "the board names no error"
        return InstrumentError(f"{what}: {said}", errors=errors)

    # ---- programming --------------------------------------------------------------------------------------
    def next_batch_id(self) -> int:
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
        codes = codes_of(batch.amplitude, batch.pulse, self._form)
        room = self._limits.block_max_bytes
        if codes.nbytes > room:
            raise BatchRefused(
                f"{codes.size} amplitudes are {codes.nbytes} bytes, the board takes {room} in one message: "
                "program fewer cells at once"
            )
        block = block_of(codes)
        before = (self._session.in_flight, self._session.sent, self._started)
        try:
            last = self._deliver(batch, block, room - codes.nbytes)
        except BatchRefused:
            self._session.in_flight, self._session.sent, self._started = before
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
            self._session.in_flight, self._started = batch.id, "PROG"
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

    def last_batch(self) -> BatchReport:
        """Report of the last accepted batch."""
        state, last = self.ask(["PROG:STAT?", "PROG:LAST?"])
        fields = state.text.split(",")
        identity, _, crc = integers(last.text, 3)
        if len(fields) < 9 or fields[0] != str(identity):
            raise StaleAnswer(f"the report {state.text!r} is not that of batch {identity}", got=state.text)
        numbers = [int(field) for field in fields[2:9]]
        mine = is_same((identity, 0, crc), self._session.sent)
        return BatchReport(identity, mine, State(fields[1]), *numbers)

    def batch_flags(self) -> NDArray[np.uint8]:
        """One :class:`~drivers.chip.EntryCode` per entry of the last accepted batch."""
        return self._fetch_batch("PROG:FLAG?", "<u1")

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        """End of the last pulse of each entry of the last batch, board ns; 0 = not pulsed."""
        return self._fetch_batch("PROG:TST?", "<u8")

    def _fetch_batch(self, query: str, dtype: str) -> NDArray[Any]:
        total = self._total
        if self._accepted is None or self._session.last != self._accepted:
            report = self.last_batch()
            total, identity = report.total, report.id
        else:
            identity = self._accepted[0]
        return self._fetch(query, str(identity), total, dtype)

    def cycles(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Pulses given per cell, by the board's own counters."""
        if not cells.size:
            return np.zeros(0, np.uint32)
        handle, units = self._selections.find(cells)
        if units:
            try:
                self.ask([*units, "SYST:LOCK:OWN?"])
            except BaseException:
                self._selections.forget()
                raise
        return self._fetch(f"ARR:CYCL? {handle},", str(handle), cells.size, "<u4")

    # ---- reading ------------------------------------------------------------------------------------------
    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        """Read cells; ``stamps=False`` spares the transfer of the time stamps.

        One message, where the readings fit the board's largest block.

        Raises
        ------
        InstrumentError
            The read was refused or did not end well.
        StaleAnswer, MalformedAnswer, LinkError
            No answer could be trusted, twice.
        """
        handle, units = self._selections.find(cells)
        settings = self._read_settings(setup)
        takes_s = self._read_time_s(cells.size, setup)
        start: list[Unit] = [*units, *settings, "*WAI", f"READ:INIT {handle}", "*WAI", "READ:STAT?"]
        widths = (4, 1, 8) if stamps else (4, 1)
        queries = [f"READ:DATA? 0,{cells.size}", f"READ:FLAG? 0,{cells.size}", f"READ:TST? 0,{cells.size}"]
        self._started = "READ"
        try:
            if cells.size * max(widths) <= self._limits.block_max_bytes:
                lengths = tuple(width * cells.size for width in widths)
                state, *fetched, clock = self._session.ask(
                    [*start, *queries[: len(widths)], "SYST:TIME?"],
                    lengths=lengths,
                    timeout_s=self._link.timeout_s + takes_s,
                )
                blocks = self._checked_reading(state, fetched, cells.size)
            else:
                state, clock = self._session.ask(
                    [*start, "SYST:TIME?"], timeout_s=self._link.timeout_s + takes_s
                )
                identity = self._done_read(state)
                kinds = (("READ:DATA?", "<f4"), ("READ:FLAG?", "<u1"), ("READ:TST?", "<u8"))[: len(widths)]
                blocks = [self._fetch(query, str(identity), cells.size, dtype) for query, dtype in kinds]
        except BaseException:
            self._forget()  # the message ended somewhere among its units
            raise
        self._setup, self._session.in_flight = setup, None
        return Reading(
            g_s=blocks[0],
            flags=blocks[1],
            t_ns=blocks[2] if stamps else None,
            read_id=integers(state.text, 1)[0],
            clock_ns=integers(clock.text, 1)[0],
            host_unix_ns=time.time_ns(),
        )

    def _read_settings(self, setup: ReadSetup) -> list[Unit]:
        if setup == self._setup:
            return []
        full = "AUTO" if setup.range_a is None else repr(float(setup.range_a))
        return [
            f"READ:VOLT {setup.voltage_v!r}",
            f"READ:AVER {setup.samples}",
            f"READ:APER {setup.aperture_s!r}",
            f"READ:RANG {full}",
        ]

    def _read_time_s(self, cells: int, setup: ReadSetup) -> float:
        groups = -(-cells // self._limits.parallel_read)
        return groups * setup.samples * (setup.aperture_s + self._limits.read_overhead_s)

    def _done_read(self, state: Answer) -> int:
        identity, word = [*state.text.split(","), ""][:2]
        if word != "DONE":
            raise self._failed(f"the read ended as {word or state.text}")
        return int(identity)

    def _checked_reading(self, state: Answer, fetched: list[Answer], count: int) -> list[NDArray[Any]]:
        identity = self._done_read(state)
        dtypes = ("<f4", "<u1", "<u8")
        expected = (f"{identity},0,C,", f"{identity},0,", f"{identity},0,")
        return [
            _items(answer, echo, dtype, count)
            for answer, echo, dtype in zip(fetched, expected, dtypes, strict=False)
        ]

    def _fetch(self, query: str, identity: str, total: int, dtype: str) -> NDArray[Any]:
        """Fetch an indexed result in windows of the board's largest block, each checked by its echo."""
        item = np.dtype(dtype).itemsize
        window = self._limits.block_max_bytes // item
        join = "" if query.endswith(",") else " "
        letter = "C," if query == "READ:DATA?" else ""
        parts = []
        for start in range(0, total, window):
            count = min(window, total - start)
            (answer,) = self._session.ask([f"{query}{join}{start},{count}"], lengths=(count * item,))
            parts.append(_items(answer, f"{identity},{start},{letter}", dtype, count))
        if not parts:
            return np.zeros(0, dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    # ---- waiting ------------------------------------------------------------------------------------------
    def wait(self, timeout_s: float) -> State:
        """Wait until the running operation has finished (not: succeeded); returns how the last one ended.

        Raises
        ------
        LinkTimeout
            It runs longer than `timeout_s`.
        """
        _, state = self._session.ask(["*OPC?", f"{self._started}:STAT?"], timeout_s=timeout_s)
        self._session.in_flight = None
        return State(state.text.split(",")[1])


def _items(answer: Answer, echo: str, dtype: str, count: int) -> NDArray[Any]:
    if answer.text != echo or answer.block is None:
        raise StaleAnswer(
            f"the board answered for {answer.text!r} where {echo!r} was asked for; the values were not used",
            expected=echo,
            got=answer.text,
        )
    return items_of(answer.block, dtype, count)
