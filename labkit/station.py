"""A station: a bench that is open, with its chip guarded and its clock running, and safe however it ends.

::

    with open_station("bench.yaml") as station:
        station.energise()
        station.chip.read(cells, ReadSetup())

Every way out of the block (its end, an exception, Ctrl-C, SIGTERM, SIGHUP) opens the outputs, latches the
power off and closes the link. Only a killed process cannot; there the board's watchdog does it.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from drivers.bench import BenchFile, ChipEntry, load_bench
from drivers.chip import Chip
from drivers.errors import DriverError
from labkit.clock import Clock, VirtualClock, WallClock
from labkit.envelope import GuardedChip
from labkit.errors import Interrupted, StationError
from labkit.interrupts import interrupts
from labkit.manifest import plain, versions
from labkit.read_path import AppliedCalibration, calibration_of, warning_of_reads
from labkit.reservation import Reservation, reserve
from labkit.station_check import Check, check_chip, check_read_calibration

if TYPE_CHECKING:
    from typing import Self

    from drivers.controller import PcmController
    from drivers.sim_control import SimControl

__all__ = ["Check", "Station", "check_station", "open_station"]

ChipOpener = Callable[[BenchFile, ChipEntry, Any], Chip]
"""Opens the link to an instrument of a bench file; the last argument is the transcript."""


class Station(AbstractContextManager["Station"]):
    """A bench file and, inside ``with``, the chip and the clock of one of its instruments.

    Made by :func:`open_station`. While it is open, Ctrl-C, SIGTERM and SIGHUP raise
    :class:`~labkit.errors.Interrupted` after the message under way; a second one does not wait for it.

    Parameters
    ----------
    bench : BenchFile
        The bench.
    instrument : str, optional
        Name of the chip's controller; may be left out where the file has only one.
    transcript : optional
        Where the link writes down its messages, as the driver takes it.
    opener : callable, optional
        Opens the chip; by default the driver the bench file names.
    calibrated : bool
        Whether to apply the read calibration the bench file names, where its file exists.

    Raises
    ------
    StationError
        No such instrument, or several and none named.
    BenchReserved
        Inside ``with``: another process has the bench.

    Attributes
    ----------
    bench : BenchFile
        The bench file.
    name : str
        Name of the instrument in it.
    """

    def __init__(
        self,
        bench: BenchFile,
        instrument: str | None = None,
        *,
        transcript: Any = None,
        opener: ChipOpener | None = None,
        calibrated: bool = True,
    ) -> None:
        self.bench = bench
        self.name = _chosen(bench, instrument)
        self._transcript = transcript
        self._opener = opener or _open_with_driver
        self._calibrated = calibrated
        self._applied: AppliedCalibration | None = None
        self._simulation: SimControl | None = None
        self._warnings: tuple[str, ...] = ()
        self._chip: GuardedChip | None = None
        self._clock: Clock | None = None
        self._epoch = (0, 0)
        self._links: list[Chip] = []
        self._reservation: Reservation | None = None
        self._owes_signals = False
        self._process = 0

    def __repr__(self) -> str:
        return f"<Station {self.bench.name!r}, {self.name}, {'open' if self._chip else 'closed'}>"

    # ------------------------------------------------------------------ opening and closing

    def __enter__(self) -> Self:
        if self._process:
            raise StationError(f"{self!r} was opened before; make a new one with open_station()")
        self._process = os.getpid()
        try:
            self._owes_signals = interrupts.install()
            atexit.register(self._shut)
            self._reservation = reserve(self.bench)
            self._open()
        except BaseException:
            self._shut()
            raise
        else:
            return self

    def _open(self) -> None:
        instrument = self.bench.chips[self.name]
        applied = calibration_of(instrument) if self._calibrated else None
        with interrupts.message():
            link = self._opener(self.bench, instrument, self._transcript)
            self._links.append(link)
        chip = GuardedChip(
            _calibrated(link, applied),
            self.bench.envelope,
            references=self.bench.references,
            message=interrupts.message,
        )
        chip.load_wear()
        clock: Clock
        if "SIM" in chip.capabilities():
            from drivers.sim_control import SimControl

            self._simulation = control = SimControl(cast("PcmController", link))
            clock = VirtualClock(control, energised=lambda: chip.maybe_energised, message=interrupts.message)
        else:
            clock = WallClock(feed=chip.clock_ns)
        now_unix_ns = clock.now_unix_ns()
        self._epoch = (now_unix_ns, chip.set_epoch(now_unix_ns))
        self._chip, self._clock, self._applied = chip, clock, applied
        if self._calibrated:
            said = warning_of_reads(instrument, applied, clock.now_unix_ns, chip.temperature_k)
            chosen = f" --instrument {self.name}" if len(self.bench.chips) > 1 else ""
            self._warnings = () if said is None else (f"{said} --station {self.bench.path}{chosen}",)

    @interrupts.uninterruptible
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        problem = self._shut()
        if error is not None:
            interrupts.forget_pending()
            if problem is not None:
                error.add_note(f"closing the station also failed: {problem}")
            return
        interrupts.raise_pending()
        if problem is not None:
            raise problem

    @interrupts.uninterruptible
    def _shut(self) -> Exception | None:
        """Make every instrument safe, then close it; returns what went wrong on closing."""
        atexit.unregister(self._shut)
        if self._process != os.getpid():
            return None  # a forked child: the links are its parent's
        links, self._links = self._links[::-1], []
        self._chip = self._clock = self._applied = self._simulation = None
        problem: Exception | None = None
        for link in links:
            with suppress(
                Exception
            ):  # safe() promises not to raise; the next instrument must not depend on it
                link.safe()
        for link in links:
            try:
                link.close()
            except (DriverError, OSError) as error:
                problem = error
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            reservation.release()
        if self._owes_signals:
            self._owes_signals = False
            interrupts.restore()
        return problem

    # ------------------------------------------------------------------ what is on the bench

    @property
    def chip(self) -> GuardedChip:
        """The chip, guarded by the envelope of the bench file."""
        if self._chip is None:
            raise StationError(
                f"the station of {self.bench.path} is not open; use it in `with open_station(...)`",
                path=self.bench.path,
                instrument=self.name,
            )
        return self._chip

    @property
    def clock(self) -> Clock:
        """What tells the time and waits: virtual on a simulated board, the computer's on a real one."""
        chip = self.chip
        assert self._clock is not None, chip  # noqa: S101 - the two are set together
        return self._clock

    @property
    def simulated(self) -> bool:
        """True where a simulated board answers."""
        return self.clock.virtual

    @property
    def simulation(self) -> SimControl | None:
        """What only a simulated board answers: faults, temperature, the truth; None where a real one does.

        For tests and studies of the mock; programming and reading never use it.
        """
        _ = self.chip
        return self._simulation

    @property
    def read_calibration(self) -> AppliedCalibration | None:
        """The calibration its readings are corrected with; None where they are raw."""
        _ = self.chip
        return self._applied

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong when it was opened and does not forbid to go on: sentences, mostly none."""
        return self._warnings

    def unix_ns(self, board_ns: int) -> int:
        """Unix time of a board time stamp, ns; valid until the board boots."""
        _ = self.chip
        epoch_unix_ns, epoch_board_ns = self._epoch
        return epoch_unix_ns + int(board_ns) - epoch_board_ns

    def energise(self) -> None:
        """Switch power and outputs on, from off: a latch an earlier session left is cleared by that.

        Raises
        ------
        DriverError
            The board refuses; its error says why (interlock, temperature ...).
        """
        self.chip.power(False)
        self.chip.power(True)
        self.chip.outputs(True)

    def check(self) -> list[Check]:
        """Test the chip and its board: a power cycle and a few reads, no pulses; the power is off afterwards.

        Returns
        -------
        list of Check
            In the order they were made; a failed one does not stop those that do not need it.
        """
        instrument, chip = self.bench.chips[self.name], self.chip
        checks = check_chip(chip, instrument)
        if instrument.read_calibration is not None and self._calibrated:
            checks.append(
                check_read_calibration(chip, self.clock, self._applied, instrument.read_calibration)
            )
        return checks

    def snapshot(self) -> dict[str, Any]:
        """Return what the bench is, ready for JSON: identity, limits, geometry, versions, bench file."""
        chip = self.chip
        instrument = self.bench.chips[self.name]
        temperature_k = chip.temperature_k()
        now_unix_ns = self.clock.now_unix_ns()
        applied = self._applied
        with interrupts.message():
            # A chip made of instruments: what each of them is and how it is set.
            parts: dict[str, Any] = getattr(self._links[0], "instruments", {})
            settings = {name: part.snapshot() for name, part in parts.items()}
        facts: dict[str, Any] = plain(
            {
                "bench": {
                    "path": self.bench.path,
                    "name": self.bench.name,
                    "sha256": self.bench.sha256,
                    "text": self.bench.text,
                },
                "instrument": self.name,
                "driver": instrument.driver,
                "address": instrument.address,
                "backend": instrument.backend,
                "simulated": self.simulated,
                "identities": {self.name: asdict(chip.identify())}
                | {name: asdict(part.identify()) for name, part in parts.items()},
                "instruments": settings,
                "capabilities": sorted(chip.capabilities()),
                "geometry": asdict(chip.geometry()),
                "limits": asdict(chip.limits()),
                "envelope": self.bench.envelope.model_dump(),
                "boot_id": chip.boot_id(),
                "temperature_k": temperature_k,
                "read_calibration": None if applied is None else applied.facts(now_unix_ns, temperature_k),
                "epoch": {"unix_ns": self._epoch[0], "board_ns": self._epoch[1]},
                "versions": versions(),
            }
        )
        return facts


def open_station(
    path: str | Path, *, instrument: str | None = None, transcript: Any = None, calibrated: bool = True
) -> Station:
    """Read a bench file and return its station; the instruments are opened by ``with``.

    Parameters
    ----------
    path : path
        Bench file.
    instrument : str, optional
        Which of its chip controllers; may be left out where there is only one.
    transcript : optional
        Where the link writes down its messages, as ``PcmController.open`` takes it.
    calibrated : bool
        Whether to apply the read calibration the bench file names, where its file exists; readings are raw
        otherwise.

    Raises
    ------
    drivers.bench.BenchError
        The file cannot be used.
    StationError
        No such instrument, or several and none named.
    """
    return Station(load_bench(path), instrument, transcript=transcript, calibrated=calibrated)


def check_station(path: str | Path, *, instrument: str | None = None, transcript: Any = None) -> list[Check]:
    """Open a station, check it as :meth:`Station.check` does, close it.

    A bench that cannot be opened is a failed check, ``"opens"``.

    Raises
    ------
    drivers.bench.BenchError, StationError
        As :func:`open_station`.
    Interrupted
        A signal came; the instruments are safe.
    """
    station = open_station(path, instrument=instrument, transcript=transcript)
    try:
        with station:
            return station.check()
    except Interrupted:
        raise
    except (DriverError, StationError, OSError) as error:
        return [Check("opens", ok=False, detail=str(error))]


def _chosen(bench: BenchFile, instrument: str | None) -> str:
    names = list(bench.chips)
    if instrument is None and len(names) == 1:
        return names[0]
    if instrument in bench.chips:
        return instrument
    wrong = "has several chips" if instrument is None else f"has no instrument {instrument!r}"
    raise StationError(
        f"{bench.path} {wrong}; choose one of: {', '.join(names)}", path=bench.path, instrument=instrument
    )


def _calibrated(link: Chip, applied: AppliedCalibration | None) -> Chip:
    """Put a calibration between a chip and whoever reads it."""
    if applied is None:
        return link
    from drivers.calibrated_reads import CalibratedChip

    with interrupts.message():
        applied.calibration.check_chip(link.identify(), link.geometry(), applied.path)
        return CalibratedChip(link, applied.calibration)


def _open_with_driver(bench: BenchFile, instrument: ChipEntry, transcript: Any) -> Chip:
    if instrument.driver == "discrete":
        from drivers.discrete_opening import open_discrete

        name = next(name for name, entry in bench.chips.items() if entry is instrument)
        return open_discrete(bench, name, transcript=transcript)

    from drivers.controller import PcmController

    backend = f"{bench.path}@pcm" if instrument.backend == "@pcm" else instrument.backend
    return PcmController.open(
        instrument.address, backend=backend, timeout_s=instrument.timeout_s, transcript=transcript
    )
