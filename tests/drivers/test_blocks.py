"""Definite-length blocks."""

from __future__ import annotations

import numpy as np
import pytest
from fake_chip import payload

from drivers.blocks import block_of, header_of, items_of
from drivers.errors import MalformedAnswer


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<u4", "<u8", "<f4", ">u4", ">f4"])
@pytest.mark.parametrize("count", [0, 1, 9, 1000])
def test_round_trip(dtype: str, count: int) -> None:
    values = np.arange(count).astype(dtype)
    block = block_of(values)
    back = items_of(payload(block), np.dtype(dtype).newbyteorder("<").str, count)
    assert np.array_equal(back, values)
    assert not back.flags.writeable


def test_on_the_wire() -> None:
    assert block_of(np.array([1, 0x0A0B], ">u2")) == b"#14\x01\x00\x0b\x0a"
    assert block_of(b"1234567890") == b"#2101234567890"
    assert block_of(np.arange(8, dtype=np.uint8)[::2]) == b"#14\x00\x02\x04\x06"
    assert block_of(np.empty(0, np.float32)) == b"#10"


@pytest.mark.parametrize(
    ("size", "header"), [(0, b"#10"), (9, b"#19"), (10, b"#210"), (999_999_999, b"#9999999999")]
)
def test_headers(size: int, header: bytes) -> None:
    assert header_of(size) == header


@pytest.mark.parametrize("size", [-1, 1_000_000_000])
def test_a_size_that_cannot_be_said(size: int) -> None:
    with pytest.raises(ValueError, match="split it"):
        header_of(size)


@pytest.mark.parametrize(
    ("data", "count", "said"),
    [
        (b"12345", None, "5 bytes does not hold whole items of 4 bytes"),
        (b"1234", 2, "4 bytes does not hold 2 items of 4 bytes"),
        (b"123456789012", 2, "12 bytes does not hold 2 items"),
        (b"", 1, "0 bytes does not hold 1 items"),
    ],
)
def test_a_length_that_does_not_fit(data: bytes, count: int | None, said: str) -> None:
    with pytest.raises(MalformedAnswer, match=said):
        items_of(data, "<f4", count)
