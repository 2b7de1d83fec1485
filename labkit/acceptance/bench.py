"""A temporary simulated bench around a card, used through the same faces as any other bench.

Pulses and reads go through :func:`labkit.open_station` and the chip interface; time, temperature and the truth
come from :class:`~drivers.sim_control.SimControl`. Nothing here knows how the mock works inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.chip import Batch, Pulse, ReadSetup
from labkit.envelope import GuardedChip
from labkit.station import Station, open_station

if TYPE_CHECKING:
    from calibration import DeviceCard
    from drivers.sim_control import SimControl
    from labkit.clock import Clock

__all__ = ["FINE", "Bench"]

_US = 1e-6
FINE = ReadSetup(voltage_v=0.2, samples=1024, aperture_s=1e-7, range_a=None)
"""A read of 1.1 ms."""

_EDGE_S = 5e-9
_DRIVE_A = 500 * _US
"""What the reference board drives; more only for cards that need it."""
_RESET_A = 480 * _US
_COLS_MAX = 4096
_PATIENCE_S = 600.0
_MOST_UNREADABLE = 0.02
_FEED_S = 250.0
_ROOM_K = 300.0
_FILE = """\
version: 1
name: acceptance
instruments:
  chip:
    driver: pcm-controller
    address: TCPIP0::pcm-acceptance::5025::SOCKET
    backend: "@pcm"
    simulated:
      model: pcm-controller
      card: card.yaml
      rows: {rows}
      cols: {cols}
      seed: {seed}
      temperature: {kelvin} K
      limits: {{current_max: {drive_a} A}}
{more}
envelope: {{current_max: {drive_a} A, width_max: 10 ms, read_voltage_max: 0.4 V, pulses_per_cell_max: 4000000000}}
"""


class Bench:
    """A bench file, a card and a chip in memory, open inside ``with``.

    Parameters
    ----------
    card : DeviceCard
        Of the chip, effects already switched off where the row says so.
    cells : int
        How many are used; the chip may have a few more.
    seed : int
        Makes the chip.
    shortcut : bool
        The mode ``target-shortcut`` of device-physics §1.5 in place of ``physics``.
    cols : int, optional
        Columns of the chip, where its shape matters.

    Attributes
    ----------
    card : DeviceCard
    cells : ndarray of uint32, shape (n,)
    shortcut : bool
    """

    def __init__(
        self, card: DeviceCard, cells: int, *, seed: int, shortcut: bool = False, cols: int | None = None
    ) -> None:
        self.card = card
        self.cells = np.arange(cells, dtype=np.uint32)
        self._cols = cols or min(cells, _COLS_MAX)
        self._rows = -(-cells // self._cols)
        self._seed, self.shortcut = seed, shortcut
        self._stack = ExitStack()
        self._station: Station | None = None
        self._pulsed_ns = np.zeros(cells, np.int64)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="labkit-acceptance-")))
            self.card.save(folder / "card.yaml")
            kelvin = self.card.temperature.reference_k if "temperature" in self.card.laws else _ROOM_K
            more = "      mode: target-shortcut" if self.shortcut else ""
            text = _FILE.format(
                rows=self._rows,
                cols=self._cols,
                seed=self._seed,
                kelvin=kelvin,
                drive_a=self.drive_max_a,
                more=more,
            )
            (folder / "bench.yaml").write_text(text, "utf-8")
            self._station = stack.enter_context(open_station(folder / "bench.yaml"))
            self._station.energise()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    # ------------------------------------------------------------------ faces

    @property
    def station(self) -> Station:
        """The open station."""
        assert self._station is not None  # noqa: S101 - set by `with`
        return self._station

    @property
    def chip(self) -> GuardedChip:
        """The chip, as a station has it."""
        return self.station.chip

    @property
    def clock(self) -> Clock:
        """The clock of the station."""
        return self.station.clock

    @property
    def control(self) -> SimControl:
        """What only a simulated board answers."""
        control = self.station.simulation
        assert control is not None  # noqa: S101 - its board is simulated
        return control

    # ------------------------------------------------------------------ pulses

    @property
    def drive_max_a(self) -> float:
        """Largest current of its board, ampere: a quarter more than melts all of the mean device, at least."""
        if "programming_curve" not in self.card.laws:
            return _DRIVE_A
        return max(_DRIVE_A, 1.25 * self.card.programming_curve.full_current_mean_a)

    @property
    def reset_a(self) -> float:
        """Current that resets all but one device in a thousand, ampere."""
        return max(_RESET_A, 1.2 * self.card.programming_curve.full_current_mean_a)

    def pulse(
        self,
        amplitude_a: ArrayLike,
        cells: NDArray[np.uint32] | None = None,
        *,
        width_s: float = 50e-9,
        fall_s: float = _EDGE_S,
        count: int = 1,
    ) -> None:
        """Give cells (all by default) `count` pulses of one shape, each cell its own amplitude, ampere.

        `width_s` is the full width at half height.
        """
        cells = self.cells if cells is None else cells
        amplitude = np.broadcast_to(np.asarray(amplitude_a, np.float32), cells.shape).copy()
        top_s = width_s - 0.5 * (_EDGE_S + fall_s)
        period_s = max(1e-6, _EDGE_S + top_s + fall_s + 100e-9)
        pulse = Pulse(
            rise_s=_EDGE_S, top_s=top_s, fall_s=fall_s, period_s=period_s, full_scale=self.drive_max_a
        )
        self.chip.program(Batch(self.chip.next_batch_id(), cells, pulse, amplitude, count))
        groups = -(-cells.size // self.chip.limits().parallel_program)
        self.chip.wait(_PATIENCE_S + 2.0 * groups * period_s * count)
        self._pulsed_ns[cells] = self.chip.pulse_times_ns().astype(np.int64)

    def melt_to(self, g: ArrayLike) -> None:
        """Give every cell the melting pulse that leaves the mean device at a conductance over full scale."""
        curve = self.card.programming_curve
        self.pulse(curve.current_for_a(np.broadcast_to(np.asarray(g), self.cells.shape) * self.card.g_max_s))

    def set_levels(self, g: ArrayLike) -> None:
        """Bring every cell to a conductance over full scale: by a melting pulse, or by the shortcut."""
        if self.shortcut:
            self.place(g)
        else:
            self.melt_to(g)

    def place(self, g: ArrayLike) -> None:
        """Place every cell at a target over full scale (mode target-shortcut)."""
        targets = np.broadcast_to(np.asarray(g), self.cells.shape) * self.card.g_max_s
        self.control.place(self.cells, targets.astype(np.float32))
        self._pulsed_ns[:] = self.chip.clock_ns()

    # ------------------------------------------------------------------ reads

    def read(
        self, setup: ReadSetup = FINE, cells: NDArray[np.uint32] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Read cells (all by default).

        Returns
        -------
        g_s : ndarray of float64, shape (n,)
            Siemens; NaN where the converter clipped high, and everywhere if it did so in more than a fiftieth:
            no row shall hold by the cells that are left.
        age_s : ndarray of float64, shape (n,)
            Since the last pulse of each cell, at the middle of its reading.
        """
        cells = self.cells if cells is None else cells
        if setup.range_a is None:  # the largest: its steps do not matter where the converter is ideal
            setup = replace(setup, range_a=max(self.chip.limits().read_ranges_a))
        reading = self.chip.read(cells, setup)
        assert reading.t_ns is not None  # noqa: S101 - asked for
        age_s = (1e-9 * (reading.t_ns.astype(np.int64) - self._pulsed_ns[cells])).astype(np.float64)
        g_s = reading.g_s.astype(np.float64)
        if np.isnan(g_s).mean() > _MOST_UNREADABLE:
            g_s[:] = np.nan
        return g_s, age_s

    def truth_s(self, cells: NDArray[np.uint32] | None = None) -> NDArray[np.float64]:
        """Noise-free conductance now, siemens, shape (n,)."""
        return self.control.truth_s(self.cells if cells is None else cells).astype(np.float64)

    # ------------------------------------------------------------------ time

    def wait(self, seconds: float) -> None:
        """Let time pass; the power is off meanwhile where it takes longer than the board's watchdog lets it be."""
        if seconds <= 0.0:
            return
        if seconds <= _FEED_S:
            self.clock.advance(seconds)
            return
        self.chip.power(False)
        self.clock.advance(seconds)
        self.station.energise()

    def wait_for_age(self, seconds: float) -> None:
        """Let time pass until the cells pulsed last are that old."""
        self.wait(seconds - 1e-9 * (self.chip.clock_ns() - int(self._pulsed_ns.max())))

    def read_at(
        self, ages_s: Iterable[float], setup: ReadSetup = FINE
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Read all cells at these ages, ascending; conductances and ages of shape (ages, n)."""
        found = []
        for age_s in ages_s:
            self.wait_for_age(age_s)
            found.append(self.read(setup))
        return np.array([g for g, _ in found]), np.array([age for _, age in found])
