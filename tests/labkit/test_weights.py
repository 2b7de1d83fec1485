"""Weight files: what can be programmed is read exactly, everything else is refused by name."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.errors import WeightsError
from labkit.weights import check_layers, load_weights

GOOD = np.array([[0.5, -1.0], [0.25, 2.0], [0.0, 1e-3]])


def test_an_npz_gives_its_layers_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, zeta=GOOD, alpha=GOOD.astype(np.float16), counts=np.arange(6).reshape(2, 3))
    layers = load_weights(path)
    assert list(layers) == ["zeta", "alpha", "counts"]
    assert all(layer.dtype == np.float32 and layer.flags.c_contiguous for layer in layers.values())
    np.testing.assert_array_equal(layers["zeta"], GOOD.astype(np.float32))
    np.testing.assert_array_equal(layers["counts"], [[0, 1, 2], [3, 4, 5]])


def test_a_compressed_npz_and_an_upper_case_ending_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "net.npz", a=GOOD)
    (tmp_path / "net.npz").rename(tmp_path / "NET.NPZ")
    np.testing.assert_array_equal(load_weights(tmp_path / "NET.NPZ")["a"], GOOD.astype(np.float32))


def test_an_npy_is_one_layer_named_after_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "fc1.npy", np.asfortranarray(GOOD))
    layers = load_weights(str(tmp_path / "fc1.npy"))
    assert list(layers) == ["fc1"]
    np.testing.assert_array_equal(layers["fc1"], GOOD.astype(np.float32))


def test_a_csv_is_one_layer_with_comments_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "fc2.csv"
    path.write_bytes(b"\xef\xbb\xbf# two outputs\r\n0.5,-1\r\n\r\n0.25, 2.0\r\n0,1e-3\r\n")
    np.testing.assert_array_equal(load_weights(path)["fc2"], GOOD.astype(np.float32))
    path.write_text("1.5\n")
    assert load_weights(path)["fc2"].shape == (1, 1)


def test_all_zero_layers_are_weights_too() -> None:
    np.testing.assert_array_equal(check_layers({"a": np.zeros((2, 2))})["a"], np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[1.0, np.nan], [np.inf, np.nan]]), r"3 weights .*\(nan\) in row 0, column 1"),
        (np.array([[1.0, 1e39]]), r"1 weights .*\(1e\+39\) in row 0, column 1"),
        (np.zeros(5), r"shape \(5,\).*bias as one more row"),
        (np.zeros((2, 3, 3, 4)), r"shape \(2, 3, 3, 4\)"),
        (np.array(3.0), r"shape \(\)"),
        (np.zeros((0, 4)), r"empty.*\(0, 4\)"),
        (np.zeros((3, 2), complex), "complex128, not real"),
        (np.zeros((3, 2), bool), "bool, not real"),
        (np.array([["a"]]), "not real numbers"),
    ],
)
def test_what_cannot_be_programmed_is_refused_with_file_and_layer(
    tmp_path: Path, values: Any, said: str
) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, good=GOOD, bad=values)
    with pytest.raises(WeightsError, match=said) as caught:
        load_weights(path)
    assert (caught.value.path, caught.value.layer) == (path, "bad")
    assert str(path) in str(caught.value)
    assert "'bad'" in str(caught.value)


def test_ragged_lists_and_no_layers_are_refused() -> None:
    with pytest.raises(WeightsError, match="'a' is not an array of numbers"):
        check_layers({"a": [[1.0], [1.0, 2.0]]})
    with pytest.raises(WeightsError, match="no layers"):
        check_layers({})


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_pickled_objects_are_never_loaded(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"evil.{ending}"
    evil = np.array([[Exploding()]], dtype=object)
    if ending == "npy":
        np.save(path, evil, allow_pickle=True)
    else:
        np.savez(path, evil=evil)
    with pytest.raises(WeightsError, match="pickled Python objects") as caught:
        load_weights(path)
    assert caught.value.layer == "evil"


class Exploding:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.npz", b"", "cannot be read"),
        ("a.npz", b"PK\x03\x04 cut", "cannot be read"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'", "cannot be read"),
        ("a.npy", b"text", "cannot be read"),
        ("a.csv", b"1,2\n3,x\n", "row 1, column 2"),
        ("a.csv", b"1,2\n3\n", "number of columns"),
        ("a.csv", b"\xff\xfe1,2", "cannot be read"),
        ("a.csv", b"# nothing\n", "empty"),
        ("a.pt", b"", r"must end in \.npz, \.npy, \.csv"),
        ("weights", b"", "must end in"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said) as caught:
        load_weights(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, a=GOOD)
    content = bytearray(path.read_bytes())
    content[content.index(GOOD.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="CRC"):
        load_weights(path)


def test_an_archive_with_other_files_or_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match=r"'readme\.txt' is no array"):
        load_weights(path)
    np.savez(path)
    with pytest.raises(WeightsError, match="no layers"):
        load_weights(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no file .*net\.npz"):
        load_weights(tmp_path / "net.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(tmp_path / "folder.npz")
