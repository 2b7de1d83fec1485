"""A simulated Tektronix DPO7000 or MSO5000 oscilloscope (instruments §2.7).

What is special about it: replies carry their header until HEADer is switched off; errors are events, which
``ALLEv?``, ``EVMsg?`` and ``EVENT?`` tell only after ``*ESR?`` was read, with positive codes, and there is no
``SYSTem:ERRor?``; ``CURVe?`` gives codes in the encoding DATa and WFMOutpre choose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.blocks import header_of as block_header
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit
from drivers.simulated.terminals import Resistor, Seen
from drivers.simulated.twins.scpi_settings import Setting
from drivers.simulated.twins.scpi_table import Answer, Call, TwinCommand
from drivers.simulated.twins.scpi_twin import Operation, ScpiTwin
from drivers.simulated.twins.scpi_values import Number
from drivers.simulated.twins.tektronix_acquisition import (
    CODES_PER_DIVISION,
    FINE,
    Record,
    Vertical,
    crossing,
    digitised,
    filtered,
)
from drivers.simulated.twins.tektronix_kinds import Events, header_of, nr3
from drivers.simulated.twins.tektronix_rows import CHANNELS, rows

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.locks import FairLock
    from drivers.simulated.terminals import Bench
    from drivers.simulated.twin import TwinLink
    from drivers.simulated.world import World

__all__ = ["TektronixScopeTwin", "build"]

_MODELS = {
    "tektronix-dpo7254": ("DPO7254", "CF:91.1CT FV:5.1.0", 2.5e9, 40e9),
    "tektronix-mso5204": ("MSO5204", "CF:91.1CT FV:6.4.0", 2e9, 10e9),
}
"""Model -> name, firmware, bandwidth in Hz, fastest sampling in Hz (defaults)."""
AUTO_S = 0.05
"""Default: how long the automatic trigger mode waits before it records without a trigger."""


class TektronixScopeTwin(ScpiTwin):
    """A scope with four channels."""

    channels = CHANNELS
    queue_size = 33
    names_header = True
    number = staticmethod(nr3)

    def __init__(
        self, name: str, bench: Bench, lock: FairLock, *, kind: str, serial: str, firmware: str
    ) -> None:
        model, own_firmware, self.bandwidth_hz, self.rate_max_hz = _MODELS[kind]
        self.events = Events()
        super().__init__(
            name,
            bench,
            lock,
            maker="TEKTRONIX",
            model=model,
            serial=serial,
            firmware=firmware or own_firmware,
        )
        self._random = {n: bench.random(name, f"ch{n}") for n in self.numbers}
        self.terminals = {n: bench.terminal(f"{name}.{n}") for n in self.numbers}
        self.events.add(401, "")
        self._call: tuple[TwinCommand, tuple[int, ...]] | None = None
        self.record: Record | None = None
        self.reset()

    @property
    def numbers(self) -> range:
        """Numbers of the channels."""
        return range(1, CHANNELS + 1)

    # ---- what the engine asks for -------------------------------------------------------------------------
    def rows(self) -> list[Setting]:
        """Return the settings."""
        return rows()

    def commands(self) -> Iterable[TwinCommand]:
        """Return the commands that are no settings, and those of SCPI that this maker does not have."""

        def undefined(call: Call) -> str:
            raise ScpiError(-113, call.unit.header)

        yield TwinCommand("SYSTem:ERRor[:NEXT]?", undefined)
        yield TwinCommand("SYSTem:ERRor:COUNt?", undefined)
        yield TwinCommand("*ESR?", lambda call: self._event_status())
        yield TwinCommand("*CLS", lambda call: self._clear())
        yield TwinCommand("EVENT?", lambda call: self.events.code())
        yield TwinCommand("EVMsg?", lambda call: self.events.message())
        yield TwinCommand("ALLEv?", lambda call: self.events.all())
        yield TwinCommand("EVQty?", lambda call: str(len(self.events.told)))
        state = (Number(words=("ON", "OFF", "RUN", "STOP")),)
        yield TwinCommand("ACQuire:STATE", lambda call, sent: self._start(sent), state)
        yield TwinCommand("ACQuire:STATE?", lambda call: str(int(self.running)))
        yield TwinCommand("ACQuire:NUMACq?", lambda call: str(self.acquired))
        yield TwinCommand("BUSY?", lambda call: str(int(bool(self.operations))))
        yield TwinCommand("TRIGger", lambda call: self._force(), (Number(words=("FORCe",)),))
        yield TwinCommand("TRIGger:STATE?", lambda call: self.trigger_state())
        yield TwinCommand("TRIGger:A:READY?", lambda call: str(int(self.trigger_state() == "READY")))
        yield TwinCommand("CURVe?", lambda call: self._curve())
        for item in ("NR_Pt", "XINcr", "XZEro", "PT_Off", "YMUlt", "YOFf", "YZEro", "XUNit", "YUNit"):
            yield TwinCommand(f"WFMOutpre:{item}?", lambda call, item=item: self._preamble(item))

    def reset(self) -> None:
        """Bring the inputs to their terminations, and run."""
        for n in self.numbers:
            self.terminals[n].present(Resistor(float(self.get("termination", n))))
        self.running, self.acquired = True, 0
        self._arm()

    def changed(self, name: str, n: int) -> None:
        """Act on a setting: terminations are shown to the outside, others begin the acquisition anew."""
        if name == "termination":
            self.terminals[n].present(Resistor(float(self.get(name, n))))
        if self.running and name.startswith(("horizontal", "trigger", "acquire")):
            self._arm()

    def trigger(self, link: TwinLink) -> None:
        """Force a trigger."""
        self._force()

    def error(self, code: int, info: str = "") -> None:
        """Note an event."""
        self.status.esr |= self.events.add(code, info)

    def _event_status(self) -> str:
        value, self.status.esr = self.status.esr, 0
        self.events.primed()
        return str(value)

    def _clear(self) -> None:
        self.status.clear()
        self.events.clear()

    # ---- headers in front of replies ------------------------------------------------------------------------
    def _execute(self, link: TwinLink, session: Any, unit: Unit) -> None:
        found = self.table.find(unit, session.path)
        self._call = (found.command, found.suffixes)
        super()._execute(link, session, unit)

    def _answer(self, session: Any, reply: Answer) -> None:
        if reply is not None and self._call is not None and self.get("header"):
            command, suffixes = self._call
            if not command.header.startswith("*"):
                front = header_of(command.header, suffixes, verbose=self.get("verbose")) + " "
                reply = front + reply if isinstance(reply, str) else [front.encode(), *reply]
        super()._answer(session, reply)

    def _resume(self, session: Any) -> None:
        self._call = None  # only commands with an asterisk wait, and their replies have no header
        super()._resume(session)

    # ---- acquiring ------------------------------------------------------------------------------------------
    def frame(self, data: bytearray, *, ended: bool) -> bytes | None:
        """Take the next message; whoever waits for an answer makes the scope look at its sockets."""
        if not data and self.operations:
            self._go_on()
        return super().frame(data, ended=ended)

    def settle(self) -> None:
        """Look at the sockets, then bring operations and registers up to the time of the bench."""
        self._look()
        super().settle()

    @property
    def length(self) -> int:
        """Samples of a record."""
        return int(self.get("horizontal_record"))

    @property
    def before(self) -> int:
        """Samples of a record before the trigger."""
        return int(round(self.length * self.get("horizontal_position") / 100))

    def _start(self, sent: float | str) -> None:
        self.running = sent in ("ON", "RUN") if isinstance(sent, str) else sent != 0
        self.abort()
        if self.running:
            self.acquired = 0
            self._arm()

    def _arm(self) -> None:
        """Wait for a waveform that is not the one the sockets have seen already."""
        self.abort()
        self._stack: list[dict[int, np.ndarray[Any, Any]]] = []
        self._seen: dict[int, Seen | None] = {n: self.terminals[n].trace() for n in self.numbers}
        self._armed_ns = self.bench.now_ns
        self._single: Operation | None = self.begin() if self.get("acquire_stop_after") == "SEQ" else None

    def trigger_state(self) -> str:
        """Return what ``TRIGger:STATE?`` answers."""
        if not self.running:
            return "SAVE"
        if self.bench.now_ns < self._armed_ns + self.before / self.get("horizontal_rate") * 1e9:
            return "ARMED"
        return "AUTO" if self.get("trigger_mode") == "AUTO" and self.acquired else "READY"

    def _look(self) -> None:
        """See whether something was played since the scope was armed, and record it where it triggers."""
        if not self.running or not hasattr(self, "_seen"):
            return
        now: dict[int, Seen | None] = {n: self.terminals[n].trace() for n in self.numbers}
        if any(now[n] is not self._seen[n] for n in self.numbers):
            self._seen = now
            at_s = self._trigger_s(now)
            if at_s is not None:
                self._record(now, at_s)
        elif self.get("trigger_mode") == "AUTO" and self.bench.now_ns > self._armed_ns + AUTO_S * 1e9:
            self._armed_ns = self.bench.now_ns
            self._record(dict.fromkeys(self.numbers), 0.0)

    def _force(self) -> None:
        if not self.running:
            raise ScpiError(-211)
        self._record({n: self.terminals[n].trace() for n in self.numbers}, 0.0)

    def _trigger_s(self, seen: dict[int, Seen | None]) -> float | None:
        source = self.get("trigger_source")
        trace = seen[int(source[-1])] if source.startswith("CH") else None
        if trace is None:
            return None
        times_s, volts = self._signal(int(source[-1]), trace)
        return crossing(times_s, volts, self.get("trigger_level"), self.get("trigger_slope"))

    def _signal(self, n: int, trace: Seen) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return what a channel has behind coupling and bandwidth."""
        times_s, volts = filtered(trace, min(self.get("bandwidth", n), self.bandwidth_hz))
        coupling = self.get("coupling", n)
        if coupling == "GND":
            return times_s, 0.0 * volts
        # A coupling capacitor has charged to what was there before, and keeps it for the short time of a pulse.
        return times_s, volts if coupling == "DC" else volts - volts[0]

    def _record(self, seen: dict[int, Seen | None], trigger_s: float) -> None:
        """Record all channels that are on; in average mode only with the last of its waveforms."""
        rate_hz = self.get("horizontal_rate")
        times_s = trigger_s + (np.arange(self.length) - self.before) / rate_hz
        volts = {}
        for n in self.numbers:
            if self.get("shown", n):
                trace = seen[n]
                if trace is None:
                    level = 0.0 if self.get("coupling", n) != "DC" else self.terminals[n].look().voltage_v
                    volts[n] = np.full(self.length, level)
                else:
                    volts[n] = np.interp(times_s, *self._signal(n, trace))
        self._stack.append(volts)
        self.acquired += 1
        mode = self.get("acquire_mode")
        if mode == "AVE" and len(self._stack) < self.get("acquire_averages"):
            return
        record = Record(-self.before / rate_hz, 1 / rate_hz)
        for n in volts:
            stacked = np.mean([each[n] for each in self._stack if n in each], axis=0)
            vertical = Vertical(self.get("scale", n), self.get("offset", n), self.get("position", n))
            record.vertical[n] = vertical
            record.codes[n] = digitised(
                stacked, vertical, self._random[n], shots=len(self._stack), high_resolution=mode == "HIR"
            )
        self.record, self._stack = record, []
        if self._single is not None:
            self.running = False
            self.end(self._single)

    # ---- waveforms out --------------------------------------------------------------------------------------
    def _chosen(self) -> tuple[int, Record]:
        n = int(self.get("data_source")[-1])
        if self.record is None or n not in self.record.codes:
            raise ScpiError(2244)
        return n, self.record

    def _part(self, record: Record, n: int) -> slice:
        first, last = sorted((int(self.get("data_start")), int(self.get("data_stop"))))
        size = len(record.codes[n])
        return slice(min(first, size) - 1, min(last, size))

    def _preamble(self, item: str) -> str:
        n, record = self._chosen()
        part, vertical = self._part(record, n), record.vertical[n]
        wide = int(self.get("bytes")) > 1
        per_division = CODES_PER_DIVISION * (FINE if wide else 1)
        form = self.get("format")
        zero = 0 if form != "RP" else 32768 if wide else 128
        values = {
            "NR_Pt": str(part.stop - part.start),
            "PT_Off": str(self.before),
            "XUNit": '"s"',
            "YUNit": '"V"',
            "XINcr": nr3(record.step_s),
            "XZEro": nr3(record.start_s),
            "YMUlt": nr3(1.0 if form == "FP" else vertical.scale_v / per_division),
            "YOFf": nr3(0.0 if form == "FP" else vertical.position * per_division + zero),
            "YZEro": nr3(0.0 if form == "FP" else vertical.offset_v),
        }
        return values[item]

    def _curve(self) -> Answer:
        n, record = self._chosen()
        codes = record.codes[n][self._part(record, n)].astype(np.int32)
        form, size = self.get("format"), int(self.get("bytes"))
        if form == "FP":
            vertical = record.vertical[n]
            divisions = codes / (CODES_PER_DIVISION * FINE) - vertical.position
            values: np.ndarray[Any, Any] = divisions * vertical.scale_v + vertical.offset_v
            kind = "f4"
        else:
            values = codes if size > 1 else codes >> 8
            if form == "RP":
                values = values + (32768 if size > 1 else 128)
            kind = f"{'i' if form == 'RI' else 'u'}{size}"
        if self.get("encoding") == "ASC":
            return ",".join(map(nr3 if form == "FP" else str, values.tolist()))
        order = "<" if self.get("byte_order") == "LSB" else ">"
        data = values.astype(order + kind).tobytes()
        pieces: list[Piece] = [block_header(len(data)), memoryview(data)]
        return pieces


def build(name: str, simulated: SimulatedTwin, world: World) -> TektronixScopeTwin:
    """Build the twin a ``simulated`` section describes.

    Raises
    ------
    ValueError
        It has no options.
    """
    if simulated.options:
        raise ValueError(f"{name}: {simulated.model} has no options, not {', '.join(simulated.options)}")
    return TektronixScopeTwin(
        name,
        world,
        world.lock,
        kind=simulated.model,
        serial=simulated.serial or "C000101",
        firmware=simulated.firmware or "",
    )
