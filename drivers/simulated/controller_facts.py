"""What the simulated controller board knows: chip, limits, settings, registers, and what of it outlives a boot."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.clock import VirtualClock
from drivers.simulated.controller_access import DEFAULT_WATCHDOG_S, Access, Watchdog
from drivers.simulated.controller_events import EventPort
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.controller_mvm import ProductOperation
from drivers.simulated.controller_operation import Operation
from drivers.simulated.controller_program import ProgramOperation
from drivers.simulated.controller_read import Converter, ReadOperation
from drivers.simulated.controller_settings import PulseTemplate, ReadSettings
from drivers.simulated.faults import Faults
from drivers.simulated.scpi import Connection
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.status import Status

__all__ = ["DEFAULT_PROTECTION_K", "BoardFacts", "ChipState"]

DEFAULT_PROTECTION_K = 400.0

_TEXTS = {
    101: "Cell index out of range",
    102: "Selection empty or undefined",
    103: "Block length does not match selection",
    104: "Pulse template undefined",
    105: "Result buffer empty",
    106: "Batch id not newer",
    201: "Rail not in tolerance",
    202: "Over-current shutdown",
    203: "Over-temperature",
    204: "Interlock open",
    205: "Endurance guard",
    206: "Busy: overlapped operation active",
    207: "Array power or outputs off",
    208: "Watchdog expired",
    209: "Supply failure",
}


class ChipState(Protocol):
    """A chip and what outlives a session with it; see ``drivers.simulated.state_file``."""

    chip: Any
    board: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def save(self) -> None:
        """Write everything."""

    def close(self) -> None:
        """Write everything and let go."""


class BoardFacts:
    """The state of one board; nothing in here lets time pass or changes the power."""

    access: Access
    boot_id: int
    watchdog: Watchdog
    clock: VirtualClock
    faults: Faults
    limits: BoardLimits
    converter: Converter
    read_settings: ReadSettings
    mask: NDArray[np.bool_]
    masked: bool
    cycle_limit: int
    protection_k: float
    epoch: tuple[int, int]
    block_max: int
    operation: Operation | None
    last_batch: ProgramOperation | None
    last_read: ReadOperation | None
    last_product: ProductOperation | None
    selections: dict[int, NDArray[np.uint32]]
    rectangles: dict[int, tuple[int, int, int, int, int]]
    templates: dict[int, PulseTemplate]

    def __init__(
        self,
        state: ChipState,
        *,
        temperature_k: float,
        rate: float,
        born_unix_ns: int,
        limits: BoardLimits | None,
    ) -> None:
        self.state = state
        self.clock = VirtualClock(rate)
        self.faults = Faults()
        self.connections: list[Connection] = []
        self.events = EventPort()
        self.chip: Any = state.chip
        self.limits = limits or BoardLimits.of(self.chip.banks, self.chip.rows, self.chip.cols)
        self.converter = Converter.of(self.limits)
        self.text_max = int(self.limits.values["text_max"])
        self.block_max = int(self.limits.values["block_max"])
        board = state.board
        self._offset_ns = int(board.get("absolute_ns", 0))
        self.temperature_k = temperature_k
        self.born_unix_ns = int(board.get("born_unix_ns", born_unix_ns))
        self.boots = int(board.get("boots", 0))
        self.cycle_limit = int(board.get("cycle_limit", 0))
        self.cycles = self._array("cycles", np.zeros(self.chip.cells, np.uint32))
        self.vectors = self._array("vectors", np.zeros(self.chip.banks, np.uint64))
        packed = self._array("mask", np.zeros(-(-self.chip.cells // 8), np.uint8))
        self.mask = np.unpackbits(packed, count=self.chip.cells, bitorder="little").astype(np.bool_)
        self.masked = bool(self.mask.any())
        self.all_cells = np.arange(self.chip.cells, dtype=np.uint32)
        self._conditions = (0, 0)

    def _array(self, name: str, default: NDArray[Any]) -> NDArray[Any]:
        kept = self.state.arrays.get(name)
        return default if kept is None or kept.shape != default.shape else np.array(kept, default.dtype)

    def _store(self) -> None:
        self.state.board.update(
            absolute_ns=self.absolute_ns,
            boots=self.boots,
            cycle_limit=self.cycle_limit,
            born_unix_ns=self.born_unix_ns,
        )
        self.state.arrays["cycles"] = self.cycles
        self.state.arrays["vectors"] = self.vectors
        self.state.arrays["mask"] = np.packbits(self.mask, bitorder="little")

    def _reset_settings(self) -> None:
        self.power = "OFF"
        self.outputs = False
        self.over_current = self.supply_failed = False
        self.rails = {name: float(volts) for name, volts in self.limits.values["rails_def"].items()}
        self.selections = {}
        self.rectangles = {}
        self.templates = {}
        self.read_settings = ReadSettings()
        self.read_settings.voltage_v = min(self.read_settings.voltage_v, self.limits.pair("v_read")[1])
        self.watchdog.limit_s = DEFAULT_WATCHDOG_S

    @property
    def now_ns(self) -> int:
        """Board time: nanoseconds since boot."""
        return self.clock.now_ns

    @property
    def absolute_ns(self) -> int:
        """Chip time: nanoseconds since the chip was made."""
        return self._offset_ns + self.clock.now_ns

    def selection(self, handle: int) -> NDArray[np.uint32]:
        """Cells of a selection; raises ScpiError 102 where it is undefined."""
        if handle == 0:
            return self.all_cells
        cells = self.selections.get(handle)
        if cells is None:
            raise ScpiError(102)
        return cells

    def obey_card(self, cells: NDArray[np.uint32], *, pulses: bool = False) -> None:
        """Refuse what leaves the range of a law where the chip is to be strict; raises ScpiError -221."""
        if self.chip.strict:
            outside = self.chip.excursions(cells, self.absolute_ns, pulses=pulses)
            if outside:
                raise ScpiError(-221, str(outside[0]))

    def count_vectors(self, bank: int, count: int) -> int:
        """Return the running number of the next vector of a bank, which its noise depends on, and count `count`."""
        first = int(self.vectors[bank])
        self.vectors[bank] += np.uint64(count)
        return first

    def template(self, index: int) -> PulseTemplate:
        """Pulse template; raises ScpiError 104 where it is undefined."""
        template = self.templates.get(index)
        if template is None:
            raise ScpiError(104)
        return template

    def new_status(self) -> Status:
        """Status of a new connection."""
        return Status(int(self.limits.values["err_queue"]), _TEXTS)

    @property
    def too_hot(self) -> bool:
        """Whether the temperature protection acts."""
        return self.faults.has("OTP") or self._temperature_k > self.protection_k

    @property
    def temperature_k(self) -> float:
        """Temperature of the chip."""
        return self._temperature_k

    @temperature_k.setter
    def temperature_k(self, value: float) -> None:
        self._temperature_k = value
        self.chip.set_temperature(value, self.absolute_ns)

    def conditions(self) -> tuple[int, int]:
        """Operation and questionable condition registers (controller-protocol §8.1)."""
        kind = self.operation.kind if self.operation is not None else ""
        operation = {"ramp": 1 << 1, "read": 1 << 4, "mvm": 1 << 4, "program": 1 << 8}.get(kind, 0)
        results = [result for result in (self.last_read, self.last_product) if result is not None]
        operation |= (1 << 11) if any(result.available for result in results) else 0
        latest = max(results, key=lambda result: result.start_ns, default=None)  # a product is a read too
        questionable = int(self.faults.has("RAIL")) | self.over_current << 1 | self.supply_failed << 3
        questionable |= self.too_hot << 4 | self.faults.has("ILOC") << 11
        questionable |= (1 << 9) if latest is not None and latest.ended and latest.any_clipped else 0
        return operation, questionable

    def update_conditions(self) -> None:
        """Tell every connection about edges of the condition registers, and listeners about the summary."""
        before, self._conditions = self._conditions, self.conditions()
        if before != self._conditions:
            for link in self.connections:
                link.status.operation.follow(before[0], self._conditions[0])
                link.status.questionable.follow(before[1], self._conditions[1])
            self.events.conditions(*self._conditions, self.now_ns)

    def queue_all(self, code: int, info: str = "") -> None:
        """Put an asynchronous error into every queue, and tell listeners its code."""
        for link in self.connections:
            link.status.error(code, info)
        nobody = self.new_status()
        nobody.error(code, info)
        self.access.error(nobody.next_error())
        self.events.error(code, self.now_ns)
