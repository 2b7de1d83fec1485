"""A whole program-and-verify loop, 20 passes over every cell, in process and over the raw socket."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_file import served, write_bench

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip
from labkit import GuardedChip, open_station
from labkit.programming import ProgramSettings, program_cells

PASSES = 20
SETTINGS = ProgramSettings(margin_s=1e-15, passes_max=PASSES)
"""Nothing is ever accepted, so that every pass pulses and reads every cell."""


class Watch:
    """Seconds spent inside some methods, outermost calls only."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def cover(self, owner: type, *names: str) -> None:
        for name in names:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            if self._inside:
                return function(*args, **options)
            self._inside, start = True, time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self._inside, self.seconds = False, self.seconds + time.perf_counter() - start

        return timed


SILICON, BELOW = Watch(), Watch()
SILICON.cover(SimulatedChip, "pulse", "read")
BELOW.cover(GuardedChip, "program", "wait", "last_batch", "batch_flags", "pulse_times_ns", "read", "clock_ns")


def program(bench: Path) -> dict[str, float]:
    """Seconds of one loop and of its parts, and messages per pass."""
    with open_station(bench) as station:
        chip, card = station.chip, DeviceCard.load("ibm90")
        cells = np.arange(chip.geometry().cells, dtype=np.uint32)
        target_s = np.linspace(1e-6, 25e-6, cells.size, dtype=np.float32)
        station.energise()
        SILICON.seconds = BELOW.seconds = 0.0
        start = time.perf_counter()
        result = program_cells(chip, station.clock, cells, target_s, card, SETTINGS)
        whole = time.perf_counter() - start
        messages = [entry.messages for entry in result.passes[1:]]
    return {
        "whole": whole,
        "silicon": SILICON.seconds,
        "protocol": BELOW.seconds - SILICON.seconds,
        "messages": statistics.median(messages),
    }


def main(repeat: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = program(write_bench(folder, 64, 64))
        bench = write_bench(folder, 1024, 1024)
        inside = [program(bench) for _ in range(repeat)]
        with served(folder, 1024, 1024) as (remote, _):
            outside = [program(remote) for _ in range(repeat)]
    whole = statistics.median(turn["whole"] for turn in inside)
    print(
        json.dumps(
            {
                "in_process_s": whole,
                "protocol_share": statistics.median(turn["protocol"] / turn["whole"] for turn in inside),
                "silicon_share": statistics.median(turn["silicon"] / turn["whole"] for turn in inside),
                "socket_ratio": statistics.median(turn["whole"] for turn in outside) / whole,
                "messages_per_pass": inside[0]["messages"],
                "messages_spread": abs(inside[0]["messages"] - few["messages"]),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
