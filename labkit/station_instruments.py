"""The check of the bench instruments of a station: each is opened, identified, tested and left safe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.bench import BenchFile, BenchInstrument, load_bench
from drivers.errors import DriverError
from labkit.interrupts import interrupts
from labkit.reservation import reserve
from labkit.station import check_station, open_station
from labkit.station_check import Check

if TYPE_CHECKING:
    from drivers.instrument import Instrument

__all__ = ["check_bench", "check_instruments", "snapshot_bench", "snapshot_instruments"]


def _instruments(bench: BenchFile) -> dict[str, BenchInstrument]:
    """Return the instruments of a bench that are no chips, by name."""
    return {name: found for name, found in bench.instruments.items() if isinstance(found, BenchInstrument)}


@contextmanager
def _opened(bench: BenchFile, entry: BenchInstrument, transcript: Any = None) -> Iterator[Instrument]:
    """Open an instrument; it is safe and closed afterwards, whatever happens.

    Raises
    ------
    DriverError
        It cannot be opened.
    """
    from drivers.instruments import open_instrument

    with interrupts.message():
        instrument = open_instrument(entry, bench.path, transcript=transcript)
    try:
        yield instrument
    finally:
        with interrupts.message():
            instrument.safe()
            instrument.close()


def check_bench(path: str | Path, *, instrument: str | None = None) -> list[Check]:
    """Check all bench instruments of a file, then its chip; where it has several, the one named.

    Raises
    ------
    drivers.bench.BenchError, StationError
        The file cannot be used; no such chip, or several and none named.
    BenchReserved
        Another process has the bench.
    Interrupted
        A signal came; the instruments are safe.
    """
    bench = load_bench(path)
    reservation = reserve(bench)
    try:
        checks = check_instruments(bench)
        if bench.chips or not checks:
            checks += check_station(path, instrument=instrument)
    finally:
        reservation.release()
    return checks


def snapshot_bench(path: str | Path, *, instrument: str | None = None) -> dict[str, Any]:
    """Return what stands on a bench: bench file, every instrument with all its settings, and its chip.

    Parameters
    ----------
    path : path
        Bench file.
    instrument : str, optional
        Which of its chips; left out where there is at most one.

    Raises
    ------
    drivers.bench.BenchError, StationError, DriverError
        The file cannot be used, or an instrument not be asked.
    """
    bench = load_bench(path)
    reservation = reserve(bench)
    try:
        found: dict[str, Any] = {
            "bench": {"path": bench.path, "name": bench.name, "sha256": bench.sha256, "text": bench.text},
            "taken_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "instruments": snapshot_instruments(bench),
        }
        if bench.chips:
            with open_station(path, instrument=instrument) as station:
                found["chip"] = station.snapshot()
    finally:
        reservation.release()
    return found


def check_instruments(bench: BenchFile, *, transcript: Any = None) -> list[Check]:
    """Open, identify and test every bench instrument, one after the other; none keeps an output on.

    Returns
    -------
    list of Check
        ``name: opens`` (with its identity), ``name: as described`` where the bench file says which model or
        firmware to expect, ``name: errors`` (what its queue held), ``name: self-test``, ``name: safe``.

    Raises
    ------
    Interrupted
        A signal came; the instruments are safe.
    """
    checks: list[Check] = []
    for name, entry in _instruments(bench).items():
        try:
            with _opened(bench, entry, transcript) as instrument:
                checks += _checked(name, entry, instrument)
        except (DriverError, OSError) as error:
            checks.append(Check(f"{name}: opens", ok=False, detail=str(error)))
    return checks


def _checked(name: str, entry: BenchInstrument, instrument: Instrument) -> Iterator[Check]:
    found = instrument.identify()
    said = f"{found.maker} {found.model}, serial {found.serial}, firmware {found.firmware}"
    yield Check(f"{name}: opens", ok=True, detail=f"{entry.address}: {said}")
    wrong = [
        f"{what} {got}, where the bench file says {wanted}"
        for what, got, wanted in (
            ("model", found.model, entry.model),
            ("firmware", found.firmware, entry.firmware),
        )
        if wanted is not None and got.upper() != wanted.upper()
    ]
    if entry.model is not None or entry.firmware is not None:
        yield Check(
            f"{name}: as described", ok=not wrong, detail="; ".join(wrong) or "as the bench file says"
        )
    yield _try(f"{name}: errors", lambda: _errors(instrument))
    yield _try(f"{name}: self-test", lambda: "passed" if instrument.self_test() else "it has none")
    yield _try(f"{name}: safe", lambda: _safe(instrument))


def _try(name: str, look: Any) -> Check:
    try:
        with interrupts.message():
            return Check(name, ok=True, detail=look())
    except (DriverError, OSError) as error:
        return Check(name, ok=False, detail=str(error))


def _errors(instrument: Instrument) -> str:
    waiting = instrument.errors()
    if waiting:
        raise DriverError(f"{len(waiting)} waited: " + "; ".join(str(error) for error in waiting))
    return "nothing waiting"


def _safe(instrument: Instrument) -> str:
    instrument.make_safe()
    return "outputs off or at zero"


def snapshot_instruments(bench: BenchFile, *, transcript: Any = None) -> dict[str, Any]:
    """Return identity and settings of every bench instrument, by name; nothing is changed, outputs stay as they are.

    Raises
    ------
    DriverError
        One of them cannot be opened or asked.
    """
    found: dict[str, Any] = {}
    for name, entry in _instruments(bench).items():
        from drivers.instruments import open_instrument

        with interrupts.message():
            instrument = open_instrument(entry, bench.path, transcript=transcript)
        try:
            with interrupts.message():
                found[name] = {"driver": entry.driver, "address": entry.address, **instrument.snapshot()}
        finally:
            instrument.close()
    return found
