"""Matrix-vector multiply through the driver, over both faces of the board."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_chip import Host, unpulsed
from numpy.typing import NDArray
from two_faces import FACES, Face, all_cells, batch, opened

from drivers import Inputs, MatrixVector, Product, ReadSetup, Rectangle, quantise_inputs
from drivers.chip import Geometry, State
from drivers.controller import PcmController
from drivers.errors import (
    BoardRestarted,
    InstrumentError,
    LinkError,
    LockRefused,
    MalformedAnswer,
    StaleAnswer,
)

G_S = unpulsed(np.arange(256, dtype=np.uint32)).astype(np.float64).reshape(16, 16)
WHOLE = Rectangle(0, 0, 0, 16, 16)
FIXED = ReadSetup(range_a=1e-5)
STEP_A = 1e-5 / 256


def vectors(k: int, rows: int = 16, low: int = -127) -> NDArray[np.int8]:
    return np.random.default_rng(5).integers(low, 128, (k, rows)).astype(np.int8)


@pytest.fixture
def hasty(face: Face) -> Iterator[PcmController]:
    with face.ready(timeout_s=0.2) as chip:
        yield chip


def check(product: Product, x: NDArray[np.int8], g_s: NDArray[np.float64] = G_S, passes: int = 2) -> None:
    assert product.current_a.dtype == np.float32
    assert np.abs(product.current_a - x @ g_s * 0.2 / 127).max() <= 0.501 * passes * STEP_A


def test_a_batch_is_one_message(face: Face, chip: PcmController) -> None:
    assert isinstance(chip, MatrixVector)
    assert "MVM" in chip.capabilities()
    x = vectors(30)
    before, clock_ns = chip.messages(), chip.clock_ns()
    product = chip.multiply(WHOLE, x, FIXED)
    assert chip.messages() - before == 2
    check(product, x)
    assert (product.mvm_id, product.scale_a) == (1, pytest.approx(1e-5 / 32768))
    assert clock_ns < product.clock_ns <= chip.clock_ns()
    assert not product.clipped.any()
    part = Rectangle(0, 3, 5, 4, 7)
    check(chip.multiply(part, x[:, :4], FIXED), x[:, :4], G_S[3:7, 5:12])
    face.lines.clear()
    chip.multiply(part, x[:, :4], FIXED)
    chip.multiply(WHOLE, x, FIXED)
    assert not any("SEL:" in line or "READ:" in line for line in face.sent())
    assert chip.wait(1.0) is State.DONE


def test_reads_and_products_share_the_settings_of_the_board(face: Face, chip: PcmController) -> None:
    cells, other = all_cells(chip), ReadSetup(voltage_v=0.1, range_a=1e-5)
    chip.multiply(WHOLE, vectors(1), FIXED)
    face.lines.clear()
    assert np.allclose(chip.read(cells, FIXED).g_s, G_S.ravel())
    assert not any("READ:VOLT" in line for line in face.sent())
    chip.read(cells, other)
    check(chip.multiply(WHOLE, vectors(2), FIXED), vectors(2))
    chip.program(batch(chip))
    assert chip.wait(1.0) is State.DONE
    assert chip.last_batch().state is State.DONE


def test_clipped_outputs_are_nan_in_place(chip: PcmController) -> None:
    x = np.zeros((3, 16), np.int8)
    x[1] = 127
    product = chip.multiply(WHOLE, x, ReadSetup(range_a=1e-6))
    assert product.clipped[1].all()
    assert (product.current_a[[0, 2]] == 0).all()
    fine = chip.multiply(WHOLE, x, ReadSetup())  # a range is chosen
    assert not fine.clipped.any()
    assert fine.scale_a == pytest.approx(1e-5 / 32768)


@pytest.mark.parametrize("kind", FACES)
def test_a_long_batch_goes_up_and_comes_down_in_windows(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for face in opened(kind, monkeypatch, tmp_path):
        face.shrink_blocks(1000)
        with face.ready() as chip:
            x = vectors(100)  # 62 vectors of 16 inputs fit, and 500 outputs
            product = chip.multiply(WHOLE, x, FIXED)
            check(product, x)
            sent = face.sent()
            assert sum("MVM:EXEC" in line for line in sent) == 2
            assert sum("MVM:DATA" in line for line in sent) == 2 + 2
            assert product.mvm_id == 2


# ---- what is refused
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((2, 15), np.int8), r"int8 of shape \(2, 15\)"),
        (np.zeros(16, np.int8), "shape"),
        (np.zeros((0, 16), np.int8), "shape"),
        (np.zeros((1, 16)), "float64"),
        (np.full((1, 16), -128, np.int8), "-128 lies beyond the read voltage"),
    ],
)
def test_inputs_of_another_kind_are_refused_before_anything_is_sent(
    chip: PcmController, inputs: NDArray[np.int8], message: str
) -> None:
    before = chip.messages()
    with pytest.raises(InstrumentError, match=message):
        chip.multiply(WHOLE, inputs, FIXED)
    assert chip.messages() == before


def test_what_the_board_refuses_is_an_error_with_its_words(face: Face, chip: PcmController) -> None:
    with pytest.raises(InstrumentError, match="Cell index out of range"):
        chip.multiply(Rectangle(0, 10, 0, 16, 16), vectors(1), FIXED)
    chip.outputs(False)
    with pytest.raises(InstrumentError, match="Array power or outputs off") as caught:
        chip.multiply(WHOLE, vectors(1), FIXED)
    assert [error.code for error in caught.value.errors] == [207]
    chip.outputs(True)
    check(chip.multiply(WHOLE, vectors(1), FIXED), vectors(1))


def test_a_board_without_the_group_is_said_to_have_none(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.simulated.controller_system_commands.GROUPS", "TEMP,SIM")
    with face.ready() as chip, pytest.raises(InstrumentError, match="no group MVM, only CORE, SIM, TEMP"):
        chip.multiply(WHOLE, vectors(1), FIXED)


# ---- broken links
FAULTS = [("DROP", "RX", 40), ("DROP", "RX", 300), ("DROP", "TX", 3), ("DROP", "TX", 90), ("MUTE", 1),
          ("LATE", 0.5, 1), ("TRUN", 50)]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_broken_link_is_mended_and_the_product_is_right(
    face: Face, hasty: PcmController, fault: tuple[object, ...]
) -> None:
    x = vectors(20)
    hasty.multiply(WHOLE, vectors(2), FIXED)
    face.arm(*fault)
    product = hasty.multiply(WHOLE, x, FIXED)
    check(product, x)
    assert hasty.boot_id() == face.board.boot_id
    check(hasty.multiply(WHOLE, x[:3], FIXED), x[:3])


def test_a_link_that_breaks_twice_raises_and_everything_is_sent_again(
    face: Face, hasty: PcmController
) -> None:
    x = vectors(4)
    hasty.multiply(WHOLE, x, FIXED)
    face.before = lambda line: face.arm("MUTE", 1) if "MVM:EXEC" in line else None
    with pytest.raises(LinkError):
        hasty.multiply(WHOLE, x, FIXED)
    face.before = None
    face.board.faults.disarm("MUTE")
    face.lines.clear()
    check(hasty.multiply(WHOLE, x, FIXED), x)
    assert any("SEL:RECT" in line and "READ:VOLT" in line for line in face.sent())


def test_a_board_that_restarts_meanwhile_says_so(face: Face, chip: PcmController) -> None:
    chip.multiply(WHOLE, vectors(1), FIXED)

    def boot(line: str) -> None:
        if "MVM:EXEC" in line:
            face.before = None
            with face.board.lock:
                face.board.boot()

    face.before = boot
    with pytest.raises(BoardRestarted):
        chip.multiply(WHOLE, vectors(1), FIXED)
    chip.power(True)
    chip.outputs(True)
    check(chip.multiply(WHOLE, vectors(3), FIXED), vectors(3))


def test_another_host_at_work_meanwhile_stops_this_one(face: Face, hasty: PcmController) -> None:
    hasty.multiply(WHOLE, vectors(1), FIXED)

    def intrude(line: str) -> None:
        if "LOCK:REQ" in line:
            face.before = None
            other = Host(face.board, "another")
            other.send("READ:VOLT 0.05")
            other.link.close()
            other.link.settle()

    face.arm("DROP", "RX", 30)
    face.before = intrude
    with pytest.raises(LockRefused):
        hasty.multiply(WHOLE, vectors(1), FIXED)
    check(hasty.multiply(WHOLE, vectors(5), FIXED), vectors(5))


@pytest.mark.parametrize(
    ("header", "answer", "error"),
    [
        ("MVM:DATA?", "7,0,#264" + "x" * 64, StaleAnswer),
        ("MVM:DATA?", "1,2,#264" + "x" * 64, StaleAnswer),
        ("MVM:DATA?", "1,0,#10", MalformedAnswer),
        ("MVM:SCAL?", "9.91E37", MalformedAnswer),
        ("MVM:SCAL?", "WORD", MalformedAnswer),
        ("MVM:STAT?", "1,TRIP,16,32", InstrumentError),
        ("MVM:STAT?", "1,DONE,16,32", InstrumentError),
        ("MVM:STAT?", "?,DONE,32,32", StaleAnswer),
    ],
)
def test_answers_that_do_not_belong_are_not_believed(
    face: Face,
    chip: PcmController,
    monkeypatch: pytest.MonkeyPatch,
    header: str,
    answer: str,
    error: type[Exception],
) -> None:
    table = face.board.table._commands
    command = table[header]

    def lie(connection: object, unit: object, *values: object) -> object:
        if "#" not in answer:
            return answer
        head, data = answer.split("#", 1)
        raw = data[int(data[0]) + 1 :].encode()
        return [f"{head}#{data[: int(data[0]) + 1]}".encode(), memoryview(raw)]

    monkeypatch.setitem(table, header, type(command)(command.header, lie, command.parameters))
    with pytest.raises(error):
        chip.multiply(WHOLE, vectors(2), FIXED)


# ---- helpers
def test_floats_become_inputs_with_their_step() -> None:
    x = np.array([[0.0, 0.5, -2.0, 3.0], [1.0, 2.0, -2.01, 0.004]])
    inputs = quantise_inputs(x, 2.0)
    assert isinstance(inputs, Inputs)
    assert inputs.codes.dtype == np.int8
    assert inputs.codes.tolist() == [[0, 32, -127, 127], [64, 127, -127, 0]]
    assert inputs.step == 2.0 / 127
    assert inputs.clipped == 2
    within = np.abs(x) <= 2.0
    assert np.abs(inputs.codes * inputs.step - x)[within].max() <= 0.5 * inputs.step
    with pytest.raises(ValueError, match="above 0"):
        quantise_inputs(x, 0.0)
    with pytest.raises(ValueError, match="1 inputs are NaN"):
        quantise_inputs([np.nan, 1.0], 1.0)


def test_currents_and_a_full_scale_give_the_product(chip: PcmController) -> None:
    x = np.random.default_rng(3).normal(0, 1, (6, 16))
    inputs = quantise_inputs(x, 4.0)
    product = chip.multiply(WHOLE, inputs.codes, FIXED)
    y = product.current_a * 4.0 / FIXED.voltage_v
    step = STEP_A * 4.0 / FIXED.voltage_v
    quantised = 0.5 * inputs.step * np.abs(G_S).sum(axis=0).max()
    assert np.abs(y - x @ G_S).max() <= 1.01 * (step + quantised)


def test_columns_in_pairs() -> None:
    current = np.array([[5.0, 1.0, np.nan, 2.0], [1.0, 2.0, 3.0, 4.0]], np.float32)
    product = Product(current, 1e-9, 1, 0, 0)
    assert np.array_equal(product.differential(), [[4.0, np.nan], [-1.0, -1.0]], equal_nan=True)
    assert np.array_equal(product.differential("halves"), [[np.nan, -1.0], [-2.0, -2.0]], equal_nan=True)
    with pytest.raises(ValueError, match="layout"):
        product.differential("pairs")
    with pytest.raises(ValueError, match="3 columns"):
        Product(current[:, :3], 1e-9, 1, 0, 0).differential()


def test_a_rectangle_knows_its_cells() -> None:
    geometry = Geometry(2, 8, 10)
    assert Rectangle(1, 2, 3, 2, 3).cells(geometry).tolist() == [[103, 104, 105], [113, 114, 115]]
    for wrong in (Rectangle(0, 7, 0, 2, 1), Rectangle(2, 0, 0, 1, 1), Rectangle(0, 0, 0, 0, 3)):
        with pytest.raises(IndexError):
            wrong.cells(geometry)
