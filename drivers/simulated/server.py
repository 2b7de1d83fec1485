"""A raw TCP socket server in front of a simulated instrument: the face any VISA program can reach.

One thread serves one link and never blocks on it: while a unit of a message waits or a reply is stuck in the socket,
it goes on receiving, so that an emergency stop overtakes whatever its own link has waiting (controller-protocol §5.2).
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from types import TracebackType
from typing import Self

from drivers.simulated.link import Link, Port
from drivers.simulated.transport import Transport
from drivers.simulated.twin_link import TwinLink

__all__ = ["InstrumentServer"]

_CHUNK = 65536
_LOOK_AHEAD_MESSAGES = 64
_LISTENER_BUFFER = 16384
_IDLE_S = 0.2
_WAIT_S = 0.01
_log = logging.getLogger(__name__)


class InstrumentServer:
    """Serves one simulated instrument, or its event port; a context manager.

    Parameters
    ----------
    instrument : Port
    port : int
        TCP port; 0 takes a free one, see :attr:`port`.
    host : str
        Address to bind; nobody outside this machine is let in unless told otherwise.

    Raises
    ------
    OSError
        The port is taken.
    """

    def __init__(self, instrument: Port, port: int = 5025, host: str = "127.0.0.1") -> None:
        self._instrument = instrument
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, port), backlog=16)
        self._listener.settimeout(_IDLE_S)
        self.host: str = host
        self.port: int = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, name=f"pcm-server-{self.port}", daemon=True)
        self._acceptor.start()

    @property
    def address(self) -> str:
        """VISA address under which the server is reached."""
        return f"TCPIP0::{self.host}::{self.port}::SOCKET"

    def stop(self) -> None:
        """Close the port and every link, and wait for the threads; messages received in full are executed."""
        self._stopping.set()
        self._acceptor.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def wait(self) -> None:
        """Serve until :meth:`stop` is called from another thread or a signal interrupts."""
        while not self._stopping.wait(_IDLE_S):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                peer, _address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
                if hasattr(socket, option):
                    peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            serving = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(serving)
            serving.start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            try:
                connection = self._instrument.connect(Transport.SOCKET)
            except ConnectionRefusedError:  # it has vanished
                return
            link = _Link(peer, connection)
            try:
                link.serve(self._stopping)
            except Exception:
                _log.exception("a link to the simulated %s failed", self._instrument.name)
                raise
            finally:
                link.connection.end()


class _Link:
    """One accepted socket and the connection behind it."""

    def __init__(self, peer: socket.socket, connection: Link) -> None:
        peer.setblocking(False)
        if connection.unasked:  # a large buffer would only hide that a listener does not read
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LISTENER_BUFFER)
        self._peer = peer
        self._eof = False
        self._serving = threading.get_ident()
        self.connection = connection
        connection.look_ahead = self._look_ahead
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        connection.on_change = self._wake

    def _wake(self) -> None:
        if threading.get_ident() == self._serving:  # it looks at everything before it waits anyway
            return
        try:
            self._wake_in.send(b"!")
        except OSError:  # full or closed: whoever is to wake is awake, or gone
            return

    def serve(self, stopping: threading.Event) -> None:
        """Serve until the link or the server ends."""
        try:
            while not stopping.is_set() and self._turn():
                pass
        finally:
            self.connection.on_change = None
            self.connection.look_ahead = None
            self._wake_in.close()
            self._wake_out.close()

    def _turn(self) -> bool:
        connection, output = self.connection, self.connection.output
        if not output:
            connection.pump(1)
        if connection.closed and not output:
            return False
        if self._eof and connection.idle and not output:
            return False
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        wants = (select.POLLOUT if output.ready else 0) | (select.POLLIN if self._has_room else 0)
        if wants:
            poll.register(self._peer, wants)
        events = poll.poll(self._timeout_s() * 1000)
        if not events:
            self._idle()
        for descriptor, _event in events:
            if descriptor == self._wake_out.fileno():
                self._drain_wakes()
            else:
                self._exchange()
        return True

    @property
    def _has_room(self) -> bool:
        return not self._eof and not self.connection.ended and self.connection.backlog < _LOOK_AHEAD_MESSAGES

    def _timeout_s(self) -> float:
        """How long nothing but the socket can bring anything new."""
        output = self.connection.output
        late_s = output.wait_s()
        if late_s is not None:
            return min(late_s, _IDLE_S) if late_s else _IDLE_S
        board_s = self.connection.wall_s()
        if board_s is not None:
            return min(board_s, _WAIT_S)
        twin = self.connection
        return _WAIT_S if isinstance(twin, TwinLink) and twin.due_s() is not None else _IDLE_S

    def _idle(self) -> None:
        """Let the bench's time pass to the end of what a twin has under way: its host says nothing, so it waits."""
        twin = self.connection
        if isinstance(twin, TwinLink) and not twin.output and (due_s := twin.due_s()) is not None:
            twin.pass_s(due_s)

    def _drain_wakes(self) -> None:
        try:
            self._wake_out.recv(_CHUNK)
        except BlockingIOError:
            return

    def _exchange(self) -> None:
        try:
            if self._has_room:
                with self.connection.instrument.lock:
                    self._receive()
            self._send()
        except (BrokenPipeError, ConnectionError):
            self._lost()

    def _lost(self) -> None:
        self._eof = True
        self.connection.output.clear()
        self.connection.ended = True

    def _receive(self) -> None:
        """Take what the socket has; the instrument's lock is held."""
        space = self.connection.receive_space()
        try:
            if space is not None:
                count = self._peer.recv_into(space)
                if count:
                    self.connection.received_into_space(count)
            else:
                data = self._peer.recv(_CHUNK)
                count = len(data)
                if count:
                    self.connection.receive(data)
        except BlockingIOError:
            return
        if not count:
            self._eof = True

    def _look_ahead(self) -> None:
        """Receive between two slices of a long operation; the instrument's lock is held."""
        if self._has_room:
            try:
                self._receive()
            except (BrokenPipeError, ConnectionError):
                self._lost()

    def _send(self) -> None:
        self.connection.output.drain(self._peer.send)
