"""Weights to conductances and back; where the cells lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_run import bare_run

from drivers.chip import Geometry
from labkit.errors import RunError, TooManyCells, WeightsError
from labkit.mapping import WeightMap
from labkit.placement import place_layers
from labkit.runs import Run

G_MAX_S = 25e-6
CHIP = Geometry(2, 32, 48)


def network(seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return {"one": rng.normal(0, 0.3, (20, 15)), "two": rng.normal(0, 5.0, (16, 6))}


def mapped(weights: Any = None, geometry: Geometry = CHIP, **options: Any) -> WeightMap:
    return WeightMap.place(network() if weights is None else weights, geometry, g_max_s=G_MAX_S, **options)


# ---------------------------------------------------------------- targets


def test_the_largest_weight_of_each_layer_gets_full_scale_and_signs_choose_the_device() -> None:
    found = mapped({"a": [[1.0, -2.0, 0.0]], "b": [[-0.5]]})
    said = {
        (int(layer), int(col), int(sign)): round(float(target) * 1e6, 4)
        for layer, col, sign, target in zip(
            found.layer, found.col, found.polarity, found.target_s, strict=True
        )
    }
    assert said == {
        (0, 0, 1): 12.5, (0, 0, -1): 0.0, (0, 1, 1): 0.0, (0, 1, -1): 25.0, (0, 2, 1): 0.0, (0, 2, -1): 0.0,
        (1, 0, 1): 0.0, (1, 0, -1): 25.0,
    }  # fmt: skip
    assert [layer.scale for layer in found.layers] == [2.0, 0.5]


def test_conductances_become_the_weights_again() -> None:
    weights = network()
    found = mapped(weights)
    back = found.weights(found.target_s)
    assert list(back) == ["one", "two"]
    for name, values in weights.items():
        assert back[name].dtype == np.float32
        np.testing.assert_allclose(back[name], values, rtol=1e-5, atol=1e-6 * np.abs(values).max())


def test_both_devices_of_a_pair_count() -> None:
    found = mapped({"a": [[1.0, -1.0]]})
    g_s = np.where(found.polarity > 0, 20e-6, 5e-6)
    np.testing.assert_allclose(found.weights(g_s)["a"], [[0.6, 0.6]], rtol=1e-6)


def test_small_targets_are_reset_and_all_zero_layers_have_scale_one() -> None:
    found = mapped({"a": [[1.0, 0.0099, 0.0101]], "z": np.zeros((2, 2))}, smallest_s=0.01 * G_MAX_S)
    assert np.count_nonzero(found.target_s) == 2
    assert found.layers[1].scale == 1.0
    assert not found.target_s[found.layer == 1].any()
    assert not found.weights(np.zeros(len(found)))["z"].any()


@pytest.mark.parametrize("size", [1e-44, 1e-30, 1e30])
def test_weights_of_any_size_are_mapped(size: float) -> None:
    found = mapped({"a": np.array([[1.0, -0.5]]) * size})
    np.testing.assert_allclose(
        np.sort(found.target_s)[-2:], [12.5e-6, 25e-6], rtol=0.3 if size < 1e-40 else 1e-6
    )


def test_missing_readings_add_nothing_and_are_counted() -> None:
    found = mapped({"a": [[1.0, -1.0]], "b": [[1.0]]})
    g_s = found.target_s.copy()
    g_s[(found.layer == 0) & (found.col == 1)] = np.nan
    np.testing.assert_allclose(found.weights(g_s)["a"], [[1.0, 0.0]])
    assert found.missing(g_s) == {"a": 2, "b": 0}
    with pytest.raises(ValueError, match="one per cell"):
        found.weights(g_s[:-1])


def test_layers_that_cannot_be_programmed_are_refused() -> None:
    with pytest.raises(WeightsError, match="'a' holds 1 weights"):
        mapped({"a": [[np.nan]]})


# ---------------------------------------------------------------- placement


def rectangles(shapes: list[tuple[int, int]], geometry: Geometry) -> list[np.ndarray[Any, Any]]:
    cells = place_layers(shapes, geometry)
    assert cells.dtype == np.uint32
    assert np.unique(cells).size == cells.size
    assert cells.max() < geometry.cells
    ends = np.cumsum([2 * rows * outs for rows, outs in shapes])
    return [
        part.reshape(rows, 2 * outs)
        for part, (rows, outs) in zip(np.split(cells, ends[:-1]), shapes, strict=True)
    ]


def test_a_layer_is_a_rectangle_of_word_lines_by_pairs_of_bit_lines() -> None:
    for layer in rectangles([(20, 15), (16, 6), (30, 2)], CHIP):
        bank, rest = divmod(layer.astype(int), CHIP.rows * CHIP.cols)
        row, col = divmod(rest, CHIP.cols)
        assert np.unique(bank).size == 1
        np.testing.assert_array_equal(row - row[0, 0], np.arange(layer.shape[0])[:, None] + 0 * row)
        np.testing.assert_array_equal(col - col[0, 0], np.arange(layer.shape[1])[None, :] + 0 * col)


def test_a_layer_larger_than_a_bank_is_cut_into_tiles_with_pairs_kept_together() -> None:
    (layer,) = rectangles([(40, 30)], Geometry(4, 32, 47))
    np.testing.assert_array_equal(layer[:, 1::2] - layer[:, ::2], 1)
    row = layer[:, ::2] // 47
    np.testing.assert_array_equal(row[:, :23] == row[:, :1], True)


@pytest.mark.parametrize(
    ("shapes", "geometry"),
    [
        ([(32, 24), (32, 24)], CHIP),  # both banks, to the last cell
        ([(17, 24), (17, 24)], Geometry(1, 34, 48)),
        ([(20, 24), (20, 24)], Geometry(1, 40, 48)),
        ([(20, 20), (13, 25), (1, 1)], Geometry(1, 32, 48)),  # no packing: cells one after the other
        ([(10, 1)], Geometry(1, 20, 1)),  # no room for a pair side by side
    ],
)
def test_what_fits_is_placed(shapes: list[tuple[int, int]], geometry: Geometry) -> None:
    rectangles(shapes, geometry)


def test_where_packing_fails_consecutive_cells_are_taken() -> None:
    shapes = [(20, 20), (13, 25)]
    cells = np.concatenate([layer.reshape(-1) for layer in rectangles(shapes, Geometry(1, 32, 48))])
    np.testing.assert_array_equal(cells, np.arange(cells.size))


def test_too_many_weights_are_counted() -> None:
    with pytest.raises(TooManyCells, match=r"need 3,138 cells.* has 3,072") as caught:
        mapped({"a": np.ones((523, 3))})
    assert (caught.value.needed, caught.value.available) == (3138, 3072)


def test_cells_ascend_and_every_weight_has_its_pair() -> None:
    found = mapped()
    assert np.all(np.diff(found.cells.astype(np.int64)) > 0)
    assert len(found) == 2 * (20 * 15 + 16 * 6)
    seen = {
        *zip(
            found.layer.tolist(), found.row.tolist(), found.col.tolist(), found.polarity.tolist(), strict=True
        )
    }
    assert len(seen) == len(found)


# ---------------------------------------------------------------- from a run


def stored(path: Path, found: WeightMap, **changes: Any) -> Run:
    run = Run.create(
        path, kind="program", settings={"g_max_s": found.g_max_s}, card={}, station={}, seeds={}, inputs={},
        created_unix_ns=0,
    )  # fmt: skip
    layers = [{"name": x.name, "rows": x.rows, "outputs": x.outputs, "scale": x.scale} for x in found.layers]
    run.update_manifest(layers=layers)
    run.write_table("cells", {**found.columns(), **changes})
    return Run.open(path)


def test_a_map_is_rebuilt_from_its_run(tmp_path: Path) -> None:
    found = mapped()
    again = WeightMap.of_run(stored(tmp_path / "run", found))
    assert again.layers == found.layers
    assert again.g_max_s == found.g_max_s
    for name in ("cells", "target_s", "layer", "row", "col", "polarity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
        assert getattr(again, name).dtype == getattr(found, name).dtype
    g_s = np.random.default_rng(1).random(len(found)).astype(np.float32)
    np.testing.assert_array_equal(again.weights(g_s)["two"], found.weights(g_s)["two"])


def test_a_run_that_holds_no_map_is_refused(tmp_path: Path) -> None:
    found = mapped()
    bare = bare_run(tmp_path / "bare", kind="other")
    with pytest.raises(RunError, match="no table 'cells'"):
        WeightMap.of_run(bare)
    bare.write_table("cells", {"cell": np.arange(4, dtype=np.uint32)})
    with pytest.raises(RunError, match="which cell holds which weight"):
        WeightMap.of_run(bare)
    twice = stored(tmp_path / "twice", found, row=np.zeros_like(found.row))
    with pytest.raises(RunError, match="damaged"):
        WeightMap.of_run(twice)
    outside = stored(tmp_path / "outside", found, row=found.row + np.uint32(1000))
    with pytest.raises(RunError, match="damaged"):
        WeightMap.of_run(outside)


# ---------------------------------------------------------------- reference rows


@pytest.mark.parametrize(
    ("shapes", "geometry", "references"),
    [
        ([(20, 15), (16, 6), (30, 2)], CHIP, {30, 31}),
        ([(30, 24), (30, 24)], CHIP, {0, 31}),  # all that is left, to the last cell
        ([(40, 10)], CHIP, {15, 16}),  # cut into tiles that fit between them
        ([(9, 20), (9, 20)], Geometry(1, 32, 48), {10, 20}),
        ([(14, 24), (14, 20), (1, 3)], Geometry(1, 32, 48), {5, 25}),  # no packing: one after the other
    ],
)
def test_weights_keep_off_the_reference_rows(
    shapes: list[tuple[int, int]], geometry: Geometry, references: set[int]
) -> None:
    cells = place_layers(shapes, geometry, reference_rows=references)
    rows = cells.astype(int) // geometry.cols % geometry.rows
    assert not set(rows.tolist()) & references
    assert np.unique(cells).size == cells.size == 2 * sum(height * outs for height, outs in shapes)
    assert cells.max() < geometry.cells


def test_no_rectangle_lies_across_a_reference_row() -> None:
    cells = place_layers([(9, 20), (9, 20)], Geometry(1, 32, 48), reference_rows={10, 20})
    for layer in cells.reshape(2, 9, 40).astype(int) // 48:
        assert layer.max() - layer.min() == 8


def test_a_chip_is_too_small_where_its_references_leave_too_little() -> None:
    place_layers([(32, 24), (31, 24)], CHIP, reference_rows=())
    with pytest.raises(TooManyCells, match=r"the chip has 2,976 beside its reference rows") as caught:
        place_layers([(32, 24), (31, 24)], CHIP, reference_rows={31})
    assert caught.value.available == 2 * 31 * 48
