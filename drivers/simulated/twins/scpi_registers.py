"""The status of a twin: SCPI's registers with transition filters, and when an instrument asks for service."""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.simulated.status import EventRegister, Status

__all__ = ["ConditionRegister", "Service", "TwinStatus"]

_ALL = 0x7FFF


@dataclass(slots=True)
class ConditionRegister(EventRegister):
    """A condition register with its transition filters, event and enable registers."""

    condition: int = 0
    rising: int = _ALL
    falling: int = 0

    def update(self, condition: int) -> None:
        """Take over a new condition; what changed passes the filters into the event register."""
        risen, fallen = condition & ~self.condition, self.condition & ~condition
        self.event |= (risen & self.rising) | (fallen & self.falling)
        self.condition = condition

    def preset(self) -> None:
        """``STATus:PRESet``."""
        self.enable, self.rising, self.falling = 0, _ALL, 0


@dataclass
class TwinStatus(Status):
    """Status of an instrument whose condition registers can be asked for."""

    operation: ConditionRegister = field(default_factory=ConditionRegister)
    questionable: ConditionRegister = field(default_factory=ConditionRegister)


@dataclass(slots=True)
class Service:
    """Whether a link asks for service (RQS): latched on every new reason, cleared by a serial poll (488.2, 11.3)."""

    requested: bool = False
    reasons: int = 0

    def update(self, byte: int, enable: int) -> None:
        """Look at the status byte; bit 6 of both is ignored."""
        reasons = byte & enable & 0xBF
        if reasons & ~self.reasons:
            self.requested = True
        elif not reasons:
            self.requested = False
        self.reasons = reasons

    def polled(self) -> bool:
        """Return the request and clear it."""
        asked, self.requested = self.requested, False
        return asked
