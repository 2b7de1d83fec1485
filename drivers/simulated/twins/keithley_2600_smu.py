"""A channel of the 2600: source, meter, buffers and trigger model on one pair of terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from drivers.simulated.twins.keithley_2600_buffer import CAPACITY, Buffer
from drivers.simulated.twins.keithley_2600_measure import SmuMeasure
from drivers.simulated.twins.keithley_2600_meter import SMALLEST_OFFSET_A, Meter
from drivers.simulated.twins.keithley_2600_models import Model
from drivers.simulated.twins.keithley_2600_source import OFF, SmuSource
from drivers.simulated.twins.keithley_2600_trigger import SmuTrigger
from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_objects import WRONG_TYPE, Node, one_of, whole

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_2600 import Keithley2600Twin

__all__ = ["Smu"]

CONSTANTS = {
    "OUTPUT_DCAMPS": 0, "OUTPUT_DCVOLTS": 1,
    "OUTPUT_OFF": 0, "OUTPUT_ON": 1, "OUTPUT_HIGH_Z": 2, "OUTPUT_NORMAL": 0, "OUTPUT_ZERO": 1,
    "OE_NONE": 0, "OE_OUTPUT_OFF": 1,
    "SENSE_LOCAL": 0, "SENSE_REMOTE": 1, "SENSE_CALA": 3,
    "AUTORANGE_OFF": 0, "AUTORANGE_ON": 1, "AUTORANGE_FOLLOW_LIMIT": 2,
    "AUTOZERO_OFF": 0, "AUTOZERO_ONCE": 1, "AUTOZERO_AUTO": 2,
    "FILTER_OFF": 0, "FILTER_ON": 1, "FILTER_MOVING_AVG": 0, "FILTER_REPEAT_AVG": 1, "FILTER_MEDIAN": 2,
    "REL_OFF": 0, "REL_ON": 1,
    "DELAY_OFF": 0, "DELAY_AUTO": -1,
    "SETTLE_SMOOTH": 0, "SETTLE_FAST_RANGE": 1, "SETTLE_FAST_POLARITY": 2, "SETTLE_DIRECT_IRANGE": 3,
    "SETTLE_FAST_ALL": 128,
    "DISABLE": 0, "ENABLE": 1, "ASYNC": 2,
    "SOURCE_IDLE": 0, "SOURCE_HOLD": 1,
    "LIMIT_AUTO": -1,
}  # fmt: skip
"""Constants of ``smuX`` (2600B reference manual; those instruments §2.1 does not state are unconfirmed)."""

_VOLTAGE_LIMIT, _CURRENT_LIMIT, _OVERFLOW, _BUFFER_AVAILABLE = 1, 2, 128, 256
_SWEEPING, _MEASURING = 8, 16


class Smu:
    """One channel.

    Parameters
    ----------
    twin : Keithley2600Twin
        The instrument.
    letter : str
        "a" or "b".
    """

    def __init__(self, twin: Keithley2600Twin, letter: str, model: Model) -> None:
        self._twin, self.letter, self.model = twin, letter, model
        self.bench = twin.bench
        self.terminal = twin.bench.terminal(f"{twin.name}.{letter}")
        self.before_a = self.last_a = 0.0
        self._stepped_ns = twin.bench.now_ns
        self._inside = False
        self.node = Node()
        self._registers()
        draw = twin.bench.random
        meters = {
            "i": Meter(
                model.ranges_a,
                draw(twin.name, letter, "ammeter"),
                draw(twin.name, letter, "current noise"),
                SMALLEST_OFFSET_A,
            ),
            "v": Meter(
                model.ranges_v,
                draw(twin.name, letter, "voltmeter"),
                draw(twin.name, letter, "voltage noise"),
            ),
        }
        self.source = SmuSource(self, model)
        self.measure = SmuMeasure(self, model, meters)
        self.nvbuffers = (Buffer(), Buffer())
        self.trigger = SmuTrigger(self, twin)
        self.node.setting("sense", 0, one_of(0, 1, 3))
        statistics = Node()
        statistics.add(getstats=_statistics)
        self.node.add(
            **CONSTANTS,
            source=self.source,
            measure=self.measure,
            trigger=self.trigger,
            nvbuffer1=self.nvbuffers[0],
            nvbuffer2=self.nvbuffers[1],
            buffer=statistics,
            makebuffer=lambda count: Buffer(whole(1, CAPACITY * 10)(count), cached=False),
            reset=self.reset,
            abort=self.abort,
            measureivandstep=lambda *rest: self._and_step("iv", rest),
            **{f"measure{name}andstep": self._stepper(name) for name in ("i", "v", "r", "p")},
        )
        self.measure.add(
            overlappediv=lambda *buffers: self._overlapped("iv", buffers),
            **{f"overlapped{name}": self._overlapper(name) for name in ("i", "v", "r", "p")},
        )
        self.source.present()

    def _registers(self) -> None:
        status, bit = self._twin.status, 1 << (1 + "ab".index(self.letter))
        shared = self._twin.registers
        name = f"smu{self.letter}"
        limits = {"VOLTAGE_LIMIT": 1, "VLMT": 1, "CURRENT_LIMIT": 2, "ILMT": 2}
        self._measurement = status.below(shared["measurement"], name, bit)
        self._measurement.name_bits(
            **limits, READING_OVERFLOW=128, ROF=128, BUFFER_AVAILABLE=256, BAV=256, INTERLOCK=2048, INT=2048
        )
        self._operation = status.below(shared["operation"], name, bit)
        self._operation.name_bits(SWEEPING=8, SWE=8, MEASURING=16, MEAS=16)
        self._own_bit = bit

    # ---- what its parts ask for ----------------------------------------------------------------------------------
    @property
    def line_hz(self) -> float:
        """Power line frequency."""
        return float(self._twin.localnode["linefreq"])

    @property
    def line_open(self) -> bool:
        """Whether the interlock or output-enable line is open."""
        return self._twin.interlock_open

    def interlock_forbids(self, volts: float) -> bool:
        """Whether the open interlock forbids an output on a range, or with a limit, of so many volts."""
        return self.line_open and self.model.has_interlock and volts > self.model.ranges_v[-2] * 1.01

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let time pass without running what else is under way: for what is itself under way."""
        before, self._inside = self._inside, True
        try:
            yield
        finally:
            self._inside = before

    def wait_s(self, seconds: float) -> None:
        """Let time pass."""
        if self._inside:
            self.bench.pass_s(seconds)
        elif seconds > 0:
            self._twin.overlapped.wait_s(seconds)

    def stepped(self) -> None:
        """Note that the source has moved: current ranges settle from here."""
        self.before_a, self._stepped_ns = self.last_a, self.bench.now_ns

    def ranged(self, name: str) -> None:
        """Note that a measuring range was changed."""
        if name == "i":
            self._stepped_ns = self.bench.now_ns

    def since_step_s(self) -> float:
        """Return how long the source has stood still, seconds."""
        return (self.bench.now_ns - self._stepped_ns) * 1e-9

    def refuse(self, error: Refused) -> None:
        """Put what was refused while nobody waits for it into the error queue."""
        self._twin.errors.add(error.entry)

    def output_off(self) -> None:
        """Switch the output off."""
        self.source.kept["output"] = OFF
        self.stepped()
        self.source.present()

    # ---- status ---------------------------------------------------------------------------------------------------
    def note_compliance(self, limited: bool) -> None:
        """Set the bit of the limit that acts, which is the one of what is not sourced."""
        for bit, name in ((_VOLTAGE_LIMIT, "voltage_limit"), (_CURRENT_LIMIT, "current_limit")):
            acts = limited and (bit == _CURRENT_LIMIT) == self.source.is_volts
            self._measurement.set(bit, acts)
            self._twin.registers[name].set(self._own_bit, acts)

    def note_measured(self, *, limited: bool, over: bool) -> None:
        """Set the bits a measurement updates."""
        self.note_compliance(limited)
        self._measurement.set(_OVERFLOW, over)
        self._twin.registers["reading_overflow"].set(self._own_bit, over)

    def note_stored(self) -> None:
        """Set the bits that say that a dedicated buffer has readings."""
        has_some = any(buffer.readings for buffer in self.nvbuffers)
        self._measurement.set(_BUFFER_AVAILABLE, has_some)
        self._twin.registers["buffer_available"].set(self._own_bit, has_some)

    def note_sweeping(self, on: bool) -> None:
        """Set the bits that say that the trigger model is not idle."""
        self._operation.set(_SWEEPING, on)
        self._twin.registers["sweeping"].set(self._own_bit, on)

    # ---- functions -------------------------------------------------------------------------------------------------
    def _stepper(self, function: str) -> Callable[..., Any]:
        return lambda *rest: self._and_step(function, rest)

    def _and_step(self, function: str, rest: tuple[Any, ...]) -> Any:
        """Measure, then go to the next level: ``measureivandstep(buffer_i, buffer_v, level)``."""
        if not rest or not isinstance(rest[-1], int | float):
            raise Refused(*WRONG_TYPE)
        found = self.measure.take(function, rest[:-1])
        self.source.write("levelv" if self.source.is_volts else "leveli", rest[-1])
        return found if len(found) > 1 else found[0]

    def _overlapper(self, function: str) -> Callable[..., Any]:
        return lambda *buffers: self._overlapped(function, buffers)

    def _overlapped(self, function: str, buffers: tuple[Any, ...]) -> None:
        if len(buffers) != len(function) or not all(isinstance(buffer, Buffer) for buffer in buffers):
            raise Refused(*WRONG_TYPE)

        def operation() -> Iterator[int | None]:
            self._operation.set(_MEASURING, True)
            yield self.bench.now_ns
            with self.inside():
                self.measure.take(function, buffers)
            self._operation.set(_MEASURING, False)

        self._twin.overlapped.start(operation())

    def abort(self) -> None:
        """Stop a sweep where it is."""
        self.trigger.stop()

    def reset(self) -> None:
        """Bring the channel to its defaults; its buffers keep what they hold."""
        self.abort()
        self.node.reset()


def _statistics(buffer: Any) -> Node:
    if not isinstance(buffer, Buffer):
        raise Refused(*WRONG_TYPE)
    return buffer.statistics()
