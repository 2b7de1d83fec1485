"""A small chip in memory with the physics a verify loop lives on, and a station around it.

Melt branch with devices that differ, a spread from melt to melt, drift, and a noisy converter; its clock is
virtual. A unit-test double: the noise is white, from a generator, so it depends on the order of calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from toy_chip import LIMITS as TOY_LIMITS
from toy_chip import ToyError

from calibration import DeviceCard
from drivers.bench import BenchFile, load_bench
from drivers.chip import (
    Batch,
    BatchReport,
    BoardError,
    EntryCode,
    Geometry,
    Identity,
    Limits,
    ReadFlag,
    Reading,
    ReadSetup,
    State,
)
from drivers.errors import BatchRefused
from labkit.clock import VirtualClock
from labkit.envelope import GuardedChip
from labkit.interrupts import interrupts
from labkit.station import Station

CARD = DeviceCard.load("ibm90")
BORN_NS = 1_767_225_600_000_000_000
BOOT_NS = 5_000_000_000
LIMITS = replace(TOY_LIMITS, nonvolatile=("CYCL",))


class MeltChip:
    """`calls` counts messages by name; `calm` takes away all noise and all differences between devices."""

    def __init__(
        self, rows: int = 32, cols: int = 32, *, banks: int = 1, seed: int = 1, calm: bool = False
    ) -> None:
        self._geometry = Geometry(banks, rows, cols)
        n = self._geometry.cells
        self.rng = np.random.default_rng(seed)
        self.curve, self.drift = CARD.programming_curve, CARD.drift
        spread = 0.0 if calm else 1.0
        self.noise = 0.04 * spread
        self.cycle_spread = self.curve.cycle_spread * spread
        draw = self.rng.standard_normal((3, n)) * spread
        self.melt_a = self.curve.melt_current_mean_a + self.curve.melt_current_spread_a * draw[0]
        self.full_a = self.curve.full_current_mean_a + self.curve.full_current_spread_a * draw[1]
        self.full_s = self.curve.full_conductance_mean_s + self.curve.full_conductance_spread_s * draw[2]
        self.spread = spread
        self.g_s = self.full_s.copy()  # at the curve's reference age
        self.exponent = np.full(n, 0.05)
        self.counted = np.zeros(n, np.uint32)
        self.pulsed_ns = np.zeros(n, np.int64)
        self.stuck_s = np.full(n, np.nan)
        self.forbidden = np.zeros(n, bool)
        self.absolute_ns = BOOT_NS
        self.booted_ns = 0
        self.calls: dict[str, int] = {}
        self.reads: list[NDArray[np.uint32]] = []
        self.batches: list[Batch] = []
        self.during: Callable[[str], None] = lambda name: None
        self.end_at: dict[int, tuple[int, State]] = {}
        self.cut_read: int | None = None
        self.refuse = False
        self.serial = "7"
        self.board = LIMITS
        self.on = self.connected = False
        self.waited_on_s = 0.0
        self._report = BatchReport(0, False, State.IDLE, 0, 0, 0, 0, 0, 0, 0)
        self._flags = np.zeros(0, np.uint8)
        self._times = np.zeros(0, np.uint64)
        self._queue: list[BoardError] = []

    def _do(self, name: str, *, seconds: float = 1e-4) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        self.absolute_ns += round(seconds * 1e9)
        self.during(name)

    # ---- time

    def advance(self, seconds: float) -> None:
        assert not (self.connected and seconds > 600), "the watchdog would have ended this"
        self.waited_on_s += seconds if self.on else 0.0
        self._do("advance", seconds=seconds)

    def absolute_time(self) -> tuple[int, int]:
        return self.absolute_ns, BORN_NS

    def clock_ns(self) -> int:
        self._do("clock")
        return self.absolute_ns - self.booted_ns

    def set_epoch(self, unix_ns: int) -> int:
        return self.absolute_ns - self.booted_ns

    # ---- what it is

    def identify(self) -> Identity:
        return Identity("PCMLAB", "MELT", self.serial, "1.0.0", simulated=True)

    def capabilities(self) -> frozenset[str]:
        return frozenset({"CORE", "SIM"})

    def geometry(self) -> Geometry:
        return self._geometry

    def limits(self) -> Limits:
        return self.board

    def boot_id(self) -> int:
        return 1

    def errors(self) -> list[BoardError]:
        found, self._queue = self._queue, []
        return found

    # ---- control

    def power(self, on: bool) -> None:
        self._do("power")
        self.on = on
        self.connected = self.connected and on

    def outputs(self, on: bool) -> None:
        self._do("outputs")
        if on and not self.on:
            raise ToyError("power is off")
        self.connected = on

    def safe(self) -> None:
        self.calls["safe"] = self.calls.get("safe", 0) + 1
        self.on = self.connected = False

    def abort(self) -> None:
        self._do("abort")

    def mask(self, cells: NDArray[np.uint32]) -> None:
        self.forbidden[:] = False
        self.forbidden[cells] = True

    # ---- programming

    def next_batch_id(self) -> int:
        self._do("next")
        return self._report.id + 1

    def program(self, batch: Batch) -> None:
        if self.refuse:
            raise BatchRefused("the endurance guard")
        if not self.connected:
            raise ToyError("outputs are off")
        assert batch.id > self._report.id
        assert not np.any(batch.amplitude > batch.pulse.full_scale)
        self.batches.append(batch)
        n = batch.cells.size
        done, state = self.end_at.get(len(self.batches), (n, State.DONE))
        open_ = min(2, n - done)
        entry = np.arange(n)
        flags = np.where(entry < done, EntryCode.PULSED, EntryCode.NOT_REACHED).astype(np.uint8)
        flags[done : done + open_] = EntryCode.IN_DOUBT
        flags[self.forbidden[batch.cells] & (entry < done)] = EntryCode.MASKED
        start_ns = self.absolute_ns - self.booted_ns
        ends = start_ns + 1000 * (entry // LIMITS.parallel_program) + 55
        given = (flags == EntryCode.PULSED) | (flags == EntryCode.IN_DOUBT)
        self._melt(batch.cells[given], batch.amplitude[given], ends[given])
        self._flags, self._times = flags, np.where(given, ends, 0).astype(np.uint64)
        self._do("program", seconds=1e-6 * (n // LIMITS.parallel_program + 1))
        end_ns = self.absolute_ns - self.booted_ns
        pulsed = int(np.count_nonzero(flags == EntryCode.PULSED))
        self._report = BatchReport(batch.id, True, state, done, open_, n, pulsed, 0, start_ns, end_ns)
        if state is not State.DONE:
            self._queue.append(BoardError(202, "Over-current trip"))

    def _melt(
        self, cells: NDArray[np.uint32], amplitude: NDArray[np.float32], end_ns: NDArray[np.int64]
    ) -> None:
        curve = self.curve
        depth = curve.melt_depth(amplitude, self.melt_a[cells], self.full_a[cells])
        cycle = np.exp(self.cycle_spread * self.rng.standard_normal(cells.size))
        reset = curve.reset_median_s * np.exp(0.3 * self.spread * self.rng.standard_normal(cells.size))
        molten = np.maximum(self.full_s[cells] * curve.remaining_share(depth) * cycle, reset)
        grown = self.g_s[cells] + 0.084 * np.maximum(curve.saturation_s(amplitude) - self.g_s[cells], 0.0)
        self.g_s[cells] = np.where(amplitude >= self.melt_a[cells], molten, grown)
        g = self.g_s[cells] / CARD.g_max_s
        bend = self.spread * self.rng.standard_normal(cells.size)
        self.exponent[cells] = self.drift.mean_exponent(g) + self.drift.spread_exponent(g) * bend
        self.counted[cells] += np.uint32(1)
        self.pulsed_ns[cells] = end_ns + self.booted_ns

    def wait(self, timeout_s: float) -> State:
        self._do("wait")
        return self._report.state

    def last_batch(self) -> BatchReport:
        self._do("report")
        return self._report

    def batch_flags(self) -> NDArray[np.uint8]:
        self._do("flags")
        return self._flags

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        self._do("times")
        return self._times

    def cycles(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return self.counted[cells]

    # ---- reading

    def true_s(self, cells: NDArray[np.uint32], age_s: Any) -> NDArray[np.float64]:
        factor = self.drift.factor(age_s, self.exponent[cells], self.drift.pulse_reference_age_s)
        return np.where(np.isnan(self.stuck_s[cells]), self.g_s[cells] * factor, self.stuck_s[cells])

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        if not self.connected:
            raise ToyError("outputs are off")
        self._do("read")
        self.reads.append(cells)
        n = cells.size
        at_ns = self.absolute_ns + 2000 * (np.arange(n) // LIMITS.parallel_read) + 500
        age_s = np.maximum(at_ns - self.pulsed_ns[cells], 1) * 1e-9
        assert setup.range_a is not None
        full_s = setup.range_a / setup.voltage_v
        g = self.true_s(cells, age_s) * (1 + self.noise * self.rng.standard_normal(n))
        g += 0.003 * full_s * self.spread * self.rng.standard_normal(n)
        if self.spread:
            g = np.round(g / full_s * 256) / 256 * full_s
        flags = np.where(g > full_s * 247 / 256, ReadFlag.CLIPPED_HIGH, 0).astype(np.uint8)
        flags[self.forbidden[cells]] = ReadFlag.MASKED
        if self.cut_read is not None:
            flags[self.cut_read :] = ReadFlag.NOT_READ
        g[flags > 0] = np.nan
        self.absolute_ns = int(at_ns[-1]) + 500
        now_ns = self.absolute_ns - self.booted_ns
        stamped = (at_ns - self.booted_ns).astype(np.uint64)
        return Reading(g.astype(np.float32), flags, stamped, self.calls["read"], now_ns, 0)

    def temperature_k(self) -> float | None:
        return 300.0

    def messages(self) -> int:
        return sum(self.calls.values())

    def close(self) -> None:
        self._do("close")


class MeltStation(Station):
    """A station around a chip that outlives it, as silicon does."""

    def __init__(self, chip: MeltChip, bench: BenchFile) -> None:
        super().__init__(bench, opener=lambda *_: chip)
        self.silicon = chip

    def _open(self) -> None:
        link = self.silicon
        link.booted_ns = link.absolute_ns  # another session: its clock starts anew
        link._report = BatchReport(0, False, State.IDLE, 0, 0, 0, 0, 0, 0, 0)
        self._links.append(link)
        chip = GuardedChip(link, self.bench.envelope, message=interrupts.message)
        chip.load_wear()
        clock = VirtualClock(link, energised=lambda: chip.maybe_energised, message=interrupts.message)
        now_ns = clock.now_unix_ns()
        self._epoch = (now_ns, chip.set_epoch(now_ns))
        self._chip, self._clock = chip, clock


def bench_file(folder: Path, **envelope: Any) -> BenchFile:
    """A bench file on the disk, as stations want it."""
    path = folder / "bench.yaml"
    limits = "".join(f"\n  {key}: {value}" for key, value in envelope.items())
    path.write_text(
        "version: 1\nname: melt bench\ninstruments:\n  chip:\n    driver: pcm-controller\n"
        "    address: TCPIP0::board::5025::SOCKET\n" + (f"envelope:{limits}\n" if limits else "")
    )
    return load_bench(path)
