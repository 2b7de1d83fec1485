"""From weights to target conductances and back, with two devices per weight (device-physics §7.1).

``G = |W| G_max / w_max`` with one w_max per layer. A positive weight lies in the first device of its pair, a
negative one in the second; the other is RESET, which is a target of zero. What is read back is
``W = (G+ - G-) w_max / G_max``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import RunError
from labkit.placement import place_layers
from labkit.weights import check_layers

if TYPE_CHECKING:
    from drivers.chip import Geometry
    from labkit.runs import Run

__all__ = ["Layer", "WeightMap"]


@dataclass(frozen=True)
class Layer:
    """What a map knows of one layer.

    Attributes
    ----------
    name : str
    rows, outputs : int
        Shape of its weights.
    scale : float
        w_max, the weight that full scale stands for; 1 where all weights are zero and any scale would do.
    """

    name: str
    rows: int
    outputs: int
    scale: float


@dataclass(frozen=True, eq=False)
class WeightMap:
    """Which cell holds which weight; made by :meth:`place` or :meth:`of_run`.

    Attributes
    ----------
    layers : tuple of Layer
    g_max_s : float
        Conductance of the largest weight of each layer, siemens.
    cells : ndarray of uint32, shape (n,)
        Cell indices, ascending; all other arrays are in this order.
    target_s : ndarray of float32, shape (n,)
        Target conductance, siemens; 0 for a device that is only RESET.
    layer : ndarray of uint16, shape (n,)
        Place in `layers`.
    row, col : ndarray of uint32, shape (n,)
        Place of the weight in its layer.
    polarity : ndarray of int8, shape (n,)
        +1 for the device that adds to the weight, -1 for the one that takes away.
    """

    layers: tuple[Layer, ...]
    g_max_s: float
    cells: NDArray[np.uint32]
    target_s: NDArray[np.float32]
    layer: NDArray[np.uint16]
    row: NDArray[np.uint32]
    col: NDArray[np.uint32]
    polarity: NDArray[np.int8]

    def __len__(self) -> int:
        return self.cells.size

    # ------------------------------------------------------------------ making

    @classmethod
    def place(
        cls,
        weights: Mapping[str, ArrayLike],
        geometry: Geometry,
        *,
        g_max_s: float,
        smallest_s: float = 0.0,
        reference_rows: Collection[int] = (),
    ) -> WeightMap:
        """Map the layers of a network to a chip.

        Parameters
        ----------
        weights : mapping of str to array_like, shape (rows, outputs)
        geometry : Geometry
            The chip.
        g_max_s : float
            Conductance of the largest weight of each layer, siemens.
        smallest_s : float
            Smaller targets become 0: such a cell is RESET and not programmed.
        reference_rows : collection of int
            Rows of every bank that hold resistors and are left out.

        Raises
        ------
        WeightsError
            A layer cannot be programmed.
        TooManyCells
            The chip is too small.
        """
        checked = check_layers(weights)
        layers = []
        parts = []
        for name, values in checked.items():
            largest = float(np.abs(values).max())
            layers.append(Layer(name, values.shape[0], values.shape[1], largest or 1.0))
            # In float64, since weights may be so small that their factor is no float32 number.
            target = np.abs(values, dtype=np.float64) * (g_max_s / layers[-1].scale)
            target[target < smallest_s] = 0.0
            pair = np.zeros((*values.shape, 2), np.float32)
            pair[..., 0] = np.where(values > 0, target, 0.0)
            pair[..., 1] = np.where(values < 0, target, 0.0)
            parts.append(pair.reshape(-1))
        shapes = [(layer.rows, layer.outputs) for layer in layers]
        placed = place_layers(shapes, geometry, reference_rows=reference_rows)
        order = np.argsort(placed)
        numbers, rows, cols, polarity = _addresses(layers)
        return cls(
            tuple(layers),
            float(g_max_s),
            placed[order],
            np.concatenate(parts)[order],
            numbers[order],
            rows[order],
            cols[order],
            polarity[order],
        )

    @classmethod
    def of_run(cls, run: Run) -> WeightMap:
        """Return the map a run was programmed with, from its table of cells and its manifest.

        Raises
        ------
        RunError
            The run does not hold one.
        """
        frame = run.table("cells")
        told = run.manifest.get("layers")
        try:
            layers = tuple(
                Layer(str(x["name"]), int(x["rows"]), int(x["outputs"]), float(x["scale"]))
                for x in told or ()
            )
            number = {layer.name: code for code, layer in enumerate(layers)}
            found = cls(
                layers,
                float(run.manifest["settings"]["g_max_s"]),
                frame["cell"].to_numpy(np.uint32),
                frame["target_s"].to_numpy(np.float32),
                frame["layer"].map(number).to_numpy(np.int64).astype(np.uint16),
                frame["row"].to_numpy(np.uint32),
                frame["col"].to_numpy(np.uint32),
                frame["polarity"].to_numpy(np.int8),
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise RunError(
                f"{run.path} does not say which cell holds which weight ({problem}); only runs of "
                "`labkit program` do",
                path=run.path,
            ) from problem
        whole = 2 * sum(layer.rows * layer.outputs for layer in layers)
        if len(found) != whole or np.bincount(found._slot, minlength=whole).max(initial=0) > 1:
            raise RunError(
                f"{run.path}: its table of cells does not fit its layers, which need {whole:,} cells; "
                "the run is damaged",
                path=run.path,
            )
        return found

    # ------------------------------------------------------------------ for the run directory

    def columns(self) -> dict[str, Any]:
        """Columns of the ``cells`` table that :meth:`of_run` needs."""
        import pandas as pd

        names = [layer.name for layer in self.layers]
        return {
            "cell": self.cells,
            "layer": pd.Categorical.from_codes(self.layer.astype(np.int32), categories=pd.Index(names)),
            "row": self.row,
            "col": self.col,
            "polarity": self.polarity,
            "target_s": self.target_s,
        }

    # ------------------------------------------------------------------ back to weights

    @cached_property
    def _slot(self) -> NDArray[np.int64]:
        """Place of each cell in the list of all pairs, layer by layer, row by row."""
        outputs = np.array([layer.outputs for layer in self.layers], np.int64)
        rows = np.array([layer.rows for layer in self.layers], np.int64)
        starts = np.concatenate(([0], np.cumsum(rows * outputs)))
        if np.any(self.row >= rows[self.layer]) or np.any(self.col >= outputs[self.layer]):
            raise RunError("a cell lies outside its layer; the run is damaged")
        pair = starts[self.layer] + self.row * outputs[self.layer] + self.col
        place: NDArray[np.int64] = 2 * pair + (self.polarity < 0)
        return place

    def weights(self, g_s: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """Turn conductances into weights.

        Parameters
        ----------
        g_s : array_like, shape (n,)
            Of the cells, siemens, in the order of `cells`. A cell without a reading (NaN) adds nothing;
            :meth:`missing` counts them.

        Returns
        -------
        dict of str to ndarray of float32, shape (rows, outputs)
        """
        conductance = np.asarray(g_s, np.float32)
        if conductance.shape != self.cells.shape:
            raise ValueError(
                f"{conductance.shape} conductances for {self.cells.size} cells; give one per cell"
            )
        pairs = np.empty(conductance.size, np.float32)
        pairs[self._slot] = np.nan_to_num(conductance, nan=0.0)
        difference = pairs[0::2] - pairs[1::2]
        ends = np.cumsum([0, *(layer.rows * layer.outputs for layer in self.layers)])
        return {
            layer.name: (difference[start:end] * (layer.scale / self.g_max_s))
            .astype(np.float32)
            .reshape(layer.rows, layer.outputs)
            for layer, (start, end) in zip(self.layers, pairwise(ends), strict=True)
        }

    def missing(self, g_s: ArrayLike) -> dict[str, int]:
        """Count the cells without a reading (NaN), per layer."""
        absent = np.isnan(np.asarray(g_s, np.float32))
        counts = np.bincount(self.layer[absent], minlength=len(self.layers))
        return {layer.name: int(count) for layer, count in zip(self.layers, counts, strict=True)}


def _addresses(
    layers: list[Layer],
) -> tuple[NDArray[np.uint16], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int8]]:
    """Layer, row, output and polarity of all devices, in the order of `place_layers`."""
    sizes = [2 * layer.rows * layer.outputs for layer in layers]
    return (
        np.repeat(np.arange(len(layers), dtype=np.uint16), sizes),
        np.concatenate([np.repeat(np.arange(x.rows, dtype=np.uint32), 2 * x.outputs) for x in layers]),
        np.concatenate(
            [np.tile(np.repeat(np.arange(x.outputs, dtype=np.uint32), 2), x.rows) for x in layers]
        ),
        np.tile(np.array([1, -1], np.int8), sum(sizes) // 2),
    )
