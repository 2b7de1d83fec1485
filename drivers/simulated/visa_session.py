"""One open resource of the in-process VISA library: bytes, serial poll, trigger and device clear.

Virtual time has one consequence: where an instrument has nothing to say and no operation under way, nothing can
arrive any more, so a read reports VI_ERROR_TMO at once instead of sitting out the time-out. Only the event port
(the instrument's address with the next TCP port) is waited for: what it tells is caused by others. Where an
operation is under way, the bench's time moves on to its end, by the time-out at most.
"""

from __future__ import annotations

import math
import time

from pyvisa import rname
from pyvisa.constants import StatusCode

from drivers.simulated.link import Link, Port
from drivers.simulated.scpi import Connection
from drivers.simulated.twin_link import TwinLink
from drivers.simulated.visa_attributes import VisaAttributes
from drivers.simulated.visa_events import ServiceRequests

__all__ = ["VisaSession"]

_POLL_S = 0.005
_AT_ONCE = 10_000
_WHY = {
    "termchar": StatusCode.success_termination_character_read,
    "end": StatusCode.success,
    "count": StatusCode.success_max_count_read,
}


class VisaSession:
    """One open resource; every call returns what VISA says about it, and the library raises that.

    Parameters
    ----------
    instrument : Port
    parsed : ResourceName
        The address.
    manager : int
        Session of the manager.
    """

    connection: Link

    def __init__(self, instrument: Port, parsed: rname.ResourceName, manager: int) -> None:
        self.instrument = instrument
        self.manager = manager
        self.attributes = VisaAttributes(parsed, manager)
        self.twin: TwinLink | None = None
        self.events: ServiceRequests | None = None

    def connected(self, connection: Link) -> None:
        """Begin to talk over a link."""
        self.connection = connection
        if isinstance(connection, TwinLink):
            self.twin = connection
            if not self.attributes.is_stream:
                self.events = ServiceRequests(connection)

    def close(self) -> None:
        """Drop locks, events and the link."""
        self.instrument.lock.forget(self)
        if self.events is not None:
            self.events.close()
        self.connection.end()

    # ---- bytes --------------------------------------------------------------------------------------------
    def write(self, data: bytes) -> StatusCode:
        """Send bytes; on a message-based resource their end is the message's end."""
        connection = self.connection
        if connection.ended:
            return StatusCode.error_connection_lost
        if self.twin is not None:
            self.twin.feed(data, end=self.attributes.sends_end)
        else:
            connection.feed(data)
            if self.attributes.sends_end and connection.receiving:
                connection.feed(b"\n")
        return StatusCode.success

    def read(self, count: int) -> tuple[bytes, StatusCode]:
        """Read up to `count` bytes, to the termination character where it is on, to END where there is one."""
        wanted, output = self.attributes, self.connection.output
        if self.twin is not None and not output:
            self._starve(self.twin)
        data, why = output.take(count, wanted.termchar, stops_at_end=wanted.stops_at_end)
        if why:
            return data, _WHY[why]
        deadline = None if wanted.timeout_s is None else time.monotonic() + wanted.timeout_s
        got = bytearray(data)
        while self._wait_for_output(deadline):
            data, why = output.take(count - len(got), wanted.termchar, stops_at_end=wanted.stops_at_end)
            got += data
            if why:
                return bytes(got), _WHY[why]
        lost = self.connection.ended and not output
        output.unread(bytes(got))
        return b"", StatusCode.error_connection_lost if lost else StatusCode.error_timeout

    def _starve(self, twin: TwinLink) -> None:
        """Ask for a reply that is not there: time passes where it may come yet, else that is an error."""
        left_s = math.inf if self.attributes.timeout_s is None else self.attributes.timeout_s
        at_once = 0
        while left_s > 0 and (due_s := twin.due_s()) is not None:
            step_s = min(due_s, left_s)
            twin.pass_s(step_s)
            if twin.output:
                return
            at_once += step_s == 0
            if at_once > _AT_ONCE:  # it goes on for ever without any time passing
                break
            left_s -= step_s
        twin.starved()

    def _wait_for_output(self, deadline: float | None) -> bool:
        """Wait until bytes may be there; False where none will come in time."""
        connection = self.connection
        connection.pump()
        if connection.output.ready:
            return True
        board_s, late_s = connection.wall_s(), connection.output.wait_s()
        others_s = _POLL_S if connection.unasked and not connection.closed else None
        waits = [wait_s for wait_s in (board_s, late_s, others_s) if wait_s is not None]
        if not waits:
            return False
        pause_s = min(max(min(waits), 0.0), _POLL_S) or 0.0002
        if deadline is not None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            pause_s = min(pause_s, left_s)
        time.sleep(pause_s)
        return True

    # ---- beside the bytes -----------------------------------------------------------------------------------
    def clear(self) -> StatusCode:
        """Device clear; on a stream, and for the controller, what was answered and not yet read is dropped."""
        if self.twin is not None and not self.attributes.is_stream:
            self.twin.clear()
        else:
            self.drop_replies()
        return StatusCode.success

    def drop_replies(self) -> None:
        """Forget what could be read now."""
        output = self.connection.output
        with output.held():
            while output.ready:
                output.skip(len(output.peek()))

    def poll(self) -> tuple[int, StatusCode]:
        """Return the status byte; a stream has no serial poll (VI_ERROR_NSUP_OPER)."""
        if not self.attributes.is_stream:
            if self.twin is not None:
                return self.twin.poll(), StatusCode.success
            if isinstance(self.connection, Connection):
                waits = 0x10 if self.connection.output else 0
                return self.connection.status.byte() | waits, StatusCode.success
        return 0, StatusCode.error_nonsupported_operation

    def trigger(self) -> StatusCode:
        """Trigger a bench instrument; a stream and the controller have no trigger (VI_ERROR_NSUP_OPER)."""
        if self.twin is None or self.attributes.is_stream:
            return StatusCode.error_nonsupported_operation
        if self.twin.ended:
            return StatusCode.error_connection_lost
        self.twin.trigger()
        return StatusCode.success
