"""Bench instruments as VISA resources, interface by interface: END, serial poll, clear, trigger, events, attributes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from plain_twin import (
    ADDRESSES,
    GPIB,
    HISLIP,
    IDN,
    MESSAGE_BASED,
    SERIAL,
    SOCKET,
    STREAMS,
    USB,
    VXI11,
    PlainTwin,
    definite,
    use_plain_twins,
    write_plain_bench,
)
from pyvisa import constants
from pyvisa.constants import EventMechanism, EventType, InterfaceType, ResourceAttribute, StatusCode
from pyvisa.errors import VisaIOError
from pyvisa.resources import GPIBInstrument, MessageBasedResource, SerialInstrument

from drivers.simulated.registry import SimulatedBench, open_bench

EVERY_BYTE = bytes(range(256))
SRQ, QUEUE, HANDLER = EventType.service_request, EventMechanism.queue, EventMechanism.handler


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimulatedBench]:
    use_plain_twins(monkeypatch)
    with open_bench(write_plain_bench(tmp_path)) as bench:
        yield bench


@pytest.fixture
def manager(bench: SimulatedBench) -> Iterator[pyvisa.ResourceManager]:
    opened = pyvisa.ResourceManager(f"{bench.path}@pcm")
    yield opened
    opened.close()


def link_to(manager: pyvisa.ResourceManager, address: str, **options: Any) -> MessageBasedResource:
    link = manager.open_resource(address, **{"read_termination": "\n", "write_termination": "\n", **options})
    assert isinstance(link, MessageBasedResource)
    return link


def twin_at(bench: SimulatedBench, address: str) -> PlainTwin:
    port = bench.instruments[address.upper()]
    twin = port.twin  # type: ignore[union-attr]
    assert isinstance(twin, PlainTwin)
    return twin


def code_of(caught: pytest.ExceptionInfo[VisaIOError]) -> StatusCode:
    return StatusCode(caught.value.error_code)


def refused(code: StatusCode, action: Any, *arguments: Any) -> None:
    with pytest.raises(VisaIOError) as caught:
        action(*arguments)
    assert code_of(caught) is code


# ---- addresses


def test_every_address_is_listed_and_opens(manager: pyvisa.ResourceManager) -> None:
    assert manager.list_resources("?*") == tuple(ADDRESSES.values())
    assert set(manager.list_resources()) == {GPIB, USB, VXI11, HISLIP, SERIAL}
    assert manager.list_resources("GPIB?*") == (GPIB,)
    for address in ADDRESSES.values():
        with link_to(manager, address) as link:
            assert link.query("*IDN?") == IDN


@pytest.mark.parametrize(
    ("spelling", "address"), [("GPIB::26", GPIB), ("gpib0::26::INSTR", GPIB), ("ASRL3", SERIAL)]
)
def test_other_spellings_lead_to_the_same_instrument(
    manager: pyvisa.ResourceManager, spelling: str, address: str
) -> None:
    link_to(manager, address).write("SOUR:VOLT 0.5")
    assert link_to(manager, spelling).query("SOUR:VOLT?") == "5.000000E-01"


@pytest.mark.parametrize(
    "address", ["GPIB0::27::INSTR", "GPIB1::26::INSTR", "TCPIP0::plain::5026::SOCKET", "ASRL4"]
)
def test_an_unknown_address_is_not_found(manager: pyvisa.ResourceManager, address: str) -> None:
    refused(StatusCode.error_resource_not_found, manager.open_resource, address)


# ---- messages and replies


@pytest.mark.parametrize("address", MESSAGE_BASED)
def test_the_end_of_a_write_ends_the_message(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address, write_termination="")
    assert link.query("ECHO? a") == "a"
    link.set_visa_attribute(ResourceAttribute.send_end_enabled, False)
    link.write("ECHO? b")
    link.set_visa_attribute(ResourceAttribute.send_end_enabled, True)
    assert link.query("c") == "bc"


@pytest.mark.parametrize("address", STREAMS)
def test_on_a_stream_only_a_line_feed_ends_a_message(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address, write_termination="", timeout=50)
    link.write("ECHO? a")
    refused(StatusCode.error_timeout, link.read)
    link.write("b\n")
    assert link.read() == "ab"


@pytest.mark.parametrize("address", MESSAGE_BASED)
def test_partial_reads_and_what_each_says(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address, read_termination=None)
    library, session = link.visalib, link.session
    link.write("ECHO? abcdef")
    with link.ignore_warning(StatusCode.success_max_count_read):
        assert library.read(session, 2) == (b"ab", StatusCode.success_max_count_read)
        assert library.read(session, 4) == (b"cdef", StatusCode.success_max_count_read)
    assert library.read(session, 4) == (b"\n", StatusCode.success)
    link.write("ECHO? abc")
    assert library.read(session, 4) == (b"abc\n", StatusCode.success)
    link.read_termination = "c"
    link.write("ECHO? abcdef")
    assert library.read(session, 100) == (b"abc", StatusCode.success_termination_character_read)
    assert library.read(session, 100) == (b"def\n", StatusCode.success)


def test_a_serial_line_ends_reads_at_a_line_feed_unless_told_otherwise(
    manager: pyvisa.ResourceManager,
) -> None:
    link = link_to(manager, SERIAL, read_termination=None, timeout=50)
    assert isinstance(link, SerialInstrument)
    link.write("ECHO? a\nECHO? b")
    assert link.bytes_in_buffer == 4
    assert link.visalib.read(link.session, 100) == (b"a\n", StatusCode.success_termination_character_read)
    link.end_input = constants.SerialTermination.none
    assert link.read_bytes(2) == b"b\n"


@pytest.mark.parametrize("address", ADDRESSES.values())
def test_blocks_of_every_byte_value(
    manager: pyvisa.ResourceManager, bench: SimulatedBench, address: str
) -> None:
    link = link_to(manager, address)
    if address == SERIAL:  # its reads end at line feeds, in blocks too
        link.set_visa_attribute(ResourceAttribute.asrl_end_in, constants.SerialTermination.none)
    link.read_termination = None
    link.write_raw(b"LOAD " + definite(EVERY_BYTE) + b"\n")
    assert twin_at(bench, address).block == EVERY_BYTE
    link.write("LOAD?")
    assert link.read_bytes(5 + 256 + 1) == b"#3256" + EVERY_BYTE + b"\n"
    if address in MESSAGE_BASED:
        values = link.query_binary_values("BLOC? 1000", datatype="B", container=np.array)
        assert bytes(values.astype(np.uint8)) == (EVERY_BYTE * 4)[:1000]


# ---- the output queue by interface (instruments §3)


@pytest.mark.parametrize("address", MESSAGE_BASED)
def test_an_unread_reply_is_discarded_and_reported(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address)
    link.write("ECHO? old")
    assert link.query("ECHO? new") == "new"
    assert link.query("SYST:ERR?") == '-410,"Query INTERRUPTED"'
    assert int(link.query("*ESR?")) & 0x04
    assert link.query("SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize("address", STREAMS)
def test_a_stream_hands_out_the_old_reply(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address)
    link.write("ECHO? old")
    assert link.query("ECHO? new") == "old"
    assert link.read() == "new"
    assert link.query("SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize("address", MESSAGE_BASED)
def test_asking_for_nothing_is_reported(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address, timeout=60_000)
    began = time.monotonic()
    refused(StatusCode.error_timeout, link.read)
    assert time.monotonic() - began < 5
    assert link.query("SYST:ERR?") == '-420,"Query UNTERMINATED"'


@pytest.mark.parametrize("address", STREAMS)
def test_a_stream_does_not_know_that_it_is_read(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address)
    refused(StatusCode.error_timeout, link.read)
    assert link.query("SYST:ERR?") == '0,"No error"'


@pytest.mark.parametrize("address", MESSAGE_BASED)
def test_device_clear_drops_both_ways(
    manager: pyvisa.ResourceManager, bench: SimulatedBench, address: str
) -> None:
    link = link_to(manager, address, write_termination="")
    link.write("ECHO? stale")
    link.clear()
    link.set_visa_attribute(ResourceAttribute.send_end_enabled, False)
    link.write("ECHO? half")
    link.clear()
    link.set_visa_attribute(ResourceAttribute.send_end_enabled, True)
    assert link.query("ECHO? fresh") == "fresh"
    assert link.query("SYST:ERR?") == '0,"No error"'
    assert b"ECHO? half" not in twin_at(bench, address).obeyed


def test_clear_and_flush_on_a_stream_drop_what_can_be_read(manager: pyvisa.ResourceManager) -> None:
    link = link_to(manager, SOCKET)
    link.write("ECHO? 1")
    link.clear()
    link.write("ECHO? 2")
    link.flush(constants.BufferOperation.discard_read_buffer)
    link.write("ECHO? 3")
    link.flush(constants.BufferOperation.flush_write_buffer)
    assert link.read() == "3"


# ---- status byte and trigger


@pytest.mark.parametrize("address", MESSAGE_BASED)
def test_serial_poll_and_trigger(
    manager: pyvisa.ResourceManager, bench: SimulatedBench, address: str
) -> None:
    link = link_to(manager, address)
    assert link.read_stb() == 0
    link.write("ECHO? 1")
    assert link.stb == 0x10
    assert link.read() == "1"
    link.write("NONSENSE")
    assert link.stb == 0x04
    link.write("*CLS;")
    link.write("*CLS")
    link.assert_trigger()
    link.assert_trigger()
    assert twin_at(bench, address).triggers == 2


@pytest.mark.parametrize("address", STREAMS)
def test_a_stream_has_neither_poll_nor_trigger_nor_events(
    manager: pyvisa.ResourceManager, address: str
) -> None:
    link = link_to(manager, address)
    refused(StatusCode.error_nonsupported_operation, link.read_stb)
    refused(StatusCode.error_nonsupported_operation, link.assert_trigger)
    refused(StatusCode.error_nonsupported_operation, link.enable_event, SRQ, QUEUE)
    refused(StatusCode.error_not_enabled, link.wait_on_event, SRQ, 1)
    refused(
        StatusCode.error_nonsupported_operation, link.install_handler, SRQ, link.wrap_handler(lambda *_: None)
    )


# ---- service requests


def test_wait_for_srq_lets_a_sweep_end(manager: pyvisa.ResourceManager, bench: SimulatedBench) -> None:
    link = link_to(manager, GPIB)
    assert isinstance(link, GPIBInstrument)
    for command in ("*CLS", "*ESE 1", "*SRE 32", "SWE:INIT 1000", "*OPC"):
        link.write(command)
    began = time.monotonic()
    link.wait_for_srq(timeout=1_500_000)
    assert time.monotonic() - began < 10
    assert 1000 <= twin_at(bench, GPIB).bench.now_ns * 1e-9 < 1001
    assert not link.stb & 0x40
    assert int(link.query("*ESR?")) & 1


def test_wait_for_srq_that_came_before(manager: pyvisa.ResourceManager) -> None:
    link = link_to(manager, GPIB)
    assert isinstance(link, GPIBInstrument)
    link.write("*SRE 16")
    link.write("ECHO? 1")
    link.wait_for_srq(timeout=100)
    assert link.read() == "1"


def test_a_sweep_that_outlasts_the_time_out(manager: pyvisa.ResourceManager, bench: SimulatedBench) -> None:
    link = link_to(manager, GPIB)
    assert isinstance(link, GPIBInstrument)
    for command in ("*CLS", "*ESE 1", "*SRE 32", "SWE:INIT 1000", "*OPC"):
        link.write(command)
    began_ns = twin_at(bench, GPIB).bench.now_ns
    refused(StatusCode.error_timeout, link.wait_for_srq, 10_000)
    assert (twin_at(bench, GPIB).bench.now_ns - began_ns) * 1e-9 == pytest.approx(10, rel=0.1)
    link.wait_for_srq(timeout=1_000_000)


@pytest.mark.parametrize("address", MESSAGE_BASED)
def test_events_by_queue(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address)
    refused(StatusCode.error_not_enabled, link.wait_on_event, SRQ, 1)
    link.write("*SRE 4")
    link.enable_event(SRQ, QUEUE)
    assert link.wait_on_event(SRQ, 5, capture_timeout=True).timed_out
    link.write("NONSENSE")
    response = link.wait_on_event(SRQ, 5)
    assert response.event.event_type is SRQ
    assert not response.timed_out
    del response
    link.write("NONSENSE")  # the line is asserted still: no new event
    assert link.wait_on_event(SRQ, 5, capture_timeout=True).timed_out
    assert link.stb & 0x44 == 0x44
    link.write("*CLS")
    link.write("NONSENSE")
    link.discard_events(SRQ, QUEUE)
    assert link.wait_on_event(SRQ, 5, capture_timeout=True).timed_out
    link.disable_event(SRQ, QUEUE)
    refused(StatusCode.error_not_enabled, link.wait_on_event, SRQ, 1)


def test_another_session_causes_the_event(manager: pyvisa.ResourceManager) -> None:
    listener, other = link_to(manager, GPIB), link_to(manager, GPIB)
    listener.write("*SRE 4")
    listener.enable_event(SRQ, QUEUE)
    later = threading.Timer(0.05, other.write, ("NONSENSE",))
    later.start()
    assert listener.wait_on_event(SRQ, 5000).event.event_type is SRQ
    later.join()


def test_handlers_are_called_beside_the_program(manager: pyvisa.ResourceManager) -> None:
    link = link_to(manager, GPIB)
    seen: list[tuple[Any, Any, str, str]] = []
    told = threading.Event()

    def handle(resource: Any, event: Any, user_handle: Any) -> None:
        reply = resource.query("SYST:ERR?")  # nothing is locked while a handler runs
        seen.append((event.event_type, user_handle, reply, threading.current_thread().name))
        told.set()

    wrapped = link.wrap_handler(handle)
    refused(StatusCode.error_handler_not_installed, link.enable_event, SRQ, HANDLER)
    handle_of_mine = link.install_handler(SRQ, wrapped, "mine")
    link.enable_event(SRQ, HANDLER)
    link.write("*SRE 4")
    link.write("NONSENSE")
    assert told.wait(5)
    assert seen == [(SRQ, "mine", '-113,"Undefined header"', "visa-events")]
    assert link.read_stb() & 0x40
    link.disable_event(SRQ, HANDLER)
    link.write("NONSENSE")
    link.uninstall_handler(SRQ, wrapped, handle_of_mine)
    link.close()
    assert len(seen) == 1


def test_a_handler_is_told_when_a_sweep_ends(manager: pyvisa.ResourceManager) -> None:
    link = link_to(manager, GPIB)
    told = threading.Event()
    link.install_handler(SRQ, link.wrap_handler(lambda *_: told.set()))
    link.enable_event(SRQ, HANDLER)
    for command in ("*CLS", "*ESE 1", "*SRE 32", "SWE:INIT 1000", "*OPC"):
        link.write(command)
    assert told.wait(5)
    link.close()


@pytest.mark.parametrize(
    ("driver", "model"),
    [
        ("keithley-2600", "keithley-2636b"),
        ("keysight-81160a", "keysight-81160a"),
        ("lakeshore-336", "lakeshore-336"),
    ],
)
def test_instruments_ask_for_service_when_their_reply_is_there(
    tmp_path: Path, driver: str, model: str
) -> None:
    path = tmp_path / "real.yaml"
    path.write_text(
        "version: 1\nname: t\ninstruments:\n"
        f'  it: {{driver: {driver}, address: "{GPIB}", backend: "@pcm", simulated: {{model: {model}}}}}\n'
    )
    manager = pyvisa.ResourceManager(f"{path}@pcm")
    link = link_to(manager, GPIB)
    assert isinstance(link, GPIBInstrument)
    link.write("*CLS")
    link.write("*SRE 16")
    link.enable_event(SRQ, QUEUE)
    assert link.wait_on_event(SRQ, 1, capture_timeout=True).timed_out
    for _ in range(2):
        link.write("*IDN?")
        link.wait_for_srq(timeout=100)
        assert not link.stb & 0x40  # polled once, and no new reason since
        assert link.read().count(",") == 3
        link.stb  # noqa: B018 - the reason is gone
    manager.close()


# ---- slow operations


@pytest.mark.parametrize("address", ADDRESSES.values())
def test_slow_operations_take_bench_time_only(manager: pyvisa.ResourceManager, address: str) -> None:
    link = link_to(manager, address, timeout=1000)
    began = time.monotonic()
    assert float(link.query("SLOW? 3600")) > 3600
    link.write("SWE:INIT 500")
    assert link.query("*OPC?") == "1"
    assert time.monotonic() - began < 5


# ---- attributes


def test_attributes_say_where_a_session_leads(manager: pyvisa.ResourceManager) -> None:
    def value(address: str, name: str) -> Any:
        return link_to(manager, address).get_visa_attribute(ResourceAttribute[name])

    gpib = link_to(manager, GPIB)
    assert isinstance(gpib, GPIBInstrument)
    assert (gpib.primary_address, gpib.secondary_address) == (26, constants.VI_NO_SEC_ADDR)
    assert gpib.interface_type is InterfaceType.gpib
    assert gpib.interface_number == 0
    assert gpib.remote_enabled is constants.LineState.asserted
    gpib.control_ren(constants.RENLineOperation.asrt)
    assert value(USB, "manufacturer_id") == 0x05E6
    assert value(USB, "model_code") == 0x2636
    assert value(USB, "usb_serial_number") == "4012345"
    assert value(USB, "interface_type") == InterfaceType.usb
    assert value(HISLIP, "tcpip_is_hislip")
    assert not value(VXI11, "tcpip_is_hislip")
    assert value(VXI11, "tcpip_device_name") == "inst0"
    assert value(SOCKET, "tcpip_port") == 5025
    serial = link_to(manager, SERIAL)
    assert isinstance(serial, SerialInstrument)
    assert serial.baud_rate == 9600
    serial.baud_rate = 57_600
    assert serial.baud_rate == 57_600
    assert serial.parity is constants.Parity.none


def test_attributes_of_other_interfaces_are_not_there(manager: pyvisa.ResourceManager) -> None:
    gpib, socket = link_to(manager, GPIB), link_to(manager, SOCKET)
    for link, name in (
        (gpib, ResourceAttribute.asrl_baud_rate),
        (gpib, ResourceAttribute.tcpip_port),
        (socket, ResourceAttribute.gpib_primary_address),
    ):
        refused(StatusCode.error_nonsupported_attribute, link.visalib.get_attribute, link.session, name)
        refused(StatusCode.error_nonsupported_attribute, link.visalib.set_attribute, link.session, name, 1)
    refused(
        StatusCode.error_attribute_read_only,
        gpib.visalib.set_attribute,
        gpib.session,
        ResourceAttribute.gpib_primary_address,
        3,
    )


def test_codes_in_words(manager: pyvisa.ResourceManager) -> None:
    link = link_to(manager, GPIB)
    words, code = link.visalib.status_description(link.session, StatusCode.error_timeout)
    assert "Timeout" in words
    assert code is StatusCode.success


# ---- locks


@pytest.mark.parametrize("address", ADDRESSES.values())
def test_a_lock_keeps_other_sessions_out(manager: pyvisa.ResourceManager, address: str) -> None:
    mine, other = link_to(manager, address), link_to(manager, address)
    with mine.lock_context(requested_key="exclusive"):
        assert mine.query("ECHO? 1") == "1"
        refused(StatusCode.error_resource_locked, other.query, "ECHO? 2")
        refused(StatusCode.error_resource_locked, other.clear)
    assert other.query("ECHO? 2") == "2"
