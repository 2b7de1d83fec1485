"""What runs on the board: an overlapped operation, sliced so that it can be stopped anywhere."""

from __future__ import annotations

__all__ = ["SLICE_ENTRIES", "Operation", "Ramp"]

SLICE_ENTRIES = 65536
"""Entries computed at a stretch; between two slices the board can be reached."""


class Operation:
    """One overlapped operation.

    Attributes
    ----------
    kind : str
        ``ramp``, ``program``, ``read`` or ``mvm``.
    state : str
        ``RUN``, then how it ended (controller-protocol §5.2).
    start_ns, end_ns : int
        Board time; the end is the expected one while it runs, then the real one.
    fault : tuple of (int, str) or None
        When a fault strikes it, and which.
    handle, template : int
        What may not be redefined meanwhile; 0 and -1 for none.
    power_off_behind, outputs_off_behind : bool
        Switched off when it ends.
    """

    kind = ""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.state = "RUN"
        self.code = 0
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.fault: tuple[int, str] | None = None
        self.handle = 0
        self.template = -1
        self.aborting = False
        self.power_off_behind = False
        self.outputs_off_behind = False

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state != "RUN"

    def next_stop_ns(self) -> int:
        """Return the end of the next slice."""
        return self.end_ns

    def run_to(self, now_ns: int) -> None:
        """Do all that is due up to `now_ns`."""

    def boundary_ns(self, now_ns: int) -> int:
        """Return the next moment at which the operation may be aborted."""
        return now_ns

    def abort(self, now_ns: int) -> None:
        """End it at the next boundary; it runs until then."""
        if not self.aborting:
            self.aborting = True
            self.end_ns = min(self.end_ns, self.boundary_ns(now_ns))

    def finish(self, now_ns: int) -> None:
        """End it where it was to end."""
        self.run_to(now_ns)
        self.state, self.end_ns = ("ABOR" if self.aborting else "DONE"), now_ns

    def cut(self, now_ns: int, state: str, code: int) -> None:
        """End it this very moment, in the middle of whatever it does."""
        self.run_to(now_ns)
        self.state, self.code, self.end_ns = state, code, now_ns


class Ramp(Operation):
    """The supplies coming up."""

    kind = "ramp"
