"""The twins of the 2400 and the 2450 as any program meets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa

GPIB = "GPIB0::24::INSTR"


def opened(tmp_path: Path, model: str, options: str = "{}", ohm: str = "100 kOhm") -> Any:
    path = tmp_path / "bench.yaml"
    path.write_text(
        f"version: 1\nname: t\ninstruments:\n  smu:\n    driver: keysight-b2900\n    address: {GPIB}\n"
        f'    backend: "@pcm"\n    simulated: {{model: {model}, options: {options}}}\n'
        f"wiring:\n  - smu.1 -- {ohm} -- ground\n"
    )
    resource = pyvisa.ResourceManager(f"{path}@pcm").open_resource(GPIB)
    resource.read_termination = resource.write_termination = "\n"
    resource.timeout = 200
    return resource


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Any]:
    resource = opened(tmp_path, "keithley-2400")
    yield resource
    resource.close()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Any]:
    resource = opened(tmp_path, "keithley-2450")
    yield resource
    resource.close()


def errors(resource: Any) -> list[str]:
    found = []
    while (entry := resource.query("SYST:ERR?")) != '0,"No error"':
        found.append(entry)
    return found


def numbers(reply: str) -> list[float]:
    return [float(part) for part in reply.split(",")]


# ---- 2400 ------------------------------------------------------------------------------------------------------------


def test_2400_identity(old: Any) -> None:
    assert (
        old.query("*IDN?")
        == "KEITHLEY INSTRUMENTS INC.,MODEL 2400,4473504,C34 Sep 21 2016 15:30:00/A02  /K/M"
    )


def test_2400_reads_all_elements(old: Any) -> None:
    old.write(":SOUR:FUNC VOLT;:SOUR:VOLT 1;:SENS:FUNC 'CURR';:SENS:CURR:PROT 1E-3;:OUTP ON")
    volts, amperes, ohm, seconds, status = numbers(old.query("READ?"))
    assert volts == 1.0
    assert amperes == pytest.approx(1e-5, rel=1e-4)
    assert ohm == 9.91e37
    assert seconds > 0.02
    assert int(status) == 0x4000 | 0x1000 | 0x04
    old.write(":FORM:ELEM CURR")
    assert old.query("FORM:ELEM?") == "CURR"
    assert numbers(old.query("READ?")) == [pytest.approx(1e-5, rel=1e-4)]
    assert errors(old) == []


def test_2400_compliance_has_its_bit(old: Any) -> None:
    old.write(":SOUR:VOLT 10;:SENS:CURR:PROT 1E-5;:OUTP ON")
    reading = numbers(old.query("READ?"))
    assert reading[1] == pytest.approx(1e-5, rel=1e-3)
    assert int(reading[4]) & 0x08
    assert old.query("SENS:CURR:PROT:TRIP?") == "1"
    old.write(":SOUR:VOLT 0.5")
    assert not int(numbers(old.query("READ?"))[4]) & 0x08
    assert old.query("SENS:CURR:PROT:TRIP?") == "0"


def test_2400_needs_its_output(old: Any, tmp_path: Path) -> None:
    old.write("INIT")
    assert errors(old) == ['803,"Not permitted with OUTPUT off"']
    old.write(":SOUR:CLE:AUTO ON")
    assert numbers(old.query("READ?"))[0] == 0.0
    assert old.query("OUTP?") == "0"
    (tmp_path / "b").mkdir()
    blocked = opened(tmp_path / "b", "keithley-2400", "{output_enable: false}")
    blocked.write("OUTP ON")
    assert errors(blocked) == ['802,"OUTPUT blocked by output enable"']
    assert blocked.query("OUTP?") == "0"
    blocked.close()


@pytest.mark.parametrize(("order", "kind"), [("NORM", ">f4"), ("SWAP", "<f4")])
def test_2400_binary_has_an_indefinite_header(old: Any, order: str, kind: str) -> None:
    old.write(f":SOUR:VOLT 1;:OUTP ON;:FORM:ELEM VOLT,CURR;:FORM REAL,32;:FORM:BORD {order};:TRIG:COUN 5")
    old.read_termination = ""
    old.write("READ?")
    data = old.read_raw()
    assert data[:2] == b"#0"
    assert len(data) == 2 + 5 * 2 * 4 + 1
    values = np.frombuffer(data[2:-1], kind).reshape(5, 2)
    assert values[:, 0] == pytest.approx(1.0)
    assert values[:, 1] == pytest.approx(1e-5, rel=1e-4)


def test_2400_sweeps_and_lists(old: Any) -> None:
    old.write(":SENS:FUNC 'VOLT','CURR';:FORM:ELEM VOLT,CURR;:OUTP ON")
    old.write(":SOUR:VOLT:MODE SWE;STAR 0;STOP 2;:SOUR:SWE:POIN 5;:TRIG:COUN 5")
    found = np.array(numbers(old.query("READ?"))).reshape(5, 2)
    assert found[:, 0] == pytest.approx(np.linspace(0, 2, 5), abs=1e-4)
    assert found[:, 1] == pytest.approx(np.linspace(0, 2e-5, 5), abs=1e-9)
    old.write(":SOUR:LIST:VOLT 0.1,0.3;:SOUR:VOLT:MODE LIST;:TRIG:COUN 3")
    assert numbers(old.query("READ?"))[::2] == pytest.approx([0.1, 0.3, 0.1], abs=1e-4)
    assert errors(old) == []


def test_2400_waits_for_the_bus(old: Any) -> None:
    old.write(
        ":OUTP ON;:ARM:SOUR BUS;:TRAC:POIN 3;FEED SENS;FEED:CONT NEXT;:TRIG:COUN 3;:STAT:MEAS:ENAB 512;*SRE 1"
    )
    old.write("READ?")
    assert errors(old) == ['-214,"Trigger deadlock"', '-420,"Query UNTERMINATED"'][:1]
    old.write("INIT")
    old.write("INIT")
    assert errors(old) == ['-213,"Init ignored"']
    assert old.read_stb() & 0x41 == 0
    old.assert_trigger()
    assert old.read_stb() & 0x41 == 0x41
    assert old.query("TRAC:POIN:ACT?") == "3"
    assert len(numbers(old.query("TRAC:DATA?"))) == 15
    old.write("*TRG")
    assert errors(old) == ['-211,"Trigger ignored"']


def test_2400_refuses(old: Any) -> None:
    for message, entry in (
        ("SOUR:VOLT 211", '-222,"Data out of range"'),
        ("SENS:FUNC 'TEMP'", '-224,"Illegal parameter value"'),
        ("SENS:CURR:PROT 1;:SOUR:VOLT 100", '-221,"Settings conflict"'),
        ("FETC?", '-230,"Data corrupt or stale"'),
        ("smua.source.levelv = 1", '-111,"Header separator error"'),
    ):
        old.write(message)
        assert errors(old)[0] == entry


def test_2400_measures_a_resistor(old: Any) -> None:
    old.write(":FORM:ELEM RES;:SENS:RES:MODE MAN;:SOUR:FUNC CURR;:SOUR:CURR 1E-5;:SENS:VOLT:PROT 10")
    assert numbers(old.query(":MEAS:RES?")) == [pytest.approx(100e3, rel=1e-4)]


# ---- 2450 ------------------------------------------------------------------------------------------------------------


def test_2450_exchanges(new: Any) -> None:
    assert new.query("*LANG?") == "SCPI"
    new.write(':SOUR:FUNC VOLT;:SOUR:VOLT:ILIM 1e-3;:SENS:FUNC "CURR";:SOUR:VOLT 0.5;:OUTP 1')
    assert float(new.query(":READ?")) == pytest.approx(5e-6, rel=1e-4)
    assert numbers(new.query(':READ? "defbuffer1",SOUR,READ')) == [0.5, pytest.approx(5e-6, rel=1e-4)]
    found = numbers(new.query(':TRAC:DATA? 1,2,"defbuffer1",SOUR,READ'))
    assert found[::2] == [0.5, 0.5]
    assert found[1::2] == pytest.approx([5e-6, 5e-6], rel=1e-4)
    new.write(":TRAC:DATA? 1,10")
    assert errors(new) == ['-222,"Data out of range"']
    assert new.query(":SYST:ERR?") == '0,"No error"'


def test_2450_sweeps_into_its_buffer(new: Any) -> None:
    new.write(':SENS:FUNC "CURR";:SENS:CURR:NPLC 0.01;:OUTP 1;:SOUR:SWE:VOLT:LIN 0,1,101,1E-3;:INIT;*WAI')
    assert new.query(":TRAC:ACT?") == "101"
    found = np.array(numbers(new.query(':TRAC:DATA? 1,101,"defbuffer1",SOUR,READ'))).reshape(101, 2)
    assert found[:, 0] == pytest.approx(np.linspace(0, 1, 101), abs=1e-6)
    assert found[:, 1] == pytest.approx(found[:, 0] / 100e3, abs=1e-8)


def test_2450_limit_trips(new: Any) -> None:
    new.write(":SOUR:VOLT 10;:SOUR:VOLT:ILIM 1E-6;:OUTP ON")
    assert float(new.query(":READ?")) == pytest.approx(1e-6, rel=1e-3)
    assert new.query(":SOUR:VOLT:ILIM:TRIP?") == "1"
    assert int(float(new.query(':READ? "defbuffer1",STAT'))) & 0x10


def test_2450_blocks_of_both_lengths(new: Any) -> None:
    new.write(":OUTP ON;:SOUR:VOLT 1;:FORM REAL;:FORM:BORD NORM")
    new.read_termination = ""
    new.write(":READ?")
    data = new.read_raw()
    assert data[:2] == b"#0"
    assert np.frombuffer(data[2:-1], ">f8") == pytest.approx([1e-5], rel=1e-4)


def test_2450_in_another_language(tmp_path: Path) -> None:
    resource = opened(tmp_path, "keithley-2450", "{language: TSP}")
    assert resource.query("*LANG?") == "TSP"
    assert resource.query("*IDN?") == "KEITHLEY INSTRUMENTS,MODEL 2450,04400001,1.7.12b"
    resource.write(":SOUR:VOLT 1")
    resource.write("*LANG SCPI")
    assert resource.query("*LANG?") == "TSP"
    with pytest.raises(pyvisa.VisaIOError):
        resource.query(":SYST:ERR?")
    resource.close()
    (tmp_path / "b").mkdir()
    resource = opened(tmp_path / "b", "keithley-2450", "{language: SCPI2400}")
    resource.write(":OUTP ON;:FORM:ELEM CURR")
    assert numbers(resource.query("READ?")) == [pytest.approx(0.0, abs=1e-8)]
    resource.close()


def test_options_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="language"):
        opened(tmp_path, "keithley-2450", "{language: PASCAL}")


@pytest.mark.parametrize("model", ["keithley-2400", "keithley-2450"])
def test_noise_is_the_same_every_time_and_falls_with_the_aperture(tmp_path: Path, model: str) -> None:
    found = {}
    for cycles in ("0.01", "0.01 ", "10"):
        place = tmp_path / f"n{len(found)}"
        place.mkdir()
        resource = opened(place, model)
        resource.write(f":SOUR:VOLT 1;:SENS:CURR:NPLC {cycles};:OUTP ON")
        if model.endswith("2400"):
            resource.write(":FORM:ELEM CURR")
        found[cycles] = [float(resource.query(":READ?")) for _ in range(40)]
        resource.close()
    assert found["0.01"] == found["0.01 "]
    assert np.std(found["10"]) < 0.2 * np.std(found["0.01"])
