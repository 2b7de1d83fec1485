"""Progress of work that takes a while, for whoever shows it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """What long work tells of itself; pieces of work follow each other and are never nested."""

    def start(self, title: str, total: int) -> None:
        """Begin a piece of work of `total` steps; an earlier one that was not finished has ended."""

    def advance(self, done: int, note: str = "") -> None:
        """Tell how many steps are done in all, and in a few words how it goes."""

    def finish(self) -> None:
        """Tell that the piece of work is done; not called where it failed."""


class _Silent:
    def start(self, title: str, total: int) -> None:
        pass

    def advance(self, done: int, note: str = "") -> None:
        pass

    def finish(self) -> None:
        pass


SILENT: Progress = _Silent()
"""Shows nothing."""
