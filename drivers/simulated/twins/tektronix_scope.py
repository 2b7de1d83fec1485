"""A simulated Tektronix DPO7000 or MSO5000 oscilloscope (instruments §2.7).

What is special about it: replies carry their header until HEADer is switched off; errors are events, which
``ALLEv?``, ``EVMsg?`` and ``EVENT?`` tell only after ``*ESR?`` was read, with positive codes, and there is no
``SYSTem:ERRor?``; ``CURVe?`` gives codes in the encoding DATa and WFMOutpre choose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.blocks import header_of as block_header
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit
from drivers.simulated.twins.scope_signal import CODES_PER_DIVISION, FINE, Record, Vertical, digitised
from drivers.simulated.twins.scope_twin import Horizontal, Input, ScopeTwin, WaitsFor, stated
from drivers.simulated.twins.scpi_settings import Setting
from drivers.simulated.twins.scpi_table import Answer, Call, TwinCommand
from drivers.simulated.twins.scpi_values import Number
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


class TektronixScopeTwin(ScopeTwin):
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
        self._call: tuple[TwinCommand, tuple[int, ...]] | None = None
        self.record: Record | None = None
        super().__init__(
            name,
            bench,
            lock,
            maker="TEKTRONIX",
            model=model,
            serial=serial,
            firmware=firmware or own_firmware,
        )
        self.events.add(401, "")

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
        yield TwinCommand("ACQuire:MAXSamplerate?", lambda call: nr3(self.rate_max_hz))
        yield TwinCommand("BUSY?", lambda call: str(int(bool(self.operations))))
        yield TwinCommand("TRIGger", lambda call, word: self.force(), (Number(words=("FORCe",)),))
        yield TwinCommand("TRIGger:STATE?", lambda call: self.trigger_state())
        yield TwinCommand("TRIGger:A:READY?", lambda call: str(int(self.trigger_state() == "READY")))
        yield TwinCommand("CURVe?", lambda call: self._curve())
        for item in ("NR_Pt", "XINcr", "XZEro", "PT_Off", "YMUlt", "YOFf", "YZEro", "XUNit", "YUNit"):
            yield TwinCommand(f"WFMOutpre:{item}?", lambda call, item=item: self._preamble(item))

    def reset(self) -> None:
        """Bring the inputs to their terminations, and run."""
        self.connect_inputs()
        self.start(single=self.get("acquire_stop_after") == "SEQ")

    def changed(self, name: str, n: int) -> None:
        """Act on a setting: terminations are shown to the outside, others begin the acquisition anew."""
        if name == "termination":
            self.connect_inputs()
        if self.running and name.startswith(("horizontal", "trigger", "acquire")):
            self.single = self.get("acquire_stop_after") == "SEQ"
            self.rearm()

    def error(self, code: int, info: str = "") -> None:
        """Note an event."""
        self.registers.esr |= self.events.add(code, info)

    def _event_status(self) -> str:
        value, self.registers.esr = self.registers.esr, 0
        self.events.primed()
        return str(value)

    def _clear(self) -> None:
        self.registers.clear()
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
    def input(self, n: int) -> Input:
        """Return what a channel is set to."""
        coupling = self.get("coupling", n)
        return Input(
            shown=self.get("shown", n),
            ohm=float(self.get("termination", n)),
            bandwidth_hz=min(self.get("bandwidth", n), self.bandwidth_hz),
            passes_dc=coupling == "DC",
            grounded=coupling == "GND",
        )

    def waits_for(self) -> WaitsFor:
        """Return what triggers."""
        source = self.get("trigger_source")
        return WaitsFor(
            int(source[-1]) if source.startswith("CH") else None,
            self.get("trigger_level"),
            self.get("trigger_slope"),
            self.get("trigger_mode") == "AUTO",
        )

    def horizontal(self) -> Horizontal:
        """Return how records are sampled."""
        length = int(self.get("horizontal_record"))
        before = int(length * self.get("horizontal_position") / 100 + 0.5)
        return Horizontal(self.get("horizontal_rate"), length, before)

    def averages(self) -> int:
        """Return how many waveforms make a record."""
        return int(self.get("acquire_averages")) if self.get("acquire_mode") == "AVE" else 1

    def _start(self, sent: float | str) -> None:
        if sent in ("ON", "RUN") if isinstance(sent, str) else sent != 0:
            self.start(single=self.get("acquire_stop_after") == "SEQ")
        else:
            self.halt()

    def trigger_state(self) -> str:
        """Return what ``TRIGger:STATE?`` answers."""
        if not self.running:
            return "SAVE"
        if not self.ready:
            return "ARMED"
        return "AUTO" if self.get("trigger_mode") == "AUTO" and self.acquired else "READY"

    def keep(self, volts: dict[int, NDArray[np.float64]], horizontal: Horizontal, shots: int) -> None:
        """Keep a record as codes of the settings it was made with."""
        record = Record(-horizontal.before / horizontal.rate_hz, 1 / horizontal.rate_hz, shots=shots)
        for n, values in volts.items():
            vertical = Vertical(self.get("scale", n), self.get("offset", n), self.get("position", n))
            record.vertical[n] = vertical
            fine = self.get("acquire_mode") == "HIR"
            record.codes[n] = digitised(values, vertical, self.noise[n], shots=shots, high_resolution=fine)
        self.record = record

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
            "PT_Off": str(round(-record.start_s / record.step_s)),
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
    stated(name, simulated.model, dict(simulated.options))
    return TektronixScopeTwin(
        name,
        world,
        world.lock,
        kind=simulated.model,
        serial=simulated.serial or "C000101",
        firmware=simulated.firmware or "",
    )
