"""From an exception to one line on stderr, an exit code and, with ``--json``, one object on stdout."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from typing import Any

import typer

from labkit.cli.output import ReaderGone, discard_stdout, flush, print_json, tell
from labkit.errors import DiskFull, Interrupted, LabkitError

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
        status = _status(work)
        flush()  # a full disk behind stdout shows only now
    except ReaderGone:
        discard_stdout()
        return 128 + signal.SIGPIPE
    except BaseException as error:  # noqa: BLE001 - the end of every exception
        return _told(error, as_json=as_json, debug=debug)
    return status


def _status(work: Callable[[], object]) -> int:
    try:
        work()
    except typer.Exit as ended:
        return ended.exit_code
    except SystemExit as ended:  # of the console that prints the help, where its reader went away
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _told(error: BaseException, *, as_json: bool, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    status, message = _explained(error)
    if message:
        tell(message)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        discard_stdout()  # it may be stdout that has no room, and would say so again at the very end
    if as_json:
        content: dict[str, Any] = {"type": type(error).__name__, "message": message, "exit_code": status}
        if problems := getattr(error, "problems", None):
            content["problems"] = [str(problem) for problem in problems]
        try:
            print_json({"error": content})
        except OSError:
            discard_stdout()
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
    if isinstance(error, LabkitError | DriverError | CalibrationError):
        return getattr(error, "exit_code", LabkitError.exit_code), f"{error}{notes}"
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{error.filename}: "
        said = f"{place}{error.strerror or error}"
        if error.errno in _NO_ROOM:
            return DiskFull.exit_code, f"{said}; free some space and try again{notes}"
        return LabkitError.exit_code, f"{said}{notes}"
    if isinstance(error, MemoryError):
        return LabkitError.exit_code, "not enough memory; close other programs, or use a smaller chip"
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
