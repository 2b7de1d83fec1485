"""The data words of the B1500A byte for byte, and that the driver reads back what the twin sends."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.instruments.keysight_b1500_formats import (
    LIMITED,
    OTHER_LIMITED,
    OVERFLOW,
    STOPPED,
    parse_ascii,
    parse_eight,
    parse_four,
)
from drivers.simulated.twins.b1500_formats import Datum, number, words

TIME = Datum("T", 0.123, 1.0, 1)
CURRENT = Datum("I", 5e-12, 100e-9, 1)
LIMIT = Datum("I", 1e-3, 1e-3, 2, status=LIMITED)
VOLTS = Datum("V", 1.0, 100.0, 1)
STEP = Datum("V", 0.5, 2.0, 1, source=True)
END = Datum("V", -1.5, 2.0, 1, source=True, last=True)
NOTHING = Datum("I", None, 1e-6, 1, status=OVERFLOW)
INDEX = Datum("X", 3.0, 1.0, 0)


@pytest.mark.parametrize(
    ("value", "span", "digits", "text"),
    [
        (0.0, 20.0, 12, "+00.0000E+00"),  # as DV1 of *LRN? 1 of a real instrument
        (100e-6, 100e-6, 12, "+100.000E-06"),
        (5e-12, 100e-9, 12, "+000.005E-09"),
        (-1.5, 2.0, 12, "-1.50000E+00"),
        (0.2, 0.5, 12, "+200.000E-03"),
        (1.0, 1.0, 12, "+1.00000E+00"),
        (5e-12, 100e-9, 13, "+000.0050E-09"),
        (40.0, 40.0, 13, "+40.00000E+00"),
        (1.15e-9, 1e-9, 13, "+1.150000E-09"),
    ],
)
def test_numbers_have_the_digits_of_their_range(value: float, span: float, digits: int, text: str) -> None:
    assert number(value, span, digits) == text
    assert len(text) == digits


@pytest.mark.parametrize(
    ("data", "style", "sent"),
    [
        ([CURRENT], 1, b"NAI+000.005E-09\r\n"),
        ([TIME, CURRENT, VOLTS], 1, b"NAT+0.12300E+00,NAI+000.005E-09,NAV+001.000E+00\r\n"),
        ([LIMIT, STEP], 1, b"CBI+1.00000E-03,WAV+0.50000E+00\r\n"),
        ([NOTHING, END], 1, b"VAI+199.999E+99,EAV-1.50000E+00\r\n"),
        ([INDEX, CURRENT], 1, b"NZX+3.00000E+00,NAI+000.005E-09\r\n"),
        ([CURRENT, VOLTS], 2, b"+000.005E-09,+001.000E+00\r\n"),
        ([CURRENT, VOLTS], 5, b"NAI+000.005E-09,NAV+001.000E+00,"),
        ([CURRENT], 11, b"NAI+000.0050E-09\r\n"),
        ([NOTHING], 12, b"+199.9999E+99\r\n"),
        ([CURRENT], 15, b"NAI+000.0050E-09,"),
        ([CURRENT, STEP], 21, b"000AI+000.0050E-09,  WAv+0.500000E+00\r\n"),
        ([LIMIT], 21, b"136BI+1.000000E-03\r\n"),  # 8: in compliance, 128: end of data
        ([LIMIT], 22, b"+1.000000E-03\r\n"),
        ([LIMIT], 25, b"136BI+1.000000E-03,"),
    ],
)
def test_ascii_words(data: list[Datum], style: int, sent: bytes) -> None:
    assert words(data, style) == sent


def test_the_item_sizes_are_those_others_read_by() -> None:
    """16, 17 and 19 bytes with what ends them (instruments §2.2)."""
    for style, size in ((1, 16), (11, 17), (21, 19)):
        assert len(words([CURRENT] * 3, style)) == 3 * size + 1
    for style, size in ((5, 16), (15, 17), (25, 19)):
        assert len(words([CURRENT] * 3, style)) == 3 * size


def test_the_published_time_word() -> None:
    """Programming Guide 1-53: 100000 us of SMU1."""
    bits = "0000001100000000000000000000000000000001100001101010000000000001"
    assert words([Datum("T", 0.1, 1.0, 1)], 14) == int(bits, 2).to_bytes(8, "big")
    assert parse_eight(int(bits, 2).to_bytes(8, "big")).value[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("datum", "word"),
    [
        # measured current, range code 14 (1 uA), 1 000 000 counts, status 8, high-resolution converter, channel 2
        (Datum("I", 1e-6, 1e-6, 2, status=8, adc=1), "81 0e 00 0f 42 40 08 22"),
        (Datum("I", -1e-6, 1e-6, 2), "81 0e ff f0 bd c0 00 02"),
        (Datum("V", 1.0, 2.0, 3), "80 0b 00 07 a1 20 00 03"),
        (Datum("V", -1.5, 2.0, 1, source=True, last=True), "00 0b ff f4 8e 50 02 01"),
        (Datum("I", None, 1e-6, 1, status=OVERFLOW), "81 0e 80 00 00 00 01 01"),
        (Datum("X", 3.0, 1.0, 0), "06 00 00 00 00 03 00 1f"),
    ],
)
def test_eight_byte_words(datum: Datum, word: str) -> None:
    assert words([datum], 14).hex(" ") == word
    assert words([datum], 13).hex(" ") == f"{word} 0d 0a"
    read = parse_eight(bytes.fromhex(word))
    expected = np.nan if datum.value is None else datum.value
    assert read.value[0] == pytest.approx(expected, nan_ok=True)
    assert read.kind[0] == datum.kind
    assert read.slot[0] == datum.slot
    assert read.source[0] == datum.source
    assert read.status[0] == datum.status


@pytest.mark.parametrize(
    ("datum", "word"),
    [
        # measured 1, current 1, range 14, count 50000 of 17 bits, status 4 (this channel), channel 2
        (Datum("I", 1e-6, 1e-6, 2, status=LIMITED), "dc c3 50 82"),
        (Datum("I", -1e-6, 1e-6, 2), "dd 3c b0 02"),
        (Datum("V", 1.0, 2.0, 1, status=OTHER_LIMITED), "96 61 a8 61"),
        (Datum("V", 2.0, 2.0, 1, source=True), "16 4e 20 21"),
        (Datum("I", None, 1e-6, 1, status=OVERFLOW), "dd 00 00 21"),
        (Datum("V", 1.0, 2.0, 1, status=STOPPED), "96 61 a8 e1"),
    ],
)
def test_four_byte_words(datum: Datum, word: str) -> None:
    assert words([datum], 4).hex(" ") == word
    assert words([datum], 3).hex(" ") == f"{word} 0d 0a"
    read = parse_four(bytes.fromhex(word))
    expected = np.nan if datum.value is None else datum.value
    assert read.value[0] == pytest.approx(expected, nan_ok=True)
    assert read.kind[0] == datum.kind
    assert read.status[0] == datum.status
    assert read.source[0] == datum.source


def test_four_byte_words_hold_no_times() -> None:
    assert words([TIME, CURRENT], 4) == words([CURRENT], 4)


@pytest.mark.parametrize("style", [1, 5, 11, 15, 21, 25])
def test_ascii_is_read_back_with_its_status(style: int) -> None:
    data = [TIME, LIMIT, NOTHING, STEP, END]
    read = parse_ascii(words(data, style).decode())
    assert read.kind.tolist() == ["T", "I", "I", "V", "V"]
    np.testing.assert_allclose(read.value, [0.123, 1e-3, np.nan, 0.5, -1.5], rtol=1e-5)
    assert read.status.tolist() == [0, LIMITED, OVERFLOW, 0, 0]
    assert read.source.tolist() == [False, False, False, True, True]
    assert read.slot.tolist() == [1, 2, 1, 1, 1]


@pytest.mark.parametrize("style", [2, 12, 22])
def test_ascii_without_headers_is_values_alone(style: int) -> None:
    read = parse_ascii(words([LIMIT, NOTHING, STEP], style).decode())
    assert read.kind.tolist() == ["", "", ""]
    np.testing.assert_allclose(read.value, [1e-3, np.nan, 0.5], rtol=1e-5)


@pytest.mark.parametrize("text", ["NAI+0x5", "QAI+000.005E-09", "hello", "NAI+000.005E-09,NA"])
def test_garbage_is_no_word(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|status"):
        parse_ascii(text)


@pytest.mark.parametrize("data", [b"1234567", bytes(7) + b"12", b"\x85" + bytes(7), b"\x81\xff" + bytes(6)])
def test_garbage_is_no_eight_byte_word(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|parameter|range"):
        parse_eight(data)


@pytest.mark.parametrize("data", [b"123", bytes.fromhex("dcc350a2"), bytes.fromhex("80c35002")])
def test_garbage_is_no_four_byte_word(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|status|range"):
        parse_four(data)
