"""Kernels of the lines of a rectangle: ladders, and sums over hat functions, of which two are not zero at any cell.

Loops of their own, since threads of a linear algebra library cost more here than they bring, and the bits do not
depend on them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.jit import kernel, subroutine

__all__ = ["add_coupling", "gather_hats", "gather_pairs", "ladder_shares", "respond", "see"]


@kernel
def _ladder(g, segment_ohm, foot_ohm, out):  # type: ignore[no-untyped-def]
    """Shares of ladders that run along axis 0; see :func:`ladder_shares`."""
    rows, lanes = g.shape
    for j in range(lanes):
        out[rows - 1, j] = g[rows - 1, j]
    for i in range(rows - 2, -1, -1):  # admittance of node i and all behind it
        for j in range(lanes):
            out[i, j] = g[i, j] + out[i + 1, j] / (1.0 + segment_ohm * out[i + 1, j])
    for j in range(lanes):
        out[0, j] = 1.0 / (1.0 + foot_ohm * out[0, j])
    for i in range(1, rows):
        for j in range(lanes):
            out[i, j] = out[i - 1, j] / (1.0 + segment_ohm * out[i, j])


def ladder_shares(g_s: NDArray[np.float64], segment_ohm: float, foot_ohm: float) -> NDArray[np.float64]:
    """Return the potential along ladders of cells to ground, over that of their source.

    By reciprocity also the share of a current into a node that reaches the source held at ground.

    Parameters
    ----------
    g_s : ndarray of float64, shape (n, ladders)
        Conductances from each node to ground, S; node 0 nearest to the source.
    segment_ohm, foot_ohm : float
        From node to node, and from the source to node 0, Ohm.

    Returns
    -------
    ndarray of float64, shape (n, ladders)
    """
    shares = np.empty_like(g_s)
    _ladder(g_s, segment_ohm, foot_ohm, shares)
    return shares


@kernel
def gather_hats(values, lower, share, scale, out):  # type: ignore[no-untyped-def]
    """Add ``sum_i N_m(i) scale_i values[i]`` to ``out[m]``; hat `lower` has 1 - share at cell i, the next one share."""
    for i in range(values.shape[0]):
        m, near, far = lower[i], scale[i] * (1.0 - share[i]), scale[i] * share[i]
        for j in range(values.shape[1]):
            out[m, j] += near * values[i, j]
            out[m + 1, j] += far * values[i, j]


@kernel
def gather_pairs(values, lower, share, weight, out):  # type: ignore[no-untyped-def]
    """Add the sums over ``N_m^2`` to ``out[0, m]``, those over ``N_m N_m+1`` to ``out[1, m]``."""
    for i in range(values.shape[0]):
        m = lower[i]
        near, far = 1.0 - share[i], share[i]
        first, last, both = weight[i] * near * near, weight[i] * far * far, weight[i] * near * far
        for j in range(values.shape[1]):
            out[0, m, j] += first * values[i, j]
            out[0, m + 1, j] += last * values[i, j]
            out[1, m, j] += both * values[i, j]


@subroutine
def _factor(a):  # type: ignore[no-untyped-def]
    """Replace the lower half of a symmetric positive matrix by its Cholesky factor."""
    for i in range(a.shape[0]):
        for j in range(i + 1):
            left = a[i, j]
            for k in range(j):
                left -= a[i, k] * a[j, k]
            a[i, j] = math.sqrt(left) if i == j else left / a[j, j]


@subroutine
def _forward(factor, b):  # type: ignore[no-untyped-def]
    for i in range(b.shape[0]):
        for k in range(i):
            for j in range(b.shape[1]):
                b[i, j] -= factor[i, k] * b[k, j]
        for j in range(b.shape[1]):
            b[i, j] /= factor[i, i]


@subroutine
def _backward(factor, b):  # type: ignore[no-untyped-def]
    for i in range(b.shape[0] - 1, -1, -1):
        for k in range(i + 1, b.shape[0]):
            for j in range(b.shape[1]):
                b[i, j] -= factor[k, i] * b[k, j]
        for j in range(b.shape[1]):
            b[i, j] /= factor[i, i]


@kernel
def respond(first, second, between, out):  # type: ignore[no-untyped-def]
    """Potentials of the second layer for unit currents into the first, into ``out[first, second]``.

    ``first`` and ``second`` hold the matrices of two layers of nodes that ``between`` joins; both are overwritten.
    """
    inner = between.T.copy()
    _factor(second)
    _forward(second, inner)
    for k in range(inner.shape[0]):
        for i in range(first.shape[0]):
            for j in range(first.shape[1]):
                first[i, j] -= inner[k, i] * inner[k, j]
    _backward(second, inner)
    _factor(first)
    out[:] = inner.T
    _forward(first, out)
    _backward(first, out)


@kernel
def see(response, gathered, lower, share, out):  # type: ignore[no-untyped-def]
    """Add what a unit current into function b gives column j, ``sum_ml response[b, m, l] gathered[m, j] N_l(j)``."""
    for b in range(response.shape[0]):
        for m in range(response.shape[1]):
            for j in range(out.shape[1]):
                near = response[b, m, lower[j]] * (1.0 - share[j])
                far = response[b, m, lower[j] + 1] * share[j]
                out[b, j] += gathered[m, j] * (near + far)


@kernel
def add_coupling(entering, seen, lower, share, out):  # type: ignore[no-untyped-def]
    """Add ``sum_ml N_m(i) entering[i, l] seen[m, l, j]`` to ``out[i, j]``."""
    for i in range(entering.shape[0]):
        m = lower[i]
        for l in range(entering.shape[1]):  # noqa: E741 - the letter of the formula
            near, far = entering[i, l] * (1.0 - share[i]), entering[i, l] * share[i]
            for j in range(out.shape[1]):
                out[i, j] += near * seen[m, l, j] + far * seen[m + 1, l, j]
