"""What a simulated instrument is reached over, and what that costs."""

from __future__ import annotations

from enum import Enum

__all__ = ["Transport"]


class Transport(Enum):
    """What an instrument is reached over."""

    SOCKET = "SOCKET"
    SERIAL = "SERIAL"
    GPIB = "GPIB"
    USB = "USB"
    VXI11 = "VXI11"
    HISLIP = "HISLIP"

    @property
    def is_stream(self) -> bool:
        """Whether there are only bytes: no END, no serial poll, no device clear, no trigger."""
        return self in (Transport.SOCKET, Transport.SERIAL)

    @property
    def message_s(self) -> float:
        """Seconds a message takes to arrive and be read: defaults, orders of magnitude only (instruments §4)."""
        return _MESSAGE_S[self]

    @property
    def byte_s(self) -> float:
        """Seconds per byte: defaults, orders of magnitude only (instruments §4)."""
        return _BYTE_S[self]

    @classmethod
    def of(cls, address: str) -> Transport:
        """Tell it from a VISA address."""
        parts = address.upper().split("::")
        if parts[-1] == "SOCKET":
            return cls.SOCKET
        if parts[0].startswith("ASRL"):
            return cls.SERIAL
        if parts[0].startswith("GPIB"):
            return cls.GPIB
        if parts[0].startswith("USB"):
            return cls.USB
        return cls.HISLIP if any(part.startswith("HISLIP") for part in parts) else cls.VXI11


_MESSAGE_S = {
    Transport.SOCKET: 0.3e-3,
    Transport.SERIAL: 0.0,
    Transport.GPIB: 0.5e-3,
    Transport.USB: 1.0e-3,
    Transport.VXI11: 1.5e-3,
    Transport.HISLIP: 0.4e-3,
}
_BYTE_S = {
    Transport.SOCKET: 1e-8,
    Transport.SERIAL: 10 / 57_600,
    Transport.GPIB: 1e-6,
    Transport.USB: 1 / 30e6,
    Transport.VXI11: 1e-7,
    Transport.HISLIP: 1e-8,
}
