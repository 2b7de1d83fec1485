"""Opening VISA resources: one shared manager per backend, and what pyvisa-py needs besides."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import suppress
from typing import Any

from drivers.errors import DriverError, LinkError

__all__ = ["manager_of", "opened_resource", "release_manager", "socket_of"]

_OPEN_TIMEOUT_S = 5.0

_managers: dict[str, tuple[Any, int]] = {}
_managers_lock = threading.Lock()


def manager_of(backend: str) -> Any:
    """Share one manager per backend: PyVISA has only one, and closing it closes every other link too."""
    import pyvisa

    with _managers_lock:
        manager, users = _managers.get(backend, (None, 0))
        try:
            _managers[backend] = (manager or pyvisa.ResourceManager(backend), users + 1)
        except (ValueError, ImportError, OSError, pyvisa.errors.Error) as error:
            raise LinkError(f"the VISA backend {backend} cannot be used ({_reason(error)})") from error
        return _managers[backend][0]


def release_manager(backend: str) -> None:
    """Give the manager back; the last user closes it, and with it a simulated bench, which is saved."""
    with _managers_lock:
        manager, users = _managers[backend]
        if users > 1:
            _managers[backend] = (manager, users - 1)
        else:
            del _managers[backend]
            manager.close()


def opened_resource(manager: Any, address: str, backend: str, timeout_s: float) -> Any:
    """Open a VISA resource that really answers.

    Raises
    ------
    LinkError
        Nothing is there.
    DriverError
        A simulated bench says itself what is wrong with it.
    """
    resource = None
    try:
        resource = manager.open_resource(
            address, open_timeout=round(_OPEN_TIMEOUT_S * 1000), timeout=round(timeout_s * 1000)
        )
        connection = socket_of(resource)
        if connection is not None:
            connection.getpeername()  # pyvisa-py opens a closed port as if all were well (visa-backend §6)
            # It leaves Nagle on, which costs 44 ms where two writes meet a delayed acknowledgement
            # (visa-backend §10).
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except Exception as error:
        if resource is not None:
            with suppress(Exception):
                resource.close()
        if isinstance(error, DriverError):  # a simulated bench that cannot be used says so itself
            raise
        # pyvisa-py raises bare exceptions where it cannot connect.
        raise LinkError(
            f"nothing answers at {address} through {backend} ({_reason(error)}); check that the board is on "
            "and its address in the bench file right",
            address=address,
        ) from error
    return resource


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOTCONN, errno.ECONNREFUSED):
        return "connection refused"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def socket_of(resource: Any) -> Any:
    """Return the socket under a pyvisa-py raw-socket session; other backends have none to show."""
    sessions = getattr(resource.visalib, "sessions", None)
    interface = getattr(sessions[resource.session], "interface", None) if isinstance(sessions, dict) else None
    return interface if isinstance(interface, socket.socket) else None
