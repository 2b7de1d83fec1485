"""PyMeasure's AgilentB1500, unmodified, against the twin: every public name of its classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flex_bench import ADDRESS, bench_file
from pymeasure.instruments import Channel, Instrument
from pymeasure.instruments.agilent.agilentB1500 import SMU, SPGU, AgilentB1500, SPGUChannel
from referee_keysight_b1500 import ROWS, VERDICTS, Row

CLASSES = {"b1500": AgilentB1500, "smu": SMU, "spgu": SPGU, "pulse": SPGUChannel}


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[SimpleNamespace]:
    b1500 = AgilentB1500(ADDRESS, visa_library=f"{bench_file(tmp_path)}@pcm", timeout=100)
    b1500.initialize_all_smus()
    b1500.initialize_all_spgus()
    for smu in b1500.smu_references:
        smu.enable()
    yield SimpleNamespace(b1500=b1500, smu=b1500.smu1, spgu=b1500.spgu5, pulse=b1500.spgu5.ch1)
    b1500.adapter.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_referee(parts: Any, row: Row) -> None:
    if row.verdict == "fails":
        with pytest.raises(row.expect):
            row.call(parts)
        return
    assert row.call(parts) == row.expect
    if row.ask is not None:
        assert parts.b1500.ask(row.ask) == row.answer


@pytest.mark.parametrize("part", CLASSES)
def test_no_public_name_is_left_out(part: str) -> None:
    kind = CLASSES[part]
    inherited = {name for base in (Instrument, Channel) for name in dir(base)} - {"shutdown", "check_errors"}
    public = {name for name in dir(kind) if not name.startswith("_")} - inherited
    missing = {f"{part}.{name}" for name in public} - {row.name for row in ROWS}
    # what channels inherit for themselves
    assert missing - {"pulse.check_errors", "spgu.check_errors"} == set()


def test_a_failure_says_why() -> None:
    assert len(VERDICTS) == len({name for name, _, _ in VERDICTS}) == len(ROWS)
    assert all(remark for _, verdict, remark in VERDICTS if verdict == "fails")
