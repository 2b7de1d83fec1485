"""Threads that share the cells of a call among them; kernels let go of the interpreter while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from drivers.simulated.random_numbers import LANES

__all__ = ["Crew"]

_MOST = 16


class Crew:
    """So many threads; they are started when the first call is worth it.

    Parameters
    ----------
    threads : int, optional
        One per core by default.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or min(os.cpu_count() or 1, _MOST)
        self._workers: ThreadPoolExecutor | None = None

    def share(self, work: Callable[[int, int], Any], total: int, least: int, *, grain: int = LANES) -> None:
        """Run ``work(lo, hi)`` over all of 0 .. total, in one range per thread.

        Parameters
        ----------
        work : callable
            Of a range; ranges must not disturb each other.
        total : int
            Entries.
        least : int
            Entries that are worth a thread.
        grain : int
            Ranges begin at multiples of it.
        """
        parts = min(self.threads, -(-total // least))
        if parts <= 1:
            work(0, total)
            return
        if self._workers is None:
            self._workers = ThreadPoolExecutor(self.threads, thread_name_prefix="pcm-cells")
        size = -(-total // (parts * grain)) * grain
        jobs = [self._workers.submit(work, lo, min(lo + size, total)) for lo in range(0, total, size)]
        for job in jobs:
            job.result()
