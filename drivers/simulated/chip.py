"""The simulated chip: cells with pulse-level physics (device-physics §2-§5) behind pulses and reads.

Everything a cell does depends on the chip's seed and on that cell's own history: never on the order, size
or number of the calls, nor on threads. Times are nanoseconds of the chip's own clock, which begins when it
is made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.chip_at_rest import ChipAtRest, Mode, card_for
from drivers.simulated.conditions import Conditions, Window
from drivers.simulated.device_kernel import device_constants, make_devices
from drivers.simulated.layout import CellArrays, blocks_for
from drivers.simulated.peculiarities import References, fit_resistors
from drivers.simulated.place_kernel import place_range
from drivers.simulated.pulse_kernel import pulse_range
from drivers.simulated.random_numbers import LANES
from drivers.simulated.read_kernel import read_range
from drivers.simulated.switch_kernel import switch_range

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["Mode", "SimulatedChip", "card_for"]

_WORTH_A_THREAD = 16 * LANES
_WIDTH_ROUNDING = 1.0 - 1e-9
_NOTHING = np.empty(0, np.float32)
_NO_FLAGS = np.empty(0, np.uint8)


class SimulatedChip(ChipAtRest):
    """A chip that can be pulsed, placed, read and observed; new ones are made by :meth:`create`.

    Parameters, attributes and errors are those of :class:`~drivers.simulated.chip_at_rest.ChipAtRest`.
    """

    @classmethod
    def create(
        cls,
        card: DeviceCard,
        *,
        banks: int,
        rows: int,
        cols: int,
        seed: int,
        threads: int | None = None,
        mode: Mode = "physics",
        references: References | None = None,
        strict: bool = False,
    ) -> SimulatedChip:
        """Make a new chip: virgin cells, crystalline but for the stuck ones.

        Parameters
        ----------
        card : DeviceCard
            With all laws of the mode.
        banks, rows, cols, seed, threads, mode, references, strict
            As of the class; the seed has 64 bits.
        """
        states = len(card_for(card, mode).read_noise.time_constants_s())
        arrays = CellArrays.empty(banks * rows * cols, states)
        chip = cls(
            card, arrays, banks=banks, rows=rows, cols=cols, seed=seed, threads=threads, mode=mode,
            references=references, strict=strict,
        )  # fmt: skip
        constants = device_constants(chip.card)

        def make(first: int, last: int) -> None:
            make_devices(
                first, last, cols, arrays.state, arrays.device, arrays.time, arrays.mark, chip._model, constants,
                chip._key,
            )  # fmt: skip

        chip._crew.share(make, blocks_for(chip.cells), 16, grain=1)
        fit_resistors(arrays, chip.references, banks, rows, cols, chip._key)
        return chip

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

        Raises
        ------
        ValueError
            The chip is one of the target level, which knows no pulses.
        """
        if self.mode != "physics":
            raise ValueError("a chip of the target level knows no pulses; place its cells")
        curve, arrays, m = self.card.programming_curve, self.arrays, self._model
        width_s = top_s + 0.5 * (rise_s + fall_s)
        set_rate = np.float32(curve.set_rate(width_s))
        edge = np.float32(curve.recrystallised_share(fall_s))
        wide = width_s >= curve.min_width_s * _WIDTH_ROUNDING
        self._excursions.pulsed(len(cells), self.temperature_k)
        conditions = self._terms.at(_latest(end_ns))
        states = arrays.noise.shape[1]

        def give(lo: int, hi: int) -> None:
            pulse_range(
                lo, hi, cells, amplitude_a, end_ns, arrays.state, arrays.device, arrays.time, arrays.count,
                arrays.mark, m, self._key, set_rate, edge, wide, count, states, conditions,
            )  # fmt: skip

        self._crew.share(give, len(cells), _WORTH_A_THREAD)

    def place(
        self, cells: NDArray[np.uint32], targets_s: NDArray[np.float32], end_ns: NDArray[np.int64]
    ) -> None:
        """Set cells to targets, as far as the card's law of programming errors lets them come.

        Parameters
        ----------
        cells : ndarray of uint32, shape (n,)
            No cell twice.
        targets_s : ndarray of float32, shape (n,)
            Conductance at t0, siemens; 0 is one RESET, NaN leaves the cell alone.
        end_ns : ndarray of int64, shape (n,)
            Programming event of each cell, from where it drifts.

        Raises
        ------
        ValueError
            The chip is one of pulses: the two modes exclude each other (device-physics §1.5).
        """
        if self.mode != "target-shortcut":
            raise ValueError("a chip of pulses cannot be placed at targets; programme it")
        arrays, m = self.arrays, self._model

        def put(lo: int, hi: int) -> None:
            place_range(
                lo, hi, cells, targets_s, end_ns, arrays.state, arrays.device, arrays.time, arrays.count,
                arrays.mark, m, self._key,
            )  # fmt: skip

        self._crew.share(put, len(cells), _WORTH_A_THREAD)

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
        """Read cells through lines, column and converter.

        Parameters
        ----------
        cells : ndarray of uint32, shape (n,)
            No cell twice.
        at_ns : ndarray of int64, shape (n,)
            Middle of each reading.
        voltage_v : float
            Across the cells; negative reads the other polarity.
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
        n, terms = len(cells), self._terms
        current, flags = np.empty(n, np.float32), np.empty(n, np.uint8)
        conditions = terms.at(
            _latest(at_ns),
            voltage_v=voltage_v,
            offset_a=offset_a,
            samples=samples,
            spacing_s=spacing_s,
            ranges=np.array(ranges_a, np.float32),
            converter=terms.converter(adc_bits, adc_zero, samples),
        )
        window = terms.window(aperture_s, spacing_s, samples)
        self._switch(cells, at_ns, abs(voltage_v))
        self._look(cells, at_ns, current, _NOTHING, flags, conditions, window)
        return current, flags

    def observe(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        *,
        voltage_v: float,
        samples: int,
        aperture_s: float,
        spacing_s: float,
        held_from_s: float,
        stress_v: float | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Look at conductances without lines, columns and converter; it counts as one read of each cell.

        Parameters
        ----------
        cells, at_ns, voltage_v, samples, aperture_s, spacing_s
            As of :meth:`read`.
        held_from_s : float
            Noise states slower than this are taken as they are; of the faster ones only the spread is told.
        stress_v : float, optional
            Voltage that cells have to bear meanwhile, where it is another one: it may switch or disturb them.

        Returns
        -------
        held_s : ndarray of float32, shape (n,)
            Current over voltage with drift, heat, crystallisation, telegraph noise and the slow states,
            siemens.
        fast_s : ndarray of float32, shape (n,)
            Standard deviation of what the faster states add to the mean of one window, siemens.
        """
        n, noise = len(cells), self.card.read_noise
        boundary = int(np.searchsorted(noise.time_constants_s(), held_from_s))
        left = noise.averaging_factor(aperture_s, spacing_s, samples) * noise.state_variances()
        borne_v = voltage_v if stress_v is None else stress_v
        conditions = self._terms.at(
            _latest(at_ns),
            voltage_v=voltage_v,
            stress_v=borne_v,
            samples=samples,
            spacing_s=spacing_s,
            held=boundary,
            fast=math.sqrt(float(left[:boundary].sum())),
        )
        window = self._terms.window(aperture_s, spacing_s, samples)
        held, fast = np.empty(n, np.float32), np.empty(n, np.float32)
        self._switch(cells, at_ns, abs(borne_v))
        self._look(cells, at_ns, held, fast, _NO_FLAGS, conditions, window)
        return held, fast

    # ---- inside ---------------------------------------------------------------------------------------
    def _switch(self, cells: NDArray[np.uint32], at_ns: NDArray[np.int64], voltage_v: float) -> None:
        """Switch what a voltage switches before it is looked at."""
        if self._terms.may_switch(voltage_v):
            a = self.arrays
            switch_range(0, len(cells), cells, at_ns, np.float32(voltage_v), a.state, a.device, a.time,
                         a.count, a.mark, self._model, self._key)  # fmt: skip

    def _look(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        out: NDArray[np.float32],
        spread: NDArray[np.float32],
        flags: NDArray[np.uint8],
        conditions: Conditions,
        window: Window,
    ) -> None:
        a = self.arrays
        extremes = []

        def look(lo: int, hi: int) -> None:
            seen = np.array([np.inf, -np.inf, np.inf, -np.inf], np.float32)
            extremes.append(seen)
            read_range(
                lo, hi, cells, at_ns, out, spread, flags, seen, a.state, a.device, a.noise, a.time, a.count,
                a.mark, self._model, self._key, conditions, window, self._place,
            )  # fmt: skip

        self._crew.share(look, len(cells), _WORTH_A_THREAD)
        self._terms.dosed = self._terms.dosed or bool(conditions.disturb > 0.0)
        self._excursions.read(cells, at_ns, self.temperature_k, extremes)


def _latest(times_ns: NDArray[np.int64]) -> int:
    return int(times_ns.max()) if len(times_ns) else 0
