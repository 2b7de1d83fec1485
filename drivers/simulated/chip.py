"""The simulated chip: cells with pulse-level physics (device-physics §2-§4) behind pulses and reads.

Everything a cell does depends on the chip's seed and on that cell's own history: never on the order, size
or number of the calls, nor on threads. Times are nanoseconds of the chip's own clock, which begins when it
is made.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated import layout
from drivers.simulated.cell_model import compile_card, thermal_line
from drivers.simulated.device_kernel import device_constants, make_devices
from drivers.simulated.layout import CellArrays, blocks_for
from drivers.simulated.pulse_kernel import pulse_range
from drivers.simulated.random_numbers import LANES
from drivers.simulated.read_kernel import LONGEST_SAMPLING, read_range, truth_range

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["SimulatedChip"]

_WORTH_A_THREAD = 16 * LANES
_WIDTH_ROUNDING = 1.0 - 1e-9
_STUCK = {"SET": layout.STUCK_SET, "RES": layout.STUCK_RESET, "OPEN": layout.STUCK_OPEN}


class SimulatedChip:
    """A chip of ``banks x rows x cols`` cells around their memory; new ones are made by :meth:`create`.

    Raises
    ------
    ValueError
        The memory is not that of so many cells and noise states.

    Attributes
    ----------
    card : DeviceCard
        The device.
    banks, rows, cols, cells : int
        Geometry and number of cells.
    seed : int
        Makes this very chip and all its noise.
    arrays : CellArrays
        All its memory.
    drive_resistance_ohm : float
        Turns a voltage amplitude into a current.
    """

    def __init__(
        self,
        card: DeviceCard,
        arrays: CellArrays,
        *,
        banks: int,
        rows: int,
        cols: int,
        seed: int,
        threads: int | None = None,
    ) -> None:
        self.card = card
        self.banks, self.rows, self.cols = banks, rows, cols
        self.cells = banks * rows * cols
        self.seed = seed
        arrays.check(self.cells, len(card.read_noise.time_constants_s()))
        self.arrays = arrays
        self.drive_resistance_ohm = card.programming_curve.drive_resistance_ohm
        self._model = compile_card(card)
        self._key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
        self._threads = threads or min(os.cpu_count() or 1, 16)
        self._workers: ThreadPoolExecutor | None = None
        self._windows: dict[tuple[float, float, int], tuple[NDArray[np.float32], ...]] = {}
        self.temperature_k = card.temperature.reference_k

    @classmethod
    def create(
        cls, card: DeviceCard, *, banks: int, rows: int, cols: int, seed: int, threads: int | None = None
    ) -> SimulatedChip:
        """Make a new chip: virgin cells, crystalline but for the stuck ones.

        Parameters
        ----------
        card : DeviceCard
            With all laws of the physics mode.
        banks, rows, cols : int
        seed : int
            64 bits.
        threads : int, optional
            Threads that compute its cells, by default one per core.
        """
        arrays = CellArrays.empty(banks * rows * cols, len(card.read_noise.time_constants_s()))
        chip = cls(card, arrays, banks=banks, rows=rows, cols=cols, seed=seed, threads=threads)
        constants = device_constants(card)

        def make(first: int, last: int) -> None:
            make_devices(
                first, last, arrays.state, arrays.device, arrays.time, arrays.mark, chip._model, constants,
                chip._key,
            )  # fmt: skip

        chip._share(make, blocks_for(chip.cells), 16)
        return chip

    # ---- temperature ----------------------------------------------------------------------------------
    @property
    def temperature_k(self) -> float:
        """Temperature of all cells, kelvin."""
        return self._temperature_k

    @temperature_k.setter
    def temperature_k(self, kelvin: float) -> None:
        self._temperature_k = kelvin
        self._thermal = thermal_line(self.card, kelvin)

    # ---- what a controller does to it -----------------------------------------------------------------
    def pulse(
        self,
        cells: NDArray[np.uint32],
        amplitude_a: NDArray[np.float32],
        end_ns: NDArray[np.int64],
        *,
        rise_s: float,
        top_s: float,
        fall_s: float,
        count: int = 1,
    ) -> None:
        """Give `count` pulses to each cell.

        Parameters
        ----------
        cells : ndarray of uint32, shape (n,)
            No cell twice.
        amplitude_a : ndarray of float32, shape (n,)
            Plateau, ampere; entries that are not above 0 are left alone.
        end_ns : ndarray of int64, shape (n,)
            End of each cell's last pulse, from where it drifts.
        rise_s, top_s, fall_s : float
            The trapezoid; its width at half height counts (device-physics §3.4).
        """
        curve, arrays, m = self.card.programming_curve, self.arrays, self._model
        width_s = top_s + 0.5 * (rise_s + fall_s)
        set_rate = np.float32(curve.set_rate(width_s))
        crystallised = np.float32(curve.recrystallised_share(fall_s))
        wide = width_s >= curve.min_width_s * _WIDTH_ROUNDING

        def give(lo: int, hi: int) -> None:
            pulse_range(
                lo, hi, cells, amplitude_a, end_ns, arrays.state, arrays.device, arrays.noise, arrays.time,
                arrays.count, arrays.mark, m, self._key, set_rate, crystallised, wide, count,
            )  # fmt: skip

        self._share(give, len(cells), _WORTH_A_THREAD)

    def read(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        *,
        voltage_v: float,
        samples: int,
        aperture_s: float,
        spacing_s: float,
        ranges_a: Sequence[float],
        adc_bits: int,
        adc_zero: int,
        offset_a: float = 0.0,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Read cells through the converter.

        Parameters
        ----------
        cells : ndarray of uint32, shape (n,)
            No cell twice.
        at_ns : ndarray of int64, shape (n,)
            Middle of each reading.
        voltage_v : float
            Across the cells.
        samples, aperture_s, spacing_s
            Conversions averaged, the width of one, and from one to the next.
        ranges_a : sequence of float
            Ranges to choose from per cell, ascending; one makes it fixed.
        adc_bits, adc_zero : int
            Converter.
        offset_a : float
            Added to every current.

        Returns
        -------
        current_a : ndarray of float32, shape (n,)
            NaN where any sample clipped high.
        flags : ndarray of uint8, shape (n,)
            1 clipped high, 2 clipped low.
        """
        n, arrays = len(cells), self.arrays
        current, flags = np.empty(n, np.float32), np.empty(n, np.uint8)
        low, window, high = self._window(aperture_s, spacing_s, samples)
        ranges = np.array(ranges_a, np.float32)
        converter = self._converter(adc_bits, adc_zero, samples)
        spread = np.float32(self.card.temperature.spread)
        voltage, offset = np.float32(voltage_v), np.float32(offset_a)

        def convert(lo: int, hi: int) -> None:
            read_range(
                lo, hi, cells, at_ns, current, flags, arrays.state, arrays.noise, arrays.time, arrays.count,
                arrays.mark, self._model, self._key, voltage, offset, samples, ranges, converter, low, window,
                high, self._thermal, spread,
            )  # fmt: skip

        self._share(convert, n, _WORTH_A_THREAD)
        return current, flags

    def stick(self, cell: int, kind: str) -> None:
        """Break a cell: ``SET`` low-resistance, ``RES`` high-resistance, ``OPEN`` no current at all."""
        block, lane = divmod(cell, LANES)
        curve = self.card.programming_curve
        g_s = {
            "SET": float(self.arrays.device[block, layout.FULL, lane]),
            "RES": curve.reset_median_s,
            "OPEN": 0.0,
        }
        state = self.arrays.state[block, :, lane]
        g = g_s[kind] / self.card.g_max_s
        state[layout.CONDUCTANCE] = g_s[kind]
        state[layout.DIVISOR] = 1.0
        state[layout.EXPONENT] = float(self.card.drift.mean_exponent(g))
        state[layout.STRENGTH] = float(self.card.read_noise.strength(g))
        self.arrays.mark[block, layout.STUCK, lane] = _STUCK[kind]

    # ---- what only a simulation can tell --------------------------------------------------------------
    def truth(self, cells: NDArray[np.uint32], now_ns: int) -> NDArray[np.float32]:
        """Return noise-free conductances at the reference temperature, siemens, shape (n,)."""
        out = np.empty(len(cells), np.float32)
        arrays = self.arrays
        truth_range(0, len(cells), cells, now_ns, out, arrays.state, arrays.time, arrays.mark, self._model)
        return out

    def pulses(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the pulses physically given to each cell, shape (n,)."""
        given: NDArray[np.uint32] = self.arrays.count[cells >> 8, layout.PULSES, cells & 255]
        return given

    # ---- inside ---------------------------------------------------------------------------------------
    def _window(self, aperture_s: float, spacing_s: float, samples: int) -> tuple[NDArray[np.float32], ...]:
        """Amplitude left by averaging: of the sum of states below b, of each state, of the sum from b on."""
        key = (aperture_s, spacing_s, samples)
        if key not in self._windows:
            noise = self.card.read_noise
            variance = noise.state_variances()
            left = noise.averaging_factor(aperture_s, spacing_s, samples)
            low = _share_of(np.concatenate([[0.0], np.cumsum(variance * left)]), self._model.low_weight)
            high = _share_of(
                np.concatenate([np.cumsum((variance * left)[::-1])[::-1], [0.0]]), self._model.high_weight
            )
            self._windows = {**self._windows, key: (low, np.sqrt(left).astype(np.float32), high)}
        return self._windows[key]

    def _converter(self, bits: int, zero: int, samples: int) -> NDArray[np.float32]:
        """Return noise over range, codes, code of zero, spread of the mean and extreme sample (codes)."""
        noise = self.card.read_chain.noise_fraction_of_range
        codes = 2.0**bits
        spread = math.sqrt(((noise * codes) ** 2 + 1.0 / 12.0) / samples)  # rounding adds LSB^2 / 12
        extreme = noise * codes * math.sqrt(2.0 * math.log(samples)) if samples > LONGEST_SAMPLING else 0.0
        return np.array([noise, codes, zero, spread, extreme], np.float32)

    def _share(self, work: Callable[[int, int], Any], total: int, least: int) -> None:
        """Run ``work(lo, hi)`` over all of 0 .. total in ranges of whole blocks, one per thread."""
        parts = min(self._threads, -(-total // least))
        if parts <= 1:
            work(0, total)
            return
        if self._workers is None:
            self._workers = ThreadPoolExecutor(self._threads, thread_name_prefix="pcm-cells")
        size = -(-total // (parts * LANES)) * LANES if least >= LANES else -(-total // parts)
        jobs = [self._workers.submit(work, lo, min(lo + size, total)) for lo in range(0, total, size)]
        for job in jobs:
            job.result()


def _share_of(variance: NDArray[np.float64], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    whole = weight.astype(np.float64) ** 2
    share = np.divide(variance, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.sqrt(share).astype(np.float32)
