"""Files that are whole or absent: written under a temporary name, synced, then given their name.

A power cut, a killed process or a full disk leaves the old file (or none) and never half of a new one.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from labkit.errors import DiskFull, RunError, RunExists

__all__ = ["explained", "make_folders", "sync_directory", "unused_name", "write_whole"]

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
)


def unused_name(path: Path) -> Path:
    """Return a hidden temporary name beside `path`, different at every call."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


def sync_directory(path: Path) -> None:
    """Make the names inside a directory durable; does nothing where directories cannot be opened."""
    flag = getattr(os, "O_DIRECTORY", None)
    if flag is None:
        return
    handle = os.open(path, os.O_RDONLY | flag)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError met while writing `path` into one line that says what to do.

    Raises
    ------
    DiskFull
        The disk, the quota or the file-size limit has no room.
    RunError
        Any other refusal of the operating system.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(
                f"no room to write {path} ({os.strerror(error.errno)}); nothing of it was kept and "
                f"earlier files are whole: free some space and continue"
            ) from error
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def write_whole(path: Path, write: Callable[[IO[bytes]], object], *, replace: bool) -> None:
    """Write a file that is whole or absent, durable when this returns.

    Parameters
    ----------
    path : Path
        Final name; missing parent folders are made.
    write : callable
        Gets the open binary file.
    replace : bool
        False refuses an existing file, even one that appears while this one is being written.

    Raises
    ------
    RunExists
        The file exists and `replace` is False.
    DiskFull, RunError
        As :func:`explained` says.
    """
    if not replace and path.exists():
        raise RunExists(f"{path} exists and is never overwritten; choose another name")
    with explained(path):
        make_folders(path.parent)
        temporary = unused_name(path)
        try:
            with temporary.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                _name_new(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)


def make_folders(folder: Path) -> None:
    """Make a folder and its parents, durably."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_directory(folder.parent)


def _name_new(temporary: Path, path: Path) -> None:
    # A hard link refuses an existing name in one step; rename would overwrite it.
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise RunExists(f"{path} exists and is never overwritten; choose another name") from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            raise RunExists(f"{path} exists and is never overwritten; choose another name") from None
        temporary.rename(path)
