"""Power of the simulated controller board: rails, outputs, protection, and the one operation they can end."""

from __future__ import annotations

from drivers.simulated.controller_facts import BoardFacts
from drivers.simulated.controller_operation import Operation, Ramp
from drivers.simulated.controller_program import ProgramOperation
from drivers.simulated.scpi_errors import ScpiError

__all__ = ["PoweredBoard"]

RAMP_NS = 5_000_000


class PoweredBoard(BoardFacts):
    """A board whose array can be powered, whose protection trips, and which runs one operation at a time."""

    @property
    def energised(self) -> bool:
        """Whether batches and reads may run."""
        return self.power == "ON" and self.outputs

    def power_on(self) -> None:
        """``ARR:POW ON`` (controller-protocol §5.1)."""
        if self.operation is not None:
            raise ScpiError(206)
        if self.power in ("TRIP", "SAFE"):
            raise ScpiError(-221)
        if self.power == "OFF":
            self.power = "RAMP"
            self.start(Ramp(self.now_ns, self.now_ns + round(RAMP_NS * self.faults.number("SLOW", 1.0))))
            self.protect()

    def power_off(self) -> None:
        """``ARR:POW OFF``: ends what runs first, clears a latch."""
        operation = self.operation
        if operation is not None and operation.kind != "ramp":
            operation.power_off_behind = True
            self.abort()
            return
        self.abort()
        self._power_off_now()

    def _power_off_now(self) -> None:
        self.power, self.outputs = "OFF", False
        self.over_current = self.supply_failed = False

    def outputs_on(self) -> None:
        """``OUTP ON``."""
        if self.operation is not None:
            raise ScpiError(206)
        if self.power != "ON":
            raise ScpiError(207)
        if self.faults.has("ILOC"):
            raise ScpiError(204)
        self.outputs = True

    def outputs_off(self) -> None:
        """``OUTP OFF``: ends what runs first."""
        operation = self.operation
        if operation is not None and operation.kind != "ramp":
            operation.outputs_off_behind = True
            self.abort()
        else:
            self.outputs = False

    def abort(self) -> None:
        """``SYST:ABOR``: end the running operation at its next cell boundary."""
        operation = self.operation
        if operation is None:
            return
        operation.abort(self.now_ns)
        if operation.end_ns <= self.now_ns:
            self._end(operation)

    def safe(self) -> None:
        """``SYST:SAFE``: stop everything now and latch the power off."""
        self._stop("SAFE", 0)

    def _stop(self, state: str, code: int) -> None:
        self.outputs = False
        if self.power != "TRIP":
            self.power = "SAFE"
        if self.operation is not None:
            self._cut(state, code)
        self.update_conditions()

    def protect(self) -> None:
        """Trip where an armed fault or the temperature demands it (controller-protocol §5.2)."""
        if self.power in ("RAMP", "ON") and self.too_hot:
            self.trip(203)
        elif self.power == "ON" and self.faults.has("RAIL"):
            self.trip(201, str(self.faults.values["RAIL"][0]))
        elif self.outputs and self.faults.has("ILOC"):
            self.trip(204)

    def trip(self, code: int, info: str = "") -> None:
        """Hardware protection: outputs first, then the operation, then what is said about it."""
        self.outputs, self.power = False, "TRIP"
        self.over_current = self.over_current or code == 202
        self.supply_failed = self.supply_failed or code == 209
        operation = self.operation
        if operation is not None:
            self._cut("TRIP", code)
            if isinstance(operation, ProgramOperation) and code in (202, 209):
                info = f"batch {operation.id} done {operation.done} open {operation.open}"
        self.update_conditions()
        self.queue_all(code, info)
        self.events.tripped(code, self.now_ns)

    def start(self, operation: Operation) -> None:
        """Run an operation; one without any work is over at once."""
        self.operation = operation
        self.update_conditions()
        if operation.end_ns <= self.now_ns:
            self._end(operation)

    def _end(self, operation: Operation) -> None:
        operation.finish(operation.end_ns)
        self.operation = None
        if operation.kind == "ramp":
            self._ramp_over(operation)
        if operation.outputs_off_behind:
            self.outputs = False
        if operation.power_off_behind:
            self._power_off_now()
        self._completed(operation)

    def _ramp_over(self, ramp: Operation) -> None:
        if ramp.state == "ABOR":
            self._power_off_now()
        elif self.faults.has("RAIL"):
            self._power_off_now()
            self.queue_all(201, str(self.faults.values["RAIL"][0]))
        else:
            self.power = "ON"

    def _cut(self, state: str, code: int) -> None:
        operation, self.operation = self.operation, None
        if operation is not None:
            operation.cut(self.now_ns, state, code)
            self._completed(operation)

    def _completed(self, operation: Operation) -> None:
        for link in self.connections:
            link.status.operation_complete()
        self.events.ended(operation)
        self.update_conditions()
