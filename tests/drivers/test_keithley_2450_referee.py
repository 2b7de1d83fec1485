"""PyMeasure's Keithley2400 and Keithley2450 against the twins, unmodified: every public property and method."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import referee_keithley_2450 as table
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.keithley import Keithley2400, Keithley2450
from referee_keysight_81160 import Row
from test_keithley_2450 import GPIB, errors, opened

KINDS = {
    "2400": (Keithley2400, table.K2400),
    "2450": (Keithley2450, table.K2450),
}
NO_VALUE = "subscriptable|index|VI_ERROR_TMO|Timed out"
ROWS = [pytest.param(kind, row, id=f"{kind}-{row.name}") for kind, (_, rows) in KINDS.items() for row in rows]


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    kind = request.getfixturevalue("kind")
    beside = opened(tmp_path, f"keithley-{kind}")
    instrument = KINDS[kind][0](VISAAdapter(GPIB, visa_library=f"{tmp_path / 'bench.yaml'}@pcm", timeout=200))
    yield instrument, beside
    instrument.adapter.close()
    beside.close()


@pytest.mark.filterwarnings("ignore:Deprecated:FutureWarning")
@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_referee(pair: tuple[Any, Any], kind: str, row: Row) -> None:
    instrument, beside = pair
    beside.write("*CLS")
    if row.before:
        beside.write(row.before)
        assert row.name == "error" or errors(beside) == []
    method = callable(getattr(type(instrument), row.name, None))
    if row.verdict == "refused":
        refusal = pytest.raises(Exception, match=NO_VALUE) if _raises(row) else nullcontext()
        with refusal:
            if method:
                getattr(instrument, row.name)(*row.put)
            else:
                if row.put is not None:
                    setattr(instrument, row.name, row.put)
                getattr(instrument, row.name)
        if row.error:
            assert errors(beside)[0] == row.error
        return
    if method:
        found = getattr(instrument, row.name)(*(row.put or ()))
        if row.ask:
            assert beside.query(row.ask) == row.expect
    else:
        if row.put is not None:
            setattr(instrument, row.name, row.put)
        found = getattr(instrument, row.name)
    if not row.ask:
        _compare(row, found)
    assert errors(beside) == []


def _compare(row: Row, found: Any) -> None:
    if isinstance(row.expect, dict):
        assert {name: found[name] for name in row.expect} == pytest.approx(row.expect, rel=1e-3)
    elif row.name in ("means", "maximums", "minimums", "standard_devs") and isinstance(found, list):
        assert found[:2] == pytest.approx(row.expect, rel=1e-3, abs=1e-3)
        assert found[2] == 9.91e37
    elif isinstance(row.expect, float | list | np.ndarray) and row.name != "error":
        assert found == pytest.approx(row.expect, rel=1e-3, abs=1e-3 if row.expect == 0.0 else None)
    else:
        assert found == row.expect


def _raises(row: Row) -> bool:
    return not row.error.startswith("-113")


@pytest.mark.parametrize("kind", KINDS)
def test_no_public_name_is_left_out(kind: str) -> None:
    driver, rows = KINDS[kind]
    names = {name for name in dir(driver) if not name.startswith("_") and name not in dir(Instrument)}
    assert {row.name for row in rows} == names
