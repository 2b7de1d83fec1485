"""The twin of the Keithley 2600B System SourceMeters (instruments §2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.simulated.locks import FairLock
from drivers.simulated.terminals import Bench, Opened
from drivers.simulated.twins.keithley_2600_events import Events
from drivers.simulated.twins.keithley_2600_models import MODELS, Model
from drivers.simulated.twins.keithley_2600_pulses import add_pulse_scripts
from drivers.simulated.twins.keithley_2600_smu import Smu
from drivers.simulated.twins.tsp import TspTwin
from drivers.simulated.twins.tsp_library import display

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.world import World

__all__ = ["Keithley2600Twin", "build"]

FIRMWARE, SERIAL = "3.2.2", "1234567"
"""Of an instrument the bench file does not describe further (instruments §2.1)."""

_OPTIONS = {"interlock", "line_frequency"}


class Keithley2600Twin(TspTwin):
    """One instrument.

    Parameters
    ----------
    model : Model
        Which one.
    interlock_open : bool
        Of the interlock or, with models that have none, of the output-enable line.
    """

    def __init__(
        self,
        name: str,
        bench: Bench,
        lock: FairLock,
        model: Model,
        *,
        serial: str = SERIAL,
        firmware: str = FIRMWARE,
        line_hz: float = 50.0,
        interlock_open: bool = False,
    ) -> None:
        super().__init__(
            name, bench, lock, model=model.name, serial=serial, firmware=firmware, line_hz=line_hz
        )
        self.interlock_open = interlock_open
        self.registers = self._status_registers()
        self.status.measurement.set(2048, not interlock_open)
        self.events = Events(self)
        self.smus = {letter: Smu(self, letter, model) for letter in model.channels}
        for letter, smu in self.smus.items():
            self.lua.put(f"smu{letter}", smu.node)
        self.lua.put("trigger", self.events.node)
        screen = display(self, tuple(f"smu{letter}" for letter in model.channels))
        self.lua.put("display", screen)
        self.resettable += [self.events.node, screen]
        add_pulse_scripts(self)

    def _status_registers(self) -> dict[str, Any]:
        """Make the register sets both channels feed (2600B reference manual, status model)."""
        measurement, operation = self.status.measurement, self.status.operation
        names = {
            "VOLTAGE_LIMIT": 1, "VLMT": 1, "CURRENT_LIMIT": 2, "ILMT": 2, "READING_OVERFLOW": 128, "ROF": 128,
            "BUFFER_AVAILABLE": 256, "BAV": 256, "INSTRUMENT_SUMMARY": 8192, "INST": 8192,
            "INTERLOCK": 2048, "INT": 2048, "OUTPUT_ENABLE": 2048, "OE": 2048,
        }  # fmt: skip
        measurement.name_bits(**names)
        operation.name_bits(
            SWEEPING=8, SWE=8, MEASURING=16, MEAS=16, TRIGGER_OVERRUN=1024, TRGOVR=1024,
            INSTRUMENT_SUMMARY=8192, INST=8192, PROGRAM_RUNNING=16384, PROG=16384, USER=4096,
        )  # fmt: skip
        self.status.questionable.name_bits(
            CALIBRATION=256, CAL=256, UNSTABLE_OUTPUT=512, UO=512, OVER_TEMPERATURE=4096, OTEMP=4096
        )
        shared = {
            name: self.status.below(measurement, name, bit)
            for name, bit in {
                "voltage_limit": 1, "current_limit": 2, "reading_overflow": 128, "buffer_available": 256,
            }.items()
        }  # fmt: skip
        for name, bit in {"sweeping": 8, "measuring": 16}.items():
            shared[name] = self.status.below(operation, name, bit)
        for registers in shared.values():
            registers.name_bits(SMUA=2, SMUB=4)
        shared["measurement"] = self.status.below(measurement, "instrument", 8192)
        shared["operation"] = self.status.below(operation, "instrument", 8192)
        for name in ("measurement", "operation"):
            shared[name].name_bits(SMUA=2, SMUB=4)
        return shared

    def reset(self) -> None:
        """Bring all settings to their defaults; outputs go off."""
        super().reset()
        for smu in self.smus.values():
            smu.reset()

    def abort(self) -> None:
        """Stop every sweep and switch the outputs off."""
        for smu in self.smus.values():
            smu.abort()
            smu.output_off()

    def bus_trigger(self) -> None:
        """Let ``*TRG`` happen."""
        self.events.post(self.events.bus)
        self.overlapped.run_until(self.bench.now_ns)

    def close(self) -> None:
        """Switch off: the terminals are open."""
        for smu in self.smus.values():
            smu.terminal.present(Opened())


def build(name: str, simulated: SimulatedTwin, world: World) -> Keithley2600Twin:
    """Build the twin of a ``simulated`` section; options: ``interlock`` open or closed, ``line_frequency`` 50 or 60.

    Raises
    ------
    ValueError
        An option there is not, or a value it cannot have.
    """
    unknown = sorted(set(simulated.options) - _OPTIONS)
    if unknown:
        raise ValueError(
            f"{name}: a 2600 has no option {', '.join(unknown)}; there are {', '.join(sorted(_OPTIONS))}"
        )
    interlock, line_hz = (
        simulated.options.get("interlock", "closed"),
        simulated.options.get("line_frequency", 50),
    )
    if interlock not in ("open", "closed"):
        raise ValueError(f"{name}: interlock is open or closed, not {interlock!r}")
    if line_hz not in (50, 60):
        raise ValueError(f"{name}: line_frequency is 50 or 60, not {line_hz!r}")
    return Keithley2600Twin(
        name,
        world,
        world.lock,
        MODELS[simulated.model.removeprefix("keithley-").upper()],
        serial=simulated.serial or SERIAL,
        firmware=simulated.firmware or FIRMWARE,
        line_hz=float(line_hz),
        interlock_open=interlock == "open",
    )
