"""Errors of the drivers floor.

Every error keeps its numbers as attributes and says in its message what to do next. Keyword arguments become
attributes; an attribute that was not given is None.

::

    DriverError                 root; a bench file that cannot be used is one too (drivers.bench.BenchError)
    ├── LinkError               nothing answers at the address, or the link broke
    │   ├── LinkTimeout         no answer in time; the link was reopened or is closed
    │   ├── StaleAnswer         an answer belongs to another query, batch, start or format
    │   └── MalformedAnswer     an answer cannot be parsed, or has another length than was asked for
    ├── LockRefused             another host controls the board
    ├── ProtocolMismatch        the board speaks another major version
    ├── BoardRestarted          volatile board state was lost
    ├── ForeignBatch            somebody else programmed the chip
    ├── ReadCalibrationError    a calibration of the read path cannot be measured, read or applied
    ├── RecordingError          a recording cannot be written, read or used
    ├── ReplayMismatch          what a program does or hears is not what was recorded
    ├── WrongInstrument         another instrument answers, or the right one in a mode the driver cannot use
    ├── SettingOutOfRange       a setting outside what the instrument can do; nothing was sent
    ├── WiringError             the wiring of the bench file does not allow it, or is not what the bench shows
    │   ├── HotSwitch           a relay would be switched under voltage; nothing was switched
    │   └── LoadMismatch        a generator is set for another load than the wiring shows
    └── InstrumentError         the instrument reports errors, in its own codes and words
        ├── InterlockOpen       the interlock is open: outputs stay off, or only small voltages are allowed
        └── BatchRefused        a batch was refused; nothing was pulsed
"""

# ruff: noqa: N818 - the names say what happened

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from drivers.chip import BoardError

__all__ = [
    "BatchRefused",
    "BoardRestarted",
    "DriverError",
    "ForeignBatch",
    "HotSwitch",
    "InstrumentError",
    "InterlockOpen",
    "LinkError",
    "LinkTimeout",
    "LoadMismatch",
    "LockRefused",
    "MalformedAnswer",
    "NumberedError",
    "ProtocolMismatch",
    "ReadCalibrationError",
    "RecordingError",
    "ReplayMismatch",
    "SettingOutOfRange",
    "StaleAnswer",
    "WiringError",
    "WrongInstrument",
]


class NumberedError(Exception):
    """An error that keeps the numbers its message speaks of.

    Parameters
    ----------
    message : str
        One line that says what is wrong and what to do next.
    **numbers
        Each becomes an attribute.

    Attributes
    ----------
    exit_code : int
        What a command that ends with this error returns to the shell.
    """

    exit_code: int = 1
    _own: ClassVar[frozenset[str]] = frozenset({"args", "with_traceback", "add_note", "exit_code"})

    def __init__(self, message: str = "", **numbers: Any) -> None:
        super().__init__(message)
        if clash := sorted(self._own & numbers.keys()):
            raise TypeError(f"{type(self).__name__} keeps {', '.join(clash)} for itself")
        self.numbers: dict[str, Any] = numbers
        for name, value in numbers.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without it an error loses its numbers on the way out of a worker process.
        return (_rebuilt, (type(self), str(self), self.numbers))


def _rebuilt(kind: type[NumberedError], message: str, numbers: dict[str, Any]) -> NumberedError:
    return kind(message, **numbers)


class DriverError(NumberedError):
    """Root of all errors of ``drivers``."""

    exit_code = 4


class LinkError(DriverError):
    """Nothing answers at the address, or the link broke.

    Attributes
    ----------
    address : str or None
        VISA address.
    """

    address: str | None = None


class LinkTimeout(LinkError):
    """No answer in time.

    Attributes
    ----------
    timeout_s : float or None
        How long was waited, seconds.
    """

    timeout_s: float | None = None


