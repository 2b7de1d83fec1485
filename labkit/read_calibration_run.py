"""Measuring the read path of a chip against its reference resistors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Limits, ReadFlag, ReadSetup
from drivers.errors import ReadCalibrationError
from drivers.read_calibration import ReadCalibration
from labkit.errors import StationError
from labkit.progress import SILENT, Progress
from labkit.read_path_fit import ColumnFit, fit_columns

if TYPE_CHECKING:
    from calibration.laws.array import Lines
    from drivers.bench import References
    from labkit.station import Station

__all__ = ["calibrate_reads", "summary"]

_ROOM = 1.25
"""Share of the largest reference's current that the range must hold: the gain may be that far off."""

_GAIN_MAX = 2.0
"""Farther than this factor from 1 no median gain is believed: an error of the bench file is likelier."""

_SPREAD_MAX = 0.2
"""Nor gains that spread more than device cards allow their columns."""

_UNUSABLE = np.uint8(ReadFlag.CLIPPED_HIGH | ReadFlag.CLIPPED_LOW | ReadFlag.MASKED)


def calibrate_reads(
    station: Station,
    *,
    samples: int = 64,
    repeats: int = 16,
    lines: Lines | None = None,
    progress: Progress | None = None,
) -> ReadCalibration:
    """Measure gain and offset of every column; no cell is pulsed, and the power is off afterwards.

    The reference cells of all banks are read `repeats` times in one fixed range that the largest of them fills
    without clipping. :mod:`labkit.read_path_fit` says how lines and intervals follow.

    Parameters
    ----------
    station : Station
        An open bench whose readings are raw (``open_station(..., calibrated=False)``).
    samples : int
        Conversions averaged in each reading.
    repeats : int
        Readings of each reference cell, at least 2.
    lines : Lines, optional
        Resistances in series with each reference cell. Without them the nominal values hold as the columns see
        the cells; what is then not in those values ends up in the gain: 1 kOhm before 20 uS is 2 %.
    progress : Progress, optional

    Returns
    -------
    ReadCalibration
        Columns that look broken are left as they read, and said why.

    Raises
    ------
    ReadCalibrationError
        The bench file declares no references, or only one value; the largest does not fit the converter; or the
        rows do not read like what they should hold.
    StationError
        The station corrects its readings already, the board does not average so many samples, or a read was cut
        short.
    """
    chip, progress = station.chip, progress or SILENT
    references = _references(station)
    geometry, limits = chip.geometry(), chip.limits()
    if station.read_calibration is not None:
        raise StationError(
            "this station corrects its readings; open it with calibrated=False to calibrate it anew",
            path=station.bench.path,
            instrument=station.name,
        )
    setup = _setup(limits, max(references.rows.values()), samples, station)
    if repeats < 2:
        raise StationError(f"{repeats} readings of a cell do not show how they scatter; take 2 or more")
    cells = references.cells(geometry)
    row, col = cells // geometry.cols % geometry.rows, cells % geometry.cols
    nominal_s = np.array([references.rows[int(which)] for which in row[:: geometry.cols]], np.float64)
    seen_s = np.repeat(nominal_s, geometry.cols)
    if lines is not None:
        seen_s = lines.measured_s(seen_s, row, col)
    shape = (nominal_s.size, geometry.cols)
    station.energise()
    try:
        mean_a, variance_a2 = _readings(station, cells, setup, repeats, progress)
    except BaseException:
        chip.safe()
        raise
    chip.outputs(False)
    chip.power(False)
    fit = fit_columns(
        (setup.voltage_v * seen_s).reshape(shape),
        mean_a.reshape(shape),
        variance_a2.reshape(shape),
        np.unique(nominal_s, return_inverse=True)[1],
        tolerance=references.tolerance,
        samples=samples,
        repeats=repeats,
        step_a=(setup.range_a or 0.0) / 2**limits.adc_bits,
    )
    read_s = mean_a.reshape(shape) / setup.voltage_v
    _check_plausible(station.bench.path, sorted(references.rows), fit, nominal_s, read_s)
    return _kept(station, references, setup, repeats, lines, fit)


def _references(station: Station) -> References:
    path, references = station.bench.path, station.bench.references
    if references is None:
        raise ReadCalibrationError(
            f"{path} declares no reference resistors, against which reads are calibrated; say which rows hold "
            "them: `references: {rows: {1022: 1 uS, 1023: 20 uS}, tolerance: 0.5 %}`",
            path=path,
        )
    if len(values := set(references.rows.values())) < 2:
        raise ReadCalibrationError(
            f"{path} declares references of one value only, {next(iter(values)) * 1e6:g} uS: that gives the gain "
            "of a column without offset, or its offset without gain error, but not both. Declare a row of another "
            "value",
            path=path,
        )
    return references


def _setup(limits: Limits, largest_s: float, samples: int, station: Station) -> ReadSetup:
    """Return a setup whose fixed range the largest reference fills without clipping."""
    low, high = limits.read_samples
    if not low <= samples <= high:
        raise StationError(
            f"the board averages {low} .. {high} conversions of a reading, not {samples}",
            path=station.bench.path,
            instrument=station.name,
        )
    usual = ReadSetup()
    current_a = usual.voltage_v * largest_s
    usable = 1.0 - limits.adc_zero / 2**limits.adc_bits
    range_a = next(
        (full for full in sorted(limits.read_ranges_a) if _ROOM * current_a <= usable * full), None
    )
    if range_a is None:
        raise ReadCalibrationError(
            f"the largest reference, {largest_s * 1e6:g} uS, carries {current_a * 1e6:g} uA at "
            f"{usual.voltage_v:g} V, too much for the largest range of {max(limits.read_ranges_a) * 1e6:g} uA; "
            "declare smaller references",
            path=station.bench.path,
        )
    aperture_s = min(max(usual.aperture_s, limits.read_aperture_s[0]), limits.read_aperture_s[1])
    return ReadSetup(usual.voltage_v, samples, aperture_s, range_a)


