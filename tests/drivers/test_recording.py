"""Sessions on file: recorded as they go, played back to the same program, compared with another bench."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from plain_twin import GPIB, IDN, SOCKET, PlainTwin, use_plain_twins, write_plain_bench
from pyvisa.resources import MessageBasedResource
from two_faces import FACES, opened

from drivers.chip import ReadSetup
from drivers.comparison import Comparison, Tolerance
from drivers.controller import PcmController
from drivers.errors import LinkError, LinkTimeout, RecordingError, ReplayMismatch
from drivers.message_link import MessageLink
from drivers.recording import Recorder, read_recording
from drivers.simulated.hislip import HislipServer
from drivers.simulated.registry import SimulatedBench, open_bench, open_recording
from drivers.simulated.server import InstrumentServer

EVERY_BYTE = bytes(range(256))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimulatedBench]:
    use_plain_twins(monkeypatch)
    with open_bench(write_plain_bench(tmp_path, "gpib", "sock")) as bench:
        yield bench


def program(backend: str, tape: Any = None, level_v: float = 0.1) -> list[Any]:
    """Something a program may do with two instruments."""
    seen: list[Any] = []
    gpib = MessageLink(GPIB, backend=backend, transcript=tape)
    sock = MessageLink(SOCKET, backend=backend, transcript=tape)
    seen.append(gpib.query("*IDN?"))
    gpib.write(f"SOUR:VOLT {level_v:g}")
    sock.write(b"LOAD #3256" + EVERY_BYTE)
    seen.append(float(gpib.query("READ?")))
    seen.append(sock.query_block("LOAD?"))
    gpib.trigger()
    seen.append(gpib.status_byte())
    gpib.clear()
    gpib.reopen()
    seen.append(gpib.query_bytes("BLOC? 5", 9))
    gpib.close()
    sock.close()
    return seen


def backend_of(bench: SimulatedBench) -> str:
    return f"{bench.path}@pcm"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


# ---- recording


def test_what_a_recording_looks_like(bench: SimulatedBench, tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    with Recorder(path) as tape:
        link = MessageLink(SOCKET, backend=backend_of(bench), transcript=tape)
        link.query("*IDN?")
        link.write(b"LOAD #3256" + EVERY_BYTE)
        link.query_block("LOAD?")
        link.close()
    header, *lines = lines_of(path)
    assert (header["schema"], header["version"]) == ("labkit-recording", 1)
    assert [line["kind"] for line in lines] == ["open", ">", "<", ">", ">", "<", "close"]
    assert {line["address"] for line in lines} == {SOCKET}
    assert all(a["time"] <= b["time"] for a, b in pairwise(lines))
    assert lines[1]["text"] == "*IDN?\n"
    assert lines[2]["text"] == IDN + "\n"
    before, block, after = lines[3]["parts"]
    assert (before, after) == ({"text": "LOAD #3256"}, {"text": "\n"})
    assert base64.b64decode(block["block"]) == EVERY_BYTE
    assert (block["length"], block["crc32"]) == (256, f"{zlib.crc32(EVERY_BYTE):08x}")
    assert lines[5]["parts"][1] == block
    assert b"".join(entry.data for entry in read_recording(path) if entry.kind == "<") == (
        IDN.encode() + b"\n#3256" + EVERY_BYTE + b"\n"
    )


@pytest.mark.parametrize("kind", [InstrumentServer, HislipServer])
def test_the_same_is_recorded_over_a_real_link(bench: SimulatedBench, tmp_path: Path, kind: Any) -> None:
    seen = []
    for name, backend in (("inside.rec", backend_of(bench)), ("outside.rec", "@py")):
        with kind(bench.twins["sock"], 0) as server, Recorder(tmp_path / name) as tape:
            address = SOCKET if backend != "@py" else server.address
            link = MessageLink(address, backend=backend, transcript=tape)
            link.query("*IDN?")
            link.query_block("BLOC? 5000")
            link.query_bytes("BLOC? 3", 7)
            link.query("ECHO? x")
            link.close()
        seen.append([(entry.kind, entry.data) for entry in read_recording(tmp_path / name)])
    assert seen[0] == seen[1]


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    Recorder(path).close()
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="never overwritten"):
        Recorder(path)
    with pytest.raises(RecordingError):
        Recorder(tmp_path / "nowhere" / "session.rec")
    assert path.read_bytes() == before


def test_each_line_is_on_file_before_the_next_message(bench: SimulatedBench, tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    tape = Recorder(path)
    link = MessageLink(SOCKET, backend=backend_of(bench), transcript=tape)
    for number in range(5):
        link.query(f"ECHO? {number}")
        assert lines_of(path)[-1]["text"] == f"{number}\n"
    link.close()
    tape.close()


def test_a_torn_last_line_is_left_out_and_damage_is_named(bench: SimulatedBench, tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    with Recorder(path) as tape:
        program(backend_of(bench), tape)
    whole, entries = path.read_bytes(), read_recording(path)
    for keep in range(len(whole) - 300, len(whole)):
        path.write_bytes(whole[:keep])
        assert read_recording(path) == entries[: whole[:keep].count(b"\n") - 1]
    lines = whole.split(b"\n")
    block = next(number for number, line in enumerate(lines) if b"crc32" in line)
    for number, line in (
        (3, b"{"),
        (block, lines[block].replace(b'"length": 256', b'"length": 255')),
        (block, lines[block].replace(b'"AAECAwQF', b'"BAECAwQF')),
        (2, lines[2].replace(b'"kind"', b'"sort"')),
    ):
        assert lines[number] != line
        path.write_bytes(b"\n".join([*lines[:number], line, *lines[number + 1 :]]))
        with pytest.raises(RecordingError) as caught:
            read_recording(path)
        assert caught.value.line == number + 1
        assert caught.value.path == path
    for text in (b"", b"version: 1\nname: x\n", b'{"schema": "labkit-recording", "version": 2}\n', b"[]\n"):
        path.write_bytes(text)
        with pytest.raises(RecordingError):
            read_recording(path)
    with pytest.raises(RecordingError):
        read_recording(tmp_path / "none.rec")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(st.binary(max_size=60), max_size=6))
@example(messages=[b"#15ab", b"#15abcde#13abc", b"#10", b"#9999999999", b"\xb5V \x80", b""])
def test_any_bytes_come_back(tmp_path: Path, messages: list[bytes]) -> None:
    path = tmp_path / "any.rec"
    path.unlink(missing_ok=True)
    with Recorder(path) as tape:
        for number, message in enumerate(messages):
            (tape.heard if number % 2 else tape.sent)("A", message)
    assert [entry.data for entry in read_recording(path)] == messages


def test_half_a_reply_and_what_broke_are_on_file(bench: SimulatedBench, tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    with Recorder(path) as tape:
        link = MessageLink(SOCKET, backend=backend_of(bench), timeout_s=0.1, transcript=tape)
        bench.twins["sock"].faults.cut(keep=0)
        with pytest.raises(LinkTimeout):
            link.query("ECHO? 1")
        link.reopen()
        link.query("ECHO? 2")
        link.close()
    kinds = [entry.kind for entry in read_recording(path)]
    assert kinds == ["open", ">", "close", "open", ">", "<", "close"]


# ---- replay


def test_the_same_program_sees_the_same(bench: SimulatedBench, tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    with Recorder(path) as tape:
        seen = program(backend_of(bench), tape)
    with open_recording(path) as played:
        assert played.left > 0
        assert program(f"{path}@pcm") == seen
        assert played.left == 0


def test_plain_pyvisa_plays_it_back(bench: SimulatedBench, tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    with Recorder(path) as tape:
        program(backend_of(bench), tape)
    manager = pyvisa.ResourceManager(f"{path}@pcm")
    assert set(manager.list_resources("?*")) == {GPIB, SOCKET}
    link = manager.open_resource(GPIB, read_termination="\n", write_termination="")  # END in its place
    assert isinstance(link, MessageBasedResource)
    assert link.query("*IDN?") == IDN
    with pytest.raises(ReplayMismatch) as caught:
        link.write("SOUR:VOLT 0.2")
    error = caught.value
    assert (error.expected, error.got) == ("> SOUR:VOLT 0.1", "> SOUR:VOLT 0.2")
    assert error.address == GPIB
    assert error.line is not None
    assert "SOUR:VOLT 0.1" in path.read_text().splitlines()[error.line - 1]
    link.write("SOUR:VOLT 0.1")
    manager.close()


def test_every_difference_is_named(bench: SimulatedBench, tmp_path: Path) -> None:
    path = tmp_path / "session.rec"
    with Recorder(path) as tape:
        link = MessageLink(GPIB, backend=backend_of(bench), transcript=tape)
        link.query("*IDN?")
        link.clear()
        link.query("ECHO? 1")
        link.status_byte()
        link.close()

    def play(use: Callable[[MessageLink], object]) -> None:
        with open_recording(path):
            link = MessageLink(GPIB, backend=f"{path}@pcm")
            try:
                use(link)
            finally:
                link.close()

    def all_of_it(link: MessageLink) -> None:
        link.query("*IDN?")
        link.clear()
        link.query("ECHO? 1")
        assert link.status_byte() == 0

    play(all_of_it)
    with pytest.raises(ReplayMismatch, match="should go on with clear, and does with > ECHO"):
        play(lambda link: (link.query("*IDN?"), link.query("ECHO? 1")))
    with pytest.raises(ReplayMismatch, match="and does with clear"):
        play(lambda link: link.clear())
    with pytest.raises(ReplayMismatch, match="should go on with clear, and does with trigger"):
        play(lambda link: (link.query("*IDN?"), link.trigger()))
    with pytest.raises(ReplayMismatch, match="has ended"):
        play(lambda link: (all_of_it(link), link.write("*RST")))
    with pytest.raises(LinkError):
        MessageLink(SOCKET, backend=f"{path}@pcm")
    with pytest.raises(RecordingError, match=r"none\.rec"):
        MessageLink(GPIB, backend=f"{tmp_path / 'none.rec'}@pcm")


@pytest.mark.parametrize("kind", FACES)
def test_a_controller_session_is_played_back(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "session.rec"

    def run(chip: PcmController) -> list[float]:
        chip.power(True)
        chip.outputs(True)
        return chip.read(np.array([0, 5, 7], np.uint32), ReadSetup()).g_s.tolist()

    for face in opened(kind, monkeypatch, tmp_path):
        with (
            Recorder(path) as tape,
            PcmController.open(face.address, backend=face.backend, transcript=tape) as chip,
        ):
            seen = run(chip)
        address = face.address
    with PcmController.open(address, backend=f"{path}@pcm") as chip:
        assert run(chip) == seen


# ---- comparison


def recorded(bench: SimulatedBench, tmp_path: Path) -> Path:
    path = tmp_path / "session.rec"
    with Recorder(path) as tape:
        program(backend_of(bench), tape)
    return path


@pytest.fixture
def other(bench: SimulatedBench, tmp_path: Path) -> Iterator[SimulatedBench]:
    """A bench of its own, as fresh as the first one was."""
    with open_bench(write_plain_bench(tmp_path, "gpib", "sock", file="other.yaml")) as other:
        yield other


def noisier(bench: SimulatedBench, factor: float) -> None:
    twin = bench.twins["gpib"].twin
    assert isinstance(twin, PlainTwin)
    look = twin.terminal.look

    def scaled(aperture_s: float = 0.0) -> Any:
        seen = look(aperture_s)
        return type(seen)(seen.voltage_v, seen.current_a * factor, seen.limited)

    twin.terminal.look = scaled


def test_an_equal_bench_compares_equal(bench: SimulatedBench, other: SimulatedBench, tmp_path: Path) -> None:
    path = recorded(bench, tmp_path)
    with Comparison(path) as tape:
        program(backend_of(other), tape)
        assert tape.left == 0


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        (None, False),
        (Tolerance("read", relative=0.05), True),
        (Tolerance("read", relative=0.005), False),
        (Tolerance("READ", absolute=2e-8), True),
        (Tolerance("READ", absolute=5e-9), False),
        (Tolerance("READ", sigma=2e-9), True),
        (Tolerance("READ", sigma=1e-9), False),
        (Tolerance("READ", sigma=1e-9, n_sigma=8.0), True),
        (Tolerance("SLOW", relative=1.0), False),
    ],
)
def test_numbers_within_their_bounds(
    bench: SimulatedBench, other: SimulatedBench, tmp_path: Path, rule: Tolerance | None, passes: bool
) -> None:
    path = recorded(bench, tmp_path)
    noisier(other, 1.01)  # 1 uA becomes 1.01 uA
    tape = Comparison(path, [] if rule is None else [rule])
    if passes:
        program(backend_of(other), tape)
        tape.finish()
    else:
        with pytest.raises(ReplayMismatch, match="E-06") as caught:
            program(backend_of(other), tape)
        assert caught.value.line is not None


def test_a_command_that_differs_is_not_sent(
    bench: SimulatedBench, other: SimulatedBench, tmp_path: Path
) -> None:
    path = recorded(bench, tmp_path)
    twin = other.twins["gpib"].twin
    assert isinstance(twin, PlainTwin)
    with pytest.raises(ReplayMismatch, match=r"SOUR:VOLT 0\.1, and does with > SOUR:VOLT 0\.3"):
        program(backend_of(other), Comparison(path), level_v=0.3)
    assert twin.obeyed == [b"*IDN?"]
    assert twin.level_v == 0.0


def test_a_program_that_stops_early_or_goes_on_too_long(
    bench: SimulatedBench, other: SimulatedBench, tmp_path: Path
) -> None:
    path = recorded(bench, tmp_path)
    tape = Comparison(path)
    link = MessageLink(GPIB, backend=backend_of(other), transcript=tape)
    link.query("*IDN?")
    with pytest.raises(ReplayMismatch, match="the program has ended") as caught, tape:
        pass
    assert caught.value.expected == "SOUR:VOLT 0.1"
    link.close()
    tape = Comparison(path, [Tolerance("READ", sigma=1e-9)])
    program(backend_of(other), tape)
    link = MessageLink(GPIB, backend=backend_of(other), transcript=tape)
    with pytest.raises(ReplayMismatch, match="has ended for"):
        link.write("*RST")
    with pytest.raises(RecordingError, match="nothing at"):
        tape.sent("GPIB0::1::INSTR", b"*RST\n")
    link.close()


@pytest.mark.parametrize(
    ("expected", "got", "passes"),
    [
        (b"1.00,2.00,SMU1\n", b"1.01,1.99,SMU1\n", True),
        (b"1.00,2.00,SMU1\n", b"1.01,1.99,SMU2\n", False),
        (b"1.00,2.00\n", b"1.01,1.99,3.0\n", False),
        (b"-1.5E-6;ON\n", b"-1.51E-06;ON\n", True),
        (b"-1.5E-6;ON\n", b"-1.51E-06;OFF\n", False),
        (b"nan,1\n", b"nan,1.001\n", True),
        (b"0\n", b"0.001\n", False),
    ],
)
def test_texts_exactly_and_numbers_nearly(tmp_path: Path, expected: bytes, got: bytes, passes: bool) -> None:
    path = tmp_path / "a.rec"
    with Recorder(path) as tape:
        tape.sent("A", b"DATA?\n")
        tape.heard("A", expected)
    comparison = Comparison(path, [Tolerance("DATA", relative=0.02)])
    comparison.sent("A", b"DATA?\n")
    if passes:
        comparison.heard("A", got)
    else:
        with pytest.raises(ReplayMismatch):
            comparison.heard("A", got)


def test_numbers_in_blocks(tmp_path: Path) -> None:
    def reply(*numbers: float) -> bytes:
        return b"3,#212" + np.array(numbers, "<f4").tobytes() + b"\n"

    path = tmp_path / "a.rec"
    with Recorder(path) as tape:
        tape.sent("A", b"DATA?\n")
        tape.heard("A", reply(1, 2, 3))
    for rule, got, passes in (
        (Tolerance("DATA", relative=0.02, block="<f4"), reply(1.01, 2.01, 3), True),
        (Tolerance("DATA", relative=0.02, block="<f4"), reply(1.01, 2.5, 3), False),
        (Tolerance("DATA", relative=0.02), reply(1.01, 2.01, 3), False),
        (Tolerance("DATA", relative=0.02, block="<f4"), b"4" + reply(1, 2, 3)[1:], False),
        (Tolerance("DATA", relative=0.02, block="<f4"), b"3,#18" + bytes(8) + b"\n", False),
    ):
        comparison = Comparison(path, [rule])
        comparison.sent("A", b"DATA?\n")
        if passes:
            comparison.heard("A", got)
        else:
            with pytest.raises(ReplayMismatch):
                comparison.heard("A", got)
