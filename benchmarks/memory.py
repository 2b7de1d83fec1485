"""Memory of a board with its chip: a large one less a small one, both after a pulse and a read."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench_file import served

from drivers.chip import Batch, Pulse, ReadSetup
from labkit import open_station

PULSE = Pulse(rise_s=5e-9, top_s=45e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)


def resident_bytes(folder: Path, rows: int, cols: int) -> int:
    """Resident memory of the server after every cell was pulsed and read."""
    with served(folder, rows, cols) as (bench, process), open_station(bench) as station:
        chip = station.chip
        station.energise()
        cells = np.arange(chip.geometry().cells, dtype=np.uint32)
        chip.program(Batch(chip.next_batch_id(), cells, PULSE, np.full(cells.size, 3e-4, np.float32)))
        chip.wait(60.0)
        chip.read(cells, ReadSetup(range_a=1e-5))
        status = Path(f"/proc/{process}/status").read_text()
    kib = next(row.split()[1] for row in status.splitlines() if row.startswith("VmRSS"))
    return int(kib) * 1024


def main(repeat: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = [
            (resident_bytes(folder, 1024, 1024) - resident_bytes(folder, 16, 16)) / (1024 * 1024 - 256)
            for _ in range(min(repeat, 3))
        ]
    print(json.dumps({"bytes_per_cell": statistics.median(found)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
