"""The operating point of a small circuit: sources with limits, resistors, memory cells and their transistors.

Node 0 is ground. Every element's current rises with the voltage across it, so there is one operating point for given
states of the cells, and Newton's method with a line search finds it. Limits are an active set: a voltage source at
its limit is a current source and the other way round, and sources change sides until none contradicts itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.jit import kernel, subroutine
from drivers.simulated.world.defaults import (
    GATE_THRESHOLD_V,
    HOLD_V,
    ON_OHM,
    TRANSCONDUCTANCE_A_PER_V2,
)

__all__ = ["VOLTS", "Circuit", "cell_current", "element_currents", "solve", "solve_fixed_gates"]

VOLTS, AMPERES = 0, 1

_MOST_NEWTON = 400
_MOST_EXCHANGES = 60
_MOST_GATES = 40
_STEP_V = 1e-10
_ON_S = 1.0 / ON_OHM
_OFF_S = 1e-15


class Circuit(NamedTuple):
    """A circuit of n nodes, ground among them, in the shape the kernels take.

    Attributes
    ----------
    leak_s, inject_a, farad : float64, shape (n,)
        From each node to ground; current into each node.
    ohm_a, ohm_b : int64, shape (resistors,)
        Their nodes; `ohm_s` is their conductance, S.
    cell_a, cell_b : int64, shape (cells,)
        Nodes of the cells.
    terms : float64, shape (cells, k)
        Below threshold ``I = sum_k terms_k V^(2k+1)``.
    gate, drain, body : int64, shape (transistors,)
        Nodes of the transistors: `drain` and `body` are the ends of the channel, `body` the source line.
    node, kind : int64, shape (sources,)
        Where each source is, VOLTS or AMPERES.
    ohm, limit : float64, shape (sources,)
        In series with a voltage source, Ohm; ampere for voltage sources, volt for current sources.
    """

    leak_s: NDArray[np.float64]
    inject_a: NDArray[np.float64]
    farad: NDArray[np.float64]
    ohm_a: NDArray[np.int64]
    ohm_b: NDArray[np.int64]
    ohm_s: NDArray[np.float64]
    cell_a: NDArray[np.int64]
    cell_b: NDArray[np.int64]
    terms: NDArray[np.float64]
    gate: NDArray[np.int64]
    drain: NDArray[np.int64]
    body: NDArray[np.int64]
    node: NDArray[np.int64]
    kind: NDArray[np.int64]
    ohm: NDArray[np.float64]
    limit: NDArray[np.float64]


@subroutine
def cell_current(terms, on, volts):  # type: ignore[no-untyped-def]
    """Return current and conductance of a cell: the path below threshold, and beside it the one that is on."""
    square = volts * volts
    current, slope, power = 0.0, 0.0, 1.0
    for k in range(terms.shape[0]):
        current += terms[k] * power * volts
        slope += terms[k] * power * (2 * k + 1)
        power *= square
    if on and volts > HOLD_V:
        current += (volts - HOLD_V) * _ON_S
        slope += _ON_S
    elif on and volts < -HOLD_V:
        current += (volts + HOLD_V) * _ON_S
        slope += _ON_S
    return current, slope


@subroutine
def _channel(volts, overdrive):  # type: ignore[no-untyped-def]
    """Return current and conductance of a transistor: linear, then saturated."""
    if overdrive <= 0.0:
        return volts * _OFF_S, _OFF_S
    linear = TRANSCONDUCTANCE_A_PER_V2 * overdrive
    saturated = 0.5 * linear * overdrive
    bent = np.tanh(volts * linear / saturated)
    return saturated * bent + volts * _OFF_S, linear * (1.0 - bent * bent) + _OFF_S


@subroutine
def element_currents(c, on, overdrive, extra_s, extra_a, v, out, jacobian, wanted):  # type: ignore[no-untyped-def]
    """Write the current that leaves each node through everything but sources to `out`, and its slopes."""
    n = v.shape[0]
    for i in range(n):
        conductance = c.leak_s[i] + extra_s[i]
        out[i] = v[i] * conductance - c.inject_a[i] - extra_a[i]
        if wanted:
            for j in range(n):
                jacobian[i, j] = 0.0
            jacobian[i, i] = conductance
    resistors, cells = c.ohm_a.shape[0], c.cell_a.shape[0]
    for k in range(resistors + cells + c.drain.shape[0]):
        if k < resistors:
            a, b = c.ohm_a[k], c.ohm_b[k]
            slope = c.ohm_s[k]
            current = (v[a] - v[b]) * slope
        elif k < resistors + cells:
            a, b = c.cell_a[k - resistors], c.cell_b[k - resistors]
            current, slope = cell_current(c.terms[k - resistors], on[k - resistors], v[a] - v[b])
        else:
            a, b = c.drain[k - resistors - cells], c.body[k - resistors - cells]
            current, slope = _channel(v[a] - v[b], overdrive[k - resistors - cells])
        out[a] += current
        out[b] -= current
        if wanted:
            jacobian[a, a] += slope
            jacobian[b, b] += slope
            jacobian[a, b] -= slope
            jacobian[b, a] -= slope


@subroutine
def _hold(c, level, mode, v, fixed):  # type: ignore[no-untyped-def]
    """Mark and set the nodes that a source holds at a voltage; ground is one."""
    fixed[:] = False
    fixed[0] = True
    v[0] = 0.0
    for s in range(c.node.shape[0]):
        if c.ohm[s] == 0.0 and (c.kind[s] == VOLTS) == (mode[s] == 0):
            fixed[c.node[s]] = True
            v[c.node[s]] = level[s] if mode[s] == 0 else mode[s] * c.limit[s]


@subroutine
def _source(c, level, mode, s, volts):  # type: ignore[no-untyped-def]
    """Return the current out of a source that does not hold its node, and how it falls with the voltage."""
    if (c.kind[s] == VOLTS) == (mode[s] == 0):
        aim = level[s] if mode[s] == 0 else mode[s] * c.limit[s]
        return (aim - volts) / c.ohm[s], 1.0 / c.ohm[s]
    return (level[s] if mode[s] == 0 else mode[s] * c.limit[s]), 0.0


@subroutine
def _residual(c, level, mode, on, overdrive, extra_s, extra_a, v, fixed, out, jacobian, wanted):  # type: ignore[no-untyped-def]
    element_currents(c, on, overdrive, extra_s, extra_a, v, out, jacobian, wanted)
    for s in range(c.node.shape[0]):
        i = c.node[s]
        if not fixed[i]:
            current, slope = _source(c, level, mode, s, v[i])
            out[i] -= current
            if wanted:
                jacobian[i, i] += slope
    worst = 0.0
    for i in range(v.shape[0]):
        if fixed[i]:
            out[i] = 0.0
            if wanted:
                for j in range(v.shape[0]):
                    jacobian[i, j] = 0.0
                jacobian[i, i] = 1.0
        worst = max(worst, abs(out[i]))
    return worst


@subroutine
def _eliminate(jacobian, out):  # type: ignore[no-untyped-def]
    """Solve the linear system in place; the matrix is diagonally dominant."""
    n = out.shape[0]
    for i in range(n):
        for j in range(i + 1, n):
            if jacobian[j, i] != 0.0:
                factor = jacobian[j, i] / jacobian[i, i]
                for k in range(i + 1, n):
                    jacobian[j, k] -= factor * jacobian[i, k]
                out[j] -= factor * out[i]
    for i in range(n - 1, -1, -1):
        total = out[i]
        for k in range(i + 1, n):
            total -= jacobian[i, k] * out[k]
        out[i] = total / jacobian[i, i]


@subroutine
def _newton(c, level, mode, on, overdrive, extra_s, extra_a, v, fixed):  # type: ignore[no-untyped-def]
    n = v.shape[0]
    step, out, trial = np.empty(n), np.empty(n), np.empty(n)
    jacobian = np.empty((n, n))
    worst = _residual(c, level, mode, on, overdrive, extra_s, extra_a, v, fixed, step, jacobian, True)
    for _ in range(_MOST_NEWTON):
        _eliminate(jacobian, step)
        size, scale = 0.0, 1.0
        for i in range(n):
            size = max(size, abs(step[i]) / (1.0 + abs(v[i])))
        while True:
            for i in range(n):
                trial[i] = v[i] - scale * step[i]
            least = _residual(
                c, level, mode, on, overdrive, extra_s, extra_a, trial, fixed, out, jacobian, False
            )
            if least <= worst or scale < 1e-6 or size < _STEP_V:
                break
            scale *= 0.5
        v[:] = trial
        if size < _STEP_V:
            return True
        worst = _residual(c, level, mode, on, overdrive, extra_s, extra_a, v, fixed, step, jacobian, True)
    return False


@subroutine
def _currents(c, level, mode, on, overdrive, extra_s, extra_a, v, fixed, current):  # type: ignore[no-untyped-def]
    """Write the current out of every source; what holds a node delivers what the others leave to it."""
    n = v.shape[0]
    out, nothing = np.empty(n), np.empty((0, 0))
    element_currents(c, on, overdrive, extra_s, extra_a, v, out, nothing, False)
    for s in range(c.node.shape[0]):
        holds = c.ohm[s] == 0.0 and (c.kind[s] == VOLTS) == (mode[s] == 0)
        if not holds:
            current[s] = _source(c, level, mode, s, v[c.node[s]])[0]
            out[c.node[s]] -= current[s]
    for s in range(c.node.shape[0]):
        if c.ohm[s] == 0.0 and (c.kind[s] == VOLTS) == (mode[s] == 0):
            current[s] = out[c.node[s]]
            out[c.node[s]] = 0.0


@subroutine
def _contradiction(c, level, mode, v, current, s):  # type: ignore[no-untyped-def]
    """Return the side a source has to change to, its own side where it agrees with itself."""
    limit, now = c.limit[s], mode[s]
    if c.kind[s] == VOLTS:
        amperes, slack = current[s], 1e-9 * limit + 1e-18
        if now == 0:
            return 1 if amperes > limit + slack else (-1 if amperes < -limit - slack else 0)
        volts = v[c.node[s]] + current[s] * c.ohm[s]
        beyond = (volts - level[s]) * now
        return 0 if beyond > 1e-9 * (1.0 + abs(level[s])) else now
    slack = 1e-9 * limit + 1e-12
    volts = v[c.node[s]]
    if now == 0:
        return 1 if volts > limit + slack else (-1 if volts < -limit - slack else 0)
    beyond = (current[s] - level[s]) * now
    return 0 if beyond > 1e-9 * abs(level[s]) + 1e-18 else now


@subroutine
def solve_fixed_gates(c, level, mode, on, overdrive, extra_s, extra_a, v, current):  # type: ignore[no-untyped-def]
    """Find the operating point for given overdrives of the transistors; True where it was found."""
    fixed = np.zeros(v.shape[0], np.bool_)
    good = True
    for exchange in range(_MOST_EXCHANGES):
        _hold(c, level, mode, v, fixed)
        good = _newton(c, level, mode, on, overdrive, extra_s, extra_a, v, fixed)
        _currents(c, level, mode, on, overdrive, extra_s, extra_a, v, fixed, current)
        settled = True
        for s in range(c.node.shape[0]):
            side = _contradiction(c, level, mode, v, current, s)
            if side != mode[s]:
                mode[s] = side
                settled = False
                if exchange > 6:  # one at a time, the first first: this way the exchange ends
                    break
        if settled:
            return good
    return False


@kernel
def solve(c, level, mode, on, overdrive, extra_s, extra_a, v, current):  # type: ignore[no-untyped-def]
    """Find the operating point.

    Parameters
    ----------
    c : Circuit
    level : float64, shape (sources,)
        Volt or ampere.
    mode : int64, shape (sources,)
        In and out: 0 at its level, 1 and -1 at its upper and lower limit.
    on : bool, shape (cells,)
        Which cells are on.
    overdrive : float64, shape (transistors,)
        In and out: volts of the gates above threshold.
    extra_s, extra_a : float64, shape (n,)
        More conductance from each node to ground, and current into it: what capacitors are in a step of time.
    v : float64, shape (n,)
        In and out: voltages of the nodes.
    current : float64, shape (sources,)
        Out: ampere out of each source.

    Returns
    -------
    bool
        Whether it was found.
    """
    good = solve_fixed_gates(c, level, mode, on, overdrive, extra_s, extra_a, v, current)
    for _ in range(_MOST_GATES if c.gate.shape[0] else 0):
        change = 0.0
        for t in range(c.gate.shape[0]):
            drive = v[c.gate[t]] - v[c.body[t]] - GATE_THRESHOLD_V
            change = max(change, abs(max(drive, 0.0) - max(overdrive[t], 0.0)))
            overdrive[t] = drive
        if change < 1e-7:
            break
        good = solve_fixed_gates(c, level, mode, on, overdrive, extra_s, extra_a, v, current)
    return good
