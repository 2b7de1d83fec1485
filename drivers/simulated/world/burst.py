"""Waveforms that are played, and what they do to the cells they reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.terminals import Wave
from drivers.simulated.world.cells import Cells
from drivers.simulated.world.defaults import HOLD_V
from drivers.simulated.world.network import Network
from drivers.simulated.world.pulse_shape import PulseShapeSeen, pulses_of
from drivers.simulated.world.transient import Record, play_once

__all__ = ["longest_s", "play_burst"]

_LEAST_V = 1e-3
_LEAST_A = 1e-15


def longest_s(waves: Mapping[str, Wave]) -> float:
    """Return how long waveforms take with all repetitions, s."""
    return max((wave.count - 1) * _period_s(wave) + float(wave.t_s[-1]) for wave in waves.values())


def play_burst(
    network: Network,
    waves: Mapping[str, Wave],
    start_ns: int,
    rest: Callable[[Mapping[str, Wave], int], None],
) -> tuple[Record, Record]:
    """Play waveforms with all repetitions.

    The first two repetitions and the last one are computed; of those between them so many that each stands for no
    more than came before it, as what a pulse does to a cell changes what the next one meets.

    Parameters
    ----------
    network : Network
    waves : mapping of str to Wave
        By terminal.
    start_ns : int
        Time of the bench.
    rest : callable
        Brings the network to the first levels of some waves at some time, before each repetition.

    Returns
    -------
    first, last : Record
    """
    records = []
    done = 0
    for count in _shares(max(wave.count for wave in waves.values())):
        playing = {name: wave for name, wave in waves.items() if wave.count > done}
        period_s = max(_period_s(wave) for wave in playing.values())
        begin_ns = start_ns + round(1e9 * done * period_s)
        rest(playing, begin_ns)
        record = play_once(network, playing)
        if np.abs(record.across_v).max(initial=0.0) <= HOLD_V:
            record = _read(network, playing, record, begin_ns, rest)
        else:
            end_ns = begin_ns + round(1e9 * (count - 1) * period_s)
            _programme(network, record, end_ns, count)
        records.append(record)
        done += count
    return records[0], records[-1]


def _shares(count: int) -> list[int]:
    """Return for how many repetitions each computed one stands: 1, 1, 2, 4 .., 1."""
    shares: list[int] = []
    while (left := count - sum(shares)) > 1:
        shares.append(min(max(sum(shares), 1), left - 1))
    return [*shares, 1]


def _period_s(wave: Wave) -> float:
    return max(wave.period_s, float(wave.t_s[-1]))


def _read(
    network: Network,
    waves: Mapping[str, Wave],
    record: Record,
    begin_ns: int,
    rest: Callable[[Mapping[str, Wave], int], None],
) -> Record:
    """Let a waveform that switches and programmes nothing be a read of the cells it reaches, with their noise."""
    noisy_s: dict[int, float] = {}
    for k, (cells, cell) in enumerate(network.where):
        across = record.across_v[:, k]
        top = int(np.argmax(np.abs(across)))
        peak_v = abs(float(across[top]))
        if peak_v > _LEAST_V:
            seconds = float(np.trapezoid(np.abs(across), record.t_s)) / peak_v
            held = cells.observe(
                np.array([cell], np.uint32),
                begin_ns,
                aperture_s=float(f"{seconds:.1e}"),  # the chip keeps a window for each duration
                sign=float(np.sign(across[top])),
                stress_v=peak_v,
            )
            noisy_s[k] = float(held[0])
    if not noisy_s:
        return record
    rest(waves, begin_ns)
    network.know(begin_ns, noisy_s)
    return play_once(network, waves)


def _programme(network: Network, record: Record, end_ns: int, count: int) -> None:
    """Give the cells the pulses of current that went through them; what did not reach the dead zone is stress."""
    for k, (cells, cell) in enumerate(network.where):
        across, through = np.abs(record.across_v[:, k]), np.abs(record.through_a[:, k])
        shapes = pulses_of(record.t_s, through, cells.dead_zone_a)
        if len(shapes) == 1:
            _give(cells, cell, shapes[0], end_ns, count)
        elif shapes:
            for _ in range(count):
                for shape in shapes:
                    _give(cells, cell, shape, end_ns, 1)
        elif across.max() > HOLD_V:
            _strain(cells, cell, record.t_s, across, float(through.max()), end_ns, count)


def _give(cells: Cells, cell: int, shape: PulseShapeSeen, end_ns: int, count: int) -> None:
    cells.pulse(
        cell,
        end_ns + round(1e9 * shape.end_s),
        shape.amplitude_a,
        rise_s=shape.rise_s,
        top_s=shape.top_s,
        fall_s=shape.fall_s,
        count=count,
    )


def _strain(
    cells: Cells,
    cell: int,
    t_s: NDArray[np.float64],
    across_v: NDArray[np.float64],
    peak_a: float,
    end_ns: int,
    count: int,
) -> None:
    """Count pulses that are too little, and book the dose they leave."""
    peak_v = float(across_v.max())
    seconds = float(np.trapezoid(cells.dose_rate(across_v), t_s)) / max(
        cells.dose_rate(np.array([peak_v]))[0], 1e-300
    )
    duration_s = float(t_s[-1])
    end_ns += round(1e9 * duration_s)
    cells.pulse(cell, end_ns, max(peak_a, _LEAST_A), rise_s=0.0, top_s=duration_s, fall_s=0.0, count=count)
    cells.stress(cell, end_ns, peak_v, seconds * count)
