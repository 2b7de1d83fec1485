"""Listening to a board's event port: what happened, told by the board (controller-protocol §7.11, group EVEN).

::

    with chip.events() as events:
        chip.program(batch)
        ended = events.wait_for("PROG", batch.id, timeout_s=60.0)

A convenience, never a need: a listener that is too slow is dropped and a restart of the board ends its link, so
what must be known is asked for (:meth:`drivers.chip.Chip.wait`, :meth:`drivers.chip.Chip.last_batch`). Listening
moves no time: on a simulated board in virtual time an operation ends only when another link waits for it.
"""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from drivers.errors import LinkError, LinkTimeout, MalformedAnswer
from drivers.visa_resource import manager_of, opened_resource, release_manager, socket_of

__all__ = ["Event", "EventListener", "event_address"]

_SLICE_S = 0.2
"""How soon a listener that waits notices that it was closed from another thread."""
_BOOT_TIMEOUT_S = 5.0
_SAFE_TIMEOUT_S = 0.25
_KEPT_MOST = 4096
_CHUNK = 4096
_TIMED = frozenset({"STB", "TRIP", "ERR"})
_LINE = re.compile(r"!([A-Z]+) (\d+(?:,\d+)*)")
_SOCKET = re.compile(r"(TCPIP\d*::.+::)(\d+)(::SOCKET)", re.IGNORECASE)


def event_address(address: str) -> str | None:
    """Return the VISA address of the event port beside a board: the next TCP port, None where it has none."""
    match = _SOCKET.fullmatch(address)
    if match is None or int(match[2]) >= 65535:
        return None
    return f"{match[1]}{int(match[2]) + 1}{match[3]}"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the event port.

    Attributes
    ----------
    name : str
        ``BOOT``, ``STB``, ``PROG``, ``READ``, ``PV``, ``MVM``, ``SEQ``, ``TRIP`` or ``ERR``; later versions may
        add others.
    numbers : tuple of int
        What the board tells, without the time: boot id; status summary; id and entries done of an operation that
        ended, in whatever state; code of a trip or error.
    board_ns : int or None
        When it happened, ns since boot; only ``STB``, ``TRIP`` and ``ERR`` say so.
    """

    name: str
    numbers: tuple[int, ...]
    board_ns: int | None = None

    @classmethod
    def of(cls, line: str) -> Event:
        """Read a line; raises ValueError where it is none of an event port."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"{line!r} is no event")
        numbers = tuple(int(number) for number in match[2].split(","))
        if match[1] in _TIMED and len(numbers) >= 2:
            return cls(match[1], numbers[:1] + numbers[2:], numbers[1])
        return cls(match[1], numbers)


