"""A PyVISA library whose resources are the simulated instruments of a bench file, in this very process.

``pyvisa.ResourceManager("bench.yaml@pcm")`` finds it through the module ``pyvisa_pcm``. It keeps no state of
its own beyond open sessions: boards live in :mod:`drivers.simulated.registry`, under the file's absolute
path, until the last resource manager is closed. Return codes and attributes follow visa-backend.md §1-6.

Virtual time has one consequence: where a board has nothing to say and no operation under way, nothing can
arrive any more, so a read reports VI_ERROR_TMO at once instead of sitting out the time-out. Only the event port
(the instrument's address with the next TCP port) is waited for: what it tells is caused by others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from pyvisa import attributes, constants, highlevel, rname
from pyvisa.constants import (
    AccessModes,
    BufferOperation,
    EventMechanism,
    EventType,
    InterfaceType,
    Lock,
    ResourceAttribute,
    StatusCode,
    TriggerProtocol,
)
from pyvisa.typing import VISAEventContext, VISARMSession, VISASession
from pyvisa.util import DebugInfo, LibraryPath

from drivers.simulated.link import Link, Port
from drivers.simulated.registry import SimulatedBench, open_bench
from drivers.simulated.scpi import Connection
from drivers.simulated.twin import Transport, TwinLink

__all__ = ["PcmVisaLibrary"]

_POLL_S = 0.005
_READ_ONLY = {
    ResourceAttribute.resource_name,
    ResourceAttribute.resource_class,
    ResourceAttribute.interface_type,
    ResourceAttribute.interface_number,
    ResourceAttribute.resource_lock_state,
    ResourceAttribute.resource_manager_session,
    ResourceAttribute.resource_manufacturer_name,
    ResourceAttribute.resource_manufacturer_id,
    ResourceAttribute.tcpip_address,
    ResourceAttribute.tcpip_hostname,
    ResourceAttribute.tcpip_port,
}


@dataclass(eq=False)
class _Session:
    """One open resource."""

    instrument: Port
    connection: Link
    parsed: rname.ResourceName
    manager: int
    values: dict[ResourceAttribute, Any] = field(default_factory=dict)

    @property
    def is_socket(self) -> bool:
        """Whether the resource is a raw stream, without END, serial poll or trigger."""
        return self.parsed.resource_class == "SOCKET"


class PcmVisaLibrary(highlevel.VisaLibraryBase):
    """PyVISA library of the simulated benches; the library path is the path of a bench file."""

    @staticmethod
    def get_library_paths() -> Iterable[LibraryPath]:
        """Return the file opened where none is named: ``bench.yaml`` in the working folder."""
        return (LibraryPath("bench.yaml"),)

    @staticmethod
    def get_debug_info() -> DebugInfo:
        """Describe the backend for ``pyvisa-info``."""
        return {"What": "simulated PCM benches", "Opened by": "ResourceManager('bench.yaml@pcm')"}

    def _init(self) -> None:
        self._next_handle = 1
        self._managers: dict[int, SimulatedBench] = {}
        self._ended: set[int] = set()
        self._sessions: dict[int, _Session] = {}

    def _return(self, session: Any, code: StatusCode) -> StatusCode:
        return self.handle_return_value(session, code)

    def _new_handle(self) -> int:
        self._next_handle += 1
        return self._next_handle

    def _session(self, session: int) -> _Session:
        found = self._sessions.get(session)
        if found is None:
            self._return(session, StatusCode.error_invalid_object)
            raise KeyError(session)
        return found

    def _usable(self, session: int) -> _Session:
        """Return a session that no other's lock keeps out."""
        found = self._session(session)
        if not found.instrument.lock.may_use(found):
            self._return(session, StatusCode.error_resource_locked)
        return found

    # ---- managers and resources
    # -----------------------------------------------------------------------------------
    def open_default_resource_manager(self) -> tuple[VISARMSession, StatusCode]:
        """Open the bench file the library is named after."""
        handle = self._new_handle()
        self._managers[handle] = open_bench(str(self.library_path))
        return VISARMSession(handle), self._return(handle, StatusCode.success)

    def list_resources(self, session: VISARMSession, query: str = "?*::INSTR") -> tuple[str, ...]:
        """List the addresses of the bench file that match a VISA query."""
        bench = self._managers.get(session)
        if bench is None:
            self._return(session, StatusCode.error_invalid_object)
            return ()
        return tuple(rname.filter([found.address for found in bench.instruments.values()], query))

    def open(
        self,
        session: VISARMSession,
        resource_name: str,
        access_mode: AccessModes = AccessModes.no_lock,
        open_timeout: int = 0,
    ) -> tuple[VISASession, StatusCode]:
        """Open a link to a simulated instrument (VI_ERROR_RSRC_NFOUND where the bench file has none there)."""
        bench = self._managers.get(session)
        if bench is None:
            self._return(session, StatusCode.error_invalid_object)
            raise KeyError(session)
        instrument = bench.find(resource_name)
        if instrument is None:
            self._return(session, StatusCode.error_resource_not_found)
            raise KeyError(resource_name)
        parsed = rname.ResourceName.from_string(resource_name)
        opened = _Session(instrument, cast(Link, None), parsed, session)
        wait_s = open_timeout / 1000 if open_timeout and open_timeout > 0 else 0.0
        if access_mode == AccessModes.exclusive_lock:
            if not instrument.lock.acquire_exclusive(opened, wait_s):
                self._return(session, StatusCode.error_resource_locked)
        elif (
            access_mode == AccessModes.shared_lock
            and instrument.lock.acquire_shared(opened, wait_s, None) is None
        ):
            self._return(session, StatusCode.error_resource_locked)
        try:
            opened.connection = instrument.connect(Transport.of(resource_name))
        except BaseException:
            instrument.lock.forget(opened)
            raise
        handle = self._new_handle()
        self._sessions[handle] = opened
        return VISASession(handle), self._return(handle, StatusCode.success)

    def close(self, session: VISASession | VISAEventContext | VISARMSession) -> StatusCode:
        """Close a session, or a manager with all its sessions; the last manager of a bench saves it."""
        bench = self._managers.pop(session, None)
        if bench is not None:
            for handle in [key for key, value in self._sessions.items() if value.manager == session]:
                self._close_session(handle)
            self._ended.add(session)
            bench.release()
            return StatusCode.success
        if session in self._ended:  # pyvisa closes once more what could not be saved at the first time
            return StatusCode.success
        if session not in self._sessions:
            return self._return(session, StatusCode.error_invalid_object)
        self._close_session(session)
        return StatusCode.success

    def _close_session(self, handle: int) -> None:
        closing = self._sessions.pop(handle)
        closing.instrument.lock.forget(closing)
        closing.connection.end()

    # ---- bytes
    # ----------------------------------------------------------------------------------------------------
    def write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """Send bytes; on a message-based resource their end is the message's end."""
        link = self._usable(session)
        connection = link.connection
        if connection.ended:
            self._return(session, StatusCode.error_connection_lost)
        ends = not link.is_socket and bool(self._value(link, ResourceAttribute.send_end_enabled))
        if isinstance(connection, TwinLink):
            connection.feed(data, end=ends)
        else:
            connection.feed(data)
            if ends and connection.receiving:
                connection.feed(b"\n")
        return len(data), self._return(session, StatusCode.success)

    def read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """Read up to `count` bytes, to the termination character where it is on, to END where there is one."""
        link = self._usable(session)
        termchar = None
        if self._value(link, ResourceAttribute.termchar_enabled):
            termchar = bytes((int(self._value(link, ResourceAttribute.termchar)),))
        stops_at_end = not link.is_socket or not self._value(link, ResourceAttribute.suppress_end_enabled)
        timeout_s = self._timeout_s(link)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        got = bytearray()
        output = link.connection.output
        if isinstance(link.connection, TwinLink) and not output:
            link.connection.starved()
        while True:
            with output.held():
                while output.ready and len(got) < count:
                    piece = output.peek()[: count - len(got)]
                    found = -1 if termchar is None else bytes(piece).find(termchar)
                    if found >= 0:
                        piece = piece[: found + 1]
                    if (
                        not got and len(piece) == count
                    ):  # the block of a reply, asked for in one piece: one copy
                        whole = bytes(piece)
                        at_end = output.skip(count)
                    else:
                        got += piece
                        at_end, whole = output.skip(len(piece)), b""
                    if found >= 0:
                        code = StatusCode.success_termination_character_read
                        return whole or bytes(got), self._return(session, code)
                    if at_end and stops_at_end:
                        return whole or bytes(got), self._return(session, StatusCode.success)
                    if whole:
                        return whole, self._return(session, StatusCode.success_max_count_read)
            if got and len(got) >= count:
                return bytes(got), self._return(session, StatusCode.success_max_count_read)
            if not self._wait_for_output(link.connection, deadline):
                lost = link.connection.ended and not output
                output.unread(bytes(got))
                self._return(session, StatusCode.error_connection_lost if lost else StatusCode.error_timeout)

    def _wait_for_output(self, connection: Link, deadline: float | None) -> bool:
        """Wait until bytes may be there; False where none will come in time."""
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

    def clear(self, session: VISASession) -> StatusCode:
        """Drop what was answered and not yet read; the board itself has no device clear on a stream."""
        link = self._usable(session)
        if isinstance(link.connection, TwinLink) and not link.is_socket:
            link.connection.clear()
            return self._return(session, StatusCode.success)
        output = link.connection.output
        with output.held():
            while output.ready:
                output.skip(len(output.peek()))
        return self._return(session, StatusCode.success)

    def flush(self, session: VISASession, mask: BufferOperation) -> StatusCode:
        """Drop the read buffer where the mask says so; nothing is ever held back on the way out."""
        discarding = BufferOperation.discard_read_buffer | BufferOperation.discard_read_buffer_no_io
        if mask & (
            discarding | BufferOperation.discard_receive_buffer | BufferOperation.discard_receive_buffer2
        ):
            return self.clear(session)
        self._usable(session)
        return self._return(session, StatusCode.success)

    def read_stb(self, session: VISASession) -> tuple[int, StatusCode]:
        """Return the status byte; a raw socket has no serial poll (VI_ERROR_NSUP_OPER)."""
        link = self._usable(session)
        connection = link.connection
        if isinstance(connection, TwinLink) and not link.is_socket:
            return connection.poll(), self._return(session, StatusCode.success)
        if link.is_socket or not isinstance(connection, Connection):
            self._return(session, StatusCode.error_nonsupported_operation)
            raise NotImplementedError
        value = connection.status.byte()
        return value | (0x10 if connection.output else 0), self._return(session, StatusCode.success)

    def assert_trigger(self, session: VISASession, protocol: TriggerProtocol) -> StatusCode:
        """Trigger a bench instrument; a raw socket and the controller have no trigger (VI_ERROR_NSUP_OPER)."""
        link = self._usable(session)
        if isinstance(link.connection, TwinLink) and not link.is_socket:
            link.connection.trigger()
            return self._return(session, StatusCode.success)
        return self._return(session, StatusCode.error_nonsupported_operation)

    # ---- attributes
    # -----------------------------------------------------------------------------------------------
    def _timeout_s(self, link: _Session) -> float | None:
        milliseconds = int(self._value(link, ResourceAttribute.timeout_value))
        return None if milliseconds >= constants.VI_TMO_INFINITE else milliseconds / 1000

    def _value(self, link: _Session, attribute: ResourceAttribute) -> Any:
        if attribute in link.values:
            return link.values[attribute]
        if attribute is ResourceAttribute.suppress_end_enabled:
            return link.is_socket
        return attributes.AttributesByID[attribute].default

    def _fixed(self, link: _Session, attribute: ResourceAttribute, session: int) -> Any:
        """Value of an attribute that says where the session leads; None where it is another kind."""
        parsed = link.parsed
        board = getattr(parsed, "board", "0")
        host = getattr(parsed, "host_address", None)
        port = getattr(parsed, "port", None)
        return {
            ResourceAttribute.resource_name: str(parsed),
            ResourceAttribute.resource_class: parsed.resource_class,
            ResourceAttribute.interface_type: getattr(InterfaceType, parsed.interface_type.lower()),
            ResourceAttribute.interface_number: int(board) if str(board).isdigit() else 0,
            ResourceAttribute.resource_lock_state: link.instrument.lock.state(),
            ResourceAttribute.resource_manager_session: link.manager,
            ResourceAttribute.resource_manufacturer_name: "labkit simulated bench",
            ResourceAttribute.resource_manufacturer_id: 0,
            ResourceAttribute.tcpip_address: host,
            ResourceAttribute.tcpip_hostname: host,
            ResourceAttribute.tcpip_port: int(port) if port else None,
        }.get(attribute)

    def get_attribute(
        self,
        session: VISASession | VISAEventContext | VISARMSession,
        attribute: ResourceAttribute | constants.EventAttribute,
    ) -> tuple[Any, StatusCode]:
        """Return the value of an attribute of a session."""
        link = self._session(session)
        name = self._known(session, attribute)
        value = self._fixed(link, name, session)
        return (self._value(link, name) if value is None else value), self._return(
            session, StatusCode.success
        )

    def _known(self, session: int, attribute: Any) -> ResourceAttribute:
        try:
            name = ResourceAttribute(attribute)
        except ValueError:
            self._return(session, StatusCode.error_nonsupported_attribute)
            raise
        if name not in attributes.AttributesByID:
            self._return(session, StatusCode.error_nonsupported_attribute)
        return name

    def set_attribute(
        self, session: VISASession, attribute: ResourceAttribute, attribute_state: Any
    ) -> StatusCode:
        """Set an attribute of a session."""
        link = self._session(session)
        name = self._known(session, attribute)
        if name in _READ_ONLY:
            return self._return(session, StatusCode.error_attribute_read_only)
        if name is ResourceAttribute.termchar and not 0 <= int(attribute_state) <= 255:
            return self._return(session, StatusCode.error_nonsupported_attribute_state)
        link.values[name] = attribute_state
        return self._return(session, StatusCode.success)

    # ---- locks
    # ----------------------------------------------------------------------------------------------------
    def lock(
        self, session: VISASession, lock_type: Lock, timeout: int, requested_key: str | None = None
    ) -> tuple[str, StatusCode]:
        """Lock a resource for this session, or share it under a key."""
        link = self._session(session)
        wait_s = 0.0 if timeout < 0 else timeout / 1000
        if lock_type == Lock.exclusive:
            if not link.instrument.lock.acquire_exclusive(link, wait_s):
                self._return(session, StatusCode.error_resource_locked)
            return "", self._return(session, StatusCode.success)
        key = link.instrument.lock.acquire_shared(link, wait_s, requested_key)
        if key is None:
            self._return(session, StatusCode.error_resource_locked)
        return key or "", self._return(session, StatusCode.success)

    def unlock(self, session: VISASession) -> StatusCode:
        """Undo one lock of this session."""
        link = self._session(session)
        if not link.instrument.lock.release(link):
            return self._return(session, StatusCode.error_session_not_locked)
        return self._return(session, StatusCode.success)

    # ---- events
    # ---------------------------------------------------------------------------------------------------
    def enable_event(
        self, session: VISASession, event_type: EventType, mechanism: EventMechanism, context: None = None
    ) -> StatusCode:
        """Refuse: a stream raises no service requests (VI_ERROR_NSUP_OPER)."""
        self._session(session)
        return self._return(session, StatusCode.error_nonsupported_operation)

    def disable_event(
        self, session: VISASession, event_type: EventType, mechanism: EventMechanism
    ) -> StatusCode:
        """Succeed: none is enabled; pyvisa's close() asks for it."""
        return StatusCode.success

    def discard_events(
        self, session: VISASession, event_type: EventType, mechanism: EventMechanism
    ) -> StatusCode:
        """Succeed: none is queued; pyvisa's close() asks for it."""
        return StatusCode.success

    def wait_on_event(
        self, session: VISASession, in_event_type: EventType, timeout: int
    ) -> tuple[EventType, VISAEventContext, StatusCode]:
        """Refuse: no event can be enabled (VI_ERROR_NENABLED)."""
        self._session(session)
        self._return(session, StatusCode.error_not_enabled)
        raise NotImplementedError
