"""Limits a bench file gives its simulated board, and the converter of its device card, over the board's commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from fake_chip import Host, definite, make_board, payload
from pyvisa.resources import MessageBasedResource
from silicon import IBM90, card_with

from drivers.bench import BenchError, load_bench
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.registry import open_bench

LIFTED = {"current_max_a": 6e-4, "voltage_max_v": 5.0, "read_voltage_max_v": 0.7}
BENCH = """\
version: 1
name: limits
instruments:
  chip:
    driver: pcm-controller
    address: TCPIP0::pcm-mock::5025::SOCKET
    backend: "@pcm"
    simulated: {model: pcm-controller, card: CARD, rows: 16, cols: 16, seed: 5, LIMITS}
"""


def write_bench(folder: Path, limits: str = "", card: str = "ibm90") -> Path:
    path = folder / "bench.yaml"
    path.write_text(BENCH.replace("CARD", card).replace("LIMITS", limits))
    return path


def limits_over_visa(path: Path) -> tuple[str, dict[str, Any]]:
    manager = pyvisa.ResourceManager(f"{path}@pcm")
    try:
        link = manager.open_resource("TCPIP0::pcm-mock::5025::SOCKET", read_termination="\n")
        assert isinstance(link, MessageBasedResource)
        link.write_raw(b"SYST:LIM?\n")
        text = payload(link.read_raw().decode()).decode()
    finally:
        manager.close()
    return text, json.loads(text)


# ---- what the bench file says


def test_a_bench_without_limits_has_the_reference_board(tmp_path: Path) -> None:
    text, _ = limits_over_visa(write_bench(tmp_path))
    assert text == BoardLimits.of(1, 16, 16).text
    for part in (
        '"i_max":5e-4,"v_max":3.3,',
        '"v_read":[0.02,0.4],',
        '"read_rang":[1e-7,1e-6,1e-5,1e-4],"adc_bits":8,',
    ):
        assert part in text


def test_lifted_limits_are_reported_and_nothing_else_is_changed(tmp_path: Path) -> None:
    path = write_bench(tmp_path, "limits: {current_max: 600 uA, voltage_max: 5 V, read_voltage_max: 0.7 V}")
    text, values = limits_over_visa(path)
    reference = BoardLimits.of(1, 16, 16)
    assert text == reference.text.replace("5e-4,", "6e-4,").replace("3.3,", "5.0,", 1).replace("0.4]", "0.7]")
    assert values == {**reference.values, "i_max": 6e-4, "v_max": 5.0, "v_read": [0.02, 0.7]}


def test_each_limit_alone(tmp_path: Path) -> None:
    assert limits_over_visa(write_bench(tmp_path, "limits: {voltage_max: 10}"))[1]["v_max"] == 10.0
    low = limits_over_visa(write_bench(tmp_path, "limits: {current_max: 1.25 uA}"))[1]
    assert (low["i_max"], low["v_max"], low["v_read"]) == (1.25e-6, 3.3, [0.02, 0.4])


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("limits: {read_voltage_max: 2.1 V}", "read_voltage_max: is 2.1:"),
        ("limits: {read_voltage_max: 0.02 V}", "read_voltage_max: is 0.02:"),
        ("limits: {current_max: 0 A}", "current_max: is 0.0:"),
        ("limits: {current_max: 5 V}", "limits.current_max:"),
        ("limits: {period_max: 1 s}", "limits.period_max: there is no such key"),
    ],
)
def test_limits_a_board_cannot_have(tmp_path: Path, limits: str, said: str) -> None:
    with pytest.raises(BenchError, match=re.escape(said)):
        load_bench(write_bench(tmp_path, limits))


# ---- what the board obeys


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize(
    ("command", "query", "default", "raised"),
    [
        ("READ:VOLT {}", "READ:VOLT?", 0.4, 0.7),
        ("PULS:FSC 2,{}", "PULS:FSC? 2", 5e-4, 6e-4),
        ("PULS:UNIT 2,V;FSC 2,{}", "PULS:FSC? 2", 3.3, 5.0),
        ("PULS:LIM 2,{}", "PULS:LIM? 2", 5e-4, 6e-4),
    ],
)
def test_the_edge_is_accepted_and_a_step_beyond_refused(
    lifted: bool, command: str, query: str, default: float, raised: float
) -> None:
    host = Host(make_board(limits=LIFTED if lifted else {}))
    host.template(full_scale="1E-4")
    edge = raised if lifted else default
    host.send(command.format(f"{edge:.9E}"))
    assert float(host.ask(query)) == edge
    host.send(command.format(f"{edge * (1 + 1e-9):.12E}"))
    assert host.errors() == ['-222,"Data out of range"']
    assert host.ask(query) == f"{edge:.9E}" or "UNIT" in command  # UNIT clears the full scale


def test_a_full_scale_no_drive_reaches_comes_before_an_undefined_template() -> None:
    host = Host(make_board(limits=LIFTED))
    host.send("PULS:FSC 3,5.0")
    host.send("PULS:FSC 3,5.1")
    assert [error.split(",")[0] for error in host.errors()] == ["104", "-222"]


def test_a_new_template_is_limited_by_the_board() -> None:
    host = Host(make_board(limits=LIFTED))
    host.template()
    assert host.ask("PULS:LIM? 2") == "6.000000000E-04"


def test_lifted_currents_reach_the_cells_and_one_step_beyond_pulses_none() -> None:
    board = make_board(limits=LIFTED)
    host = Host(board)
    host.energise()
    host.template(full_scale="6E-4")
    host.send("FORM:PROG F32;:PROG:CELL 1,0,2,", definite(np.full(256, 6e-4, "<f4").tobytes()))
    assert host.ask("*OPC?;:SYST:ERR?") == '1;0,"No error"'
    assert board.chip.conductance_s == pytest.approx(20e-6 * 6 / 5)
    beyond = np.full(256, 6e-4, "<f4")
    beyond[200] = np.nextafter(beyond[200], np.float32(1))
    host.send("PROG:CELL 2,0,2,", definite(beyond.tobytes()))
    assert host.errors() == ['-222,"Data out of range;entry 200"']
    assert (board.chip.count == 1).all()


def test_a_board_with_a_low_read_voltage_begins_within_it() -> None:
    host = Host(make_board(limits={"read_voltage_max_v": 0.1}))
    assert host.ask("READ:VOLT?") == "1.000000000E-01"
    host.send("READ:VOLT 0.05;*RST")
    assert host.ask("READ:VOLT?") == "1.000000000E-01"


# ---- the converter of the card


def codes_over_visa(folder: Path, bits: int) -> tuple[np.ndarray[Any, np.dtype[np.uint16]], dict[str, Any]]:
    """One conversion of each virgin cell in the 10 uA range, ADC16, by a chip whose card has so many bits."""
    card = (
        IBM90
        if bits == 8
        else card_with(read_chain__adc_bits=float(bits), read_chain__adc_zero=float(2 ** (bits - 5)))
    )
    card.save(folder / "card.yaml")
    path = write_bench(folder, card="card.yaml")
    _, limits = limits_over_visa(path)
    with open_bench(path) as bench:
        host = Host(bench.named("chip").board)
        host.energise()
        host.send("READ:RANG 1E-5;:READ:INIT 0;*WAI;:READ:DATA? 0,256,ADC16")
        return np.frombuffer(payload(host.take().decode("latin-1")), "<u2"), limits


@pytest.mark.parametrize("bits", [8, 12])
def test_codes_have_the_bits_of_the_cards_converter(tmp_path: Path, bits: int) -> None:
    codes, limits = codes_over_visa(tmp_path, bits)
    assert (limits["adc_bits"], limits["adc_zero"]) == (bits, 2 ** (bits - 5))
    codes = codes[codes != 0xFFFF]
    step = 2 ** (16 - bits)
    assert (codes % step == 0).all()
    # The noise of a conversion, 0.3 % of the range, spreads over several of the finer codes.
    assert (codes % (2 * step) != 0).any()
    assert len(codes) > 200


def test_ranges_are_those_of_the_card(tmp_path: Path) -> None:
    data = IBM90.to_dict()
    data["laws"]["read_chain"]["parameters"]["ranges_a"]["values"] = ["2 uA", "20 uA"]
    import yaml

    (tmp_path / "card.yaml").write_text(yaml.safe_dump(data))
    path = write_bench(tmp_path, card="card.yaml")
    assert limits_over_visa(path)[1]["read_rang"] == [2e-6, 2e-5]
    with open_bench(path) as bench:
        host = Host(bench.named("chip").board)
        host.send("READ:RANG 3E-6")
        assert host.ask("READ:RANG?") == "2.000000000E-05"
        host.send("READ:RANG 2.1E-5")
        assert host.errors() == ['-222,"Data out of range"']
