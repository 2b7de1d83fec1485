"""What the resistance of the lines does to a whole rectangle of cells that conduct at once (device-physics §4.4).

The network of a rectangle, every cell between a node of its word line and a node of its bit line, is linear in the
inputs for given conductances, so one matrix of transfer conductances says all: ``I_j = sum_i V_i T_ij``. With P and Q
the solutions of all word lines and of all bit lines, each as a ladder whose cells end at ground, the potentials of
the nodes are ``W = P V + P G B`` and ``B = Q G W``. Then

    ``T_ij = w_ij G_ij u_ij + d_ij``.

w is the exact ladder of word line i; u is that of bit line j seen from its foot (by reciprocity the share of a
current put in at row i that reaches the foot). d is all that the coupling of both adds: bit lines that rise relieve
the word lines. It is a smooth response of the whole rectangle, and solved as one, in hat functions on a grid of 12 x
12 nodes, scaled by the load of each row and column: a Galerkin projection of the same network. d is exactly 0 where
one of the two lines has no resistance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.lines_kernel import (
    add_coupling,
    gather_hats,
    gather_pairs,
    ladder_shares,
    respond,
    see,
)

__all__ = ["RectangleLines", "Transfer", "line_transfer"]

_NODES = 12
_SCALE_LIMITS = (0.05, 20.0)
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RectangleLines:
    """The lines of one rectangle.

    Attributes
    ----------
    bit_line_ohm, word_line_ohm : float
        From cell to cell, Ohm.
    first_row, first_col : int
        Cells between the rectangle and the foot of its bit lines, and the drivers of its word lines.
    """

    bit_line_ohm: float
    word_line_ohm: float
    first_row: int = 0
    first_col: int = 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a rectangle passes inputs on.

    Attributes
    ----------
    word, bit : ndarray of float64, shape (rows, cols)
        Share of the input that reaches a cell; share of the cell's current that reaches the foot.
    cross_s : ndarray of float64, shape (rows, cols), or None
        What the coupling of both lines adds to conductance times both shares, S.
    """

    word: _Floats
    bit: _Floats
    cross_s: _Floats | None


def line_transfer(conductance_s: _Floats, lines: RectangleLines) -> Transfer:
    """Return the transfer of a rectangle whose cells have these conductances.

    Parameters
    ----------
    conductance_s : ndarray of float64, shape (rows, cols)
        S; row 0 towards the foot of the bit lines, column 0 towards the drivers.
    lines : RectangleLines

    Notes
    -----
    Largest error over the largest output, against a direct solution of the network, for random conductances of 5 uS
    on average and 0.35 Ohm from cell to cell: without d 1.3e-4 at 128 x 128 and 2.1 % at 512 x 512, with it below
    1e-5 and 1e-4.
    """
    bit = ladder_shares(conductance_s, lines.bit_line_ohm, lines.first_row * lines.bit_line_ohm)
    across = np.ascontiguousarray(conductance_s.T)
    word = ladder_shares(across, lines.word_line_ohm, lines.first_col * lines.word_line_ohm).T
    coupled = lines.bit_line_ohm > 0.0 and lines.word_line_ohm > 0.0
    return Transfer(word, bit, _cross(conductance_s, word, bit, lines) if coupled else None)


