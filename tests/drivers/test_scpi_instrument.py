"""The base of SCPI drivers against a probe: errors after every set, blocks, who answers instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scpi_probe import bench_file

from drivers.errors import InstrumentError, MalformedAnswer, WrongInstrument
from drivers.scpi_instrument import ScpiInstrument, error_of
from drivers.simulated.twins import TWINS

GPIB = "GPIB0::10::INSTR"
SOCKET = "TCPIP0::probe::5025::SOCKET"


class Driver(ScpiInstrument):
    """As little of a driver as there can be."""

    models = ("PROBE",)

    def make_safe(self) -> None:
        """Switch it off."""
        self.tell("OUTP1 OFF;:OUTP2 OFF")


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TWINS, "scpi-probe", "scpi_probe")


def probe(tmp_path: Path, address: str, options: str = "{}", **more: Any) -> Driver:
    return Driver.open(address, backend=f"{bench_file(tmp_path, address, options)}@pcm", **more)


@pytest.mark.parametrize(
    ("entry", "code", "text", "info"),
    [
        ('0,"No error"', 0, "No error", ""),
        ('+0,"No error"', 0, "No error", ""),
        ('-222,"Data out of range; value clipped"', -222, "Data out of range", "value clipped"),
        ('803,"Not ""permitted"""', 803, 'Not "permitted"', ""),
    ],
)
def test_entries(entry: str, code: int, text: str, info: str) -> None:
    found = error_of(entry)
    assert (found.code, found.text, found.info) == (code, text, info)


@pytest.mark.parametrize("entry", ["", "1.2", '1,"', "+1.000000E+00", "No error"])
def test_what_is_no_entry(entry: str) -> None:
    with pytest.raises(ValueError, match="no entry"):
        error_of(entry)


def told_together(instrument: Driver, *commands: str) -> None:
    with instrument.together():
        for command in commands:
            instrument.tell(command)


@pytest.mark.parametrize("address", [GPIB, SOCKET])
def test_every_set_is_checked(tmp_path: Path, address: str) -> None:
    log: list[str] = []
    with probe(tmp_path, address, transcript=log) as instrument:
        log.clear()
        instrument.tell("COUN 5")
        assert len([line for line in log if line.startswith(">")]) == (1 if address == SOCKET else 2)
        with pytest.raises(InstrumentError) as caught:
            instrument.tell("COUN 500;NONSENSE;COUN 7")
        assert [error.code for error in caught.value.errors] == [-222, -113]
        with pytest.raises(InstrumentError, match="ran over"):
            instrument.tell(";".join(["COUN 500"] * 9))
        assert instrument.ask("COUN?") == "+5"
        with pytest.raises(InstrumentError):
            told_together(instrument, "COUN 500", "COUN 6")
        assert instrument.ask_checked("COUN?") == "+6"
        with pytest.raises(InstrumentError, match="out of range"):
            instrument.ask_checked("COUN 0;COUN?")
        assert instrument.errors() == []


def test_blocks(tmp_path: Path) -> None:
    values = np.array([10, -1, 0x0A0A], np.int16)
    with probe(tmp_path, GPIB) as instrument:
        instrument.upload("DATA ", values, ">i2")
        assert (instrument.download("DATA?", ">i2", 3) == values).all()
        assert (instrument.download("DATA?", "<i2") == values.byteswap()).all()
        with pytest.raises(ValueError, match="byte order"):
            instrument.upload("DATA ", values, "i2")
        with pytest.raises(ValueError, match="byte order"):
            instrument.download("DATA?", "i2")
        with pytest.raises(InstrumentError):
            instrument.upload("NODATA ", values, ">i2")
        with pytest.raises(MalformedAnswer):
            instrument.download("DATA?", ">i2", 4)


@pytest.mark.parametrize(
    ("model", "language"), [("MODEL 2636B", "TSP"), ("707B", "TSP"), ("B1500A", "FLEX"), ("4200A", "KXCI")]
)
def test_instruments_of_other_languages(tmp_path: Path, model: str, language: str) -> None:
    with pytest.raises(WrongInstrument, match=f"speaks {language}"):
        probe(tmp_path, GPIB, f"{{model: {model}}}")


def test_an_error_queue_that_answers_something_else(tmp_path: Path) -> None:
    with pytest.raises(MalformedAnswer, match="out of step"):
        probe(tmp_path, GPIB, "{errors: '1.25'}")


def test_an_error_queue_without_an_end(tmp_path: Path) -> None:
    with probe(tmp_path, GPIB, "{errors: '-222,\"Data out of range\"'}") as instrument:
        assert len(instrument.found_at_opening) == 100
