"""From an exception to one line on stderr, an exit code and, with ``--json``, one object on stdout."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer

from labkit.errors import DiskFull, Interrupted, LabkitError, StationError

__all__ = ["guarded"]

USAGE = 2
"""Exit code where the command line itself makes no sense, as shells have it."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def guarded(work: Callable[[], object], *, as_json: bool, debug: bool) -> int:
    """Do the work of a command and return its exit code; whatever is raised ends as one line on stderr.

    Parameters
    ----------
    work : callable
        The command.
    as_json : bool
        Print an error as one JSON object on stdout as well.
    debug : bool
        Print the traceback before the line.
    """
    try:
        work()
        sys.stdout.flush()  # a full disk behind stdout shows only now
    except typer.Exit as ended:
        return _flushed(ended.exit_code)
    except (BrokenPipeError, SystemExit) as error:
        return _left_alone(error)
    except BaseException as error:  # noqa: BLE001 - the end of every exception
        return _told(error, as_json=as_json, debug=debug)
    return 0


def _flushed(status: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        return _left_alone(error)
    return status


def _left_alone(error: BaseException) -> int:
    """Return the exit code where whoever read our output went away: nothing is left to be said to him."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    _discard_stdout()
    return 128 + signal.SIGPIPE


def _discard_stdout() -> None:
    # What is still buffered would raise again, in the interpreter's own end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(error: BaseException, *, as_json: bool, debug: bool) -> int:
    from labkit.cli.output import print_json, tell

    if debug:
        import traceback

        traceback.print_exception(error)
    status, message = _explained(error)
    if message:
        tell(message)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        _discard_stdout()  # it may be stdout that has no room
    if as_json:
        content: dict[str, Any] = {"type": type(error).__name__, "message": message, "exit_code": status}
        if problems := getattr(error, "problems", None):
            content["problems"] = [str(problem) for problem in problems]
        try:
            print_json({"error": content})
            sys.stdout.flush()
        except OSError:
            _discard_stdout()
    return status


def _explained(error: BaseException) -> tuple[int, str]:
    """Return exit code and message."""
    from calibration.errors import CalibrationError
    from drivers.errors import DriverError

    usage = getattr(error, "format_message", None)
    if usage is not None:
        return USAGE, _usage(error, usage())
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted()
    if isinstance(error, LabkitError | CalibrationError):
        return getattr(error, "exit_code", LabkitError.exit_code), f"{error}{notes}"
    if isinstance(error, DriverError):
        return getattr(error, "exit_code", StationError.exit_code), f"{error}{notes}"
    if isinstance(error, OSError):
        status = DiskFull.exit_code if error.errno in _NO_ROOM else LabkitError.exit_code
        place = f"{error.filename}: " if error.filename is not None else ""
        return status, f"{place}{error.strerror or error}{notes}"
    if isinstance(error, MemoryError):
        return (
            LabkitError.exit_code,
            "there is not enough memory; close other programs, or use a smaller chip",
        )
    said = " ".join(str(error).split())
    return LabkitError.exit_code, (
        f"unexpected {type(error).__name__}{f': {said}' if said else ''}; this is a fault of labkit: run "
        f"again with --debug and report what it prints{notes}"
    )


def _usage(error: BaseException, message: str) -> str:
    """Word a usage error; empty where the help was printed instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    context = getattr(error, "ctx", None)
    command = "labkit" if context is None else context.command_path
    return f"{message.rstrip('.')}; see {command} --help"
