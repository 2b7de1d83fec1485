"""The screen of a simulated scope as a picture: a grid and the records, in grey, as PNG or BMP."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["picture"]

WIDTH, HEIGHT = 800, 480
_GRID, _LIGHT = 64, 255


def picture(lines: Mapping[int, NDArray[np.float64]], columns: int, rows: int, *, png: bool) -> bytes:
    """Draw records over a grid.

    Parameters
    ----------
    lines : mapping of int to ndarray of float64
        Channel -> heights from 0, the lower edge, to 1.
    columns, rows : int
        Divisions of the grid.
    png : bool
        PNG, otherwise a BMP of 8 bits.
    """
    screen = np.zeros((HEIGHT, WIDTH), np.uint8)
    screen[:, [round(each * (WIDTH - 1) / columns) for each in range(columns + 1)]] = _GRID
    screen[[round(each * (HEIGHT - 1) / rows) for each in range(rows + 1)]] = _GRID
    for heights in lines.values():
        at = np.linspace(0, len(heights) - 1, WIDTH).astype(int)
        down = np.clip(((1.0 - heights[at]) * (HEIGHT - 1)).astype(int), 0, HEIGHT - 1)
        screen[down, np.arange(WIDTH)] = _LIGHT
    return _png(screen) if png else _bmp(screen)


def _png(screen: NDArray[np.uint8]) -> bytes:
    raw = b"".join(b"\0" + row.tobytes() for row in screen)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _bmp(screen: NDArray[np.uint8]) -> bytes:
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + screen.size, 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 0, screen.size, 0, 0, 256, 0)
    return head + info + palette + screen[::-1].tobytes()
