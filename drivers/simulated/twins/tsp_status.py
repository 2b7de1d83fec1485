"""The status model of a TSP instrument: register sets that feed each other, up to the status byte."""

from __future__ import annotations

from collections.abc import Callable

from drivers.simulated.twins.tsp_errors import ErrorQueue
from drivers.simulated.twins.tsp_objects import Node, whole

__all__ = ["EAV", "ESB", "MAV", "MSB", "MSS", "OSB", "QSB", "Registers", "Status"]

MSB, EAV, QSB, MAV, ESB, MSS, OSB = 1, 4, 8, 16, 32, 64, 128
"""Bits of the status byte (instruments §2.1)."""

_ALL = 0xFFFF
_STANDARD = {
    "OPC": (1, "OPERATION_COMPLETE"),
    "QYE": (4, "QUERY_ERROR"),
    "DDE": (8, "DEVICE_DEPENDENT_ERROR"),
    "EXE": (16, "EXECUTION_ERROR"),
    "CME": (32, "COMMAND_ERROR"),
    "URQ": (64, "USER_REQUEST"),
    "PON": (128, "POWER_ON"),
}


class Registers(Node):
    """One register set: condition, event, enable, and which transitions set an event (ptr, ntr).

    Parameters
    ----------
    enable : int
        Bits of the enable register after a reset.
    upward : callable, optional
        Gets whether an enabled event is there, whenever that may have changed.
    """

    def __init__(self, enable: int = 0, upward: Callable[[bool], None] | None = None) -> None:
        super().__init__()
        self._default_enable, self._upward = enable, upward
        self.condition = self.event = 0
        self.enable, self.ntr, self.ptr = enable, 0, _ALL
        self.attribute("condition", lambda: self.condition)
        self.attribute("event", self.take_event)
        for name in ("enable", "ntr", "ptr"):
            self.attribute(name, *self._register(name))

    def _register(self, name: str) -> tuple[Callable[[], int], Callable[[object], None]]:
        check = whole(0, _ALL)

        def write(value: object) -> None:
            setattr(self, name, check(value))
            self._told()

        return lambda: int(getattr(self, name)), write

    def name_bits(self, **bits: int) -> None:
        """Give the bits their names."""
        self.add(**bits)

    def set(self, bit: int, on: bool) -> None:
        """Set or clear bits of the condition register; transitions latch events."""
        before = self.condition
        self.condition = before | bit if on else before & ~bit
        self.event |= (self.condition & ~before & self.ptr) | (before & ~self.condition & self.ntr)
        self._told()

    def latch(self, bit: int) -> None:
        """Set bits of the event register: something happened that is no state."""
        self.event |= bit
        self._told()

    def take_event(self) -> int:
        """Return the event register and clear it."""
        found, self.event = self.event, 0
        self._told()
        return found

    @property
    def summary(self) -> bool:
        """Whether an enabled event is there."""
        return bool(self.event & self.enable)

    def clear(self) -> None:
        """Forget the events."""
        self.event = 0
        self._told()

    def preset(self) -> None:
        """Bring enable and transition registers to what they are after a reset."""
        self.enable, self.ntr, self.ptr = self._default_enable, 0, _ALL
        self._told()

    def _told(self) -> None:
        if self._upward is not None:
            self._upward(self.summary)


class Status(Node):
    """The whole model, as scripts know it: ``status``.

    Sets below ``measurement``, ``operation`` and ``questionable`` are made by :meth:`below`.
    """

    def __init__(self, errors: ErrorQueue) -> None:
        super().__init__()
        self.errors = errors
        self.request_enable = self.node_enable = 0
        self.measurement, self.operation = Registers(), Registers()
        self.questionable, self.standard = Registers(), Registers()
        self._all = [self.measurement, self.operation, self.questionable, self.standard]
        for short, (bit, long) in _STANDARD.items():
            self.standard.name_bits(**{short: bit, long: bit})
        self.standard.attribute("event", self.take_standard)
        self.standard.latch(128)
        self.add(
            measurement=self.measurement,
            operation=self.operation,
            questionable=self.questionable,
            standard=self.standard,
            reset=self.preset,
            MSB=MSB,
            MEASUREMENT_SUMMARY_BIT=MSB,
            EAV=EAV,
            ERROR_AVAILABLE=EAV,
            QSB=QSB,
            QUESTIONABLE_SUMMARY_BIT=QSB,
            MAV=MAV,
            MESSAGE_AVAILABLE=MAV,
            ESB=ESB,
            EVENT_SUMMARY_BIT=ESB,
            MSS=MSS,
            MASTER_SUMMARY_STATUS=MSS,
            OSB=OSB,
            OPERATION_SUMMARY_BIT=OSB,
        )
        self.attribute("condition", lambda: self.byte(message_available=False))
        self.attribute("request_event", lambda: self.byte(message_available=False) & self.request_enable)
        for name in ("request_enable", "node_enable"):
            self.attribute(name, *self._kept(name))

    def _kept(self, name: str) -> tuple[Callable[[], int], Callable[[object], None]]:
        check = whole(0, 255)
        return lambda: int(getattr(self, name)), lambda value: setattr(self, name, check(value))

    def below(
        self, parent: Registers, name: str, bit: int, *, enable: int = _ALL, under: Node | None = None
    ) -> Registers:
        """Make a set whose summary is one bit of its parent's condition.

        Parameters
        ----------
        under : Node, optional
            Where scripts find it, where that is not the parent.
        """
        made = Registers(enable, lambda on: parent.set(bit, on))
        (under or parent).add(**{name: made})
        self._all.append(made)
        return made

    def byte(self, *, message_available: bool) -> int:
        """Return the status byte with MSS."""
        self._take_error_bits()
        found = (
            (MSB if self.measurement.summary else 0)
            | (EAV if len(self.errors) else 0)
            | (QSB if self.questionable.summary else 0)
            | (MAV if message_available else 0)
            | (ESB if self.standard.summary else 0)
            | (OSB if self.operation.summary else 0)
        )
        return found | (MSS if found & self.request_enable & ~MSS else 0)

    def _take_error_bits(self) -> None:
        bits, self.errors.standard = self.errors.standard, 0
        if bits:
            self.standard.latch(bits)

    def take_standard(self) -> int:
        """Return the standard event register and clear it (``*ESR?``)."""
        self._take_error_bits()
        return self.standard.take_event()

    def clear(self) -> None:
        """Clear all event registers and the error queue (``*CLS``)."""
        self.errors.clear()
        self.errors.standard = 0
        for each in self._all:
            each.clear()

    def preset(self) -> None:
        """Bring every register to what it is after power-on (``status.reset()``)."""
        self.request_enable = self.node_enable = 0
        for each in self._all:
            each.preset()
            each.clear()
