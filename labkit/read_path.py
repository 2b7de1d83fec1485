"""The calibration of a station's readings: where it is kept, and whether it can still be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.errors import ReadCalibrationError
from drivers.read_calibration import ReadCalibration
from labkit.durable import write_whole

if TYPE_CHECKING:
    from drivers.bench import ChipEntry

__all__ = ["AppliedCalibration", "calibration_of", "check_place", "save_calibration", "warning_of_reads"]


@dataclass(frozen=True, eq=False)
class AppliedCalibration:
    """A read calibration in use.

    Attributes
    ----------
    path : Path
        Its file.
    calibration : ReadCalibration
    max_age_s, max_temperature_change_k : float
        Beyond which it is stale, from the bench file.
    """

    path: Path
    calibration: ReadCalibration
    max_age_s: float
    max_temperature_change_k: float

    def stale(self, now_unix_ns: int, temperature_k: float | None) -> tuple[str, ...]:
        """Return why it should not be trusted any more; empty where nothing speaks against it."""
        return self.calibration.staleness(
            now_unix_ns,
            temperature_k,
            max_age_s=self.max_age_s,
            max_temperature_change_k=self.max_temperature_change_k,
        )

    def facts(self, now_unix_ns: int, temperature_k: float | None) -> dict[str, Any]:
        """Return what a run keeps of it, ready for JSON."""
        return {
            "path": str(self.path),
            "sha256": self.calibration.sha256,
            "measured_unix_ns": self.calibration.measured_unix_ns,
            "measured_utc": self.calibration.measured_utc,
            "temperature_k": self.calibration.temperature_k,
            "uncalibrated_columns": len(self.calibration.uncalibrated),
            "stale": list(self.stale(now_unix_ns, temperature_k)),
        }


def calibration_of(instrument: ChipEntry) -> AppliedCalibration | None:
    """Return the calibration an instrument of a bench file names; None where there is none, or no file yet.

    Raises
    ------
    ReadCalibrationError
        The file cannot be used.
    """
    path = instrument.read_calibration
    if path is None or not path.exists():
        return None
    return AppliedCalibration(
        path,
        ReadCalibration.load(path),
        instrument.read_calibration_max_age_s,
        instrument.read_calibration_max_temperature_change_k,
    )


def warning_of_reads(
    instrument: ChipEntry,
    applied: AppliedCalibration | None,
    now_unix_ns: Callable[[], int],
    temperature_k: Callable[[], float | None],
) -> str | None:
    """Return what is wrong with how readings are corrected; None where they are as the bench file wants them.

    The chip is asked for its temperature only where there is a calibration to compare it with.
    """
    path = instrument.read_calibration
    if path is None:
        return None
    if applied is None:
        return f"readings are raw, {path} does not exist yet; make it with: labkit calibrate reads"
    if stale := applied.stale(now_unix_ns(), temperature_k()):
        return (
            f"the read calibration {path} is stale: {'; '.join(stale)}; renew it with: labkit calibrate reads"
        )
    return None


def save_calibration(calibration: ReadCalibration, path: Path) -> None:
    """Write a calibration whole or not at all, replacing an earlier one.

    Raises
    ------
    ReadCalibrationError
        Something else stands at `path`; it was not touched.
    DiskFull, RunError
        It could not be written; an earlier one is as it was.
    """
    check_place(path)
    write_whole(path, lambda file: file.write(calibration.to_bytes()), replace=True)


def check_place(path: Path) -> None:
    """Refuse to write a calibration over anything that is none.

    Raises
    ------
    ReadCalibrationError
        Something else stands at `path`.
    """
    if not path.exists():
        return
    try:
        ReadCalibration.load(path)
    except ReadCalibrationError as error:
        raise ReadCalibrationError(
            f"{path} is in the way: it is no whole read calibration, and nothing else is replaced; move it away, "
            "or choose another name",
            path=path,
        ) from error
