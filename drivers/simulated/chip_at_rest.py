"""A simulated chip at rest: its cells, what they are made of, and what only a simulation can tell of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.simulated import layout
from drivers.simulated.cell_model import compile_card
from drivers.simulated.conditions import Terms, place_of
from drivers.simulated.crew import Crew
from drivers.simulated.excursions import Excursion, Excursions
from drivers.simulated.heat import Heat
from drivers.simulated.layout import CellArrays
from drivers.simulated.peculiarities import References, column_errors
from drivers.simulated.random_numbers import LANES, key_of
from drivers.simulated.read_kernel import truth_range
from drivers.simulated.switch_kernel import threshold_range

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["ChipAtRest", "Mode", "card_for"]

Mode = Literal["physics", "target-shortcut"]

_STUCK = {"SET": layout.STUCK_SET, "RES": layout.STUCK_RESET, "OPEN": layout.STUCK_OPEN}


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


class ChipAtRest:
    """A chip of ``banks x rows x cols`` cells around their memory.

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
        self._key = key_of(seed)
        self._crew = Crew(threads)
        self.column_gain, self.column_offset_a = column_errors(card, cols, self._key)
        self._place = place_of(card, rows, cols, self.column_gain, self.column_offset_a)
        self._heat = Heat(card, card.temperature.reference_k, past_heat)
        dosed = card.has("read_disturb") and bool(arrays.state[:, layout.DOSE].any())
        self._terms = Terms(card, self._model, self._heat, dosed=dosed)
        self._excursions = Excursions(card, arrays)

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

    # ---- faults and truth -----------------------------------------------------------------------------
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

    def truth(self, cells: NDArray[np.uint32], now_ns: int) -> NDArray[np.float32]:
        """Return noise-free conductances at the reference temperature, siemens, shape (n,)."""
        out = np.empty(len(cells), np.float32)
        a = self.arrays
        plain = self._terms.without_heat(now_ns)
        truth_range(0, len(cells), cells, now_ns, out, a.state, a.device, a.time, a.mark, self._model, self._key,
                    plain)  # fmt: skip
        return out

    def threshold_v(self, cells: NDArray[np.uint32], now_ns: int) -> NDArray[np.float32]:
        """Return the voltages that switch the cells on, volt, shape (n,).

        0 where no amorphous plug is left, or the card knows none; infinite where no voltage switches anything:
        stuck amorphous cells, open ones and resistors.
        """
        out = np.empty(len(cells), np.float32)
        a = self.arrays
        threshold_range(0, len(cells), cells, now_ns, out, a.state, a.time, a.mark, self._model, self._key)
        if not self.card.has("threshold_switching"):
            out[np.isin(self.health(cells) & 7, (layout.NOT_STUCK, layout.STUCK_SET))] = 0.0
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
        return self._excursions.of(cells, at_ns, self.temperature_k, pulses=pulses)