class StaleAnswer(LinkError):
    """An answer belongs to another query, batch, start or format; its values were not used.

    Attributes
    ----------
    expected, got : str or None
        What should have been echoed and what was.
    """

    expected: str | None = None
    got: str | None = None


class MalformedAnswer(LinkError):
    """An answer cannot be parsed, or a block has another length than was asked for."""


class LockRefused(DriverError):
    """Another host controls the board, or did while the link was broken."""


class ProtocolMismatch(DriverError):
    """The board speaks another major version of the protocol.

    Attributes
    ----------
    version, wanted : str or None
        Of the board and of this driver.
    """

    version: str | None = None
    wanted: str | None = None


class BoardRestarted(DriverError):
    """Volatile board state was lost: power is off, selections and results are gone.

    Attributes
    ----------
    before, now : int or None
        Boot ids.
    batch_id : int or None
        Batch that was in flight: each of its cells is in doubt and must be read before it is pulsed again.
    """

    before: int | None = None
    now: int | None = None
    batch_id: int | None = None


class ForeignBatch(DriverError):
    """Somebody else programmed the chip: the array is not what this host believes.

    Attributes
    ----------
    batch_id : int or None
        Id of the last batch the board accepted.
    """

    batch_id: int | None = None


class ReadCalibrationError(DriverError):
    """A calibration of the read path cannot be measured, read, or applied to this chip.

    Attributes
    ----------
    path : Path or None
        The file of the calibration, or the bench file that lacks what it needs.
    expected, got : str or None
        The chip the calibration belongs to and the one on the bench.
    """

    path: Path | None = None
    expected: str | None = None
    got: str | None = None


class RecordingError(DriverError):
    """A recording of a session cannot be written, read or used.

    Attributes
    ----------
    path : Path or None
        The file.
    line : int or None
        Where it is damaged, from 1.
    """

    path: Path | None = None
    line: int | None = None


class ReplayMismatch(DriverError):
    """What a program does, or hears, is not what was recorded.

    Attributes
    ----------
    path : Path or None
        The recording.
    line : int or None
        Of the recording, from 1; None where it has ended.
    address : str or None
        VISA address.
    expected, got : str or None
        What was recorded and what came.
    """

    path: Path | None = None
    line: int | None = None
    address: str | None = None
    expected: str | None = None
    got: str | None = None


class WrongInstrument(DriverError):
    """Another instrument answers than the driver is for, or the right one in a mode the driver cannot use.

    Attributes
    ----------
    expected, got : str or None
        What should have answered and what did.
    """

    expected: str | None = None
    got: str | None = None


class SettingOutOfRange(DriverError, ValueError):
    """A setting is outside what the instrument can do; nothing was sent.

    Attributes
    ----------
    setting : str or None
        Name of the setting.
    value : object
        What was asked for.
    low, high : float or None
        What is possible, in the setting's unit.
    """

    setting: str | None = None
    value: object = None
    low: float | None = None
    high: float | None = None


class WiringError(DriverError):
    """The wiring of the bench file does not allow what was asked, or is not what the bench shows."""


class HotSwitch(WiringError):
    """A relay would be switched under voltage, which welds it; nothing was switched.

    Attributes
    ----------
    voltage_v : float or None
        Voltage across it.
    """

    voltage_v: float | None = None


class LoadMismatch(WiringError):
    """A generator is set for another load than the wiring shows: the device would see another voltage.

    Attributes
    ----------
    set_ohm, wired_ohm : float or None
        Of the generator's setting and of the wiring.
    """

    set_ohm: float | None = None
    wired_ohm: float | None = None


class InstrumentError(DriverError):
    """The instrument reports errors.

    Attributes
    ----------
    errors : tuple of BoardError
        In its own codes and words, oldest first.
    """

    errors: Sequence[BoardError] = ()


class InterlockOpen(InstrumentError):
    """The interlock is open: outputs stay off, or only small voltages are allowed."""


class BatchRefused(InstrumentError):
    """A batch was refused; nothing was pulsed and its id is free."""
