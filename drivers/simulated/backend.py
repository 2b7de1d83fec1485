"""A PyVISA library whose resources are the simulated instruments of a bench file, in this very process.

``pyvisa.ResourceManager("bench.yaml@pcm")`` finds it through the module ``pyvisa_pcm``. It keeps no state of
its own beyond open sessions: boards live in :mod:`drivers.simulated.registry`, under the file's absolute
path, until the last resource manager is closed. A file that ends with ``.rec`` is a recording, and is played back
(:mod:`drivers.simulated.replay`). Return codes and attributes follow visa-backend.md §1-6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pyvisa import constants, errors, highlevel, rname
from pyvisa.constants import (
    AccessModes,
    BufferOperation,
    EventAttribute,
    EventMechanism,
    EventType,
    Lock,
    ResourceAttribute,
    StatusCode,
    TriggerProtocol,
)
from pyvisa.typing import VISAEventContext, VISAHandler, VISARMSession, VISASession
from pyvisa.util import DebugInfo, LibraryPath

from drivers.simulated.link import Port
from drivers.simulated.registry import open_shared
from drivers.simulated.shared_bench import SharedBench
from drivers.simulated.transport import Transport
from drivers.simulated.visa_session import VisaSession

__all__ = ["PcmVisaLibrary"]

_DISCARDING = (
    BufferOperation.discard_read_buffer
    | BufferOperation.discard_read_buffer_no_io
    | BufferOperation.discard_receive_buffer
    | BufferOperation.discard_receive_buffer2
)
_SERVICE = (EventType.service_request, EventType.all_enabled)


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
        self._managers: dict[int, SharedBench] = {}
        self._ended: set[int] = set()
        self._sessions: dict[int, VisaSession] = {}
        self._contexts: dict[int, EventType] = {}

    def _return(self, session: Any, code: StatusCode) -> StatusCode:
        return self.handle_return_value(session, code)

    def _new_handle(self) -> int:
        self._next_handle += 1
        return self._next_handle

    def _session(self, session: int) -> VisaSession:
        found = self._sessions.get(session)
        if found is None:
            self._return(session, StatusCode.error_invalid_object)
            raise KeyError(session)
        return found

    def _usable(self, session: int) -> VisaSession:
        """Return a session that no other's lock keeps out."""
        found = self._session(session)
        if not found.instrument.lock.may_use(found):
            self._return(session, StatusCode.error_resource_locked)
        return found

    # ---- managers and resources -----------------------------------------------------------------------------
    def open_default_resource_manager(self) -> tuple[VISARMSession, StatusCode]:
        """Open the bench file the library is named after."""
        handle = self._new_handle()
        self._managers[handle] = open_shared(str(self.library_path))
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
        instrument = _find(bench, resource_name)
        if instrument is None:
            self._return(session, StatusCode.error_resource_not_found)
            raise KeyError(resource_name)
        opened = VisaSession(instrument, rname.ResourceName.from_string(resource_name), session)
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
            opened.connected(instrument.connect(Transport.of(resource_name)))
        except ConnectionRefusedError:
            instrument.lock.forget(opened)
            self._return(session, StatusCode.error_resource_not_found)
        except BaseException:
            instrument.lock.forget(opened)
            raise
        handle = self._new_handle()
        self._sessions[handle] = opened
        return VISASession(handle), self._return(handle, StatusCode.success)

    def close(self, session: VISASession | VISAEventContext | VISARMSession) -> StatusCode:
        """Close a session, or a manager with all its sessions; the last manager of a bench saves it."""
        if self._contexts.pop(session, None) is not None:
            return StatusCode.success
        bench = self._managers.pop(session, None)
        if bench is not None:
            for handle in [key for key, value in self._sessions.items() if value.manager == session]:
                self._sessions.pop(handle).close()
            self._ended.add(session)
            bench.release()
            return StatusCode.success
        if session in self._ended:  # pyvisa closes once more what could not be saved at the first time
            return StatusCode.success
        if session not in self._sessions:
            return self._return(session, StatusCode.error_invalid_object)
        self._sessions.pop(session).close()
        return StatusCode.success

    # ---- bytes ------------------------------------------------------------------------------------------------
    def write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """Send bytes; on a message-based resource their end is the message's end."""
        return len(data), self._return(session, self._usable(session).write(data))

    def read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """Read up to `count` bytes, to the termination character where it is on, to END where there is one."""
        data, code = self._usable(session).read(count)
        return data, self._return(session, code)

    def clear(self, session: VISASession) -> StatusCode:
        """Device clear; on a stream, what was answered and not yet read is dropped."""
        return self._return(session, self._usable(session).clear())

    def flush(self, session: VISASession, mask: BufferOperation) -> StatusCode:
        """Drop the read buffer where the mask says so; nothing is ever held back on the way out."""
        found = self._usable(session)
        if mask & _DISCARDING:
            found.drop_replies()
        return self._return(session, StatusCode.success)

    def read_stb(self, session: VISASession) -> tuple[int, StatusCode]:
        """Return the status byte; a stream has no serial poll (VI_ERROR_NSUP_OPER)."""
        byte, code = self._usable(session).poll()
        return byte, self._return(session, code)

    def assert_trigger(self, session: VISASession, protocol: TriggerProtocol) -> StatusCode:
        """Trigger a bench instrument; a stream and the controller have no trigger (VI_ERROR_NSUP_OPER)."""
        return self._return(session, self._usable(session).trigger())

    def gpib_control_ren(self, session: VISASession, mode: constants.RENLineOperation) -> StatusCode:
        """Succeed: simulated instruments have no front panel that could be locked."""
        self._usable(session)
        return self._return(session, StatusCode.success)

    def status_description(self, session: VISASession, status: StatusCode) -> tuple[str, StatusCode]:
        """Describe a status code in words."""
        _name, words = errors.completion_and_error_messages.get(status, ("", f"unknown status {status}"))
        return words, StatusCode.success

    # ---- attributes -------------------------------------------------------------------------------------------
    def get_attribute(
        self,
        session: VISASession | VISAEventContext | VISARMSession,
        attribute: ResourceAttribute | EventAttribute,
    ) -> tuple[Any, StatusCode]:
        """Return the value of an attribute of a session, or of an event."""
        if session in self._contexts and attribute == EventAttribute.event_type:
            return self._contexts[session], StatusCode.success
        found = self._session(session)
        try:
            name = ResourceAttribute(attribute)
            if name is ResourceAttribute.resource_lock_state:
                return found.instrument.lock.state(), self._return(session, StatusCode.success)
            if name is ResourceAttribute.asrl_avalaible_number and found.attributes.is_serial:
                return found.connection.output.size, self._return(session, StatusCode.success)
            value = found.attributes.value(name)
        except (ValueError, KeyError):
            return None, self._return(session, StatusCode.error_nonsupported_attribute)
        return value, self._return(session, StatusCode.success)

    def set_attribute(
        self, session: VISASession, attribute: ResourceAttribute, attribute_state: Any
    ) -> StatusCode:
        """Set an attribute of a session."""
        found = self._session(session)
        try:
            name = ResourceAttribute(attribute)
        except ValueError:
            return self._return(session, StatusCode.error_nonsupported_attribute)
        return self._return(session, found.attributes.set(name, attribute_state))

    # ---- locks --------------------------------------------------------------------------------------------------
    def lock(
        self, session: VISASession, lock_type: Lock, timeout: int, requested_key: str | None = None
    ) -> tuple[str, StatusCode]:
        """Lock a resource for this session, or share it under a key."""
        found = self._session(session)
        wait_s = 0.0 if timeout < 0 else timeout / 1000
        if lock_type == Lock.exclusive:
            if not found.instrument.lock.acquire_exclusive(found, wait_s):
                self._return(session, StatusCode.error_resource_locked)
            return "", self._return(session, StatusCode.success)
        key = found.instrument.lock.acquire_shared(found, wait_s, requested_key)
        if key is None:
            self._return(session, StatusCode.error_resource_locked)
        return key or "", self._return(session, StatusCode.success)

    def unlock(self, session: VISASession) -> StatusCode:
        """Undo one lock of this session."""
        found = self._session(session)
        if not found.instrument.lock.release(found):
            return self._return(session, StatusCode.error_session_not_locked)
        return self._return(session, StatusCode.success)

    # ---- events: service requests of twins on interfaces that have them (VI_ERROR_NSUP_OPER elsewhere) -------------
    def enable_event(
        self, session: VISASession, event_type: EventType, mechanism: EventMechanism, context: None = None
    ) -> StatusCode:
        """Begin to collect service requests."""
        events = self._session(session).events
        if events is None or event_type not in _SERVICE:
            return self._return(session, StatusCode.error_nonsupported_operation)
        return self._return(session, events.enable(mechanism))

    def disable_event(
        self, session: VISASession, event_type: EventType, mechanism: EventMechanism
    ) -> StatusCode:
        """Collect no more; pyvisa's close() asks for it, so that nothing is to disable is no error."""
        events = self._session(session).events
        if events is not None and event_type in _SERVICE:
            events.disable(mechanism)
        return StatusCode.success

    def discard_events(
        self, session: VISASession, event_type: EventType, mechanism: EventMechanism
    ) -> StatusCode:
        """Forget queued events; pyvisa's close() asks for it."""
        events = self._session(session).events
        if events is not None and event_type in _SERVICE:
            events.discard()
        return StatusCode.success

    def wait_on_event(
        self, session: VISASession, in_event_type: EventType, timeout: int | None
    ) -> tuple[EventType, VISAEventContext, StatusCode]:
        """Take an event out of the queue, waiting for it (VI_ERROR_NENABLED where none can come)."""
        events = self._session(session).events
        forever = timeout is None or timeout >= constants.VI_TMO_INFINITE
        if events is None or in_event_type not in _SERVICE:
            code = StatusCode.error_not_enabled
        else:
            code = events.wait(None if forever or timeout is None else timeout / 1000)
        self._return(session, code)
        context = self._new_handle()
        self._contexts[context] = EventType.service_request
        return EventType.service_request, VISAEventContext(context), code

    def install_handler(
        self, session: VISASession, event_type: EventType, handler: VISAHandler, user_handle: Any
    ) -> tuple[VISAHandler, Any, Any, StatusCode]:
        """Have a handler called with (session, event type, context, user handle) at each service request."""
        events = self._session(session).events
        if events is None or event_type is not EventType.service_request:
            self._return(session, StatusCode.error_nonsupported_operation)
            raise KeyError(session)
        call = partial(self._call, session, handler, user_handle)
        events.install(call)
        return handler, user_handle, call, self._return(session, StatusCode.success)

    def uninstall_handler(
        self, session: VISASession, event_type: EventType, handler: Any, user_handle: Any = None
    ) -> StatusCode:
        """Call a handler no more."""
        events = self._session(session).events
        if events is not None:
            events.uninstall(handler)
        return self._return(session, StatusCode.success)

    def _call(self, session: VISASession, handler: Callable[..., object], user_handle: Any) -> None:
        context = self._new_handle()
        self._contexts[context] = EventType.service_request
        try:
            handler(session, EventType.service_request, context, user_handle)
        finally:
            self._contexts.pop(context, None)


def _find(bench: SharedBench, name: str) -> Port | None:
    """Find what an address leads to, however it is spelled: ``GPIB::26`` is ``GPIB0::26::INSTR``."""
    found = bench.find(name)
    if found is not None:
        return found
    wanted = rname.to_canonical_name(name).upper()
    for address in bench.instruments:
        if rname.to_canonical_name(address).upper() == wanted:
            return bench.instruments[address]
    return None
