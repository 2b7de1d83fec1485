"""PyMeasure's drivers of the 81160A and 33500 against the twins, unmodified: every public property and method."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
import referee_agilent_33500
import referee_keysight_81160
from generator_bench import GPIB, bench_file, plain
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Channel, Instrument, SCPIMixin
from pymeasure.instruments.agilent import Agilent33500
from pymeasure.instruments.agilent.agilent33500 import Agilent33500Channel
from pymeasure.instruments.keysight import Keysight81160A
from pymeasure.instruments.keysight.keysight81160A import Keysight81160AChannel
from referee_keysight_81160 import Row

KINDS = {
    "81160": (Keysight81160A, "keysight-81160a", referee_keysight_81160),
    "33500": (Agilent33500, "keysight-33522b", referee_agilent_33500),
}
ROWS = [
    pytest.param(kind, place, row, id=f"{kind}-{place or 'instrument'}-{row.name}")
    for kind, (_, _, table) in KINDS.items()
    for place, rows in ((0, table.INSTRUMENT), (1, table.CHANNEL), (2, table.CHANNEL))
    for row in rows
]
PLUMBING = ("_values", "_get_command", "_set_command")


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    driver, model, _ = KINDS[request.getfixturevalue("kind")]
    path = bench_file(tmp_path, model)
    instrument = driver(VISAAdapter(GPIB, visa_library=f"{path}@pcm", timeout=200))
    beside = plain(path)
    yield instrument, beside
    beside.close()
    instrument.adapter.close()


def queue(beside: Any) -> list[str]:
    found = []
    while (entry := beside.query("SYST:ERR?")) != '+0,"No error"':
        found.append(entry)
    return found


@pytest.mark.parametrize(("kind", "place", "row"), ROWS)
def test_referee(opened: tuple[Any, Any], kind: str, place: int, row: Row) -> None:
    instrument, beside = opened
    target = instrument.channels[place] if place else instrument
    ch = place or 1
    beside.write("*CLS")
    if row.before:
        beside.write(row.before.format(ch=ch))
        assert not place or queue(beside) == []
    method = callable(getattr(type(target), row.name)) and not row.name.startswith("ch_")
    if method:
        getattr(target, row.name)(*row.put)
    elif row.put is not None:
        setattr(target, row.name, row.put)
    if row.verdict == "refused" or place in row.refused_on:
        assert queue(beside) == [row.error]
        if not method and row.name not in ("display", "arb_file"):
            with pytest.raises(pyvisa.VisaIOError):
                getattr(target, row.name)
        return
    if row.name == "wait_for_trigger":
        assert queue(beside) == []
    if row.ask:
        assert beside.query(row.ask.format(ch=ch)) == row.expect
    else:
        found = getattr(target, row.name)
        if row.name.startswith("ch_"):
            assert type(found).__name__ == row.expect
        elif isinstance(row.expect, float) or row.name == "waveform_volatile":
            assert found == pytest.approx(row.expect)
        else:
            assert found == row.expect
    assert queue(beside) == []


@pytest.mark.parametrize(
    ("kind", "base", "rows"),
    [
        (Keysight81160A, Instrument, referee_keysight_81160.INSTRUMENT),
        (Keysight81160AChannel, Channel, referee_keysight_81160.CHANNEL),
        (Agilent33500, Instrument, referee_agilent_33500.INSTRUMENT),
        (Agilent33500Channel, Channel, referee_agilent_33500.CHANNEL),
    ],
)
def test_no_public_name_is_left_out(kind: type, base: type, rows: list[Row]) -> None:
    names = {
        name
        for name in dir(kind)
        if not name.startswith("_") and not name.endswith(PLUMBING) and name not in dir(base)
    }
    if issubclass(kind, SCPIMixin):
        names |= {name for name in dir(SCPIMixin) if not name.startswith("_")}
    assert {row.name for row in rows} == names
