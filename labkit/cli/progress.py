"""Progress on stderr while a command works: bars on a terminal, now and then a line everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from labkit.cli.progress_views import Bars, Lines, View
from labkit.progress import Progress

__all__ = ["progress", "working"]


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress on stderr while the block lasts."""
    from labkit.cli.output import remark, stderr

    view: View = Bars(stderr()) if _on_terminal() else Lines(remark)
    try:
        yield view
    except BaseException:
        view.drop()
        raise
    view.finish()


@contextmanager
def working(title: str) -> Iterator[None]:
    """Show on a terminal that something of unknown length is under way."""
    from labkit.cli.output import stderr

    if not _on_terminal():
        yield
        return
    status = stderr().status(f"{title} ...", spinner_style="cyan")
    with suppress(OSError):
        status.start()
    try:
        yield
    finally:
        with suppress(OSError):
            status.stop()


def _on_terminal() -> bool:
    from labkit.cli.output import stderr

    return sys.stderr.isatty() and not stderr().is_dumb_terminal
