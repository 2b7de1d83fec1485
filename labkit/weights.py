"""Weight files: one two-dimensional array of real numbers per layer, rows are word lines, columns outputs.

``.npz`` holds any number of layers, ``.npy`` and ``.csv`` (numbers separated by commas) one, named after the
file. A file that cannot be used is refused with its name, the layer and the first offending place.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from lzma import LZMAError
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import WeightsError

__all__ = ["check_layers", "load_weights", "read_arrays"]

# What zipfile and NumPy raise for a file that is absent, cut or damaged somewhere: RuntimeError and
# NotImplementedError where a damaged header claims encryption or an unknown compression, MemoryError where it
# claims an absurd size.
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
)


def load_weights(path: str | Path) -> dict[str, NDArray[np.float32]]:
    """Read the layers of a weight file.

    Parameters
    ----------
    path : path
        ``.npz``, ``.npy`` or ``.csv``. Nothing in it is executed: pickled objects are refused.

    Returns
    -------
    dict of str to ndarray of float32, shape (rows, outputs)
        In the order of the file.

    Raises
    ------
    WeightsError
        The file is missing, damaged or of another kind, or a layer is no finite, real, two-dimensional array.
    """
    path = Path(path)
    return check_layers(read_arrays(path), path=path)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file as they are; see `load_weights` for the kinds of file.

    Raises
    ------
    WeightsError
        The file is missing, damaged or of another kind.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise WeightsError(f"{path} is no weight file: its name must end in {', '.join(_READERS)}", path=path)
    try:
        return reader(path)
    except FileNotFoundError:
        raise WeightsError(f"there is no file {path}; check its name", path=path) from None
    except _UNREADABLE as problem:
        said = (str(problem) or type(problem).__name__).splitlines()[0]
        raise WeightsError(f"{path} cannot be read ({said}); save it again", path=path) from problem


def check_layers(
    layers: Mapping[str, ArrayLike], *, path: Path | None = None
) -> dict[str, NDArray[np.float32]]:
    """Turn layers into float32 arrays, or say which of them cannot be programmed and why.

    Parameters
    ----------
    layers : mapping of str to array_like, shape (rows, outputs)
        Integers and floats of any size are taken.
    path : Path, optional
        The file they came from, for the message.

    Raises
    ------
    WeightsError
        No layers, or one that is empty, not two-dimensional, not of real numbers, or not finite in float32.
    """
    checked = {name: _layer(name, values, path) for name, values in layers.items()}
    if not checked:
        raise WeightsError(f"{path or 'the network'} holds no layers; give at least one array", path=path)
    return checked


def _layer(name: str, values: ArrayLike, path: Path | None) -> NDArray[np.float32]:
    where = f"layer {name!r}" if path is None else f"{path}: layer {name!r}"

    def refused(why: str) -> WeightsError:
        return WeightsError(f"{where} {why}", path=path, layer=name)

    try:
        given = np.asarray(values)
    except ValueError as problem:
        raise refused(f"is not an array of numbers ({problem})") from problem
    if given.dtype.kind not in "fiu":
        raise refused(f"holds {given.dtype}, not real numbers; convert it to float32")
    if given.ndim != 2:
        raise refused(
            f"has shape {given.shape}; a layer is two-dimensional, (rows, outputs): reshape it, and append a "
            "bias as one more row"
        )
    if given.size == 0:
        raise refused(f"is empty, its shape is {given.shape}; leave it out")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
        weights = np.array(given, dtype=np.float32, order="C")
    finite = np.isfinite(weights)
    if not finite.all():
        row, col = (int(place) for place in np.argwhere(~finite)[0])
        raise refused(
            f"holds {finite.size - np.count_nonzero(finite):,} weights that are not finite float32 numbers, "
            f"the first ({given[row, col]}) in row {row}, column {col}; replace them, e.g. by 0"
        )
    return weights


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    layers = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name, dot, ending = member.rpartition(".")
            if not name or dot + ending != ".npy":
                raise WeightsError(
                    f"{path}: its member {member!r} is no array; save it with numpy.savez", path=path
                )
            # Whole members, because zipfile checks the checksum only of what is read to its end.
            layers[name] = _array(archive.read(member), path, name)
    return layers


def _read_npy(path: Path) -> dict[str, NDArray[Any]]:
    return {path.stem: _array(path.read_bytes(), path, path.stem)}


def _array(content: bytes, path: Path, layer: str) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.lib.format.read_array(BytesIO(content), allow_pickle=False)
    except ValueError as problem:
        if "pickle" not in str(problem):
            raise
        raise WeightsError(
            f"{path}: layer {layer!r} holds pickled Python objects, never loaded here; save plain numbers",
            path=path,
            layer=layer,
        ) from None
    return values


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    text = path.read_text("utf-8-sig")
    rows = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not rows:
        return {path.stem: np.empty((0, 0))}
    return {path.stem: np.loadtxt(rows, delimiter=",", ndmin=2)}


_READERS: dict[str, Callable[[Path], dict[str, NDArray[Any]]]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".csv": _read_csv,
}
