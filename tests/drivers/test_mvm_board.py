"""Matrix-vector multiply on the simulated board, byte by byte (controller-protocol §7.9)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_chip import FakeChip, FakeState, Host, definite, make_board, payload, unpulsed
from numpy.typing import NDArray

from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_mvm_commands import OUTPUTS_MOST

N = 16
G_S = unpulsed(np.arange(N * N, dtype=np.uint32)).astype(np.float64).reshape(N, N)
VECTOR_NS = 2_000
"""16 columns are one group: one conversion of 1 us and its overhead."""


def ready(**options: float) -> Host:
    host = Host(make_board(**options))
    host.energise()
    host.send("SEL:RECT 1,0,0,0,16,16;:READ:RANG 1E-5")
    return host


def inputs(k: int, rows: int = N, low: int = 0, seed: int = 5) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(low, 128, (k, rows)).astype(np.int8)


def execute(host: Host, x: NDArray[np.int8], handle: int = 1, behind: bytes = b";*WAI") -> None:
    host.send(f"MVM:EXEC {handle},", definite(x.tobytes()), behind)


def counts(answer: str) -> NDArray[np.int16]:
    return np.frombuffer(payload(answer), "<i2")


def currents(host: Host, k: int, cols: int = N) -> NDArray[np.float64]:
    answer = host.ask(f"MVM:DATA? 0,{k * cols}")
    return counts(answer).reshape(k, cols) * float(host.ask("MVM:SCAL?"))


def test_a_product_over_the_wire() -> None:
    host = ready()
    assert host.ask("SYST:CAP?;*OPT?") == "1.1,CORE,MVM,TEMP,EVEN,SIM;MVM,TEMP,EVEN,SIM"
    x = inputs(3)
    execute(host, x)
    assert host.ask("MVM:STAT?;SCAL?") == f"1,DONE,48,48;{1e-5 / 32768:.9E}"
    answer = host.ask("MVM:DATA? 0,48")
    assert answer.startswith("1,0,#296")
    step = 1e-5 / 256  # of a converter of eight bits
    assert np.abs(currents(host, 3) - x @ G_S * 0.2 / 127).max() <= 0.501 * step
    assert (counts(answer) % 128 == 0).all()  # one code is 128 counts
    assert host.ask("MVM:DATA? 17,2") == "1,17,#14" + counts(answer)[17:19].tobytes().decode("latin-1")
    execute(host, x[:1])
    assert host.ask("MVM:STAT?") == "2,DONE,16,16"
    host.send("ARR:POW OFF;:SYST:BOOT")
    again = Host(host.board)
    assert again.ask("MVM:STAT?") == "0,IDLE,0,0"


def test_a_rectangle_inside_the_array_multiplies_its_own_cells() -> None:
    host = ready()
    host.send("SEL:RECT 2,0,3,5,4,7")
    x = inputs(5, 4)
    execute(host, x, 2)
    assert np.abs(currents(host, 5, 7) - x @ G_S[3:7, 5:12] * 0.2 / 127).max() <= 0.501e-5 / 256
    assert host.board.chip.observed[-1][0] == 28


def test_negative_inputs_take_a_pass_of_their_own() -> None:
    host = ready()
    both = inputs(4, low=-128)
    execute(host, both)
    assert np.abs(currents(host, 4) - both @ G_S * 0.2 / 127).max() <= 1.001e-5 / 256
    for x, passes in ((both, 2), (inputs(4), 1)):
        host.board.faults.arm("ADCO", 1e-7)
        begun = int(host.ask("SYST:TIME?"))
        execute(host, x)
        ended = int(host.ask("MVM:STAT?;:SYST:TIME?").split(";")[1])
        assert ended - begun >= 4 * passes * VECTOR_NS
        product = host.board.last_product
        assert product is not None
        assert product.end_ns - product.start_ns == 4 * passes * VECTOR_NS
        # an offset of the converters goes out where two passes are subtracted
        error = (currents(host, 4) - x @ G_S * 0.2 / 127).mean()
        assert error == pytest.approx(1e-7 if passes == 1 else 0.0, abs=3e-8)


def test_board_time_is_vectors_passes_groups_samples() -> None:
    host = Host(make_board(rows=2, cols=130))
    host.energise()
    host.send("SEL:RECT 1,0,0,0,2,130;:READ:AVER 5;APER 3E-6")
    execute(host, inputs(7, 2, low=-9))
    product = host.board.last_product
    assert product is not None
    assert product.end_ns - product.start_ns == 7 * 2 * 3 * 5 * 4_000
    host.send("SIM:FAUL SLOW,10")
    execute(host, inputs(7, 2))
    assert host.board.last_product.end_ns - host.board.last_product.start_ns == 7 * 3 * 5 * 40_000


def test_masked_cells_add_nothing_and_are_not_read() -> None:
    host = ready()
    mask = np.zeros((N, N), np.uint8)
    mask[2, :] = mask[5:9, 7] = mask[:, 12] = 1
    host.send(b"ARR:MASK ", definite(np.packbits(mask, bitorder="little").tobytes()))
    x = inputs(6)
    execute(host, x)
    wanted = x @ (G_S * (1 - mask)) * 0.2 / 127
    assert np.abs(currents(host, 6) - wanted).max() <= 0.501e-5 / 256
    assert (currents(host, 6)[:, 12] == 0).all()
    assert host.board.chip.observed[-1][0] == N * N - int(mask.sum())


def test_what_clips_is_the_lowest_number_and_seen_in_the_registers() -> None:
    host = ready()
    host.send("READ:RANG 1E-6")
    x = np.zeros((2, N), np.int8)
    x[1, :4] = 127  # 0.84 uA in every column
    x[0] = 127  # 3.4 uA and more
    execute(host, x)
    got = counts(host.ask("MVM:DATA? 0,32"))
    assert (got[:16] == -32768).all()
    assert (got[16:] > 0).all()
    assert int(host.ask("STAT:QUES:COND?")) & 1 << 9
    assert int(host.ask("STAT:OPER:COND?")) == 1 << 11
    execute(host, -x)  # the second pass clips, too
    assert np.array_equal(counts(host.ask("MVM:DATA? 0,32")) == -32768, got == -32768)
    execute(host, x[1:])
    assert not int(host.ask("STAT:QUES:COND?")) & 1 << 9
    execute(host, x)
    host.send("READ:RANG AUTO;INIT 0;*WAI")  # the last read is one of the cells
    assert not int(host.ask("STAT:QUES:COND?")) & 1 << 9


def test_automatic_ranging_takes_one_range_for_the_whole_batch() -> None:
    host = ready()
    host.send("READ:RANG AUTO")
    for peak, range_a in ((127, 1e-5), (20, 1e-6), (1, 1e-7)):
        x = np.full((3, N), 1, np.int8)
        x[1] = peak
        execute(host, x)
        assert float(host.ask("MVM:SCAL?")) == pytest.approx(range_a / 32768)
        assert (counts(host.ask("MVM:DATA? 0,48")) != -32768).all()
    observed = len(host.board.chip.observed)
    execute(host, x)
    assert len(host.board.chip.observed) == observed + 1  # the look that chose the range is that of the chunk


def test_settings_count_for_the_next_product_and_results_stay() -> None:
    host = ready()
    x = inputs(2)
    execute(host, x)
    first = host.ask("MVM:DATA? 0,32")
    host.send("READ:RANG 1E-4;VOLT 0.1")
    assert host.ask("MVM:DATA? 0,32;SCAL?") == first + f";{1e-5 / 32768:.9E}"
    execute(host, x)
    assert np.abs(currents(host, 2) - x @ G_S * 0.1 / 127).max() <= 0.501e-4 / 256


def test_an_empty_batch_is_done_at_once() -> None:
    host = ready()
    host.send("MVM:EXEC 1,#10;*WAI")
    assert host.ask("MVM:STAT?;DATA? 0,0") == "1,DONE,0,0;1,0,#10"


# ---- what is refused
REFUSED: list[tuple[str, str | bytes, str]] = [
    ("", b"MVM:EXEC 7,#14abcd", '102,"Selection empty or undefined"'),
    ("", b"MVM:EXEC 0,#14abcd", '-221,"Settings conflict"'),
    ("SEL:ROW 2,0,3", b"MVM:EXEC 2,#11a", '-221,"Settings conflict"'),
    ("SEL:RECT 1,0,0,0,4,4;COL 1,0,3", b"MVM:EXEC 1,#11a", '-221,"Settings conflict"'),
    ("SEL:RECT 1,0,0,0,0,4", b"MVM:EXEC 1,#11a", '102,"Selection empty or undefined"'),
    ("SEL:RECT 1,0,7,7,9,9", b"MVM:EXEC 1,#219" + b"a" * 19,
     '103,"Block length does not match selection;expected 18 got 19"'),
    ("", b"MVM:EXEC 1,#15abcde", '103,"Block length does not match selection;expected 0 got 5"'),
    ("", b"MVM:EXEC 65,#15abcde", '-222,"Data out of range"'),
    ("", "MVM:EXEC 1", '-109,"Missing parameter"'),
    ("", "MVM:EXEC 1,5", '-104,"Data type error"'),
    ("OUTP OFF", b"MVM:EXEC 1,#216" + b"a" * 16, '207,"Array power or outputs off"'),
    ("ARR:POW OFF", b"MVM:EXEC 1,#216" + b"a" * 16, '207,"Array power or outputs off"'),
    ("OUTP OFF", b"MVM:EXEC 1,#15abcde", '103,"Block length does not match selection;expected 0 got 5"'),
    ("READ:AVER 1000;INIT 0", b"MVM:EXEC 7,#14abcd", '-213,"Init ignored"'),
    ("", "MVM:DATA? 0,1", '105,"Result buffer empty;available 0"'),
    ("", "MVM:SCAL?", '105,"Result buffer empty;available 0"'),
    ("", "MVM:DATA? 0,9000000", '-222,"Data out of range"'),
    ("", "MVM:FOO?", '-113,"Undefined header;MVM:FOO?"'),
]  # fmt: skip


@pytest.mark.parametrize(("before", "message", "error"), REFUSED)
def test_refusals(before: str, message: str | bytes, error: str) -> None:
    host = ready()
    host.send(before)
    assert host.errors() == []
    host.send(message)
    host.take()
    assert host.errors() == [error]
    assert host.ask("MVM:STAT?") == "0,IDLE,0,0"
    assert host.board.chip.observed == []


def test_refused_queries_answer_what_queries_answer() -> None:
    host = ready()
    assert host.ask("MVM:SCAL?") == "9.91E37"
    assert host.ask("MVM:DATA? 3,1") == "0,3,#10"
    execute(host, inputs(2))
    assert host.ask("MVM:DATA? 20,13") == "1,20,#10"
    assert host.errors()[-1] == '105,"Result buffer empty;available 32"'


def test_who_has_no_lock_may_look_but_not_multiply() -> None:
    host = ready()
    execute(host, inputs(2))
    other = Host(host.board, token=None)
    execute(other, inputs(2), behind=b"")
    assert other.errors() == ['-203,"Command protected"']
    assert other.ask("MVM:STAT?") == "1,DONE,32,32"
    assert other.ask("MVM:DATA? 0,32") == host.ask("MVM:DATA? 0,32")


def test_more_outputs_than_the_board_has_memory_for() -> None:
    board = make_board(rows=1, cols=16)
    host = Host(board)
    host.energise()
    host.send("SEL:RECT 1,0,0,0,1,16")
    execute(host, np.zeros((OUTPUTS_MOST // 16 + 1, 1), np.int8))
    assert host.errors() == ['-225,"Out of memory"']


def test_a_strict_chip_refuses_what_its_card_does_not_cover() -> None:
    host = ready()
    host.board.chip.strict = True
    execute(host, inputs(1))
    assert host.errors() == []
    host.board.chip.excursions = lambda cells, at_ns, *, pulses=False: (
        ["outside"] if cells.size == 256 else []
    )
    execute(host, inputs(1))
    assert host.errors() == ['-221,"Settings conflict;outside"']
    assert host.ask("MVM:STAT?") == "1,DONE,16,16"


def test_a_selection_in_use_is_left_alone() -> None:
    host = ready()
    host.send("READ:AVER 1000")
    execute(host, inputs(2), behind=b"")
    host.send("SEL:RECT 1,0,0,0,2,2")
    host.send("MVM:EXEC 1,#15abcde")
    assert host.errors() == ['206,"Busy: overlapped operation active"', '-213,"Init ignored"']
    assert host.ask("*WAI;:MVM:STAT?") == "1,DONE,32,32"
    execute(host, inputs(1))
    assert host.ask("MVM:STAT?") == "2,DONE,16,16"


# ---- time
@pytest.mark.parametrize("tenth", range(0, 11, 2))
@pytest.mark.parametrize(
    ("end", "word"),
    [("SYST:SAFE", "SAFE"), ("SYST:ABOR", "ABOR"), ("SIM:FAUL OTP", "TRIP"), ("*RST", "ABOR")],
)
def test_a_product_stopped_anywhere(tenth: int, end: str, word: str) -> None:
    host, whole = ready(), ready()
    x = inputs(40, low=-127)
    for each in (host, whole):
        each.send("READ:AVER 100;APER 9E-6")  # 2 ms a vector
    execute(whole, x)
    complete = counts(whole.ask("MVM:DATA? 0,640"))
    execute(host, x, behind=b"")
    host.send(f"SIM:TIME:ADV {tenth * 0.0079}")
    host.send(end)
    assert host.ask("*OPC?") == "1"
    _id, state, done, total = host.ask("MVM:STAT?").split(",")
    assert state == (word if int(done) < 640 else "DONE")
    assert (int(done) % 16, total) == (0, "640")
    assert int(done) // 16 == pytest.approx(tenth * 0.0079 / 0.002, abs=2)
    got = counts(host.ask("MVM:DATA? 0,640"))
    assert np.array_equal(got[: int(done)], complete[: int(done)])
    assert (got[int(done) :] == -32768).all()


def test_an_abort_waits_for_the_vector_under_way() -> None:
    host = ready()
    host.send("READ:AVER 10000;APER 9E-6")  # 100 ms a vector
    execute(host, inputs(4), behind=b"")
    host.send("SIM:TIME:ADV 0.150")
    host.send("SYST:ABOR")
    assert host.ask("MVM:STAT?") == "1,RUN,16,64"
    assert host.ask("STAT:OPER:COND?") == str(1 << 4 | 1 << 11)
    assert host.ask("*WAI;:MVM:STAT?") == "1,ABOR,32,64"
    assert host.ask("OUTP?") == "1"


def test_what_is_done_may_be_fetched_while_the_rest_runs() -> None:
    host = ready()
    host.send("READ:AVER 10000;APER 9E-6")
    execute(host, inputs(4), behind=b"")
    host.send("SIM:TIME:ADV 0.250")
    assert len(payload(host.ask("MVM:DATA? 0,32"))) == 64
    assert host.ask("MVM:DATA? 30,3") == "1,30,#10"
    assert host.errors() == ['105,"Result buffer empty;available 32"']


def test_polling_ends() -> None:
    host = ready()
    host.send("READ:AVER 10000;APER 9E-6")
    execute(host, inputs(4), behind=b"")
    for polls in range(1, 200):  # noqa: B007
        if ",DONE," in host.ask("MVM:STAT?"):
            break
    assert polls < 100


def test_outputs_do_not_depend_on_when_the_board_is_looked_at() -> None:
    host, poked = ready(), ready()
    x = inputs(300)
    for each in (host, poked):
        each.send("READ:AVER 50")
        execute(each, x, behind=b"")
    for _ in range(30):
        poked.send("SIM:TIME:ADV 1E-3")
    assert host.ask("*WAI;:MVM:STAT?") == poked.ask("*WAI;:MVM:STAT?") == "1,DONE,4800,4800"
    assert host.ask("MVM:DATA? 0,4800") == poked.ask("MVM:DATA? 0,4800")


def test_cells_are_looked_at_again_every_tenth_of_a_second() -> None:
    host = ready()
    host.send("READ:AVER 10000;APER 1E-6")  # 20 ms a vector
    execute(host, inputs(12))
    cells, moments, held_s = zip(*host.board.chip.observed, strict=True)
    assert cells == (256, 256, 256)
    assert np.diff(moments).tolist() == [100_000_000, 100_000_000]
    assert held_s == pytest.approx((0.1, 0.1, 0.04))


def test_a_fault_clips_its_share_of_outputs() -> None:
    host = ready()
    host.send("SIM:FAUL CLIP,0.25")
    execute(host, inputs(64))
    clipped = counts(host.ask("MVM:DATA? 0,1024")) == -32768
    assert 150 < clipped.sum() < 370
    assert int(host.ask("STAT:QUES:COND?")) & 1 << 9


# ---- the number that noise counts by
class NoisyState(FakeState):
    """A chip whose converters are noisy, with what its board had kept."""

    def __init__(self, board: dict[str, Any], arrays: dict[str, Any]) -> None:
        chip = FakeChip(2)
        chip.card = chip.card.with_values(
            {"laws.read_chain.parameters.noise_fraction_of_range": 0.01}, source="test"
        )
        super().__init__(chip)
        self.board, self.arrays = board, arrays


def noisy(board: dict[str, Any], arrays: dict[str, Any]) -> tuple[NoisyState, Host]:
    state = NoisyState(board, arrays)
    host = Host(SimulatedController(state))
    host.energise()
    host.send("SEL:RECT 1,0,0,0,16,16;RECT 2,1,0,0,16,16;:READ:RANG 1E-5")
    return state, host


def test_a_resumed_chip_goes_on_with_the_noise_it_would_have_had() -> None:
    x = inputs(30)
    _, host = noisy({}, {})
    executed = []
    for handle in (1, 2, 1):
        execute(host, x, handle)
        executed.append(host.ask("MVM:DATA? 0,480").split(",", 1)[1])
    assert len(set(executed)) == 3
    first, host = noisy({}, {})
    execute(host, x, 1)
    host.board.close()
    assert first.arrays["vectors"].tolist() == [30, 0]
    _, host = noisy(first.board, first.arrays)
    execute(host, x, 2)
    assert host.ask("MVM:DATA? 0,480").split(",", 1)[1] == executed[1]
    execute(host, x, 1)
    assert host.ask("MVM:DATA? 0,480").split(",", 1)[1] == executed[2]


def test_another_chip_counts_from_the_start() -> None:
    host = ready()
    execute(host, inputs(3))
    assert host.board.vectors.tolist() == [3]
    host.send("OUTP OFF;:SIM:SEED 9")
    assert host.board.vectors.tolist() == [0]
    assert host.ask("MVM:STAT?") == "0,IDLE,0,0"
