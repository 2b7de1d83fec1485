"""Reads over instruments: one burst of the source-meter per cell, each a conductance, a flag and a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Limits, ReadFlag, Reading, ReadSetup, State
from drivers.errors import InstrumentError

if TYPE_CHECKING:
    from drivers.discrete_journal import Journal
    from drivers.discrete_parts import DiscreteParts, DiscreteSettings
    from drivers.discrete_routes import Ways
    from drivers.discrete_supply import Supply
    from drivers.roles import Burst

__all__ = ["DiscreteReads", "check_read", "conductance_of"]

_LEAST_SHARE = 0.5
"""Of the read voltage that must be on the cell for I/V to be its conductance. A default."""


def check_read(cells: NDArray[np.uint32], setup: ReadSetup, number: int, limits: Limits) -> None:
    """Refuse a read that cannot be made as asked.

    Raises
    ------
    InstrumentError
        Nothing was sent.
    """
    if cells.ndim != 1:
        raise InstrumentError(f"cells of shape {cells.shape}; give a list")
    if cells.size and cells.max() >= number:
        raise InstrumentError(f"cell {cells.max()} is outside the chip of {number} cells")
    if np.unique(cells).size != cells.size:
        raise InstrumentError("a cell stands twice in the list of a read; name each once")
    low_v, high_v = limits.read_voltage_v
    if not low_v <= setup.voltage_v <= high_v:
        raise InstrumentError(f"this chip is read at {low_v:g} .. {high_v:g} V, not at {setup.voltage_v:g} V")
    least, most = limits.read_samples
    if not least <= setup.samples <= most:
        raise InstrumentError(f"{setup.samples} samples; possible is {least} .. {most}")
    short_s, long_s = limits.read_aperture_s
    if not short_s <= setup.aperture_s <= long_s:
        raise InstrumentError(
            f"an aperture of {setup.aperture_s:g} s; possible is {short_s:g} .. {long_s:g} s"
        )
    if setup.range_a is not None and not 0 < setup.range_a <= max(limits.read_ranges_a):
        raise InstrumentError(
            f"a current range of {setup.range_a:g} A; possible is up to {max(limits.read_ranges_a):g} A"
        )


def conductance_of(
    burst: Burst, level_v: float, floor_a: float, *, automatic: bool = False
) -> tuple[float, int]:
    """Return the conductance a burst has measured and what is wrong with it.

    Parameters
    ----------
    burst : Burst
    level_v : float
        Voltage that was asked for.
    floor_a : float
        Mean currents below are the instrument's own: the reading stays, with its flag.
    automatic : bool
        The range was automatic: samples over it were taken while it changed, and the others count.

    Returns
    -------
    g_s : float
        Mean of current over voltage, siemens; NaN where the current, or the voltage with it, was limited.
    flag : int
        Of :class:`~drivers.chip.ReadFlag`.
    """
    volts, amperes = burst.voltage_v, burst.current_a
    if not amperes.size:
        return math.nan, int(ReadFlag.NOT_READ)
    known = np.isfinite(volts) & np.isfinite(amperes)
    if burst.limited.any() or not (known.any() if automatic else known.all()):
        return math.nan, int(ReadFlag.CLIPPED_HIGH)
    volts, amperes = volts[known], amperes[known]
    if (np.abs(volts) < _LEAST_SHARE * abs(level_v)).any():
        return math.nan, int(ReadFlag.CLIPPED_HIGH)
    low = abs(float(amperes.mean())) < floor_a
    return float(np.mean(amperes / volts)), int(ReadFlag.CLIPPED_LOW if low else ReadFlag.OK)


class DiscreteReads:
    """The reading side of a chip made of instruments.

    Parameters
    ----------
    parts, ways, journal, settings
        As of :class:`~drivers.discrete.DiscreteChip`.
    supply : Supply
    limits : Limits
        Of the chip.
    clock_ns : callable
        Tells the board time.

    Attributes
    ----------
    ended : State
        How the last read ended.
    """

    def __init__(
        self,
        parts: DiscreteParts,
        ways: Ways,
        journal: Journal,
        settings: DiscreteSettings,
        supply: Supply,
        limits: Limits,
        clock_ns: Callable[[], int],
    ) -> None:
        self._parts, self._ways, self._journal, self._settings = parts, ways, journal, settings
        self._supply, self._limits, self._clock_ns = supply, limits, clock_ns
        self._count = 0
        self.ended = State.IDLE

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool) -> Reading:
        """Read cells; see :meth:`drivers.discrete.DiscreteChip.read`."""
        supply = self._supply
        with supply.mine:
            check_read(cells, setup, self._journal.book.cells, self._limits)
            if not supply.energised:
                raise InstrumentError("this chip is not energised: switch power and outputs on")
            self._count += 1
            supply.begin()
            g_s = np.full(cells.size, np.nan, np.float32)
            flags = np.full(cells.size, ReadFlag.NOT_READ, np.uint8)
            t_ns = np.zeros(cells.size, np.uint64)
            masked = self._journal.book.masked[cells]
            flags[masked] = ReadFlag.MASKED
            self.ended = State.DONE
            try:
                # By cell, not in the order of the list: neighbours share relays.
                for entry in np.argsort(cells, kind="stable").tolist():
                    if (ended := supply.interrupted()) is not None:
                        self.ended = ended
                        break
                    if not masked[entry]:
                        g_s[entry], flags[entry], t_ns[entry] = self._read_one(int(cells[entry]), setup)
            except BaseException as error:
                self.ended = State.TRIP
                supply.note_failure(error)
                raise
            now_ns = self._clock_ns()
            return Reading(g_s, flags, t_ns if stamps else None, self._count, now_ns, time.time_ns())

    def _read_one(self, cell: int, setup: ReadSetup) -> tuple[float, int, int]:
        """Return conductance, flag and board time of one cell."""
        settings, supply = self._settings, self._supply
        limit_a = (
            settings.read_limit_a if setup.range_a is None else min(setup.range_a, settings.read_limit_a)
        )
        with supply.losing():
            supply.relays.connect(self._ways.to_read(cell))
            supply.hold_word_line(settings.word_line_read_v, settings.word_line_limit_a)
            supply.relays.live("smu")
            before_ns = self._clock_ns()
            burst = self._parts.smu.burst(
                setup.voltage_v,
                samples=setup.samples,
                aperture_s=setup.aperture_s,
                limit_a=limit_a,
                range_a=setup.range_a,
            )
            after_ns = self._clock_ns()
            supply.relays.rest()
        g_s, flag = conductance_of(
            burst, setup.voltage_v, settings.noise_floor_a, automatic=setup.range_a is None
        )
        return g_s, flag, (before_ns + after_ns) // 2
