"""The simulated bench as a PyVISA backend, through PyVISA's own front end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvisa
from fake_chip import FakeState, definite
from pyvisa import constants
from pyvisa.constants import AccessModes, ResourceAttribute, StatusCode
from pyvisa.errors import InvalidSession, VisaIOError
from pyvisa.resources import MessageBasedResource
from simulated_bench import INSTR, SOCKET, use_fake_boards

from drivers.simulated.registry import open_bench


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[FakeState]:
    return use_fake_boards(monkeypatch)


@pytest.fixture
def manager(states: list[FakeState], tmp_path: Path) -> Iterator[pyvisa.ResourceManager]:
    opened = pyvisa.ResourceManager(f"{tmp_path / 'bench.yaml'}@pcm")
    yield opened
    opened.close()


def open_link(
    manager: pyvisa.ResourceManager, address: str = SOCKET, **options: object
) -> MessageBasedResource:
    link = manager.open_resource(address, read_termination="\n", write_termination="\n", **options)  # type: ignore[arg-type]
    assert isinstance(link, MessageBasedResource)
    return link


def code_of(caught: pytest.ExceptionInfo[VisaIOError]) -> StatusCode:
    return StatusCode(caught.value.error_code)


def test_list_open_query_close(manager: pyvisa.ResourceManager) -> None:
    assert manager.list_resources("?*") == (SOCKET, INSTR)
    assert manager.list_resources() == (INSTR,)
    with open_link(manager) as link:
        assert link.query("*IDN?") == "PCMLAB,PCMC-1M-SIM,0001,1.0.0"
        assert link.last_status == StatusCode.success_termination_character_read
    with pytest.raises(InvalidSession):
        link.query("*IDN?")


@pytest.mark.parametrize("address", ["TCPIP0::elsewhere::5025::SOCKET", "GPIB0::3::INSTR"])
def test_unknown_addresses_are_not_found(manager: pyvisa.ResourceManager, address: str) -> None:
    with pytest.raises(VisaIOError) as caught:
        manager.open_resource(address)
    assert code_of(caught) is StatusCode.error_resource_not_found


def test_relative_paths_name_the_same_bench(
    states: list[FakeState], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = pyvisa.ResourceManager("bench.yaml@pcm")
    absolute = pyvisa.ResourceManager(f"{tmp_path / 'bench.yaml'}@pcm")
    a, b = open_link(relative), open_link(absolute)
    assert a.query('SYST:LOCK:REQ? "a"') == "1"
    assert b.query("SYST:LOCK:OWN?") == "2"
    assert len(states) == 1
    relative.close()
    assert not states[0].closed
    assert b.query("SYST:LOCK:OWN?") == "0"
    absolute.close()
    assert states[0].closed
    again = pyvisa.ResourceManager("bench.yaml@pcm")
    assert open_link(again).query("SYST:LOCK:OWN?") == "0"
    assert len(states) == 2
    again.close()


def test_no_answer_is_a_timeout_at_once_and_the_link_stays_in_step(manager: pyvisa.ResourceManager) -> None:
    link = open_link(manager, timeout=60000)
    began = time.monotonic()
    with pytest.raises(VisaIOError) as caught:
        link.query("FOO?")
    assert code_of(caught) is StatusCode.error_timeout
    assert time.monotonic() - began < 5
    assert link.query("SYST:ERR?") == '-113,"Undefined header;FOO?"'


def test_chunks_and_terminators(manager: pyvisa.ResourceManager) -> None:
    link = open_link(manager)
    link.query('SYST:LOCK:REQ? "a"')
    link.write_raw(b"ARR:MASK " + definite(b"\n" * 32) + b"\n")
    link.write("ARR:MASK?")
    head = link.read_bytes(5, break_on_termchar=True)
    assert head == b"#232\n"
    link.read_termination = None
    assert link.read_bytes(31, chunk_size=7) == b"\n" * 31
    assert link.read_bytes(1) == b"\n"
    link.write("*IDN?")
    with pytest.raises(VisaIOError):
        link.read_bytes(1000)
    link.read_termination = "\n"
    assert link.read() == "PCMLAB,PCMC-1M-SIM,0001,1.0.0"
    link.write("*IDN?")
    with link.ignore_warning(StatusCode.success_max_count_read):
        assert link.visalib.read(link.session, 6) == (b"PCMLAB", StatusCode.success_max_count_read)
    link.clear()
    assert link.query("*OPC?") == "1"


def test_binary_values_by_pyvisas_own_parser(manager: pyvisa.ResourceManager) -> None:
    link = open_link(manager)
    link.query('SYST:LOCK:REQ? "a"')
    assert link.query("ARR:POW ON;*WAI;:OUTP ON;:READ:INIT 0;*OPC?") == "1"
    values = link.query_binary_values("READ:DATA? 0,256", datatype="f", container=np.ndarray)
    assert np.allclose(values, 1e-6 + np.arange(256) * 1e-9)


def test_instr_resources_have_end_and_serial_poll(manager: pyvisa.ResourceManager) -> None:
    link = manager.open_resource(INSTR)
    assert isinstance(link, MessageBasedResource)
    link.write_termination = ""
    assert link.query("*IDN?") == "PCMLAB,PCMC-1M-SIM,0001,1.0.0\n"
    assert link.last_status == StatusCode.success
    link.write("FOO")
    assert link.read_stb() & 4
    link.write("*OPC?")
    assert link.read_stb() & 0x10
    link.flush(constants.BufferOperation.discard_read_buffer)
    assert not link.read_stb() & 0x10
    with pytest.raises(VisaIOError) as caught:
        link.assert_trigger()
    assert code_of(caught) is StatusCode.error_nonsupported_operation


def test_a_socket_has_no_serial_poll_and_no_events(manager: pyvisa.ResourceManager) -> None:
    link = open_link(manager)
    with pytest.raises(VisaIOError) as caught:
        link.read_stb()
    assert code_of(caught) is StatusCode.error_nonsupported_operation
    with pytest.raises(VisaIOError):
        link.enable_event(constants.EventType.service_request, constants.EventMechanism.queue)
    with pytest.raises(VisaIOError):
        link.wait_on_event(constants.EventType.service_request, 10)


def test_attributes(manager: pyvisa.ResourceManager) -> None:
    link = open_link(manager, timeout=1234)
    assert link.timeout == 1234
    assert link.resource_name == SOCKET
    assert link.interface_type is constants.InterfaceType.tcpip
    assert link.get_visa_attribute(ResourceAttribute.tcpip_port) == 5025
    assert link.get_visa_attribute(ResourceAttribute.tcpip_address) == "pcm-mock"
    link.set_visa_attribute(ResourceAttribute.tcpip_nodelay, True)
    assert link.get_visa_attribute(ResourceAttribute.tcpip_nodelay)
    with pytest.raises(VisaIOError) as caught:
        link.set_visa_attribute(ResourceAttribute.tcpip_port, 1)
    assert code_of(caught) is StatusCode.error_attribute_read_only
    assert link.resource_info.resource_class == "SOCKET"


def test_exclusive_access_keeps_others_out(manager: pyvisa.ResourceManager) -> None:
    first = open_link(manager, access_mode=AccessModes.exclusive_lock)
    with pytest.raises(VisaIOError) as caught:
        open_link(manager, access_mode=AccessModes.exclusive_lock)
    assert code_of(caught) is StatusCode.error_resource_locked
    second = open_link(manager)
    with pytest.raises(VisaIOError) as caught:
        second.query("*IDN?")
    assert code_of(caught) is StatusCode.error_resource_locked
    assert first.query("*OPC?") == "1"
    first.close()
    assert second.query("*OPC?") == "1"
    second.lock_excl()
    assert (
        second.get_visa_attribute(ResourceAttribute.resource_lock_state)
        == constants.AccessModes.exclusive_lock
    )
    second.unlock()
    key = second.lock(requested_key="ours")
    third = open_link(manager)
    with pytest.raises(VisaIOError):
        third.query("*OPC?")
    assert third.lock(requested_key="ours") == key
    assert third.query("*OPC?") == "1"
    third.unlock()
    with pytest.raises(VisaIOError) as caught:
        third.unlock()
    assert code_of(caught) is StatusCode.error_session_not_locked


def test_a_board_that_closes_the_link_is_a_lost_connection(manager: pyvisa.ResourceManager) -> None:
    first, second = open_link(manager), open_link(manager)
    first.query('SYST:LOCK:REQ? "a"')
    second.query('SYST:LOCK:REQ? "a"')
    for use in (lambda: first.write("*OPC?"), first.read):
        with pytest.raises(VisaIOError) as caught:
            use()
        assert code_of(caught) is StatusCode.error_connection_lost


def test_late_answers_take_wall_time(manager: pyvisa.ResourceManager) -> None:
    link = open_link(manager, timeout=20)
    link.query('SYST:LOCK:REQ? "a"')
    link.write("SIM:FAUL LATE,0.15,1")
    with pytest.raises(VisaIOError) as caught:
        link.query("SYST:TAG? 1")
    assert code_of(caught) is StatusCode.error_timeout
    link.timeout = 5000
    assert link.query("SYST:TAG? 2") == "1"
    assert link.read() == "2"


def test_waiting_for_the_board_at_a_rate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_boards(monkeypatch, rate=0.1)
    manager = pyvisa.ResourceManager(f"{tmp_path / 'rate.yaml'}@pcm")
    link = open_link(manager, timeout=5000)
    link.query('SYST:LOCK:REQ? "a"')
    began = time.monotonic()
    assert link.query("ARR:POW ON;*OPC?") == "1"
    assert time.monotonic() - began >= 0.045
    link.timeout = 5
    with pytest.raises(VisaIOError) as caught:
        link.query("ARR:POW OFF;POW ON;*OPC?")
    assert code_of(caught) is StatusCode.error_timeout
    manager.close()


def test_safe_from_another_thread_stops_a_long_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_boards(monkeypatch, rows=512, cols=512)
    manager = pyvisa.ResourceManager(f"{tmp_path / 'big.yaml'}@pcm")
    owner, other = open_link(manager), open_link(manager)
    owner.query('SYST:LOCK:REQ? "a"')
    assert owner.query("ARR:POW ON;*WAI;:OUTP ON;*OPC?") == "1"
    owner.write("PULS:DEF 2,5E-9,5E-8,5E-9,1E-6;FSC 2,5E-4")
    with open_bench(tmp_path / "big.yaml") as bench:
        board = bench.named("chip").board
        begun, stopped = threading.Event(), threading.Event()

        def slow() -> None:
            begun.set()
            stopped.wait(0.2)

        board.chip.on_pulse = slow
        done: list[str] = []
        thread = threading.Thread(target=lambda: done.append(owner.query("PROG:SEL 1,0,2,1E-4;*OPC?")))
        thread.start()
        assert begun.wait(5)
        other.write("SYST:SAFE")
        stopped.set()
        thread.join()
        assert done == ["1"]
        state, done_entries = other.query("PROG:STAT?").split(",")[1:3]
        assert state == "SAFE"
        assert 0 < int(done_entries) < 512 * 512
        assert other.query("OUTP?;:ARR:POW?") == "0;SAFE"
        counts = board.chip.count
        assert int(np.count_nonzero(counts)) in range(int(done_entries), int(done_entries) + 33)
    manager.close()


def test_an_interrupt_waits_until_the_board_has_booked_its_pulses(
    manager: pyvisa.ResourceManager, tmp_path: Path
) -> None:
    link = open_link(manager)
    link.query('SYST:LOCK:REQ? "a"')
    link.query("ARR:POW ON;*WAI;:OUTP ON;*OPC?")
    link.write("PULS:DEF 2,5E-9,5E-8,5E-9,1E-6;FSC 2,5E-4")
    with open_bench(tmp_path / "bench.yaml") as bench:
        chip = bench.named("chip").board.chip
        chip.on_pulse = lambda: os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            link.query("PROG:SEL 1,0,2,1E-4;*OPC?")
        chip.on_pulse = None
        assert link.read() == "1"
        assert link.query("PROG:STAT?").startswith("1,DONE,256,0")
        assert (chip.count == 1).all()


def test_two_threads_on_two_links_never_mix_answers(manager: pyvisa.ResourceManager) -> None:
    links = [open_link(manager), open_link(manager)]
    wrong: list[str] = []

    def run(link: MessageBasedResource, base: int) -> None:
        for number in range(base, base + 300):
            answer = link.query(f"SYST:TAG? {number}")
            if answer != str(number):
                wrong.append(answer)

    threads = [threading.Thread(target=run, args=(link, 1000 * k)) for k, link in enumerate(links)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
