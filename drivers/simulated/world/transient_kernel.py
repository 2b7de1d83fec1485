"""A waveform through a small circuit with capacitance: implicit steps of time, and cells that switch on their way.

A cell with an amorphous plug switches on a delay after its voltage exceeded the threshold; from then on the voltage
follows the load line, until the current falls below the holding current. Steps are refined where voltages move fast
and where a threshold is crossed.
"""

from __future__ import annotations

import numpy as np

from drivers.simulated.jit import kernel, subroutine
from drivers.simulated.world.circuit_kernel import cell_current, solve_fixed_gates
from drivers.simulated.world.defaults import DELAY_S, GATE_THRESHOLD_V, HOLD_A, HOLD_V, ON_OHM

__all__ = ["SHORTEST_S", "run"]

SHORTEST_S = 5e-11
_FAST, _SLOW = 0.06, 0.02
_OUT_V = HOLD_V + HOLD_A * ON_OHM
_MOST_FLIPS = 20
"""A cell that oscillates on its load line stays on after so many times: its filament has crystallised."""


@subroutine
def _gates(c, v, overdrive):  # type: ignore[no-untyped-def]
    for t in range(c.gate.shape[0]):
        overdrive[t] = v[c.gate[t]] - v[c.body[t]] - GATE_THRESHOLD_V


@subroutine
def _record(c, at, t, v, current, mode, on, times, volts, amperes, limited, across, through):  # type: ignore[no-untyped-def]
    times[at] = t
    for s in range(c.node.shape[0]):
        amperes[at, s] = current[s]
        limited[at, s] = mode[s] != 0
    for i in range(v.shape[0]):
        volts[at, i] = v[i]
    for k in range(c.cell_a.shape[0]):
        across[at, k] = v[c.cell_a[k]] - v[c.cell_b[k]]
        through[at, k] = cell_current(c.terms[k], on[k], across[at, k])[0]


@kernel
def run(  # type: ignore[no-untyped-def]
    c, knots_s, levels, parts, threshold_v, clock, since, flips, mode, on, overdrive, v, current, scale_v,
    times, volts, amperes, limited, across, through,
):  # fmt: skip
    """Play levels that are straight lines between knots, and record as far as there is room.

    Parameters
    ----------
    c : Circuit
    knots_s : float64, shape (k,)
        Ascending.
    levels : float64, shape (k, sources)
    parts : int
        Steps between two knots where nothing happens.
    threshold_v : float64, shape (cells,)
        0 on from the holding voltage on, infinite for never.
    clock : float64, shape (2,)
        In and out: the time reached, and the next step.
    since : float64, shape (cells,)
        In and out: since when the threshold is exceeded, infinite where it is not.
    flips : int64, shape (cells,)
        In and out: how often a cell went out.
    mode, on, overdrive, v, current
        As of :func:`~drivers.simulated.world.circuit_kernel.solve`, in and out; they begin at the operating point of
        the first levels.
    scale_v : float
        What counts as a large voltage.
    times, volts, amperes, limited, across, through
        Out: shape (steps,), and (steps, nodes), (steps, sources) twice, (steps, cells) twice.

    Returns
    -------
    steps : int
        How many were written; where they are as many as there is room for, call again to go on.
    good : bool
        Whether every step was solved.
    """
    cells, sources, room = c.cell_a.shape[0], c.node.shape[0], times.shape[0]
    n = v.shape[0]
    extra_s, extra_a, level = np.zeros(n), np.zeros(n), np.empty(sources)
    trial, sides, flowing = np.empty(n), mode.copy(), current.copy()
    t, h, at, good = clock[0], clock[1], 0, True
    for knot in range(1, knots_s.shape[0]):
        begin, end = knots_s[knot - 1], knots_s[knot]
        widest = max((end - begin) / parts, SHORTEST_S)
        while t < end and at < room:
            h = min(h, widest)
            last = t + h >= end - 1e-3 * SHORTEST_S
            for k in range(cells):
                if not on[k] and since[k] + DELAY_S > t and t + h > since[k] + DELAY_S:
                    h, last = since[k] + DELAY_S - t, False
            then = end if last else t + h
            step = then - t
            share = (then - begin) / (end - begin)
            for s in range(sources):
                level[s] = levels[knot - 1, s] + share * (levels[knot, s] - levels[knot - 1, s])
            for i in range(n):
                extra_s[i] = c.farad[i] / step
                extra_a[i] = extra_s[i] * v[i]
            trial[:] = v
            sides[:] = mode
            _gates(c, trial, overdrive)
            fine = solve_fixed_gates(c, level, sides, on, overdrive, extra_s, extra_a, trial, flowing)
            moved = 0.0
            for i in range(n):
                moved = max(moved, abs(trial[i] - v[i]))
            crosses = False
            for k in range(cells):
                volt = abs(trial[c.cell_a[k]] - trial[c.cell_b[k]])
                crosses = crosses or (not on[k] and since[k] == np.inf and volt > threshold_v[k])
            if step > 4.0 * SHORTEST_S and (moved > _FAST * scale_v or crosses):
                h = max(0.5 * step, SHORTEST_S)
                continue
            good = good and fine
            v[:] = trial
            mode[:] = sides
            current[:] = flowing
            t = then
            h = 1.5 * h if moved < _SLOW * scale_v else h
            for k in range(cells):
                volt = abs(v[c.cell_a[k]] - v[c.cell_b[k]])
                if not on[k]:
                    if volt <= threshold_v[k]:
                        since[k] = np.inf
                    elif since[k] == np.inf:
                        since[k] = t
                    elif t >= since[k] + DELAY_S * (1.0 - 1e-9):
                        on[k], since[k], h = True, np.inf, SHORTEST_S
                elif volt < _OUT_V and threshold_v[k] > 0.0 and flips[k] < _MOST_FLIPS:
                    on[k] = False
                    flips[k] += 1
            _record(c, at, t, v, current, mode, on, times, volts, amperes, limited, across, through)
            at += 1
    clock[0], clock[1] = t, h
    return at, good
