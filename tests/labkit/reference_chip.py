"""A chip with reference resistors, hidden errors of its columns and a converter with steps, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from toy_chip import LIMITS, ToyChip, ToyError, write_bench

from drivers.bench import load_bench
from drivers.chip import Geometry, Identity, ReadFlag, Reading, ReadSetup
from labkit.station import Station

ROWS = {6: 5e-6, 7: 20e-6}
TOLERANCE = 0.005
CELL_S = 10e-6


class ReferenceChip(ToyChip):
    """Memory cells lie at 10 uS; `noise` is that of one conversion, as a share of the range."""

    def __init__(
        self,
        rows: int = 8,
        cols: int = 64,
        *,
        banks: int = 1,
        references: dict[int, float] | None = None,
        noise: float = 0.003,
        seed: int = 1,
    ) -> None:
        super().__init__(rows, cols)
        self._geometry = Geometry(banks, rows, cols)
        self.counted = np.zeros(banks * rows * cols, np.uint32)
        self.rng = np.random.default_rng(seed)
        self.gain = 1.0 + 0.01 * self.rng.standard_normal(cols)
        self.offset_a = 10e-9 * self.rng.standard_normal(cols)
        self.noise = noise
        self.true_s = np.full((banks, rows, cols), CELL_S)
        for row, value_s in (ROWS if references is None else references).items():
            error = 0.5 * TOLERANCE * self.rng.standard_normal((banks, cols))
            self.true_s[:, row, :] = value_s * (1.0 + error)
        self.flags_of: dict[int, ReadFlag] = {}
        self.noisy: set[int] = set()
        self.serial = "0001"
        self.kelvin: float | None = 300.0

    def identify(self) -> Identity:
        return Identity("PCMLAB", "TOY", self.serial, "1.0.0", simulated=False)

    def temperature_k(self) -> float | None:
        return self.kelvin

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        if not self.connected:
            raise ToyError("outputs are off")
        self._do("read", cells.tolist())
        range_a = setup.range_a or 1e-5
        column = cells % self._geometry.cols
        ideal_a = setup.voltage_v * self.true_s.reshape(-1)[cells]
        current_a = self.gain[column] * ideal_a + self.offset_a[column]
        step_a = range_a / 2**LIMITS.adc_bits
        noise = np.where(np.isin(column, list(self.noisy)), 10.0, 1.0) * self.noise * range_a
        draw_a = noise * self.rng.standard_normal((setup.samples, cells.size))
        read_a = step_a * np.round((current_a + draw_a) / step_a).mean(axis=0)
        flags = np.array([self.flags_of.get(int(cell), ReadFlag.OK) for cell in cells], np.uint8)
        read_a[(flags & np.uint8(~ReadFlag.CLIPPED_LOW & 0xFF)) > 0] = np.nan
        g_s = (read_a / setup.voltage_v).astype(np.float32)
        return Reading(g_s, flags, None, 1, self.clock_ns(), 0)


def reference_station(
    folder: Path,
    chip: ReferenceChip,
    *,
    extra: str = "",
    references: str | None = "",
    calibrated: bool = False,
) -> Station:
    """A station around such a chip; its readings are raw unless asked for otherwise."""
    path = write_bench(folder, extra=extra)
    if references is not None:
        given = references or "{rows: {6: 5 uS, 7: 20 uS}, tolerance: 0.5 %}"
        path.write_text(f"{path.read_text()}references: {given}\n")
    return Station(load_bench(path), opener=lambda *_: chip, calibrated=calibrated)


KEPT = "    read_calibration: reads.json\n"

__all__: list[Any] = ["CELL_S", "KEPT", "ROWS", "TOLERANCE", "ReferenceChip", "reference_station"]
