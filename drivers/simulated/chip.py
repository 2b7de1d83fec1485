"""The simulated chip: cells with pulse-level physics (device-physics §2-§5) behind pulses and reads.

Everything a cell does depends on the chip's seed and on that cell's own history: never on the order, size
or number of the calls, nor on threads. Times are nanoseconds of the chip's own clock, which begins when it
is made.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.simulated import layout
from drivers.simulated.cell_model import compile_card, current_line
from drivers.simulated.conditions import Conditions, Window, conditions_of, place_of, window_of
from drivers.simulated.converter_kernel import LONGEST_SAMPLING
from drivers.simulated.device_kernel import device_constants, make_devices
from drivers.simulated.excursions import Excursion, Excursions
from drivers.simulated.heat import Heat
from drivers.simulated.layout import CellArrays, blocks_for
from drivers.simulated.peculiarities import References, column_errors, fit_resistors
from drivers.simulated.place_kernel import place_range
from drivers.simulated.pulse_kernel import pulse_range
from drivers.simulated.random_numbers import LANES
from drivers.simulated.read_kernel import read_range, truth_range
from drivers.simulated.switch_kernel import switch_range

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["Mode", "SimulatedChip", "card_for"]

Mode = Literal["physics", "target-shortcut"]

_WORTH_A_THREAD = 16 * LANES
_WIDTH_ROUNDING = 1.0 - 1e-9
_STUCK = {"SET": layout.STUCK_SET, "RES": layout.STUCK_RESET, "OPEN": layout.STUCK_OPEN}
_PULSE_LAWS = ("programming_curve", "accumulation")
_READ_LAWS = ("drift", "read_noise", "read_chain", "current_voltage", "temperature", *_PULSE_LAWS)
_NO_LINE = np.empty((0, 2), np.float32)
_SURELY_SIGMA = 6.7
_YOUNGEST_LN_S = math.log(1e-6)


def card_for(card: DeviceCard, mode: Mode) -> DeviceCard:
    """Return the card as a chip of this mode uses it.

    The target level starts its noise at zero at the programming event, with the shortest time constant that
    gives the published accumulated spread (device-physics §1.6).
    """
    if mode == "physics":
        return card
    noise = card.read_noise.for_target_level()
    changes: dict[str, float | str] = {"start": noise.start, "tau_min_s": noise.tau_min_s}
    return card.with_values(
        {f"laws.read_noise.parameters.{name}": value for name, value in changes.items()},
        source="target-shortcut: noise starts at zero, 7.12 times the read width (device-physics §1.6)",
    )


class SimulatedChip:
    """A chip of ``banks x rows x cols`` cells around their memory; new ones are made by :meth:`create`.

    Parameters
    ----------
    card : DeviceCard
        The device.
    arrays : CellArrays
        All its memory.
    banks, rows, cols : int
        Geometry.
    seed : int
        Makes this very chip and all its noise.
    threads : int, optional
        Threads that compute its cells, by default one per core.
    mode : str
        "physics": pulses; "target-shortcut": cells are placed at targets, as far as the card's law of
        programming errors lets them come (device-physics §1.5).
    references : References, optional
        Rows that are resistors.
    strict : bool
        Whether whoever drives the chip must refuse what leaves the range of a law; otherwise it is reported
        once to the log "labkit.mock".
    past_heat : ndarray of int64, optional
        Of a chip that goes on living; see `past_heat`.

    Raises
    ------
    ValueError
        The memory is not that of so many cells and noise states.

    Attributes
    ----------
    card : DeviceCard
        As the mode uses it.
    cells : int
        Number of cells.
    drive_resistance_ohm : float
        Turns a voltage amplitude into a current.
    column_gain, column_offset_a : ndarray of float32, shape (cols,)
        Errors of the read path: ``I_read = gain I + offset``.
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
        mode: Mode = "physics",
        references: References | None = None,
        strict: bool = False,
        past_heat: NDArray[np.int64] | None = None,
    ) -> None:
        self.mode: Mode = mode
        self.card = card = card_for(card, mode)
        self.banks, self.rows, self.cols = banks, rows, cols
        self.cells = banks * rows * cols
        self.seed = seed
        self.strict = strict
        self.references = references or References()
        arrays.check(self.cells, len(card.read_noise.time_constants_s()))
        self.arrays = arrays
        curve = card.programming_curve if card.has("programming_curve") else None
        self.drive_resistance_ohm = math.inf if curve is None else curve.drive_resistance_ohm
        self._model = compile_card(card, target_level=mode == "target-shortcut")
        self._key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
        self._threads = threads or min(os.cpu_count() or 1, 16)
        self._workers: ThreadPoolExecutor | None = None
        self._windows: dict[tuple[float, float, int], Window] = {}
        self._voltage_curves: dict[float, NDArray[np.float32]] = {}
        self.column_gain, self.column_offset_a = column_errors(card, cols, self._key)
        self._place = place_of(card, rows, cols, self.column_gain, self.column_offset_a)
        self._heat = Heat(card, card.temperature.reference_k, past_heat)
        self._excursions = Excursions(card)
        self._dosed = card.has("read_disturb") and bool(arrays.state[:, layout.DOSE].any())

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

        chip._share(make, blocks_for(chip.cells), 16)
        fit_resistors(arrays, chip.references, banks, rows, cols, chip._key)
        return chip

    # ---- temperature ----------------------------------------------------------------------------------
    @property
    def temperature_k(self) -> float:
        """Temperature of all cells, kelvin."""
        return self._heat.temperature_k

    def set_temperature(self, kelvin: float, at_ns: int) -> None:
        """Heat or cool all cells from this moment on."""
        self._heat.change(kelvin, at_ns)

    def past_heat(self, now_ns: int) -> NDArray[np.int64]:
        """Return what its cells remember of past temperatures, for whoever makes the chip again."""
        return self._heat.past(now_ns)

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
        self._excursions.report(self._excursions.of(_PULSE_LAWS, self.temperature_k, {}, len(cells)))
        now_ns = int(end_ns.max()) if len(end_ns) else 0
        conditions = self._conditions(now_ns, _NO_CONVERTER, spacing_s=0.0)
        states = arrays.noise.shape[1]

        def give(lo: int, hi: int) -> None:
            pulse_range(
                lo, hi, cells, amplitude_a, end_ns, arrays.state, arrays.device, arrays.time, arrays.count,
                arrays.mark, m, self._key, set_rate, edge, wide, count, states, conditions,
            )  # fmt: skip

        self._share(give, len(cells), _WORTH_A_THREAD)

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

        self._share(put, len(cells), _WORTH_A_THREAD)

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
        n = len(cells)
        current, flags = np.empty(n, np.float32), np.empty(n, np.uint8)
        ranges = np.array(ranges_a, np.float32)
        converter = self._converter(adc_bits, adc_zero, samples)
        self._before_read(cells, at_ns, voltage_v)
        conditions = self._conditions(
            int(at_ns.max()) if n else 0, converter, spacing_s=spacing_s, voltage_v=voltage_v, offset_a=offset_a,
            samples=samples, ranges=ranges,
        )  # fmt: skip
        self._look(cells, at_ns, current, np.empty(0, np.float32), flags, conditions,
                   self._window(aperture_s, spacing_s, samples))  # fmt: skip
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
        self._before_read(cells, at_ns, borne_v)
        conditions = self._conditions(
            int(at_ns.max()) if n else 0, _NO_CONVERTER, spacing_s=spacing_s, voltage_v=voltage_v,
            stress_v=borne_v, samples=samples, held=boundary, fast=math.sqrt(float(left[:boundary].sum())),
        )  # fmt: skip
        held, fast = np.empty(n, np.float32), np.empty(n, np.float32)
        self._look(cells, at_ns, held, fast, np.empty(0, np.uint8), conditions,
                   self._window(aperture_s, spacing_s, samples))  # fmt: skip
        return held, fast

    def stick(self, cell: int, kind: str) -> None:
        """Break a cell: ``SET`` low-resistance, ``RES`` high-resistance, ``OPEN`` no current at all."""
        block, lane = divmod(cell, LANES)
        g_s = {
            "SET": float(self.arrays.device[block, layout.FULL, lane]),
            "RES": float(self._model.reset_median_s),
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
        a = self.arrays
        plain = self._conditions(now_ns, _NO_CONVERTER, spacing_s=0.0)
        plain = plain._replace(thermal_curve=_NO_LINE, voltage_curve=_NO_LINE, disturb=np.float32(0.0))
        truth_range(0, len(cells), cells, now_ns, out, a.state, a.device, a.time, a.mark, self._model, self._key,
                    plain)  # fmt: skip
        return out

    def pulses(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the pulses physically given to each cell, shape (n,)."""
        given: NDArray[np.uint32] = self.arrays.count[cells >> 8, layout.PULSES, cells & 255]
        return given

    def health(self, cells: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return what has become of each cell, shape (n,).

        0 works, 1 stuck crystalline, 2 stuck amorphous, 3 open, 4 a reference resistor; 8 is added where the
        state is that of threshold switching.
        """
        marks = self.arrays.mark
        switched = marks[cells >> 8, layout.TELEGRAPH, cells & 255] & layout.SWITCHED
        health: NDArray[np.uint8] = marks[cells >> 8, layout.STUCK, cells & 255] | switched
        return health

    def excursions(self, cells: NDArray[np.uint32], at_ns: int, *, pulses: bool = False) -> list[Excursion]:
        """Return where pulses on, or reads of, these cells at this moment leave the ranges of the card."""
        laws = _PULSE_LAWS if pulses else _READ_LAWS
        values = {} if pulses else self._values(cells, np.int64(at_ns))
        return self._excursions.of(laws, self.temperature_k, values, len(cells))

    # ---- inside ---------------------------------------------------------------------------------------
    def _values(
        self, cells: NDArray[np.uint32], at_ns: NDArray[np.int64] | np.int64
    ) -> dict[str, NDArray[np.float64]]:
        works = self.arrays.mark[cells >> 8, layout.STUCK, cells & 255] == 0
        chosen = cells[works]
        when = at_ns if np.ndim(at_ns) == 0 else np.asarray(at_ns)[works]
        age_s = (when - self.arrays.time[chosen >> 8, layout.PULSED, chosen & 255]) * 1e-9
        g = self.arrays.state[chosen >> 8, layout.CONDUCTANCE, chosen & 255] / self.card.g_max_s
        return {"g": g.astype(np.float64), "age_s": age_s}

    def _before_read(self, cells: NDArray[np.uint32], at_ns: NDArray[np.int64], voltage_v: float) -> None:
        """Report a temperature that leaves the card, and switch what this voltage switches."""
        self._excursions.report(self._excursions.of(_READ_LAWS, self.temperature_k, {}, len(cells)))
        if self._may_switch(abs(voltage_v)):
            a = self.arrays
            switch_range(0, len(cells), cells, at_ns, np.float32(abs(voltage_v)), a.state, a.device, a.time,
                         a.count, a.mark, self._model, self._key)  # fmt: skip

    def _may_switch(self, voltage_v: float) -> bool:
        if not self.card.has("threshold_switching"):
            return False
        law = self.card.threshold_switching
        weakest = (1.0 - _SURELY_SIGMA * law.spread) * (1.0 + law.drift_per_efold * _YOUNGEST_LN_S)
        return voltage_v >= law.smallest_voltage_v * weakest

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

        self._share(look, len(cells), _WORTH_A_THREAD)
        self._dosed = self._dosed or bool(conditions.disturb > 0.0)
        ends = np.array(extremes, np.float64)
        g, age_s = (ends[:, 0].min(), ends[:, 1].max()), (ends[:, 2].min(), ends[:, 3].max())
        if self._excursions.news(_READ_LAWS, (g[0] / self.card.g_max_s, g[1] / self.card.g_max_s), age_s):
            found = self._excursions.of(
                _READ_LAWS, self.temperature_k, self._values(cells, at_ns), len(cells)
            )
            self._excursions.report(found)

    def _conditions(
        self,
        now_ns: int,
        converter: NDArray[np.float32],
        *,
        spacing_s: float,
        voltage_v: float | None = None,
        stress_v: float | None = None,
        offset_a: float = 0.0,
        samples: int = 1,
        ranges: NDArray[np.float32] | None = None,
        held: int = -1,
        fast: float = 0.0,
    ) -> Conditions:
        volts = self.card.read_chain.read_voltage_v if voltage_v is None else voltage_v
        if abs(volts) not in self._voltage_curves:
            curve = current_line(self.card, abs(volts))
            self._voltage_curves = {**self._voltage_curves, abs(volts): curve}
        return conditions_of(
            self.card,
            self._heat,
            now_ns=now_ns,
            voltage_v=volts,
            stress_v=volts if stress_v is None else stress_v,
            offset_a=offset_a,
            samples=samples,
            spacing_s=spacing_s,
            ranges=np.ones(1, np.float32) if ranges is None else ranges,
            converter=converter,
            voltage_curve=self._voltage_curves[abs(volts)],
            dosed=self._dosed,
            held=held,
            fast=fast,
        )

    def _window(self, aperture_s: float, spacing_s: float, samples: int) -> Window:
        key = (aperture_s, spacing_s, samples)
        if key not in self._windows:
            self._windows = {**self._windows, key: window_of(self.card, self._model, *key)}
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


_NO_CONVERTER = np.zeros(5, np.float32)
