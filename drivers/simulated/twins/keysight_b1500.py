"""The twin of a Keysight B1500A: what FLEX messages do to its modules, and how its status byte and buffers behave.

Its sockets are ``name.slot`` for source-measure units and ``name.slot01``, ``name.slot02`` for pulse generators. Time
passes as it does in the instrument: settling of a changed range, integration, waits, pulses. A message is carried out
when it arrives, so that the next one finds the instrument idle.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins import b1500_modules, flex
from drivers.simulated.twins.b1500_formats import Datum, words
from drivers.simulated.twins.b1500_measure_commands import MEASURES
from drivers.simulated.twins.b1500_modules import SMU_KINDS, slots_of
from drivers.simulated.twins.b1500_setup import Setup
from drivers.simulated.twins.b1500_smu import Smu
from drivers.simulated.twins.b1500_source_commands import SOURCES
from drivers.simulated.twins.b1500_spgu import Generators, SpguChannel
from drivers.simulated.twins.b1500_spgu_commands import PULSES
from drivers.simulated.twins.b1500_system_commands import SYSTEM
from drivers.simulated.twins.flex import Command, Entry, ErrorQueue, FlexError
from drivers.simulated.twins.flex_output import FlexOutput

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.terminals import Bench
    from drivers.simulated.world import World

__all__ = ["KeysightB1500Twin", "build"]

DATA_READY, WAITING, INTERLOCK, IDLE, ERROR, REQUEST = 1, 2, 8, 16, 32, 64

_COMMANDS: dict[str, Entry] = {**SYSTEM, **SOURCES, **MEASURES, **PULSES}
_SERIAL, _FIRMWARE = "0", "A.04.03.2010.0130"

_CALIBRATION_S = 30.0
"""How long a self-calibration takes: a default [K]; drivers allow 60 s."""

_CALIBRATES_EVERY_S = 1800.0
_OPTIONS = ("modules", "interlock", "easyexpert", "line", "error_sign")


def build(name: str, simulated: SimulatedTwin, world: World) -> KeysightB1500Twin:
    """Build the twin a ``simulated`` section describes.

    Its options: ``modules`` (list of models by slot, "0" for an empty one), ``interlock`` (closed, open),
    ``easyexpert`` (closed, open: then nothing answers), ``line`` (50 or 60, hertz), ``error_sign`` ("+" as seen on
    instruments, "" as printed in the manual).

    Raises
    ------
    ValueError
        Other options, or other values.
    """
    options = dict(simulated.options)
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise ValueError(
            f"a {simulated.model} has no options {', '.join(unknown)}; it has {', '.join(_OPTIONS)}"
        )
    for key, allowed in {
        "interlock": ("closed", "open"),
        "easyexpert": ("closed", "open"),
        "line": (50, 60),
        "error_sign": ("+", ""),
    }.items():
        if options.get(key, allowed[0]) not in allowed:
            raise ValueError(f"{key}: {options[key]!r} is none of {', '.join(map(repr, allowed))}")
    identity = f"Agilent Technologies,B1500A,{simulated.serial or _SERIAL},{simulated.firmware or _FIRMWARE}"
    return KeysightB1500Twin(name, world, world.lock, identity, options)


class KeysightB1500Twin(Twin):
    """A B1500A with its modules.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    identity : str
        Reply to ``*IDN?``.
    options : dict
        As of :func:`build`.
    """

    message_end = b"\n"
    discards_unread = False

    def __init__(self, name: str, bench: Bench, lock: Any, identity: str, options: dict[str, Any]) -> None:
        super().__init__(name, bench, lock)
        self.identity = identity
        self.slots = slots_of(options)
        self.interlock_closed = options.get("interlock", "closed") == "closed"
        self.line_hz = float(options.get("line", 50))
        self._deaf = options.get("easyexpert", "closed") == "open"
        self.errors = ErrorQueue(str(options.get("error_sign", "+")))
        self.smus = {
            slot: Smu(slot, SMU_KINDS[model], f"{name}.{slot}", bench)
            for slot, model in self.slots.items()
            if model in SMU_KINDS
        }
        pulsers = [slot for slot, model in self.slots.items() if model == b1500_modules.SPGU]
        self.generators = Generators(pulsers, name, bench)
        self.enabled = 0
        self._link: TwinLink | None = None
        self._waiting: deque[tuple[Command, TwinLink]] | None = None
        self._clear_status()
        self.setup: Setup = Setup()
        self._started_ns = self._calibrated_ns = bench.now_ns

    @property
    def listens(self) -> bool:
        """Whether it answers anybody: not while EasyEXPERT is open."""
        return not self._deaf

    # ---- messages -----------------------------------------------------------------------------------------
    def connected(self, link: TwinLink) -> None:
        """Give a new link the two buffers of this instrument."""
        link.output = FlexOutput()

    def obey(self, message: bytes, link: TwinLink) -> None:
        """Carry out the commands of a message; the first that cannot be ends it."""
        if self._deaf:
            return
        self._calibrate_when_due()
        try:
            commands = flex.parse(message)
        except FlexError as error:
            self._fail(error)
            return
        self._obey(deque((command, link) for command in commands))

    def _obey(self, commands: deque[tuple[Command, TwinLink]]) -> None:
        together = len(commands) > 1
        while commands:
            if self._waiting is not None:
                self._waiting.extend(commands)
                return
            command, self._link = commands.popleft()
            try:
                reply = self._run(command, together=together)
            except FlexError as error:
                self._fail(error)
                return
            if reply is not None:
                _buffers(self._link).reply(f"{reply}\r\n".encode())

    def _run(self, command: Command, *, together: bool) -> str | None:
        entry = _COMMANDS.get(command.header)
        if entry is None:
            raise FlexError(flex.UNDEFINED)
        values = command.values()
        if not entry.fewest <= len(values) <= entry.most or (entry.alone and together):
            raise FlexError(flex.COUNT)
        return entry.run(self, values)

    def _fail(self, error: FlexError) -> None:
        self.errors.put(error)
        self._raised |= ERROR | (INTERLOCK if error.code == flex.INTERLOCK else 0)
        self._request()

    def send(self, data: Sequence[Datum]) -> None:
        """Put measured data into the buffer of the link that asked for them."""
        assert self._link is not None  # noqa: S101 - set in _obey, triggered
        if data:
            _buffers(self._link).measured(words(data, self.setup.style), len(data))

    def clear_data(self) -> None:
        """Empty the buffers."""
        for link in self.links:
            link.output.clear()

    def data_waiting(self) -> int:
        """Return how many data wait to be read on the link that asks."""
        assert self._link is not None  # noqa: S101 - set in _obey
        return _buffers(self._link).data_waiting

    # ---- status -------------------------------------------------------------------------------------------
    def byte(self) -> int:
        """Return the status byte as ``*STB?`` tells it (instruments §2.2)."""
        byte = self._raised
        byte |= DATA_READY if any(link.output for link in self.links) else 0
        return byte | (WAITING if self._waiting is not None else IDLE)

    def status_byte(self, link: TwinLink) -> int:
        """Answer a serial poll, which clears the service request, and error and interlock unless they are masked."""
        if self._deaf:
            return 0
        byte = self.byte()
        self._raised &= ~(REQUEST | (self.enabled & (ERROR | INTERLOCK)))
        return byte

    def peek_status(self, link: TwinLink) -> int:
        """Return what a serial poll would read."""
        return 0 if self._deaf else self.byte()

    def _request(self) -> None:
        if self._raised & self.enabled:
            self._raised |= REQUEST

    def clear_error(self) -> None:
        """Clear the error bit, as asking for errors does."""
        self._raised &= ~ERROR

    def _clear_status(self) -> None:
        self._raised = 0

    def cleared(self, link: TwinLink) -> None:
        """Device clear: no waiting, no error bit, no data; channels stay as they are."""
        self._waiting = None
        self.generators.stop()
        self._clear_status()

    def triggered(self, link: TwinLink) -> None:
        """Act on GET: the end of a wait, or a measurement where TM 1 allows it."""
        if self._deaf:
            return
        if self._waiting is not None:
            commands, self._waiting = self._waiting, None
            self._obey(commands)
        elif self.setup.trigger != 1:
            self._fail(FlexError(flex.NO_TRIGGER))
        else:
            self._obey(deque([(Command("XE", ""), link)]))

    def wait_for_trigger(self) -> None:
        """Leave everything that follows for the next trigger."""
        self._waiting = deque()

    # ---- what commands need -------------------------------------------------------------------------------
    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.bench.pass_s(seconds)

    def timer_s(self) -> float:
        """Return the timer that TSR restarts, seconds in steps of a microsecond."""
        return round((self.bench.now_ns - self._started_ns) / 1000) * 1e-6

    def restart_timer(self) -> None:
        """Set the timer to 0."""
        self._started_ns = self.bench.now_ns

    def source_wait_s(self) -> float:
        """Return the offset of the wait behind a change of a source (WAT 1)."""
        return self.setup.waits[1][1]

    def smu(self, value: float) -> Smu:
        """Return the unit of a channel number: slot, or slot and 01."""
        return self.smus[self.unit_slots([value])[0]]

    def unit_slots(self, values: Sequence[float]) -> list[int]:
        """Return the slots of channel numbers, source-measure units only; pulse generators are passed over."""
        numbers = [_number(value) for value in values]
        for number in numbers:
            if (
                self._slot(number) not in self.smus
                and self._generator(number) not in self.generators.channels
            ):
                raise FlexError(flex.FOREIGN if self._slot(number) in self.slots else flex.CHANNEL)
        return [self._slot(number) for number in numbers if self._slot(number) in self.smus]

    def generator_numbers(self, values: Sequence[float]) -> list[int]:
        """Return the generator channels among channel numbers, all of them where there are none."""
        known = self.generators.channels
        named = [self._generator(_number(value)) for value in values]
        return [number for number in named if number in known] if values else list(known)

    def generator(self, value: float) -> SpguChannel:
        """Return a channel of a pulse generator."""
        found = self.generators.channels.get(self._generator(_number(value)))
        if found is None:
            raise FlexError(flex.FOREIGN if self._slot(int(value)) in self.slots else flex.CHANNEL)
        return found

    def outputs(self, values: Sequence[float]) -> list[Smu | SpguChannel]:
        """Return the channels named, all of them where none is."""
        slots = self.unit_slots(values) if values else list(self.smus)
        numbers = self.generator_numbers(values)
        return [*(self.smus[slot] for slot in slots), *(self.generators.channels[each] for each in numbers)]

    @staticmethod
    def _slot(number: int) -> int:
        return number if number <= 10 else number // 100

    @staticmethod
    def _generator(number: int) -> int:
        return number * 100 + 1 if number <= 10 else number

    # ---- reset and calibration ----------------------------------------------------------------------------
    def reset(self) -> None:
        """Carry out ``*RST``: outputs off, settings initial, buffers and status empty; errors stay in their queue."""
        for smu in self.smus.values():
            smu.reset()
        self.generators.reset()
        self.setup = Setup()
        self.clear_data()
        self._clear_status()

    def calibrate(self) -> None:
        """Calibrate all modules: their outputs are opened for it."""
        for channel in self.outputs(()):
            channel.switch(False)
        self.clear_error()
        self.pass_s(_CALIBRATION_S)
        self._calibrated_ns = self.bench.now_ns

    def _calibrate_when_due(self) -> None:
        """Stall for a self-calibration where one is due: every 30 minutes with all outputs off, unless CM 0."""
        due = (self.bench.now_ns - self._calibrated_ns) * 1e-9 >= _CALIBRATES_EVERY_S
        if due and self.setup.calibrates and not any(smu.on for smu in self.smus.values()):
            self.pass_s(_CALIBRATION_S)
            self._calibrated_ns = self.bench.now_ns

    def close(self) -> None:
        """Switch off: nothing touches the sockets any more."""
        for channel in self.outputs(()):
            channel.switch(False)


def _number(value: float) -> int:
    if not math.isfinite(value) or value != int(value) or value < 1:
        raise FlexError(flex.VALUE)
    return int(value)


def _buffers(link: TwinLink) -> FlexOutput:
    assert isinstance(link.output, FlexOutput)  # noqa: S101 - set in connected
    return link.output