class _Axis:
    """One direction of the coarse grid: hat functions over `cells` cells, at least one and at most 12 of them."""

    def __init__(self, cells: int, segment_ohm: float, cells_before: int) -> None:
        self.nodes = min(cells, _NODES)
        at: _Floats = np.arange(cells, dtype=np.float64) * ((self.nodes - 1.0) / max(cells - 1, 1))
        self.lower = np.minimum(at.astype(np.int64), max(self.nodes - 2, 0))
        self.share: _Floats = at - self.lower
        self._segment_ohm, self._cells_before = segment_ohm, cells_before
        self.held = int(not cells_before)  # the first node of a line that begins at its foot, or its driver

    def scales(self, load_s: _Floats) -> _Floats:
        """Return the load of each line over that of its neighbourhood, shape (cells,)."""
        hats = self._hats(np.ones_like(load_s))
        mean = hats @ (hats.T @ load_s / hats.sum(axis=0))
        relative = np.divide(load_s, mean, out=np.ones_like(mean), where=mean > 0.0)
        held: _Floats = np.clip(relative, *_SCALE_LIMITS)
        return held

    def _hats(self, scale: _Floats) -> _Floats:
        """Return the hat functions at the cells, scaled, shape (cells, nodes)."""
        hats = np.zeros((len(scale), self.nodes + 1))  # one more, always 0, behind the last
        cells = np.arange(len(scale))
        hats[cells, self.lower] = (1.0 - self.share) * scale
        hats[cells, self.lower + 1] += self.share * scale
        return hats[:, : self.nodes]

    def stiffness(self) -> _Floats:
        """Return the conductances along a line between the nodes, shape (nodes, nodes)."""
        steps = np.diff(self._hats(np.ones_like(self.share)), axis=0)
        along: _Floats = steps.T @ steps / self._segment_ohm
        if self._cells_before:
            along[0, 0] += 1.0 / (self._cells_before * self._segment_ohm)
        return along

    def mass(self, scale: _Floats) -> _Floats:
        """Return the overlap of the scaled hat functions, shape (nodes, nodes)."""
        hats = self._hats(scale)
        overlap: _Floats = hats.T @ hats
        return overlap

    def gather(self, values: _Floats, scale: _Floats) -> _Floats:
        """Return sums over the scaled hat functions along axis 0, shape (nodes, lanes)."""
        sums = np.zeros((self.nodes + 1, values.shape[1]))
        gather_hats(values, self.lower, self.share, scale, sums)
        return sums[: self.nodes]

    def pairs(self, values: _Floats, weight: _Floats) -> _Floats:
        """Return sums over the products of all pairs of hat functions along axis 0, shape (nodes, nodes, lanes)."""
        sums = np.zeros((2, self.nodes + 1, values.shape[1]))
        gather_pairs(values, self.lower, self.share, weight, sums)
        full = np.zeros((self.nodes, self.nodes, values.shape[1]))  # hats further apart do not overlap
        every, most = np.arange(self.nodes), np.arange(self.nodes - 1)
        full[every, every] = sums[0, : self.nodes]
        full[most, most + 1] = full[most + 1, most] = sums[1, : self.nodes - 1]
        return full


def _cross(g: _Floats, word: _Floats, bit: _Floats, lines: RectangleLines) -> _Floats:
    """Solve the coupled network on the coarse grid: currents into the bit lines, potentials out of the word lines.

    The functions of a bit line are hats along it, scaled over the columns by their loads; those of a word line hats
    along it, scaled over the rows. Indices m, n count nodes down the rectangle, l, k nodes across it.
    """
    down = _Axis(g.shape[0], lines.bit_line_ohm, lines.first_row)
    across = _Axis(g.shape[1], lines.word_line_ohm, lines.first_col)
    row_scale, col_scale = down.scales(g.sum(axis=1)), across.scales(g.sum(axis=0))
    one_row, one_col = np.ones_like(row_scale), np.ones_like(col_scale)

    def cells(by_row: _Floats, by_col: _Floats) -> _Floats:
        """Return the conductances of the cells between functions (m, l) and (n, k), shape (m, n, l, k)."""
        rows = down.pairs(g, by_row).reshape(-1, g.shape[1])
        both = across.pairs(np.ascontiguousarray(rows.T), by_col)
        return both.transpose(2, 0, 1).reshape(down.nodes, down.nodes, across.nodes, across.nodes)

    in_bit = np.multiply.outer(down.stiffness(), across.mass(col_scale)) + cells(one_row, col_scale**2)
    in_word = np.multiply.outer(down.mass(row_scale), across.stiffness()) + cells(row_scale**2, one_col)
    rows, cols = slice(down.held, None), slice(across.held, None)
    between = _matrix(cells(row_scale, col_scale)[rows, :, :, cols])
    added = np.zeros_like(g)
    if not between.size:  # all cells lie at the foot, or at the drivers
        return added
    response = np.zeros(between.shape)
    respond(_matrix(in_bit[rows, rows]), _matrix(in_word[:, :, cols, cols]), between, response)
    # Held nodes have no potential; one more node, always 0, lies behind the last.
    words = np.zeros((len(response), down.nodes, across.nodes + 1))
    words[:, :, across.held : across.nodes] = response.reshape(len(response), down.nodes, -1)
    seen = np.zeros((len(response), g.shape[1]))
    see(words, down.gather(g * bit, row_scale), across.lower, across.share, seen)
    bits = np.zeros((down.nodes + 1, across.nodes, g.shape[1]))
    bits[down.held : down.nodes] = seen.reshape(-1, across.nodes, g.shape[1])
    entering = across.gather(np.ascontiguousarray((g * word).T), col_scale).T
    add_coupling(np.ascontiguousarray(entering), bits, down.lower, down.share, added)
    return added


def _matrix(blocks: _Floats) -> _Floats:
    """Turn indices (m, n, l, k) into a matrix over (m, l) and (n, k)."""
    m, n, k, p = blocks.shape
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3)).reshape(m * k, n * p)
