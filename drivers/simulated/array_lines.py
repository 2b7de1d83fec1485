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

from drivers.simulated.multiply_kernel import ladder_shares

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
    """One direction of the coarse grid: hat functions over `cells` cells, and which of its nodes are free."""

    def __init__(self, cells: int, segment_ohm: float, cells_before: int) -> None:
        nodes = min(cells, _NODES)
        at = np.linspace(0.0, cells - 1.0, nodes)
        spacing = at[1] - at[0] if nodes > 1 else 1.0
        self.hats: _Floats = np.maximum(0.0, 1.0 - np.abs(np.arange(cells)[:, None] - at) / spacing)
        self.segment_ohm, self.cells_before = segment_ohm, cells_before
        # The first node of a line that begins at its foot, or its driver, is held there.
        self.free = slice(None) if cells_before else slice(1, None)
        near = np.abs(np.subtract.outer(np.arange(nodes), np.arange(nodes)))
        first = np.minimum.outer(np.arange(nodes), np.arange(nodes))
        self._place = np.where(near == 0, first, np.where(near == 1, nodes + first, 2 * nodes - 1))

    def scales(self, load_s: _Floats) -> _Floats:
        """Return the load of each line over that of its neighbourhood, shape (cells,)."""
        mean = self.hats @ (self.hats.T @ load_s / self.hats.sum(axis=0))
        relative = np.divide(load_s, mean, out=np.ones_like(mean), where=mean > 0.0)
        held: _Floats = np.clip(relative, *_SCALE_LIMITS)
        return held

    def stiffness(self) -> _Floats:
        """Return the conductances along a line between the nodes, shape (nodes, nodes)."""
        steps = np.diff(self.hats, axis=0)
        along: _Floats = steps.T @ steps / self.segment_ohm
        if self.cells_before:
            along[0, 0] += 1.0 / (self.cells_before * self.segment_ohm)
        return along

    def mass(self, scale: _Floats) -> _Floats:
        """Return the overlap of the scaled hat functions, shape (nodes, nodes)."""
        scaled = self.hats * scale[:, None]
        overlap: _Floats = scaled.T @ scaled
        return overlap

    def pairs(self, weight: _Floats) -> _Floats:
        """Return products of each hat function with itself and with its neighbour, shape (cells, 2 nodes - 1)."""
        products = np.concatenate([self.hats**2, self.hats[:, :-1] * self.hats[:, 1:]], axis=1)
        weighted: _Floats = products * weight[:, None]
        return weighted

    def spread(self, compact: _Floats, axis: int) -> _Floats:
        """Put what :meth:`pairs` gathered on one axis where pairs of nodes belong, on two."""
        width = [(0, 0)] * compact.ndim
        width[axis] = (0, 1)  # hats further apart do not overlap
        filled = np.take(np.pad(compact, width), self._place.ravel(), axis=axis)
        shape = (*compact.shape[:axis], *self._place.shape, *compact.shape[axis + 1 :])
        return filled.reshape(shape)


def _cross(g: _Floats, word: _Floats, bit: _Floats, lines: RectangleLines) -> _Floats:
    """Solve the coupled network on the coarse grid: currents into the bit lines, potentials out of the word lines."""
    down = _Axis(g.shape[0], lines.bit_line_ohm, lines.first_row)
    across = _Axis(g.shape[1], lines.word_line_ohm, lines.first_col)
    row_scale, col_scale = down.scales(g.sum(axis=1)), across.scales(g.sum(axis=0))

    def cells(by_row: _Floats, by_col: _Floats) -> _Floats:
        """Conductances of the cells between functions (m, l) and (m', l'), indices in the order m, m', l, l'."""
        gathered = down.pairs(by_row).T @ g @ across.pairs(by_col)
        return down.spread(across.spread(gathered, 1), 0)

    rows, cols, every = down.free, across.free, slice(None)
    one_r, one_c = np.ones_like(row_scale), np.ones_like(col_scale)
    in_bit = np.multiply.outer(down.stiffness(), across.mass(col_scale)) + cells(one_r, col_scale**2)
    in_word = np.multiply.outer(down.mass(row_scale), across.stiffness()) + cells(row_scale**2, one_c)
    between = _square(cells(row_scale, col_scale)[rows, every, every, cols])
    bit_bit, word_word = _square(in_bit[rows, rows]), _square(in_word[:, :, cols, cols])
    if not between.size:  # all cells lie at the foot, or at the drivers
        return np.zeros_like(g)
    relieved = np.linalg.solve(word_word, between.T)
    response = np.linalg.inv(bit_bit - between @ relieved) @ relieved.T  # (bit function, word function)
    bits, words = down.hats[:, rows], across.hats[:, cols]
    into = (g * word) @ (across.hats * col_scale[:, None])  # current of row i into each bit function
    out = (down.hats * row_scale[:, None]).T @ (
        g * bit
    )  # what a potential of each word function gives column j
    seen = np.einsum(
        "bml,mj,jl->bj", response.reshape(len(response), -1, words.shape[1]), out, words, optimize=True
    )
    entering = np.einsum("im,il->iml", bits, into).reshape(len(g), -1)
    added: _Floats = entering @ seen
    return added


def _square(blocks: _Floats) -> _Floats:
    """Turn indices m, m', l, l' into a matrix over (m, l) and (m', l')."""
    m, n, k, p = blocks.shape
    return blocks.transpose(0, 2, 1, 3).reshape(m * k, n * p)
