"""Every node of a rectangle's lines, solved directly: what the ladders of the simulated chip are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
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
