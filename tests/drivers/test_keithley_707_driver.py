"""The driver of the Keithley 707B through VISA bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matrix_bench import GPIB, SMU, MatrixBench, matrix_bench

from drivers.errors import (
    HotSwitch,
    InstrumentError,
    LinkTimeout,
    MalformedAnswer,
    SettingOutOfRange,
    WiringError,
    WrongInstrument,
)
from drivers.instruments.keithley_707 import Keithley707, RelayStuck
from drivers.roles import CrosspointMatrix


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[MatrixBench]:
    with matrix_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def transcript() -> list[str]:
    return []


@pytest.fixture
def matrix(bench: MatrixBench, transcript: list[str]) -> Iterator[Keithley707]:
    with Keithley707.open(
        bench.address, backend=bench.backend, timeout_s=0.5, transcript=transcript
    ) as matrix:
        transcript.clear()
        yield matrix


def sent(transcript: list[str]) -> list[str]:
    return [line.split(" ", 2)[2].removesuffix("\\n") for line in transcript if line.startswith(">")]


def test_it_knows_what_it_is(matrix: Keithley707) -> None:
    assert matrix.identify().model == "707B"
    assert list(matrix.cards) == [1, 2, 3, 4, 5, 6]
    assert matrix.cards[1].startswith("7174A,")
    assert isinstance(matrix, CrosspointMatrix)
    assert matrix.closed() == frozenset()


def test_connect_is_one_message_whatever_its_size(
    bench: MatrixBench, matrix: Keithley707, transcript: list[str]
) -> None:
    matrix.connect(frozenset({("A", 1), ("B", 14)}))
    assert bench.twin.closed() == {bench.twin.channels.one("1A01"), bench.twin.channels.one("2B02")}
    many = frozenset((row, column) for row in "ABCD" for column in range(1, 73))
    matrix.connect(many)
    assert matrix.closed() == many
    assert len(sent(transcript)) == 3
    matrix.connect(frozenset())
    assert matrix.closed() == frozenset()


def test_it_opens_before_it_closes(bench: MatrixBench, matrix: Keithley707) -> None:
    bench.open().write("channel.connectrule = channel.MAKE_BEFORE_BREAK")  # whatever somebody left behind
    matrix.connect(frozenset({("A", 1)}))
    seen: list[frozenset[tuple[str, int]]] = []
    relays = bench.bench.world.relays
    bench.bench.world.relays = lambda name, points: (seen.append(points), relays(name, points))[1]
    matrix.connect(frozenset({("A", 2)}))
    assert seen == [frozenset(), frozenset({("A", 2)})]


def test_relays_that_stay_closed_are_not_moved(bench: MatrixBench, matrix: Keithley707) -> None:
    matrix.connect(frozenset({("A", 1), ("B", 2)}))
    seen: list[frozenset[tuple[str, int]]] = []
    relays = bench.bench.world.relays
    bench.bench.world.relays = lambda name, points: (seen.append(points), relays(name, points))[1]
    matrix.connect(frozenset({("A", 1), ("B", 3)}))
    assert all(("A", 1) in points for points in seen)


def test_it_returns_when_relays_have_settled(bench: MatrixBench, matrix: Keithley707) -> None:
    matrix.connect(frozenset({("A", 1)}))
    began = bench.now_s
    matrix.connect(frozenset({("A", 2)}))
    assert bench.now_s - began >= 2 * matrix.settle_s
    assert not matrix.sequential
    matrix.sequential = True
    assert matrix.sequential
    began = bench.now_s
    matrix.connect(frozenset(("A", column) for column in range(11, 21)))
    assert bench.now_s - began >= 11 * matrix.settle_s


@pytest.mark.parametrize("point", [("I", 1), ("A", 0), ("A", 73), ("a", 1), ("AB", 1), ("", 1)])
def test_crosspoints_there_are_not(
    matrix: Keithley707, transcript: list[str], point: tuple[str, int]
) -> None:
    with pytest.raises(SettingOutOfRange, match=r"rows A \.\. H and columns 1 \.\. 12, 13 \.\. 24") as caught:
        matrix.connect(frozenset({("A", 1), point}))
    assert caught.value.value == point
    assert sent(transcript) == []


def test_columns_of_empty_slots_there_are_not(tmp_path: Path) -> None:
    with (
        matrix_bench(tmp_path, options='cards: ["7174A", "empty", "7072"]') as bench,
        Keithley707.open(bench.address, backend=bench.backend) as matrix,
    ):
        assert list(matrix.cards) == [1, 3]
        matrix.connect(frozenset({("H", 36)}))
        with pytest.raises(SettingOutOfRange, match=r"columns 1 \.\. 12, 25 \.\. 36"):
            matrix.connect(frozenset({("A", 13)}))


# ---- hot switching --------------------------------------------------------------------------------------------
def test_a_guard_keeps_it_from_switching_under_voltage(bench: MatrixBench, matrix: Keithley707) -> None:
    volts = [1.0]
    matrix.guard = lambda: volts[0]
    for action in (
        lambda: matrix.connect(frozenset({("A", 1)})),
        matrix.open_all,
        lambda: matrix.forbid([("A", 1)]),
        matrix.reset,
    ):
        with pytest.raises(HotSwitch, match="1 V are across") as caught:
            action()
        assert caught.value.voltage_v == 1.0
    assert matrix.closed() == frozenset()
    volts[0] = float("nan")  # a guard that does not know is no guard
    with pytest.raises(HotSwitch):
        matrix.connect(frozenset({("A", 1)}))
    volts[0] = -0.01
    matrix.connect(frozenset({("A", 1)}))
    assert matrix.closed() == frozenset({("A", 1)})


def test_a_stuck_relay_has_a_name(bench: MatrixBench, matrix: Keithley707) -> None:
    smu = bench.open(SMU)
    matrix.connect(frozenset({("A", 1), ("B", 2)}))
    smu.write("smua.source.levelv = 1 smua.source.output = 1")
    with pytest.raises(RelayStuck, match="A1 did not open") as caught:
        matrix.connect(frozenset({("C", 3)}))
    assert isinstance(caught.value, WiringError)
    assert caught.value.closed == (("A", 1),)
    assert caught.value.open == ()
    smu.write("smua.source.levelv = 0 smua.source.output = 0")
    with pytest.raises(RelayStuck):
        matrix.open_all()
    with pytest.raises(RelayStuck):
        matrix.make_safe()
    matrix.connect(frozenset({("A", 1), ("B", 2)}))  # what includes it goes on working


def test_a_relay_that_does_not_close_has_a_name(bench: MatrixBench, matrix: Keithley707) -> None:
    moved = bench.twin._move
    bench.twin._move = lambda channels, close: moved(
        [each for each in channels if each.row != "B"], close=close
    )
    with pytest.raises(RelayStuck, match="B2 did not close") as caught:
        matrix.connect(frozenset({("A", 1), ("B", 2)}))
    assert caught.value.open == (("B", 2),)
    assert caught.value.closed == ()


def test_zeroed_sources_weld_nothing(bench: MatrixBench, matrix: Keithley707) -> None:
    smu = bench.open(SMU)
    for column in (1, 2, 13):
        smu.write("smua.source.levelv = 0")
        matrix.connect(frozenset({("A", column)}))
        smu.write("smua.source.output = 1 smua.source.levelv = 0.5")
        assert float(smu.query("print(smua.measure.i())")) > 1e-6
    smu.write("smua.source.levelv = 0")
    matrix.open_all()
    assert bench.bench.world.welded("matrix") == frozenset()


# ---- forbidden crosspoints and patterns -------------------------------------------------------------------------
def test_forbidden_crosspoints(matrix: Keithley707) -> None:
    matrix.connect(frozenset({("A", 1)}))
    matrix.forbid([("A", 3), ("B", 15)])
    assert matrix.forbidden() == frozenset({("A", 3), ("B", 15)})
    with pytest.raises(InstrumentError, match="2B03 is forbidden to close") as caught:
        matrix.connect(frozenset({("A", 2), ("B", 15)}))
    assert caught.value.errors[0].code == 1116
    assert matrix.closed() == frozenset({("A", 1)})  # nothing was switched
    matrix.allow([("B", 15)])
    matrix.connect(frozenset({("A", 2), ("B", 15)}))
    assert matrix.forbidden() == frozenset({("A", 3)})
    matrix.allow([])


def test_patterns(matrix: Keithley707) -> None:
    points = frozenset({("A", 3), ("B", 17)})
    matrix.store_pattern("readA", points)
    assert matrix.pattern("readA") == points
    matrix.connect(frozenset({("H", 72)}))
    matrix.connect_pattern("readA")
    assert matrix.closed() == points
    matrix.delete_pattern("readA")
    with pytest.raises(InstrumentError, match="no channel pattern readA"):
        matrix.connect_pattern("readA")
    assert matrix.closed() == points
    for name in ("1path", "my path", "x" * 20, ""):
        with pytest.raises(SettingOutOfRange):
            matrix.store_pattern(name, points)
    with pytest.raises(SettingOutOfRange):
        matrix.store_pattern("empty", frozenset())


# ---- how it is left, and the link -------------------------------------------------------------------------------
def test_it_is_left_open(bench: MatrixBench) -> None:
    with Keithley707.open(bench.address, backend=bench.backend) as matrix:
        matrix.connect(frozenset({("A", 1), ("B", 2)}))
    assert bench.open().query('print(channel.getclose("allslots"))') == "nil"


def test_the_snapshot(matrix: Keithley707) -> None:
    matrix.connect(frozenset({("B", 13), ("A", 1)}))
    matrix.forbid([("C", 2)])
    found = matrix.snapshot()
    assert found["identity"]["model"] == "707B"
    assert found["settings"] == {"sequential": False}
    assert found["closed"] == [("A", 1), ("B", 13)]
    assert found["forbidden"] == [("C", 2)]
    assert found["cards"][6].startswith("7174A")
    matrix.reset()
    assert matrix.forbidden() == frozenset()


def test_errors_of_before_are_told(bench: MatrixBench, matrix: Keithley707) -> None:
    bench.open().write('channel.close("nonsense")')
    with pytest.raises(InstrumentError, match="nonsense is no channel"):
        matrix.connect(frozenset({("A", 1)}))
    matrix.connect(frozenset({("A", 1)}))


def test_over_gpib(tmp_path: Path) -> None:
    with (
        matrix_bench(tmp_path, address=GPIB) as bench,
        Keithley707.open(bench.address, backend=bench.backend) as matrix,
    ):
        matrix.connect(frozenset({("A", 1)}))
        assert matrix.closed() == frozenset({("A", 1)})


def test_a_708(tmp_path: Path) -> None:
    with (
        matrix_bench(tmp_path, model="keithley-708b") as bench,
        Keithley707.open(bench.address, backend=bench.backend) as matrix,
    ):
        assert list(matrix.cards) == [1]
        with pytest.raises(SettingOutOfRange, match=r"columns 1 \.\. 12;"):
            matrix.connect(frozenset({("A", 13)}))


def test_another_instrument(bench: MatrixBench) -> None:
    with pytest.raises(WrongInstrument, match="2636B"):
        Keithley707.open(SMU, backend=bench.backend)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"rubbish\t0.00000e+00\n", MalformedAnswer),
        (b"1A01\tmany\n", MalformedAnswer),
        (b"1A01", LinkTimeout),
        (b"1A01;9Z99\t0.00000e+00\n", MalformedAnswer),
    ],
)
def test_garbage_gets_a_name(bench: MatrixBench, matrix: Keithley707, reply: bytes, error: type) -> None:
    def obey(message: bytes, link: Any) -> None:
        link.answer(b"0.00000e+00\t0.00000e+00\tQueue Is Empty\t0.00000e+00\t0.00000e+00\n"
                    if message.startswith(b"print(errorqueue") else reply)  # fmt: skip

    bench.twin.obey = obey
    with pytest.raises(error):
        matrix.connect(frozenset({("A", 1)}))
    del bench.twin.obey
