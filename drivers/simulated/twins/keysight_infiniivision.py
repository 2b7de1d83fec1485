"""A simulated Keysight InfiniiVision oscilloscope (instruments §2.8).

Waveforms come as a block whose length always has eight digits, ``#800002000``, in ASCii too; codes are unsigned unless
``WAVeform:UNSigned`` says otherwise, and 255 means off the screen. ``DIGitize`` acquires once and lets nothing of its
link through until it is over; ``SINGle`` acquires once while the link goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.scpi_commands import Bytes
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.terminals import Seen
from drivers.simulated.twins.infiniivision_rows import DIVISIONS, POINTS, VERTICAL_DIVISIONS, rows
from drivers.simulated.twins.scope_picture import picture
from drivers.simulated.twins.scope_signal import CODES_PER_DIVISION, FINE, Record, Vertical, digitised
from drivers.simulated.twins.scope_twin import Horizontal, Input, ScopeTwin, WaitsFor, stated
from drivers.simulated.twins.scpi_settings import Setting, nr3
from drivers.simulated.twins.scpi_table import Answer, Call, TwinCommand, Until
from drivers.simulated.twins.scpi_values import Many, OneOf

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.locks import FairLock
    from drivers.simulated.terminals import Bench
    from drivers.simulated.world import World

__all__ = ["InfiniiVisionTwin", "build"]

_MODELS = {
    "keysight-dsox1102g": ("DSOX1102G", "01.20.2019061038", 2, 100e6, 2e9, 1_000_000, False),
    "keysight-dsox3054t": ("DSO-X 3054T", "07.20.2017102614", 4, 500e6, 5e9, 4_000_000, True),
}
"""Model -> name, firmware, channels, bandwidth in Hz, fastest sampling in Hz, samples, 50 Ohm inputs (defaults)."""
LIMIT_HZ = 25e6
"""Of ``BWLimit``."""
_RUN = 0x08
_EDGES = {"POS": "RIS", "NEG": "FALL", "EITH": "EIT"}
_TYPES = {"NORM": 0, "PEAK": 1, "AVER": 2, "HRES": 3}
_FORMATS = {"BYTE": 0, "WORD": 1, "ASC": 4}
_REFERENCE = {"LEFT": 0.1, "CENT": 0.5, "RIGH": 0.9}


def _block(data: bytes) -> list[bytes | memoryview]:
    return [f"#8{len(data):08d}".encode(), memoryview(data)]


class InfiniiVisionTwin(ScopeTwin):
    """A scope."""

    queue_size = 30
    plus = True
    number = staticmethod(nr3(5))

    def __init__(
        self, name: str, bench: Bench, lock: FairLock, *, kind: str, serial: str, firmware: str
    ) -> None:
        (
            model,
            own,
            self.channels,
            self.bandwidth_hz,
            self.rate_max_hz,
            self.memory_points,
            self.has_50_ohm,
        ) = _MODELS[kind]
        self.record: Record | None = None
        self.armed_event = self.triggered_event = False
        super().__init__(
            name,
            bench,
            lock,
            maker="KEYSIGHT TECHNOLOGIES",
            model=model,
            serial=serial,
            firmware=firmware or own,
        )

    # ---- what the engine asks for -------------------------------------------------------------------------
    def rows(self) -> list[Setting]:
        """Return the settings."""
        return rows(self.channels)

    def commands(self) -> Iterable[TwinCommand]:
        """Return the commands that are no settings."""
        sources = tuple(f"CHANnel{n}" for n in range(1, self.channels + 1))
        source = OneOf(words=sources)
        yield TwinCommand("RUN", lambda call: self._begin_run())
        yield TwinCommand("STOP", lambda call: self.halt())
        yield TwinCommand("SINGle", lambda call: self._begin_single())
        yield TwinCommand(
            "DIGitize", lambda call, *shown: self._digitize(shown), (Many(source, optional=True),)
        )
        yield TwinCommand("AUToscale", lambda call, *shown: self._autoscale(), (Many(source, optional=True),))
        yield TwinCommand("TRIGger:FORCe", lambda call: self.force())
        yield TwinCommand("AER?", lambda call: self._armed())
        yield TwinCommand("TER?", lambda call: self._triggered())
        yield TwinCommand("OPERegister:CONDition?", lambda call: f"{self.operation_condition():+d}")
        yield TwinCommand("CHANnel#?", lambda call: self._channel(call.channel))
        yield TwinCommand("TIMebase?", lambda call: self._timebase())
        yield TwinCommand("ACQuire:SRATe?", lambda call: self.number(self.horizontal().rate_hz))
        yield TwinCommand("ACQuire:POINts?", lambda call: f"{self.horizontal().length:+d}")
        yield TwinCommand("WAVeform:PREamble?", lambda call: self._preamble())
        yield TwinCommand("WAVeform:DATA?", lambda call: self._data())
        yield TwinCommand("SYSTem:PRESet", lambda call: self._preset())
        yield TwinCommand("SYSTem:SETup?", lambda call: self._set_up())
        yield TwinCommand("SYSTem:SETup", self._restore, (Bytes(),))
        formats, palettes = (
            OneOf(words=("PNG", "BMP", "BMP8bit")),
            OneOf(words=("COLor", "GRAYscale")),
        )
        yield TwinCommand(
            "DISPlay:DATA?", lambda call, kind, palette: self._picture(kind), (formats, palettes)
        )

    def reset(self) -> None:
        """Bring the inputs to their impedance, and run."""
        self.record = None
        self.connect_inputs()
        self.start(single=False)

    def changed(self, name: str, n: int) -> None:
        """Begin the acquisition anew where a setting concerns it."""
        if self.running and name.startswith(("timebase", "acquire", "trigger")):
            self.rearm()

    def recalled(self) -> None:
        """Act on a set-up that came back."""
        self.connect_inputs()
        self.start(single=False)

    def operation_condition(self) -> int:
        """Return the operation condition register: bit 3 while it acquires."""
        return _RUN if self.running else 0

    # ---- acquiring ------------------------------------------------------------------------------------------
    def input(self, n: int) -> Input:
        """Return what a channel is set to."""
        return Input(
            shown=self.get("shown", n),
            ohm=50.0 if self.get("impedance", n) == "FIFT" else 1e6,
            bandwidth_hz=LIMIT_HZ if self.get("limited", n) else self.bandwidth_hz,
            passes_dc=self.get("coupling", n) == "DC",
            gain=self.get("probe", n) * (-1.0 if self.get("inverted", n) else 1.0),
        )

    def waits_for(self) -> WaitsFor:
        """Return what triggers."""
        source = self.get("trigger_source")
        return WaitsFor(
            int(source[-1]) if source.startswith("CHAN") else None,
            self.get("trigger_level"),
            _EDGES[self.get("trigger_slope")],
            self.get("trigger_sweep") == "AUTO",
        )

    def horizontal(self) -> Horizontal:
        """Return how records are sampled: as fast as the memory allows."""
        range_s = self.get("timebase_range")
        rate_hz = min(self.rate_max_hz, self.memory_points / range_s)
        length = max(int(range_s * rate_hz + 0.5), 2)
        before_s = range_s * _REFERENCE[self.get("timebase_reference")] - self.get("timebase_position")
        return Horizontal(rate_hz, length, int(before_s * rate_hz))

    def averages(self) -> int:
        """Return how many waveforms make a record."""
        return int(self.get("acquire_count")) if self.get("acquire_type") == "AVER" else 1

    def keep(self, volts: dict[int, NDArray[np.float64]], horizontal: Horizontal, shots: int) -> None:
        """Keep a record as codes of the settings it was made with."""
        self.triggered_event = True
        record = Record(-horizontal.before / horizontal.rate_hz, 1 / horizontal.rate_hz, shots=shots)
        for n, values in volts.items():
            vertical = Vertical(self.get("range", n) / VERTICAL_DIVISIONS, self.get("offset", n))
            record.vertical[n] = vertical
            fine = self.get("acquire_type") == "HRES"
            record.codes[n] = digitised(values, vertical, self.noise[n], shots=shots, high_resolution=fine)
        self.record = record

    def _begin_run(self) -> None:
        self.start(single=False)
        self.armed_event = True

    def _begin_single(self) -> None:
        self.start(single=True)
        self.armed_event, self.triggered_event = True, False

    def _digitize(self, shown: tuple[str, ...]) -> Until:
        for n in self.numbers if shown else ():
            self.put("shown", f"CHAN{n}" in shown, n)
        self._begin_single()
        return Until(lambda: not self.running)

    def _armed(self) -> str:
        ready = self.armed_event and (self.ready or not self.running)
        self.armed_event = self.armed_event and not ready
        return f"{int(ready):+d}"

    def _triggered(self) -> str:
        found, self.triggered_event = self.triggered_event, False
        return f"{int(found):+d}"

    def _autoscale(self) -> None:
        """Fit the channels that saw something last to the screen; without a signal all stays as it is."""
        traces: dict[int, Seen] = {}
        for n in self.numbers:
            trace = self.terminals[n].trace()
            if trace is not None and np.ptp(trace.voltage_v) > 10e-3:
                traces[n] = trace
        for n in self.numbers if traces else ():
            self.put("shown", n in traces, n)
        for n, trace in traces.items():
            probe = self.get("probe", n)
            low, high = float(trace.voltage_v.min()) * probe, float(trace.voltage_v.max()) * probe
            self.put("range", min(max(2 * (high - low), 8e-3 * probe), 40.0 * probe), n)
            self.put("offset", (low + high) / 2, n)
            self.put("trigger_source", f"CHAN{n}")
            self.put("trigger_level", (low + high) / 2)
            self.put("timebase_range", min(max(2 * float(trace.t_s[-1]), 50e-9), 500.0))
        self.start(single=False)

    # ---- waveforms out --------------------------------------------------------------------------------------
    def _chosen(self) -> tuple[NDArray[np.int16], Vertical, float, float]:
        """Return codes at the points that are sent, what they were made with, first time and step, seconds."""
        n = int(self.get("source")[-1])
        if self.record is None or n not in self.record.codes:
            raise ScpiError(-230)
        codes = self.record.codes[n]
        most = int(self.get("points"))
        if self.running or self.get("points_mode") == "NORM":  # all of the memory only where it stands still
            most = min(most, POINTS[-1])
        every = -(-len(codes) // most)
        return codes[::every], self.record.vertical[n], self.record.start_s, self.record.step_s * every

    def _zero(self) -> int:
        wide = self.get("format") == "WORD"
        return (32768 if wide else 128) if self.get("unsigned") else 0

    def _preamble(self) -> str:
        codes, vertical, start_s, step_s = self._chosen()
        record = self.record
        per_division = CODES_PER_DIVISION * (FINE if self.get("format") == "WORD" else 1)
        numbers = [
            f"{_FORMATS[self.get('format')]:+d}",
            f"{_TYPES[self.get('acquire_type')]:+d}",
            f"{len(codes):+d}",
            f"{1 if record is None else record.shots:+d}",
            f"{step_s:+.8E}",
            f"{start_s:+.8E}",
            "+0",
            f"{vertical.scale_v / per_division:+.8E}",
            f"{vertical.offset_v:+.8E}",
            f"{self._zero():+d}",
        ]
        return ",".join(numbers)

    def _data(self) -> Answer:
        codes, vertical, _, _ = self._chosen()
        kind = self.get("format")
        if kind == "ASC":
            volts = codes / (CODES_PER_DIVISION * FINE) * vertical.scale_v + vertical.offset_v
            return _block(",".join(f"{each:+.5E}" for each in volts.tolist()).encode())
        values = codes.astype(np.int32) if kind == "WORD" else codes.astype(np.int32) >> 8
        sign = "u" if self.get("unsigned") else "i"
        order = "<" if self.get("byte_order") == "LSBF" else ">"
        size = 2 if kind == "WORD" else 1
        return _block((values + self._zero()).astype(f"{order}{sign}{size}").tobytes())

    # ---- what programs ask for as a whole ---------------------------------------------------------------------
    def _spelled(self, name: str, n: int = 1) -> str:
        row = self.settings.rows[name]
        return row.kind.spelled(self, self.get(name, n))

    def _channel(self, n: int) -> str:
        parts = {
            "RANG": "range", "OFFS": "offset", "COUP": "coupling", "IMP": "impedance", "DISP": "shown",
            "BWL": "limited", "INV": "inverted", "LAB": "label",
        }  # fmt: skip
        found = [f"{short} {self._spelled(name, n)}" for short, name in parts.items()]
        found += ["UNIT VOLT", f"PROB {self._spelled('probe', n)}", "PROB:SKEW +0.00E+00", "STYP SING"]
        return f":CHAN{n}:" + ";".join(found)

    def _timebase(self) -> str:
        return (
            f":TIM:MODE {self._spelled('timebase_mode')};REF {self._spelled('timebase_reference')};"
            f"MAIN:RANG {self._spelled('timebase_range')};POS {self._spelled('timebase_position')}"
        )

    def _preset(self) -> None:
        self.abort()
        self.settings.reset()
        self.reset()

    def _set_up(self) -> Answer:
        """Return all settings as a block that only this scope can read."""
        found = [[name, n, value] for (name, n), value in self.settings.saved().items()]
        return _block(json.dumps(found).encode())

    def _restore(self, call: Call, data: Any) -> None:
        try:
            found = {(str(name), int(n)): value for name, n, value in json.loads(bytes(data))}
        except (ValueError, TypeError):
            raise ScpiError(-161) from None
        if any(name not in self.settings.rows for name, _ in found):
            raise ScpiError(-161)
        self.settings.recall(found)
        self.recalled()

    def _picture(self, kind: str) -> Answer:
        lines = {}
        for n, codes in (self.record.codes if self.record is not None else {}).items():
            lines[n] = codes / (CODES_PER_DIVISION * FINE * VERTICAL_DIVISIONS) + 0.5
        return _block(picture(lines, DIVISIONS, VERTICAL_DIVISIONS, png=kind == "PNG"))


def build(name: str, simulated: SimulatedTwin, world: World) -> InfiniiVisionTwin:
    """Build the twin a ``simulated`` section describes.

    Raises
    ------
    ValueError
        It has no options.
    """
    stated(name, simulated.model, dict(simulated.options))
    return InfiniiVisionTwin(
        name,
        world,
        world.lock,
        kind=simulated.model,
        serial=simulated.serial or "CN00000101",
        firmware=simulated.firmware or "",
    )