def _readings(
    station: Station, cells: NDArray[np.uint32], setup: ReadSetup, repeats: int, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and sample variance of the currents of all cells, A and A^2; NaN where one cannot be used."""
    chip = station.chip
    first = np.zeros(0)
    total = np.zeros(cells.size)
    squares = np.zeros(cells.size)
    progress.start("Reading the references", repeats)
    for number in range(repeats):
        reading = chip.read(cells, setup, stamps=False)
        if (lost := int(np.count_nonzero(reading.flags & ReadFlag.NOT_READ))) > 0:
            raise StationError(
                f"a read of the references was cut short, {lost:,} of {cells.size:,} cells were not read; find "
                "the cause, then calibrate again",
                path=station.bench.path,
                instrument=station.name,
            )
        current_a = setup.voltage_v * reading.g_s.astype(np.float64)
        current_a[(reading.flags & _UNUSABLE) > 0] = np.nan
        if number == 0:
            first = current_a
        away = current_a - first  # small numbers, whose squares keep their digits
        total += away
        squares += np.square(away)
        progress.advance(number + 1)
    progress.finish()
    mean = total / repeats
    return first + mean, np.maximum(squares - repeats * mean**2, 0.0) / (repeats - 1)


def _check_plausible(
    path: Path, rows: list[int], fit: ColumnFit, nominal_s: NDArray[np.float64], read_s: NDArray[np.float64]
) -> None:
    """Refuse a result that says that the rows hold something else: it would spoil every later reading."""
    gain = fit.gain[np.isfinite(fit.gain)]
    if 2 * gain.size < fit.gain.size:
        column, reason = next(iter(fit.broken.items()))
        why = f"only {gain.size} of {fit.gain.size} columns can be calibrated (column {column}: {reason})"
    else:
        centre = float(np.median(gain))
        spread = 1.4826 * float(np.median(np.abs(gain - centre)))
        if 1.0 / _GAIN_MAX < centre < _GAIN_MAX and spread < _SPREAD_MAX:
            return
        why = f"their gains would be {centre:.2f} in the median, with a spread of {spread:.2f}"
    values = [(value, read_s[nominal_s == value]) for value in np.unique(nominal_s)]
    read = [(value, here[np.isfinite(here)]) for value, here in values]
    seen = ", ".join(
        f"{f'{np.median(here) * 1e6:.3g} uS' if here.size else 'nothing'} for {value * 1e6:.3g} uS"
        for value, here in read
    )
    raise ReadCalibrationError(
        f"rows {', '.join(map(str, rows))} do not read like references: {why}, and they read {seen}. Check "
        f"references.rows of {path}; nothing was kept",
        path=path,
    )


def _kept(
    station: Station,
    references: References,
    setup: ReadSetup,
    repeats: int,
    lines: Lines | None,
    fit: ColumnFit,
) -> ReadCalibration:
    identity = station.chip.identify()
    return ReadCalibration(
        maker=identity.maker,
        model=identity.model,
        serial=identity.serial,
        gain=np.nan_to_num(fit.gain, nan=1.0),
        gain_half_width=fit.gain_half_width,
        offset_a=np.nan_to_num(fit.offset_a, nan=0.0),
        offset_half_width_a=fit.offset_half_width_a,
        covariance_a=fit.covariance_a,
        uncalibrated=fit.broken,
        measured_unix_ns=station.clock.now_unix_ns(),
        temperature_k=station.chip.temperature_k(),
        read_voltage_v=setup.voltage_v,
        range_a=setup.range_a or 0.0,
        aperture_s=setup.aperture_s,
        samples=setup.samples,
        repeats=repeats,
        references=dict(sorted(references.rows.items())),
        tolerance=references.tolerance,
        lines_ohm=None if lines is None else (lines.series_ohm, lines.bit_line_ohm, lines.word_line_ohm),
        misfit=fit.misfit,
    )


def summary(calibration: ReadCalibration) -> dict[str, Any]:
    """Return the figures of a calibration: over its calibrated columns, errors rms and intervals in the median.

    The worst column is the one whose readings are moved farthest at the largest reference.
    """
    known = np.isfinite(calibration.gain_half_width)
    gain_error = calibration.gain[known] - 1.0
    offset_a = calibration.offset_a[known]
    largest_a = calibration.read_voltage_v * max(calibration.references.values())
    worst = int(np.flatnonzero(known)[np.abs(gain_error * largest_a + offset_a).argmax()])
    return {
        "columns": calibration.cols,
        "columns_calibrated": int(known.sum()),
        "uncalibrated": calibration.uncalibrated,
        "gain_error_rms": float(np.sqrt(np.mean(gain_error**2))),
        "gain_half_width_median": float(np.median(calibration.gain_half_width[known])),
        "offset_rms_a": float(np.sqrt(np.mean(offset_a**2))),
        "offset_half_width_median_a": float(np.median(calibration.offset_half_width_a[known])),
        "worst_column": worst,
        "worst_gain": float(calibration.gain[worst]),
        "worst_offset_a": float(calibration.offset_a[worst]),
        "misfit": calibration.misfit,
    }
