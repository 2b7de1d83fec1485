"""Global drift compensation: one digital scale per layer, from summed conductances (device-physics §7.1).

All cells of an array drift by about the same factor. Its word lines driven at a constant voltage give the
sum of its conductances, and the ratio of two such sums, now and at a reference read, is that factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from labkit.mapping import WeightMap

__all__ = ["compensated", "scales"]


def scales(
    weight_map: WeightMap,
    reference_s: ArrayLike,
    now_s: ArrayLike,
    *,
    columns: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Return ``sum G(reference) / sum G(now)`` per layer.

    Parameters
    ----------
    weight_map : WeightMap
        Says which cell belongs to which layer.
    reference_s, now_s : array_like, shape (n,)
        Readings of its cells, siemens, in its order. A cell that one of them lacks (NaN) counts in neither.
    columns : mapping of str to sequence of int, optional
        Outputs of each layer to sum over, both devices of each pair; all of them where a layer is not named.

    Returns
    -------
    dict of str to float
        In the order of the layers; 1 where there is no conductance to compare.

    Raises
    ------
    ValueError
        An unknown layer or output, or readings of another length.
    """
    reference = np.asarray(reference_s, np.float64)
    now = np.asarray(now_s, np.float64)
    if reference.shape != weight_map.cells.shape or now.shape != reference.shape:
        raise ValueError(
            f"{reference.shape} and {now.shape} readings for {len(weight_map)} cells; give one per cell"
        )
    counts = np.isfinite(reference) & np.isfinite(now)
    if columns:
        counts &= _chosen(weight_map, columns)
    layer, number = weight_map.layer[counts], len(weight_map.layers)
    before = np.bincount(layer, reference[counts], number)
    after = np.bincount(layer, now[counts], number)
    usable = (before > 0) & (after > 0)
    ratio = np.divide(before, after, out=np.ones(number), where=usable)
    return {entry.name: float(scale) for entry, scale in zip(weight_map.layers, ratio, strict=True)}


def compensated(
    weights: Mapping[str, NDArray[np.float32]], factors: Mapping[str, float]
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of each layer times its scale; layers without one are passed on as they are."""
    return {name: values * np.float32(factors.get(name, 1.0)) for name, values in weights.items()}


def _chosen(weight_map: WeightMap, columns: Mapping[str, Sequence[int]]) -> NDArray[np.bool_]:
    known = {layer.name: layer for layer in weight_map.layers}
    if unknown := sorted(columns.keys() - known.keys()):
        raise ValueError(f"there is no layer {', '.join(unknown)}; the layers are {', '.join(known)}")
    widest = max(layer.outputs for layer in weight_map.layers)
    table = np.ones((len(weight_map.layers), widest), np.bool_)
    for code, layer in enumerate(weight_map.layers):
        if layer.name in columns:
            outputs = np.asarray(columns[layer.name], np.int64)
            if outputs.size == 0 or outputs.min() < 0 or outputs.max() >= layer.outputs:
                raise ValueError(
                    f"layer {layer.name!r} has outputs 0 .. {layer.outputs - 1}, not {outputs.tolist()}"
                )
            table[code] = False
            table[code, outputs] = True
    return table[weight_map.layer, weight_map.col]
