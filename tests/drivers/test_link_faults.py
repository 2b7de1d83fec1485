"""Whatever happens to a reply on its way: a named error, a link that stays closed, and never a stale answer."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pyvisa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_twin import GPIB, SOCKET, PlainTwin, use_plain_twins, write_plain_bench
from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource

from drivers.errors import LinkError, LinkTimeout, MalformedAnswer
from drivers.message_link import MessageLink
from drivers.simulated.hislip import HislipServer
from drivers.simulated.link_faults import FAULTS, LinkFaults
from drivers.simulated.registry import SimulatedBench, TwinPort, open_bench
from drivers.simulated.server import InstrumentServer

FACES = ("gpib in process", "socket in process", "socket server", "hislip server")


class Reached:
    """One twin behind one face."""

    def __init__(self, bench: SimulatedBench, face: str, stack: ExitStack) -> None:
        self.port: TwinPort = bench.twins["gpib" if face == "gpib in process" else "sock"]
        self.faults: LinkFaults = self.port.faults
        self.address, self.backend = self.port.address, f"{bench.path}@pcm"
        if face.endswith("server"):
            kind = HislipServer if face.startswith("hislip") else InstrumentServer
            self.address, self.backend = stack.enter_context(kind(self.port, 0)).address, "@py"  # type: ignore[attr-defined]
        self.stack = stack

    @property
    def twin(self) -> PlainTwin:
        assert isinstance(self.port.twin, PlainTwin)
        return self.port.twin

    def link(self, timeout_s: float = 0.2) -> MessageLink:
        link = MessageLink(self.address, backend=self.backend, timeout_s=timeout_s)
        self.stack.callback(link.close)
        return link


@pytest.fixture(params=FACES)
def reached(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Reached]:
    use_plain_twins(monkeypatch)
    path = write_plain_bench(tmp_path, "gpib", "sock")
    with open_bench(path) as bench, ExitStack() as stack:
        yield Reached(bench, request.param, stack)


def unusable(link: MessageLink) -> None:
    with pytest.raises(LinkError, match="closed"):
        link.query("*IDN?")


def asked_anew(link: MessageLink) -> str:
    """A served port still lets itself be connected to when its instrument is gone, then hangs up."""
    link.reopen()
    return link.query("*IDN?")


def test_a_reply_cut_in_half(reached: Reached) -> None:
    link = reached.link()
    reached.faults.cut()
    with pytest.raises(LinkTimeout):
        link.query("ECHO? 123456")
    unusable(link)
    link.reopen()
    assert link.query("ECHO? 7") == "7"


def test_half_a_block(reached: Reached) -> None:
    link = reached.link()
    reached.faults.cut(keep=40)
    with pytest.raises(LinkTimeout):
        link.query_block("BLOC? 256")
    unusable(link)
    link.reopen()
    assert len(link.query_block("BLOC? 256")) == 256


def test_no_reply_at_all(reached: Reached) -> None:
    link = reached.link()
    reached.faults.cut(keep=0)
    with pytest.raises(LinkTimeout):
        link.query("ECHO? 1")
    unusable(link)


@pytest.mark.parametrize("late_s", [0.3, 0.6])
def test_a_late_reply_is_never_the_next_one(reached: Reached, late_s: float) -> None:
    link = reached.link()
    for number in range(4):
        if number == 1:
            reached.faults.delay(late_s)
            with pytest.raises(LinkTimeout):
                link.query(f"ECHO? {number}")
            unusable(link)
            link.reopen()
        else:
            assert link.query(f"ECHO? {number}") == str(number)


def test_a_reply_that_is_only_slow_arrives(reached: Reached) -> None:
    link = reached.link(timeout_s=5.0)
    reached.faults.delay(0.1)
    assert link.query("ECHO? 1") == "1"


def test_garbage(reached: Reached) -> None:
    link = reached.link()
    reached.faults.garbage(seed=3)
    with pytest.raises(MalformedAnswer):
        link.query("READ?")
    unusable(link)
    link.reopen()
    reached.faults.garbage(seed=4)
    with pytest.raises(MalformedAnswer):
        link.query_block("BLOC? 256")
    unusable(link)
    link.reopen()
    assert link.query("ECHO? 1") == "1"


# pyvisa-py leaves the socket of a HiSLIP session that it could not open to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_instrument_that_vanishes_in_a_sweep(reached: Reached) -> None:
    link = reached.link()
    reached.faults.vanish(after=1)
    link.write("SOUR:VOLT 0.25")
    with pytest.raises(LinkError):
        link.query("READ?")
    assert reached.twin.obeyed[-1] == b"READ?"  # it was measured; only nobody heard of it
    unusable(link)
    with pytest.raises(LinkError):
        asked_anew(link)
    gc.collect()
    reached.faults.come_back()
    link.reopen()
    assert link.query("SOUR:VOLT?") == "2.500000E-01"


def test_an_instrument_that_vanishes_in_a_reply(reached: Reached) -> None:
    link = reached.link(timeout_s=5.0)
    reached.faults.vanish(keep=3)
    with pytest.raises(LinkError):
        link.query("ECHO? 123456")
    unusable(link)


def test_several_faults_wait_for_their_turn_and_can_be_taken_back(reached: Reached) -> None:
    link = reached.link()
    reached.faults.garbage()
    reached.faults.cut()
    with pytest.raises(MalformedAnswer):
        link.query("ECHO? 1")
    link.reopen()
    with pytest.raises(LinkTimeout):
        link.query("ECHO? 1")
    reached.faults.cut()
    assert reached.faults.armed
    reached.faults.clear()
    assert not reached.faults.armed
    link.reopen()
    assert link.query("ECHO? 1") == "1"


STEPS = st.lists(
    st.sampled_from(("ask", "ask", "block", "write", "status", *FAULTS)), min_size=4, max_size=12
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 999))
def test_answers_are_right_or_an_error_whatever_happens(
    reached: Reached, steps: list[str], seed: int
) -> None:
    link = reached.link(timeout_s=0.06)
    reached.faults.clear()
    for number, step in enumerate(steps, seed * 100):
        if step in FAULTS:
            arguments = {"delay": (0.1,), "garbage": (seed,)}.get(step, ())
            getattr(reached.faults, step)(*arguments)
            continue
        try:
            if step == "ask":
                assert link.query(f"ECHO? {number}") == str(number)
            elif step == "block":
                assert link.query_block(f"BLOC? {number % 300}") == (bytes(range(256)) * 2)[: number % 300]
            elif step == "write":
                link.write(f"SOUR:VOLT {number}")
            elif not link.is_stream:
                link.status_byte()
        except LinkError:
            unusable(link)
            reached.faults.come_back()
            link.reopen()
    reached.faults.clear()
    link.close()


def test_a_plain_visa_program_sees_what_visa_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_plain_twins(monkeypatch)
    with open_bench(write_plain_bench(tmp_path, "gpib", "sock")) as bench:
        manager = pyvisa.ResourceManager(f"{bench.path}@pcm")
        for name, address in (("gpib", GPIB), ("sock", SOCKET)):
            faults = bench.twins[name].faults
            link = manager.open_resource(address, read_termination="\n", write_termination="\n", timeout=50)
            assert isinstance(link, MessageBasedResource)
            faults.vanish()
            with pytest.raises(VisaIOError) as caught:
                link.query("*IDN?")
            assert caught.value.error_code == StatusCode.error_connection_lost
            with pytest.raises(VisaIOError) as caught:
                link.write("*IDN?")
            assert caught.value.error_code == StatusCode.error_connection_lost
            with pytest.raises(VisaIOError) as caught:
                manager.open_resource(address)
            assert caught.value.error_code == StatusCode.error_resource_not_found
        manager.close()


def test_faults_can_be_spelled(reached: Reached) -> None:
    for words in ("garbage=5@1", "cut=0", "vanish@4"):
        reached.faults.arm(words)
    link = reached.link()
    assert link.query("ECHO? 1") == "1"
    with pytest.raises(MalformedAnswer):
        link.query("ECHO? 2")
    link.reopen()
    with pytest.raises(LinkTimeout):
        link.query("ECHO? 3")
    link.reopen()
    assert link.query("ECHO? 4") == "4"
    with pytest.raises(LinkError):
        link.query("ECHO? 5")
    assert reached.faults.gone


@pytest.mark.parametrize("words", ["", "smoke", "delay", "delay=soon", "cut=x", "cut@y", "vanish@1@2"])
def test_what_is_no_fault(words: str) -> None:
    faults = LinkFaults()
    with pytest.raises(ValueError, match="fault"):
        faults.arm(words)
    assert not faults.armed