class EventListener:
    """A link to an event port; iterating yields events until it is closed.

    Made by :meth:`open`; a context manager. One thread may take events; :meth:`safe` and :meth:`close` may be
    called from any.

    Attributes
    ----------
    boot_id : int
        Of the board, as it said when the link was opened.
    """

    def __init__(self, address: str, backend: str) -> None:
        self.address, self.backend = address, backend
        self._buffer = bytearray()
        self._kept: deque[Event] = deque(maxlen=_KEPT_MOST)
        self._closing = threading.Lock()
        self._closed = False
        self._manager: Any = manager_of(backend)
        try:
            self._resource = _connected(self._manager, address, backend)
        except BaseException:
            release_manager(backend)
            raise
        try:
            self.boot_id = self._greeting()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, address: str, *, backend: str = "@py") -> EventListener:
        """Listen at an event port.

        Parameters
        ----------
        address : str
            VISA address of the event port, e.g. ``TCPIP0::192.168.0.5::5026::SOCKET``; :func:`event_address`
            makes it from the board's.
        backend : str
            PyVISA backend: ``"@py"``, or ``"bench.yaml@pcm"`` for a simulated bench in this process.

        Raises
        ------
        LinkError
            Nothing answers there, or it is no event port.
        """
        return cls(address, backend)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        while (event := self.receive()) is not None:
            yield event

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """Return the next event; None where none came in time, or the listener was closed.

        Parameters
        ----------
        timeout_s : float or None
            How long to wait; None: until there is one, 0: take only what has come already.

        Raises
        ------
        LinkError
            The board closed the link: it restarted, or this listener was too slow.
        """
        if self._kept:
            return self._kept.popleft()
        return self._next(None if timeout_s is None else time.monotonic() + timeout_s)

    def wait_for(self, name: str, *numbers: int, timeout_s: float) -> Event:
        """Return the next event of a name whose numbers begin with `numbers`; the last 4096 others are kept for later.

        Raises
        ------
        LinkTimeout
            There was none in time.
        LinkError
            The link ended: :meth:`close`, a restart of the board, or this listener was too slow.
        """
        for event in self._kept:
            if _is(event, name, numbers):
                self._kept.remove(event)
                return event
        deadline = time.monotonic() + timeout_s
        while (found := self._next(deadline)) is not None:
            if _is(found, name, numbers):
                return found
            self._kept.append(found)
        wanted = ",".join(str(number) for number in numbers)
        if self._closed:
            raise LinkError(
                f"the listener at {self.address} was closed while it waited for !{name} {wanted}",
                address=self.address,
            )
        raise LinkTimeout(
            f"no !{name} {wanted} came from {self.address} within {timeout_s:g} s; ask the board itself how far it is",
            address=self.address,
            timeout_s=timeout_s,
        )

    def safe(self) -> bool:
        """Send ``!SAFE``: the board opens its outputs and latches the power off. Never raises.

        Over a link of its own, since TCP takes a line for a link that has ended without a word. It gives the board
        a quarter of a second to close that link behind the line, where a millisecond is what it is allowed.

        Returns
        -------
        bool
            Whether the line was sent. That the outputs are open is for :meth:`drivers.chip.Chip.safe` to ask.
        """
        sent = False
        with suppress(Exception):
            manager = manager_of(self.backend)
            try:
                fresh = _connected(manager, self.address, self.backend)
                try:
                    fresh.visalib.write(fresh.session, b"!SAFE\n")
                    sent = True
                    _wait_until_taken(socket_of(fresh))
                finally:
                    fresh.close()
            finally:
                release_manager(self.backend)
        return sent

    def close(self) -> None:
        """Stop listening; an iteration under way ends."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        with suppress(Exception):  # a broken link cannot be closed in good order
            self._resource.close()
        release_manager(self.backend)

    # ---- inside ---------------------------------------------------------------------------------------------
    def _greeting(self) -> int:
        try:
            event = self._next(time.monotonic() + _BOOT_TIMEOUT_S)
        except MalformedAnswer:
            event = None
        if event is None or event.name != "BOOT":
            raise LinkError(
                f"what answers at {self.address} is no event port; it lies at the TCP port behind the board's own",
                address=self.address,
            )
        return event.numbers[0]

    def _next(self, deadline: float | None) -> Event | None:
        line = self._line(deadline)
        if line is None:
            return None
        try:
            return Event.of(line)
        except ValueError as error:
            raise MalformedAnswer(
                f"{self.address} sent {line[:80]!r}, which is no event; check the address",
                address=self.address,
            ) from error

    def _line(self, deadline: float | None) -> str | None:
        """Take a line without its end; None after the deadline or once this listener is closed.

        The link is looked at once even where the deadline has passed.
        """
        late = False
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                return line.decode("latin-1").removesuffix("\r")
            if self._closed or late:
                return None
            left_s = _SLICE_S if deadline is None else max(deadline - time.monotonic(), 0.0)
            late = left_s == 0.0
            try:
                self._buffer += self._received(min(left_s, _SLICE_S))
            except Exception as error:
                if self._closed:
                    return None
                raise LinkError(
                    f"the event link to {self.address} ended ({error}): the board restarted, or this listener was "
                    "too slow; open it again, and ask the board for what was missed",
                    address=self.address,
                ) from error

    def _received(self, timeout_s: float) -> bytes:
        """Return what comes within a time, empty where nothing does; raises where the link has ended."""
        import pyvisa
        from pyvisa.constants import StatusCode

        resource = self._resource
        connection = socket_of(resource)
        if connection is not None:  # past pyvisa-py's own read, which takes a closed link for a slow one
            if not select.select([connection], [], [], timeout_s)[0]:
                return b""
            data = connection.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("the other end closed the link")
            return bytes(data)
        resource.timeout = max(1, round(timeout_s * 1000))
        try:
            with resource.visalib.ignore_warning(resource.session, StatusCode.success_max_count_read):
                return bytes(resource.visalib.read(resource.session, _CHUNK)[0])
        except pyvisa.errors.VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                return b""
            raise


def _connected(manager: Any, address: str, backend: str) -> Any:
    """Open an event port, read line by line."""
    from pyvisa.constants import ResourceAttribute

    resource = opened_resource(manager, address, backend, _BOOT_TIMEOUT_S)
    resource.set_visa_attribute(ResourceAttribute.termchar, ord("\n"))
    resource.set_visa_attribute(ResourceAttribute.termchar_enabled, True)
    return resource


def _wait_until_taken(connection: Any) -> None:
    """Half-close a TCP link and read on: closed with the greeting unread, it could take the line with it."""
    if connection is None:  # in this process a line is acted on as it is written
        return
    connection.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + _SAFE_TIMEOUT_S
    while (left_s := deadline - time.monotonic()) > 0:
        if select.select([connection], [], [], left_s)[0] and not connection.recv(_CHUNK):
            return


def _is(event: Event, name: str, numbers: tuple[int, ...]) -> bool:
    return event.name == name and event.numbers[: len(numbers)] == numbers
