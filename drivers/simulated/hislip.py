"""A HiSLIP server in front of a simulated instrument: END, serial poll, device clear, trigger, locks, service requests.

For any VISA program, whatever interface the instrument has in the bench file (IVI-6.1, visa-backend §9): synchronized
mode, version 1.0, no encryption. A message that is out of form ends the session with the fatal error it deserves.
"""

from __future__ import annotations

import logging
import socket
import threading
from types import TracebackType
from typing import Self

from drivers.simulated.hislip_messages import Channel, Ended, Fatal, Kind, Malformed, Message
from drivers.simulated.hislip_session import HislipSession
from drivers.simulated.link import Port
from drivers.simulated.transport import Transport

__all__ = ["HislipServer"]

_IDLE_S = 0.2
_VERSION = 0x0100
_log = logging.getLogger(__name__)


class HislipServer:
    """Serves one simulated instrument over HiSLIP; a context manager.

    Parameters
    ----------
    instrument : Port
    port : int
        TCP port; 0 takes a free one, see :attr:`port`.
    host : str
        Address to bind; nobody outside this machine is let in unless told otherwise.
    name : str
        Sub-address clients must ask for.
    clients_max : int
        Sessions at a time; one more is refused.

    Raises
    ------
    OSError
        The port is taken.
    """

    def __init__(
        self,
        instrument: Port,
        port: int = 4880,
        host: str = "127.0.0.1",
        *,
        name: str = "hislip0",
        clients_max: int = 16,
    ) -> None:
        self._instrument, self._name, self._clients_max = instrument, name, clients_max
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._sessions: dict[int, HislipSession] = {}
        self._last = 0
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((host, port), backlog=16)
        self._listener.settimeout(_IDLE_S)
        self.host: str = host
        self.port: int = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, name=f"hislip-{self.port}", daemon=True)
        self._acceptor.start()

    @property
    def address(self) -> str:
        """VISA address under which the server is reached."""
        return f"TCPIP0::{self.host}::{self._name},{self.port}::INSTR"

    def stop(self) -> None:
        """Close the port and every session, and wait for the threads."""
        self._stopping.set()
        self._acceptor.join()
        self._listener.close()
        with self._guard:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.end()
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
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            serving = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(serving)
            serving.start()

    def _serve(self, peer: socket.socket) -> None:
        """Serve one connection: its first message tells which channel it is."""
        channel = Channel(peer, self._stopping.is_set)
        try:
            first = channel.receive()
            if first.kind == Kind.INITIALIZE:
                self._serve_sync(channel, first)
            else:
                self._of(first).serve_async(channel)
        except Malformed as error:
            HislipSession.fail(channel, error)
        except (Ended, ConnectionRefusedError):
            pass
        except Exception:
            _log.exception("a HiSLIP channel of the simulated %s failed", self._instrument.name)
            raise
        finally:
            channel.close()
            channel.release()

    def _serve_sync(self, channel: Channel, first: Message) -> None:
        wanted = first.payload.decode("latin-1")
        if wanted and wanted.lower() != self._name.lower():
            raise Malformed(Fatal.SEQUENCE, f"there is no {wanted} here, only {self._name}")
        with self._guard:
            if len(self._sessions) >= self._clients_max:
                raise Malformed(Fatal.CLIENTS, "no more clients are served")
            self._last = number = self._last % 0xFFFF + 1
            session = HislipSession(
                self._instrument, self._instrument.connect(Transport.HISLIP), number, channel
            )
            self._sessions[number] = session
        try:
            channel.send(Kind.INITIALIZE_RESPONSE, 0, _VERSION << 16 | number)
            session.serve_sync()
        finally:
            session.end()
            with self._guard:
                del self._sessions[number]

    def _of(self, first: Message) -> HislipSession:
        if first.kind != Kind.ASYNC_INITIALIZE:
            raise Malformed(Fatal.SEQUENCE, "a channel begins with Initialize or AsyncInitialize")
        with self._guard:
            session = self._sessions.get(first.parameter)
        if session is None or session.is_complete:
            raise Malformed(Fatal.SEQUENCE, f"no session {first.parameter} waits for its second channel")
        return session
