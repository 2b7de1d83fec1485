"""Driver of the PCM test-chip controller (controller-protocol.md, CORE, MVM and TEMP).

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
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.batches import Batches
from drivers.blocks import block_of
from drivers.chip import Batch, BatchReport, BoardError, Geometry, Identity, Limits, Reading, ReadSetup, State
from drivers.errors import InstrumentError, ProtocolMismatch
from drivers.events import EventListener, event_address
from drivers.multiplies import Multiplies
from drivers.products import Product, Rectangle
from drivers.reads import Reads
from drivers.results import fetch
from drivers.selections import Selections
from drivers.session import Session, integers
from drivers.visa import Answer, Unit, VisaLink

__all__ = ["PROTOCOL", "PcmController"]

PROTOCOL = "1.1"
"""Version this driver was written for; a later minor version adds, another major one changes."""

_SAFE_TIMEOUT_S = 0.25
_WATCHDOG_S = 600
"""What boards begin with (controller-protocol §4)."""


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
        self._batches = Batches(self._session, self._limits, self._selections, self._form)
        self._reads = Reads(self._session, self._limits, self._selections, self._forget)
        self._multiplies = Multiplies(
            self._session, self._limits, self._selections, self._reads, self._forget
        )

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
        # The watchdog too: whoever had the board before may have left it without one.
        self._session.formats = [f"SYST:WDOG {_WATCHDOG_S}", f"FORM:PROG {self._form}"]
        self._session.ask([*self._session.formats, "FORM:PROG?"])
        (identity,) = self._session.ask(["*IDN?"])
        maker, model, serial, firmware = (identity.text.split(",") + [""] * 4)[:4]
        self._identity = Identity(maker, model, serial, firmware, simulated=model.endswith("-SIM"))

    def _forget(self) -> None:
        self._selections.forget()
        self._batches.forget()
        self._reads.forget()

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

    def events(self) -> EventListener:
        """Listen to the board's event port, at the TCP port behind its own.

        Raises
        ------
        InstrumentError
            The board has none (``EVEN`` is not among its capabilities).
        LinkError
            Nothing answers there.
        """
        address = event_address(self._link.address) if "EVEN" in self._capabilities else None
        if address is None:
            raise InstrumentError(
                f"{self!r} has no event port (EVEN over TCP); ask it with wait() and last_batch() instead"
            )
        return EventListener.open(address, backend=self._link.backend)

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
            raise self._session.failed(
                f"the array power is {state} after it was switched {'on' if on else 'off'}"
            )

    def outputs(self, on: bool) -> None:
        """Connect or open the outputs.

        Raises
        ------
        InstrumentError
            They did not: power off, interlock open.
        """
        state = self.ask([f"OUTP {'ON' if on else 'OFF'}", "*WAI", "OUTP?"])[0].text
        if state != str(int(on)):
            raise self._session.failed(
                f"the outputs are {state} after they were switched {'on' if on else 'off'}"
            )

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

    # ---- programming and reading --------------------------------------------------------------------------
    def next_batch_id(self) -> int:
        """Return the smallest id the board will accept."""
        return self._batches.next_id()

    def program(self, batch: Batch) -> None:
        """Start a batch; see :meth:`drivers.batches.Batches.program` for what it raises."""
        self._batches.program(batch)

    def last_batch(self) -> BatchReport:
        """Report of the last accepted batch."""
        return self._batches.report()

    def batch_flags(self) -> NDArray[np.uint8]:
        """One :class:`~drivers.chip.EntryCode` per entry of the last accepted batch."""
        return self._batches.flags()

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        """End of the last pulse of each entry of the last batch, board ns; 0 = not pulsed."""
        return self._batches.stamps_ns()

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
        room = self._limits.block_max_bytes
        return fetch(self._session, f"ARR:CYCL? {handle},", str(handle), cells.size, "<u4", room)

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        """Read cells; see :meth:`drivers.reads.Reads.read`."""
        return self._reads.read(cells, setup, stamps=stamps)

    def multiply(self, rectangle: Rectangle, inputs: NDArray[np.int8], setup: ReadSetup) -> Product:
        """Multiply vectors by the conductances of a rectangle; see :meth:`drivers.multiplies.Multiplies.multiply`.

        Raises
        ------
        InstrumentError
            The board has no group MVM, or what that method says.
        """
        if "MVM" not in self._capabilities:
            raise InstrumentError(
                f"the board at {self._link.address} cannot multiply: it has no group MVM, only "
                f"{', '.join(sorted(self._capabilities))}; read the cells and multiply on the host"
            )
        return self._multiplies.multiply(rectangle, inputs, setup)

    # ---- waiting ------------------------------------------------------------------------------------------
    def wait(self, timeout_s: float) -> State:
        """Wait until the running operation has finished (not: succeeded); returns how the last one ended.

        Raises
        ------
        LinkTimeout
            It runs longer than `timeout_s`.
        """
        _, state = self._session.ask(["*OPC?", f"{self._session.started}:STAT?"], timeout_s=timeout_s)
        self._session.in_flight = None
        return State(state.text.split(",")[1])
