"""PyMeasure's driver for the 3xx series, unmodified, against the twin."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from lakeshore_bench import lake_bench
from pymeasure.instruments.lakeshore.lakeshore3xx import LakeShore3xx
from pymeasure.instruments.lakeshore.lakeshore331 import LakeShore331
from pymeasure.instruments.lakeshore.lakeshore_base import LakeShoreHeaterChannel, LakeShoreTemperatureChannel
from referee_lakeshore_336 import REFEREE, Row


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    with lake_bench(tmp_path, options="noise_k: 0.0, accuracy_k: 0.0, base_k: 298.15") as lake:
        driver = LakeShore3xx(lake.address, visa_library=lake.backend, timeout=60)
        yield driver
        driver.adapter.close()
        driver.adapter.manager.close()


@pytest.mark.parametrize("row", REFEREE, ids=lambda row: row.name)
def test_every_public_name(driver: Any, row: Row) -> None:
    if row.verdict == "times out":
        assert row.remark
        with pytest.raises(pyvisa.errors.VisaIOError, match="Timeout"):
            row.use(driver)
    else:
        assert row.use(driver) == row.expected


def public(kind: type) -> set[str]:
    inherited = {
        name for base in kind.__mro__[1:] if base.__module__ != kind.__module__ for name in vars(base)
    }
    return {name for name in vars(kind) if not name.startswith("_")} - inherited


def test_the_table_leaves_nothing_out() -> None:
    names = {row.name for row in REFEREE}
    inputs = {name.split(".")[1] for name in names if name.startswith("input_A.")}
    outputs = {name.split(".")[1] for name in names if name.startswith("output_1.")}
    assert inputs == public(LakeShoreTemperatureChannel) - {"celcius"}  # deprecated spelling of celsius
    assert outputs == public(LakeShoreHeaterChannel)
    assert {name.split(".")[0] for name in names if "." in name} == public(LakeShore3xx)


def test_the_deprecated_names(tmp_path: Path) -> None:
    with lake_bench(tmp_path, options="noise_k: 0.0, accuracy_k: 0.0, base_k: 298.15") as lake:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            driver = LakeShore331(lake.address, visa_library=lake.backend, timeout=60)
            assert driver.input_A.celcius == 25.0
        assert driver.output_2.setpoint == 0.0
        driver.adapter.close()
        driver.adapter.manager.close()
