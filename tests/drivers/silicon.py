"""A simulated chip and what tests do to it: chips of any card, pulses on all cells, noiseless converters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip

SECOND_NS = 1_000_000_000
REFERENCE_NS = 38_600_000_000
"""Age at which the conductance of the pulse laws is defined (device-physics §1.2)."""
US = 1e-6
IBM90 = DeviceCard.load("ibm90")
CELLS = IBM90.without(
    "telegraph_noise", "current_voltage", "spatial_correlation", "lines", "columns", "read_disturb"
)
"""The cells of the preset alone: no array around them, no noise but 1/f."""
FINE = {"ranges_a": [1e-4], "adc_bits": 24, "adc_zero": 1 << 22}
"""A converter without visible steps."""
EIGHT_BITS = {"ranges_a": [1e-5], "adc_bits": 8, "adc_zero": 8}


def card_with(**changes: Any) -> DeviceCard:
    """The cells alone with some parameters changed, ``law__parameter=value``."""
    names = {f"laws.{name.replace('__', '.parameters.')}": value for name, value in changes.items()}
    return CELLS.with_values(names, source="test")


NOISELESS_CONVERTER = card_with(read_chain__noise_fraction_of_range=0.0)


class Silicon:
    """All cells of a chip pulsed and read together, stuck ones left out of what is returned."""

    def __init__(self, cells: int, card: DeviceCard = CELLS, seed: int = 11, threads: int = 1) -> None:
        self.chip = SimulatedChip.create(card, banks=1, rows=1, cols=cells, seed=seed, threads=threads)
        self.cells = np.arange(cells, dtype=np.uint32)
        self.works = self.chip.arrays.mark[:, 2, :].reshape(-1)[:cells] == 0
        self.now_ns = SECOND_NS

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)

    def pulse(
        self,
        amplitude_a: float | NDArray[np.float32],
        width_s: float = 50e-9,
        fall_s: float = 5e-9,
        count: int = 1,
    ) -> None:
        amplitude = np.broadcast_to(np.float32(amplitude_a), self.cells.shape).astype(np.float32)
        end_ns = np.full(self.cells.size, self.now_ns, np.int64)
        top_s = width_s - 0.5 * (5e-9 + fall_s)
        self.chip.pulse(self.cells, amplitude, end_ns, rise_s=5e-9, top_s=top_s, fall_s=fall_s, count=count)

    def read(
        self,
        *,
        samples: int = 1,
        aperture_s: float = 1e-6,
        voltage_v: float = 0.2,
        at_ns: Any = None,
        **converter: Any,
    ) -> NDArray[np.float64]:
        """Conductance of all cells now, siemens."""
        moments = np.broadcast_to(np.int64(self.now_ns) if at_ns is None else at_ns, self.cells.shape)
        current, _ = self.chip.read(
            self.cells,
            np.ascontiguousarray(moments, np.int64),
            voltage_v=voltage_v,
            samples=samples,
            aperture_s=aperture_s,
            spacing_s=aperture_s + 1e-6,
            **{**FINE, **converter},
        )
        return current.astype(np.float64)[self.works] / voltage_v

    def truth(self, age_ns: int = REFERENCE_NS) -> NDArray[np.float64]:
        """Noise-free conductance at an age after `now`, siemens."""
        return self.chip.truth(self.cells, self.now_ns + age_ns).astype(np.float64)[self.works]

    def melt_to(self, g_s: float) -> None:
        """One melting pulse that leaves the mean device at a conductance."""
        self.pulse(float(self.chip.card.programming_curve.current_for_a(g_s)))
