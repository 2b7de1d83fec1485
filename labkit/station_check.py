"""The self-test of a station: named checks, gentle to the chip (a power cycle and a few reads, no pulses)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.chip import ReadFlag, ReadSetup
from drivers.errors import DriverError
from labkit.errors import Interrupted, LabkitError

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.bench import ChipEntry
    from labkit.clock import Clock
    from labkit.envelope import GuardedChip
    from labkit.read_path import AppliedCalibration

__all__ = ["Check", "check_chip", "check_read_calibration"]

_CELLS = 16
_MAJOR = 1  # of the protocol; CORE may change its meaning with the next one (controller-protocol §10)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What.
    ok : bool
        Whether it is as it should be.
    detail : str
        What was found.
    """

    name: str
    ok: bool
    detail: str


class _Failed(Exception):  # noqa: N818 - never leaves this room
    """A check that found something wrong; its text is the detail."""


def check_chip(chip: GuardedChip, instrument: ChipEntry) -> list[Check]:
    """Run all checks; the power is off afterwards.

    Raises
    ------
    Interrupted
        A signal came.
    """
    checks = [Check("opens", ok=True, detail=f"{instrument.address} through {instrument.backend}")]

    def run(name: str, look: Callable[[GuardedChip], str], *, needs: str | None = None) -> None:
        if needs is not None and not all(check.ok for check in checks if check.name == needs):
            checks.append(Check(name, ok=False, detail=f"not tried: {needs!r} failed"))
            return
        try:
            checks.append(Check(name, ok=True, detail=look(chip)))
        except Interrupted:
            raise
        except (_Failed, DriverError, LabkitError, OSError, ValueError, KeyError) as error:
            checks.append(Check(name, ok=False, detail=str(error) or type(error).__name__))

    run("identifies", _identifies)
    run("protocol version", _protocol)
    run("geometry", _geometry)
    run("limits", _limits)
    run("power cycle", _power_cycle)
    run("outputs on", _outputs_on, needs="power cycle")
    run("reads cells", _reads, needs="outputs on")
    run("outputs off", _outputs_off, needs="outputs on")
    run("power off", _power_off)
    run("error queue empty", _errors)
    return checks


def check_read_calibration(
    chip: GuardedChip, clock: Clock, applied: AppliedCalibration | None, path: Path
) -> Check:
    """Tell whether the readings are corrected, and with something that is still true."""
    name = "read calibration"
    if applied is None:
        return Check(name, ok=True, detail=f"none yet: {path} does not exist, readings are raw")
    found = applied.calibration
    try:
        stale = applied.stale(clock.now_unix_ns(), chip.temperature_k())
    except (DriverError, OSError) as error:
        return Check(name, ok=False, detail=f"not judged: {error}")
    if stale:
        return Check(name, ok=False, detail=f"stale: {'; '.join(stale)}")
    left = f", {len(found.uncalibrated)} left as they read" if found.uncalibrated else ""
    return Check(name, ok=True, detail=f"{found.cols} columns{left}, measured {found.measured_utc}")


def _identifies(chip: GuardedChip) -> str:
    found = chip.identify()
    text = f"{found.maker} {found.model}, serial {found.serial}, firmware {found.firmware}"
    if not (found.maker and found.model and found.serial and found.firmware):
        raise _Failed(f"incomplete identity: {text}")
    if found.simulated != ("SIM" in chip.capabilities()):
        raise _Failed(f"{text}: its model and its capabilities disagree on whether it is simulated")
    return text + (", simulated" if found.simulated else "")


def _protocol(chip: GuardedChip) -> str:
    groups = chip.capabilities()
    if "CORE" not in groups:
        raise _Failed(f"the board lacks CORE; it has {', '.join(sorted(groups)) or 'nothing'}")
    version = getattr(chip.chip, "protocol_version", None)  # boards with a protocol of their own have none
    if version is not None and int(str(version).partition(".")[0]) != _MAJOR:
        raise _Failed(f"the board speaks {version}, this driver {_MAJOR}.x: update the older one")
    return f"{version or 'own protocol'}; {', '.join(sorted(groups))}"


def _geometry(chip: GuardedChip) -> str:
    found = chip.geometry()
    text = f"{found.banks} x {found.rows} x {found.cols} = {found.cells:,} cells"
    if min(found.banks, found.rows, found.cols) < 1:
        raise _Failed(f"{text}: no cells")
    return text


def _limits(chip: GuardedChip) -> str:
    found, wanted = chip.limits(), chip.envelope
    ranges = (found.rise_s, found.top_s, found.fall_s, found.read_voltage_v, found.read_aperture_s)
    if any(not 0 < low <= high for low, high in ranges):
        raise _Failed("a range of the board's limits is empty or not positive")
    if not (found.current_max_a > 0 and found.adc_bits > 0 and found.read_ranges_a):
        raise _Failed("the board's limits allow no programming or no reading")
    setup = ReadSetup()
    low_v, high_v = found.read_voltage_v
    if not low_v <= setup.voltage_v <= high_v:
        raise _Failed(f"the board reads at {low_v:g} .. {high_v:g} V, not at the usual {setup.voltage_v:g} V")
    current_a = min(found.current_max_a, wanted.current_max_a)
    return (
        f"pulses to {current_a * 1e6:g} uA and {wanted.width_max_s * 1e3:g} ms, reads to "
        f"{min(high_v, wanted.read_voltage_max_v):g} V, {wanted.pulses_per_cell_max} pulses per cell "
        f"(most so far: {int(chip.wear.max())})"
    )


def _power_cycle(chip: GuardedChip) -> str:
    chip.power(False)
    chip.power(True)
    return "off and on, rails in tolerance"


def _outputs_on(chip: GuardedChip) -> str:
    chip.outputs(True)
    return "connected"


def _reads(chip: GuardedChip) -> str:
    number = chip.geometry().cells
    cells = np.unique(np.linspace(0, number - 1, min(_CELLS, number)).astype(np.uint32))
    reading = chip.read(cells, ReadSetup())
    if reading.g_s.shape != cells.shape or reading.flags.shape != cells.shape:
        raise _Failed(f"{cells.size} cells were asked for, {reading.g_s.size} came")
    excused = (reading.flags & np.uint8(~ReadFlag.CLIPPED_LOW & 0xFF)) != 0
    if bool((~np.isfinite(reading.g_s) & ~excused).any()):
        raise _Failed("a reading is no number and no flag says why")
    if excused.all():
        raise _Failed("every cell is clipped, masked or unread")
    good = reading.g_s[~excused]
    return f"{good.size} of {cells.size} cells, {good.min() * 1e6:.3g} .. {good.max() * 1e6:.3g} uS"


def _outputs_off(chip: GuardedChip) -> str:
    chip.outputs(False)
    return "open"


def _power_off(chip: GuardedChip) -> str:
    chip.power(False)
    return "off"


def _errors(chip: GuardedChip) -> str:
    found = chip.errors()
    if found:
        raise _Failed(f"{len(found)} waiting: " + "; ".join(str(error) for error in found))
    return "nothing waiting"
