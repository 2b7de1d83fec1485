"""The driver's listener at the event port, on a simulated board behind both faces."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from simulated_bench import SOCKET
from two_faces import FACES, Face, batch, opened

from drivers import Event, EventListener, LinkError
from drivers.chip import ReadSetup
from drivers.errors import InstrumentError, LinkTimeout
from drivers.events import event_address
from drivers.products import Rectangle
from drivers.sim_control import SimControl
from drivers.simulated.controller_events import UNREAD_MAX
from drivers.simulated.server import InstrumentServer


class Ported(Face):
    """A face and the address of its event port."""

    events: str

    def listen(self) -> EventListener:
        return EventListener.open(self.events, backend=self.backend)


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ported]:
    for face in opened(request.param, monkeypatch, tmp_path):
        ported = Ported(face.bench, face.address, face.backend)
        with ExitStack() as stack:
            if face.over_socket:
                ported.events = stack.enter_context(InstrumentServer(face.bench.events["chip"], 0)).address
            else:
                ported.events = str(event_address(SOCKET))
            yield ported


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("!BOOT 7", Event("BOOT", (7,))),
        ("!STB 128,83456789012", Event("STB", (128,), 83456789012)),
        ("!PROG 37,1048576", Event("PROG", (37, 1048576))),
        ("!PV 3,250,6", Event("PV", (3, 250, 6))),
        ("!TRIP 202,9223372036854775807", Event("TRIP", (202,), 2**63 - 1)),
        ("!ERR 208,5,99", Event("ERR", (208, 99), 5)),
        ("!NEW 1", Event("NEW", (1,))),
    ],
)
def test_lines(line: str, event: Event) -> None:
    assert Event.of(line) == event


@pytest.mark.parametrize("line", ["", "1", "!PROG", "!PROG 1,", "!PROG a", "PROG 1", "!PROG 1,-2", "!prog 1"])
def test_lines_that_are_no_events(line: str) -> None:
    with pytest.raises(ValueError, match="is no event"):
        Event.of(line)


def test_the_end_of_a_batch_is_learnt_and_its_moment(face: Ported) -> None:
    with face.ready() as chip, face.listen() as events:
        assert events.boot_id == chip.boot_id()
        chip.program(batch(chip))
        assert chip.wait(10).value == "DONE"
        assert events.wait_for("PROG", 1, timeout_s=10) == Event("PROG", (1, 256))
        idle = events.wait_for("STB", 0, timeout_s=10)
        assert idle.board_ns == chip.last_batch().t_end_ns


def test_the_end_of_a_product_is_learnt(face: Ported) -> None:
    with face.ready() as chip, face.listen() as events:
        chip.multiply(Rectangle(0, 0, 0, 16, 16), np.ones((3, 16), np.int8), ReadSetup())
        assert events.wait_for("MVM", 1, timeout_s=10) == Event("MVM", (1, 48))


def test_others_are_kept_in_order(face: Ported) -> None:
    with face.ready() as chip, face.listen() as events:
        SimControl(chip).fault("OCP", 100)
        chip.program(batch(chip))
        chip.wait(10)
        trip = events.wait_for("TRIP", 202, timeout_s=10)
        assert events.wait_for("PROG", 1, timeout_s=10) == Event("PROG", (1, 96))
        rest = [events.receive(10) for _ in range(3)]
        assert [(event.name, event.numbers) for event in rest if event] == [
            ("STB", (128,)),
            ("STB", (8,)),
            ("ERR", (202,)),
        ]
        assert trip.board_ns == rest[-1].board_ns if rest[-1] else None
        assert events.receive(0.05) is None


def test_iterating_ends_with_close_from_another_thread(face: Ported) -> None:
    heard: list[str] = []
    with face.ready() as chip, face.listen() as events:
        thread = threading.Thread(target=lambda: heard.extend(event.name for event in events))
        thread.start()
        for _ in range(3):
            chip.read(batch(chip).cells, ReadSetup())
        deadline = time.monotonic() + 10
        while len(heard) < 9 and time.monotonic() < deadline:
            time.sleep(0.002)
        events.close()
        thread.join(10)
        assert not thread.is_alive()
    assert heard == ["STB", "READ", "STB"] * 3


def test_what_has_come_is_taken_without_waiting(face: Ported) -> None:
    with face.ready() as chip, face.listen() as events:
        chip.read(batch(chip).cells, ReadSetup())
        heard: list[str] = []
        deadline = time.monotonic() + 10
        while len(heard) < 3 and time.monotonic() < deadline:
            event = events.receive(0)
            heard += [] if event is None else [event.name]
        assert heard == ["STB", "READ", "STB"]
        assert events.receive(0) is None


def test_nothing_in_time(face: Ported) -> None:
    with face.listen() as events:
        began = time.monotonic()
        with pytest.raises(LinkTimeout, match=r"no !PROG 7 came .* within 0\.1 s") as caught:
            events.wait_for("PROG", 7, timeout_s=0.1)
        assert time.monotonic() - began >= 0.1
        assert caught.value.timeout_s == 0.1


def test_safe_stops_a_batch_and_never_raises(face: Ported) -> None:
    with face.ready() as chip, face.listen() as events:
        chip.program(batch(chip, count=10000))
        assert events.safe()
        assert events.wait_for("PROG", 1, timeout_s=10).numbers == (1, 0)
        assert chip.last_batch().state.value == "SAFE"

        chip.power(False)
        chip.power(True)
        events.close()
        assert events.safe()  # over a link of its own
        assert face.board.power == "SAFE"


def test_safe_where_nobody_answers_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for face in opened("socket", monkeypatch, tmp_path):
        with InstrumentServer(face.bench.events["chip"], 0) as server:
            events = EventListener.open(server.address)
            assert events.safe()
            assert face.board.power == "SAFE"
        assert not events.safe()
        events.close()


def test_a_restart_ends_the_link(face: Ported) -> None:
    with face.ready() as chip, face.listen() as events:
        SimControl(chip).fault("BOOT")
        with pytest.raises(LinkError, match="the board restarted, or this listener was too slow"):
            for _ in events:
                pass
        with face.listen() as again:
            assert again.boot_id == face.board.boot_id != events.boot_id


def test_a_listener_that_was_too_slow_is_told_at_the_end(face: Ported) -> None:
    with face.ready() as chip, face.listen() as events:
        # What the board keeps for it is enough in this process; over TCP the buffers of both ends come on top.
        most = 20 * UNREAD_MAX if face.over_socket else UNREAD_MAX
        chip.ask(["SEL:RECT 1,0,0,0,1,1", "*OPC?"])
        for _ in range(most // 150):
            if not face.board.events._listeners:
                break
            chip.ask([*["READ:INIT 1", "*WAI"] * 100, "*OPC?"])
        assert not face.board.events._listeners
        with pytest.raises(LinkError, match="too slow"):
            for _ in events:
                pass


def test_nothing_answers(face: Ported) -> None:
    elsewhere = (
        face.events.replace("5026", "5027") if not face.over_socket else "TCPIP0::127.0.0.1::9::SOCKET"
    )
    with pytest.raises(LinkError, match="nothing answers at"):
        EventListener.open(elsewhere, backend=face.backend)


def test_the_boards_own_port_greets_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("drivers.events._BOOT_TIMEOUT_S", 0.1)
    for face in opened("socket", monkeypatch, tmp_path):
        with pytest.raises(LinkError, match=r"is no event port; it lies at the TCP port behind"):
            EventListener.open(face.address)


def test_a_chip_opens_the_port_beside_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for face in opened("process", monkeypatch, tmp_path):
        with face.ready() as chip, chip.events() as events:
            chip.program(batch(chip))
            chip.wait(10)
            assert events.wait_for("PROG", timeout_s=10).numbers == (1, 256)
        monkeypatch.setattr("drivers.simulated.controller_system_commands.GROUPS", "TEMP,SIM")
        with face.open() as chip, pytest.raises(InstrumentError, match="has no event port"):
            chip.events()
