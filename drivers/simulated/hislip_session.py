"""One client of the HiSLIP server: two channels, one link to the instrument behind them (IVI-6.1, synchronized mode).

What the client has not read of a reply when it sends the next message is interrupted: both channels tell it, and the
instrument notes it as on any other bus (-410). The client says with each message whether the last reply reached it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress

from drivers.simulated.hislip_messages import MESSAGE_MAX, Channel, Ended, Fatal, Kind, Malformed, Message
from drivers.simulated.link import Link, Port
from drivers.simulated.scpi import Connection
from drivers.simulated.twin_link import TwinLink

__all__ = ["HislipSession"]

_HEADER_SIZE = 16
_CLIENT_MAX = 256
_IDLE_S = 0.1
_DUE_S = 0.01
_LOCK_SLICE_S = 0.05
_QUIET_S = 1.0
_MAV = 0x10
_RMT_DELIVERED = 1
_UNRECOGNIZED, _TOO_LARGE = 1, 4


class HislipSession:
    """One client.

    Parameters
    ----------
    instrument : Port
    link : Link
        Open to it; ended with the session.
    number : int
        Session id.
    sync : Channel
    """

    def __init__(self, instrument: Port, link: Link, number: int, sync: Channel) -> None:
        self.number = number
        self._instrument, self._link, self._sync = instrument, link, sync
        self._twin = link if isinstance(link, TwinLink) else None
        self._async: Channel | None = None
        self._both = threading.Event()
        self._over = threading.Event()
        self._clearing = False
        self._working = False
        self._gathered = bytearray()
        self._gathering = False
        self._message_id = 0
        self._unacknowledged = False
        self._client_max = MESSAGE_MAX
        self._requests: deque[int] = deque()
        self._serving = threading.get_ident()
        link.on_change = self._changed

    # ---- the synchronous channel ------------------------------------------------------------------------------
    def serve_sync(self) -> None:
        """Serve until either side ends it."""
        try:
            while not self._over.is_set():
                self._send_replies()
                if self._link.closed and not self._link.output:
                    return
                if self._sync.wait(self._patience_s()):
                    self._working = True
                    try:
                        self._take(self._sync.receive())
                        self._send_replies()
                    finally:
                        self._working = False
                else:
                    self._idle()
        except Ended:
            return
        except Malformed as error:
            self.fail(self._sync, error)
        finally:
            self.end()

    def _take(self, message: Message) -> None:
        if not self._both.is_set():
            raise Malformed(Fatal.BOTH_CHANNELS, "the asynchronous channel is not open yet")
        kind = message.kind
        if kind == Kind.DEVICE_CLEAR_COMPLETE:
            self._clear()
        elif kind in (Kind.DATA, Kind.DATA_END, Kind.TRIGGER):
            if self._clearing:
                return
            if message.too_large:
                self._sync.send(Kind.ERROR, _TOO_LARGE, 0, b"Message too large")
                return
            self._message(message)
        elif kind == Kind.INITIALIZE:
            raise Malformed(Fatal.SEQUENCE, "the session is open already")
        elif kind == Kind.FATAL_ERROR:
            raise Ended
        elif kind != Kind.ERROR:
            self._sync.send(Kind.ERROR, _UNRECOGNIZED, 0, b"Unrecognized message type")

    def _message(self, message: Message) -> None:
        self._wait_for_lock()
        if message.control & _RMT_DELIVERED:
            self._unacknowledged = False
        if not self._gathering and (self._unacknowledged or self._link.output):
            self._interrupt(message.parameter)
        if message.kind == Kind.TRIGGER:
            self._message_id = message.parameter
            if self._twin is not None:
                self._twin.trigger()
            return
        self._gathered += message.payload
        self._gathering = message.kind == Kind.DATA
        if self._gathering:
            return
        data, self._gathered = bytes(self._gathered), bytearray()
        self._message_id = message.parameter
        if self._twin is not None:
            self._twin.feed(data, end=True)
        else:
            self._link.feed(data)
            if self._link.receiving:
                self._link.feed(b"\n")

    def _interrupt(self, message_id: int) -> None:
        self._unacknowledged = False
        if self._twin is not None:
            self._twin.interrupted()
        else:
            self._link.output.clear()
        if self._async is not None:
            self._async.send(Kind.ASYNC_INTERRUPTED, 0, message_id)
        self._sync.send(Kind.INTERRUPTED, 0, message_id)

    def _clear(self) -> None:
        self._gathered.clear()
        self._gathering = False
        if self._twin is not None:
            self._twin.clear()
        else:
            self._link.output.clear()
        self._clearing, self._unacknowledged = False, False
        self._sync.send(Kind.DEVICE_CLEAR_ACKNOWLEDGE)

    def _wait_for_lock(self) -> None:
        while not self._instrument.lock.wait_until_usable(self, _LOCK_SLICE_S):
            if self._over.is_set():
                raise Ended

    def _send_replies(self) -> None:
        room = max(self._client_max, _CLIENT_MAX) - _HEADER_SIZE
        output = self._link.output
        while output.ready and not self._clearing:
            data, why = output.take(room, None, stops_at_end=True)
            self._sync.send(Kind.DATA_END if why == "end" else Kind.DATA, 0, self._message_id, data)
            if why == "end":
                self._unacknowledged = True

    def _patience_s(self) -> float:
        """How long nothing but a message can bring anything new."""
        waits = (self._link.wall_s(), self._link.output.wait_s(), _IDLE_S)
        wait_s = min(each for each in waits if each is not None)
        if self._twin is not None and self._twin.due_s() is not None:
            wait_s = min(wait_s, _DUE_S)
        return wait_s

    def _idle(self) -> None:
        """Go on with what waits; a client that says nothing lets the bench's time pass to the end of an operation."""
        if self._twin is None:
            self._link.pump()
        elif not self._link.output and (due_s := self._twin.due_s()) is not None:
            self._twin.pass_s(due_s)

    def _changed(self) -> None:
        if threading.get_ident() != self._serving:
            self._sync.wake()

    # ---- the asynchronous channel -----------------------------------------------------------------------------
    def serve_async(self, channel: Channel) -> None:
        """Serve the second channel until either side ends it."""
        self._async = channel
        if self._twin is not None:
            self._twin.watch(self._asked_for_service)
        self._both.set()
        try:
            channel.send(Kind.ASYNC_INITIALIZE_RESPONSE)
            while not self._over.is_set():
                while self._requests:
                    channel.send(Kind.ASYNC_SERVICE_REQUEST, self._requests.popleft())
                if channel.wait(_IDLE_S):
                    self._answer(channel, channel.receive())
        except Ended:
            return
        except Malformed as error:
            self.fail(channel, error)
        finally:
            self.end()

    @property
    def is_complete(self) -> bool:
        """Whether both channels are open."""
        return self._both.is_set()

    def _answer(self, channel: Channel, message: Message) -> None:
        kind = message.kind
        if kind == Kind.ASYNC_MAX_MSG_SIZE:
            self._client_max = int.from_bytes(message.payload, "big")
            channel.send(Kind.ASYNC_MAX_MSG_SIZE_RESPONSE, 0, 0, MESSAGE_MAX.to_bytes(8, "big"))
        elif kind == Kind.ASYNC_STATUS_QUERY:
            channel.send(Kind.ASYNC_STATUS_RESPONSE, self._status(message))
        elif kind == Kind.ASYNC_DEVICE_CLEAR:
            self._clearing = True
            channel.send(Kind.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE)
        elif kind == Kind.ASYNC_LOCK:
            channel.send(Kind.ASYNC_LOCK_RESPONSE, self._lock(message))
        elif kind == Kind.ASYNC_LOCK_INFO:
            lock = self._instrument.lock
            channel.send(Kind.ASYNC_LOCK_INFO_RESPONSE, int(lock.state() == 1), lock.holders())
        elif kind == Kind.ASYNC_REMOTE_LOCAL_CONTROL:
            channel.send(Kind.ASYNC_REMOTE_LOCAL_RESPONSE)
        elif kind == Kind.ASYNC_INITIALIZE:
            raise Malformed(Fatal.SEQUENCE, "the session is open already")
        elif kind == Kind.FATAL_ERROR:
            raise Ended
        elif kind != Kind.ERROR:
            channel.send(Kind.ERROR, _UNRECOGNIZED, 0, b"Unrecognized message type")

    def _status(self, query: Message) -> int:
        """Return the status byte, as it is when what the client sent before has been acted on."""
        deadline = time.monotonic() + _QUIET_S
        while (self._working or self._sync.readable) and time.monotonic() < deadline:
            if self._over.is_set():
                raise Ended
            time.sleep(0.0002)
        if query.control & _RMT_DELIVERED:
            self._unacknowledged = False
        waits = _MAV if self._unacknowledged else 0
        if self._twin is not None:
            return self._twin.poll() | waits
        byte = self._link.status.byte() if isinstance(self._link, Connection) else 0
        return byte | waits

    def _lock(self, message: Message) -> int:
        """Lock or unlock; returns what became of it: 0 failure, 1 success, 2 a shared lock released, 3 error."""
        lock, key = self._instrument.lock, message.payload.decode("latin-1")
        before = lock.held_by(self)
        if not message.control & 1:
            return {0: 3, 1: 1, 2: 2}[before] if lock.release(self) else 3
        if before == 1 or (before == 2 and key):
            return 3
        deadline = time.monotonic() + message.parameter / 1000
        while not self._over.is_set():
            wait_s = max(0.0, min(_LOCK_SLICE_S, deadline - time.monotonic()))
            if (
                lock.acquire_shared(self, wait_s, key) is not None
                if key
                else lock.acquire_exclusive(self, wait_s)
            ):
                return 1
            if time.monotonic() >= deadline:
                return 0
        raise Ended

    def _asked_for_service(self, byte: int) -> None:
        """Pass on a service request; the instrument's lock is held, so another thread sends it."""
        self._requests.append(byte)
        if self._async is not None:
            self._async.wake()

    # ---- the end --------------------------------------------------------------------------------------------------
    @staticmethod
    def fail(channel: Channel, error: Malformed) -> None:
        """Tell the other side why it is being left."""
        with suppress(Ended):
            channel.send(Kind.FATAL_ERROR, error.code, 0, str(error).encode())

    def end(self) -> None:
        """Close both channels, the lock and the link."""
        if self._over.is_set():
            return
        self._over.set()
        self._link.on_change = None
        self._sync.close()
        if self._async is not None:
            self._async.close()
        self._instrument.lock.forget(self)
        self._link.end()
