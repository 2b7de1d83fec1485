"""The cells of one chip on the bench: where they are connected, and what the circuit needs to know of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.bench_instruments import DiscreteChip
from drivers.simulated import layout
from drivers.simulated.chip_of_bench import chip_of_bench
from drivers.simulated.random_numbers import LANES

__all__ = ["Cells"]

_SHORTEST_S = 1e-9
_LEAST_DOSE = 1e-6
"""A stress between looks that takes less than this share of a lifetime is not booked."""
_MOST_DOSE = 1e30
"""A stress is held below what the numbers of the chip can hold; whatever crystallises has done so long before."""


class Cells:
    """A simulated chip whose contacts are nodes of the bench.

    Parameters
    ----------
    name : str
        In the bench file.
    entry : DiscreteChip
        Its section; `entry.simulated` describes the chip.
    path : Path
        The bench file.
    references
        Its section of resistors.

    Raises
    ------
    ValueError
        The chip is one of the target level, which knows no pulses.
    StateFileError
        As of :func:`~drivers.simulated.state_file.open_chip`.
    """

    def __init__(self, name: str, entry: DiscreteChip, path: Path, references: Any) -> None:
        assert entry.simulated is not None  # noqa: S101 - only simulated chips come here
        if entry.simulated.mode != "physics":
            raise ValueError(
                f"{name}: cells on a probe card are programmed by pulses; give their simulated section mode: physics"
            )
        self.name = name
        self.rows, self.cols = entry.rows, entry.cols
        self.has_transistors = entry.access == "transistor"
        self.state, _ = chip_of_bench(entry.simulated, path, references)
        self.chip = self.state.chip
        self.card = self.chip.card
        self._offset_ns = int(self.state.board.get("absolute_ns", 0))
        self._born_unix_ns = int(self.state.board.get("born_unix_ns", entry.simulated.born_unix_ns))
        self._curve = self.card.current_voltage if self.card.has("current_voltage") else None
        self._reference_v = (
            self._curve.reference_v if self._curve is not None else self.card.read_chain.read_voltage_v
        )
        self._disturb = self.card.read_disturb if self.card.has("read_disturb") else None
        damage = self.card.damage if self.card.has("damage") else None
        self.risky_a = np.inf if damage is None else damage.current_mean_a - 6.0 * damage.current_spread_a
        curve = self.card.programming_curve
        self.dead_zone_a = float(curve.dead_zone_a)
        self.chip.set_temperature(entry.simulated.temperature_k, self._offset_ns)

    # ---- what the circuit asks ------------------------------------------------------------------------------
    def terms(
        self, cells: NDArray[np.uint32], now_ns: int, noisy_s: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the odd powers of the current below threshold, ``I = sum_k terms_k V^(2k+1)``, shape (n, k).

        Parameters
        ----------
        cells : ndarray of uint32
        now_ns : int
            Time of the bench.
        noisy_s : ndarray of float64, optional
            Conductances that were observed; those of the mean device without noise otherwise.
        """
        if noisy_s is None:
            g_s = self.truth_s(cells, now_ns)
            law = self.card.temperature
            heat = law.factor(g_s / self.card.g_max_s, self.chip.temperature_k)
            g_s = np.where(self._is_resistor(cells), g_s, g_s * heat)
        else:
            g_s = noisy_s
        if self._curve is None:
            return g_s[:, np.newaxis]
        share = np.where(self._is_resistor(cells), 1.0, g_s / self.card.g_max_s)
        terms: NDArray[np.float64] = (self._curve.odd_terms(share) * g_s).T
        return np.ascontiguousarray(terms)

    def threshold_v(self, cells: NDArray[np.uint32], now_ns: int) -> NDArray[np.float64]:
        """Return the threshold voltages, V; 0 where the path is on from the holding voltage on, infinite for never."""
        return self.chip.threshold_v(cells, self._at(now_ns)).astype(np.float64)

    # ---- what happens to them -------------------------------------------------------------------------------
    def observe(
        self,
        cells: NDArray[np.uint32],
        now_ns: int,
        *,
        aperture_s: float,
        sign: float,
        stress_v: float,
    ) -> NDArray[np.float64]:
        """Look at conductances for an aperture that begins now, S: one read of each cell, at the reference voltage.

        `stress_v` is what they bear meanwhile; it may switch or disturb them.
        """
        aperture_s = max(aperture_s, _SHORTEST_S)
        if self._disturb is not None:
            law = self._disturb
            most = law.reference_v + law.voltage_step_v * math.log(_MOST_DOSE * law.lifetime_s / aperture_s)
            stress_v = min(stress_v, most)
        middle = self._at(now_ns + round(0.5e9 * aperture_s))
        held, _ = self.chip.observe(
            cells,
            np.full(len(cells), middle, np.int64),
            voltage_v=sign * self._reference_v,
            samples=1,
            aperture_s=aperture_s,
            spacing_s=aperture_s,
            held_from_s=0.0,
            stress_v=stress_v,
        )
        return held.astype(np.float64)

    def stress(self, cell: int, now_ns: int, voltage_v: float, seconds: float) -> None:
        """Let a cell have borne a voltage for a time that ends now."""
        if self._disturb is None or self._disturb.dose(voltage_v, seconds) < _LEAST_DOSE:
            return
        seconds = float(f"{seconds:.1e}")  # the chip keeps a window for each duration
        begin = max(now_ns - round(1e9 * seconds), 0)
        self.observe(np.array([cell], np.uint32), begin, aperture_s=seconds, sign=1.0, stress_v=voltage_v)

    def dose_rate(self, voltage_v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what voltages take of the lifetime, 1/s, shape as `voltage_v`."""
        law = self._disturb
        if law is None:
            return np.zeros_like(voltage_v)
        return np.array([law.dose(float(volts), 1.0) for volts in voltage_v])

    def switch(self, cell: int, now_ns: int, voltage_v: float) -> None:
        """Switch a cell on by a voltage that stays: its filament crystallises."""
        self.observe(
            np.array([cell], np.uint32), now_ns, aperture_s=_SHORTEST_S, sign=1.0, stress_v=voltage_v
        )

    def pulse(
        self,
        cell: int,
        end_ns: int,
        amplitude_a: float,
        *,
        rise_s: float,
        top_s: float,
        fall_s: float,
        count: int = 1,
    ) -> None:
        """Give a cell pulses of current, the last of which ends at `end_ns` of the bench."""
        self.chip.pulse(
            np.array([cell], np.uint32),
            np.array([amplitude_a], np.float32),
            np.array([self._at(end_ns)], np.int64),
            rise_s=rise_s,
            top_s=top_s,
            fall_s=fall_s,
            count=count,
        )

    @property
    def temperature_k(self) -> float:
        """Of all cells, K."""
        return self.chip.temperature_k

    def heat(self, kelvin: float, now_ns: int) -> None:
        """Bring all cells to a temperature from now on."""
        self.chip.set_temperature(kelvin, self._at(now_ns))

    # ---- truth, for tests -----------------------------------------------------------------------------------
    def truth_s(self, cells: NDArray[np.uint32], now_ns: int) -> NDArray[np.float64]:
        """Return noise-free conductances at the reference temperature and voltage, S."""
        return self.chip.truth(cells, self._at(now_ns)).astype(np.float64)

    def place(self, cell: int, g_s: float, now_ns: int) -> None:
        """Make a cell have a conductance, as if it had been programmed one reference age ago."""
        block, lane = divmod(cell, LANES)
        a, share = self.chip.arrays, g_s / self.card.g_max_s
        state = a.state[block, :, lane]
        state[layout.CONDUCTANCE], state[layout.DIVISOR], state[layout.DOSE] = g_s, 1.0, 0.0
        state[layout.EXPONENT] = float(self.card.drift.mean_exponent(share))
        state[layout.STRENGTH] = float(self.card.read_noise.strength(share))
        age_ns = round(1e9 * self.card.drift.pulse_reference_age_s)
        a.time[block, layout.PULSED, lane] = self._at(now_ns) - age_ns
        a.count[block, layout.MEMORY, lane] = 0

    # ---- its time ------------------------------------------------------------------------------------------
    def absolute_ns(self, now_ns: int) -> int:
        """Return the time since the chip was made, from the time of the bench, nanoseconds."""
        return self._at(now_ns)

    @property
    def born_unix_ns(self) -> int:
        """When it was made."""
        return self._born_unix_ns

    # ---- its life -------------------------------------------------------------------------------------------
    def save(self, now_ns: int) -> None:
        """Write the chip where it has a file."""
        self.state.board.update(absolute_ns=self._at(now_ns), born_unix_ns=self._born_unix_ns)
        self.state.save()

    def close(self, now_ns: int) -> None:
        """Write the chip, and let others open it."""
        self.state.board.update(absolute_ns=self._at(now_ns), born_unix_ns=self._born_unix_ns)
        self.state.close()

    def _at(self, now_ns: int) -> int:
        return self._offset_ns + now_ns

    def _is_resistor(self, cells: NDArray[np.uint32]) -> NDArray[np.bool_]:
        marks = self.chip.arrays.mark
        found: NDArray[np.bool_] = marks[cells >> 8, layout.STUCK, cells & 255] == layout.RESISTOR
        return found
