"""Every node of a rectangle's lines, solved directly: what the ladders of the simulated chip are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import bmat, coo_matrix, diags
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]


def column_currents_a(
    g_s: Floats, voltage_v: Floats, bit_ohm: float, word_ohm: float, first_row: int = 0, first_col: int = 0
) -> Floats:
    """Currents into the feet of the bit lines for vectors of row voltages, both shape (k, n).

    Cell (i, j) lies between node (i, j) of word line i and node (i, j) of bit line j. Two nodes more per line are
    its ends: the driver, and the foot at ground, `first_col` and `first_row` segments (at least a milliohm) away.
    """
    rows, cols = g_s.shape
    nodes = rows * cols
    word = np.arange(nodes).reshape(rows, cols)
    bit = word + nodes
    driver = 2 * nodes + np.arange(rows)
    foot = 2 * nodes + rows + np.arange(cols)
    size = 2 * nodes + rows + cols
    ends, others, conductances = [], [], []

    def join(a: NDArray[np.int64], b: NDArray[np.int64], conductance: Floats | float) -> None:
        ends.append(a.ravel())
        others.append(b.ravel())
        conductances.append(np.broadcast_to(conductance, a.shape).ravel())

    join(word, bit, g_s)
    join(word[:, :-1], word[:, 1:], 1.0 / word_ohm)
    join(bit[:-1], bit[1:], 1.0 / bit_ohm)
    join(driver, word[:, 0], 1.0 / max(first_col * word_ohm, 1e-6))
    join(foot, bit[0], 1.0 / max(first_row * bit_ohm, 1e-6))
    a, b, c = np.concatenate(ends), np.concatenate(others), np.concatenate(conductances)
    matrix = coo_matrix(
        (np.concatenate([c, c, -c, -c]), (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a]))),
        shape=(size, size),
    ).tocsc()
    free = slice(0, 2 * nodes)
    held = np.zeros((rows + cols, len(voltage_v)))
    held[:rows] = voltage_v.T
    inner = splu(matrix[free, free].tocsc()).solve(-(matrix[free, 2 * nodes :] @ held))
    return -(matrix[foot][:, free] @ inner + matrix[foot][:, 2 * nodes :] @ held).T


def bent_currents_a(terms: list[Floats], voltage_v: Floats, line_ohm: float) -> Floats:
    """The same for one vector and cells with ``I = sum_k terms[k] V^(2k+1)``, by Newton's method on every node."""
    rows, cols = terms[0].shape
    nodes = rows * cols
    word = np.arange(nodes).reshape(rows, cols)
    bit = word + nodes
    fixed = np.zeros(2 * nodes)
    fixed[word[:, 0]] = fixed[bit[0]] = 1e7  # lines begin at their first cell
    a = np.concatenate([word[:, :-1].ravel(), bit[:-1].ravel()])
    b = np.concatenate([word[:, 1:].ravel(), bit[1:].ravel()])
    c = np.full(a.size, 1.0 / line_ohm)
    lines = coo_matrix(
        (np.concatenate([c, c, -c, -c]), (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a]))),
        shape=(2 * nodes, 2 * nodes),
    ).tocsc() + diags(fixed)
    driven = np.zeros(2 * nodes)
    driven[word[:, 0]] = 1e7 * voltage_v
    potential = np.concatenate([np.repeat(voltage_v, cols), np.zeros(nodes)])
    flat = [term.ravel() for term in terms]

    def currents() -> tuple[Floats, Floats]:
        across = potential[:nodes] - potential[nodes:]
        flows = sum(term * across ** (2 * k + 1) for k, term in enumerate(flat))
        slopes = sum((2 * k + 1) * term * across ** (2 * k) for k, term in enumerate(flat))
        return np.asarray(flows), np.asarray(slopes)

    for _ in range(6):
        flows, slopes = currents()
        slope = diags(slopes)
        error = lines @ potential - driven + np.concatenate([flows, -flows])
        potential -= splu((lines + bmat([[slope, -slope], [-slope, slope]])).tocsc()).solve(error)
    return currents()[0].reshape(rows, cols).sum(axis=0)
