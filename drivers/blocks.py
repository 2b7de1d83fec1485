"""IEEE 488.2 definite-length blocks: ``#<digits><length><data>`` (controller-protocol §3.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import MalformedAnswer

__all__ = ["block_of", "header_of", "items_of"]


def header_of(size: int) -> bytes:
    """Return the header of a block of `size` bytes.

    Raises
    ------
    ValueError
        More bytes than nine digits can say.
    """
    digits = str(size)
    if size < 0 or len(digits) > 9:
        raise ValueError(f"a block of {size} bytes cannot be announced; split it")
    return f"#{len(digits)}{digits}".encode()


def block_of(values: NDArray[Any] | bytes) -> bytes:
    """Return values as a block, little-endian as they are sent on the wire."""
    if isinstance(values, bytes):
        return header_of(len(values)) + values
    wire = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return b"".join((header_of(wire.nbytes), wire.data))


def items_of(data: bytes, dtype: str, count: int | None = None) -> NDArray[Any]:
    """Return the items of a block's contents, a read-only view.

    Parameters
    ----------
    data : bytes
        Contents of the block.
    dtype : str
        Little-endian numpy type, e.g. ``"<f4"``.
    count : int, optional
        How many there must be.

    Raises
    ------
    MalformedAnswer
        The length is no multiple of an item, or not that of `count` items.
    """
    kind = np.dtype(dtype)
    if len(data) % kind.itemsize or (count is not None and len(data) != count * kind.itemsize):
        wanted = "whole items" if count is None else f"{count} items"
        raise MalformedAnswer(f"a block of {len(data)} bytes does not hold {wanted} of {kind.itemsize} bytes")
    items: NDArray[Any] = np.frombuffer(data, kind)
    return items
