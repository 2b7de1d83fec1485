"""Every kind of bad input is refused, with the field named."""

import math
from typing import Any

import pytest
from card_data import GOOD, plain, table, tabulated

from calibration import CardError, DeviceCard

DRIFT = "laws.drift.parameters"
ONSET = "laws.drift.parameters.onset_s"
SHARE = "laws.drift.parameters.device_share"
NOISE = "laws.read_noise.parameters"
RANGES = "laws.read_chain.parameters.ranges_a"
ABSENT = object()


def problems(data: dict[str, Any]) -> dict[str, str]:
    """Dotted field name -> message, of a card that must be refused."""
    with pytest.raises(CardError) as caught:
        DeviceCard.from_dict(data)
    for problem in caught.value.problems:
        assert problem.field in str(caught.value)
    return dict(caught.value.problems)


def put(data: dict[str, Any], where: str, value: Any) -> None:
    *path, last = where.split(".")
    for part in path:
        data = data[part]
    if value is ABSENT:
        del data[last]
    else:
        data[last] = value


def number(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


@pytest.mark.parametrize(
    ("where", "value", "field", "message"),
    [
        ("schema", "labkit-device-card/2", "schema", "this version reads"),
        ("schema", ABSENT, "schema", "missing"),
        ("name", ABSENT, "name", "missing"),
        ("description", 3, "description", "not a text"),
        ("colour", 1, "colour", "not a field"),
        ("g_max", ABSENT, "g_max", "missing"),
        ("g_max", number(value="25 us"), "g_max.unit", "needs 'S'"),
        ("g_max", number(value="0 S"), "g_max.value", "above 0"),
        ("laws", {}, "laws", "no laws"),
        ("laws.drfit", {}, "laws.drfit", "not a law"),
        ("laws.drift", 3, "laws.drift", "not a section"),
        ("laws.drift.form", "linear", "laws.drift.form", "clipped-logarithm"),
        ("laws.drift.notes", 1, "laws.drift.notes", "not a field"),
        ("laws.drift.validity", ABSENT, "laws.drift.validity", "missing"),
        ("laws.drift.parameters", ABSENT, "laws.drift.parameters", "missing"),
        ("laws.drift.validity.g", [1.0, 0.1], "laws.drift.validity.g", "inverted"),
        ("laws.drift.validity.age_s", ["1 s", "2 V"], "laws.drift.validity.age_s.1", "'2 V'"),
        ("laws.drift.validity.voltage", [0, 1], "laws.drift.validity.voltage", "not a field"),
        (ONSET, ABSENT, ONSET, "missing"),
        (f"{DRIFT}.offset_s", 3, f"{DRIFT}.offset_s", "not a parameter"),
        (ONSET, "0 s", ONSET, "dictionary"),
    ],
)
def test_structure(where: str, value: Any, field: str, message: str) -> None:
    data = plain()
    put(data, where, value)
    found = problems(data)
    assert list(found) == [field]
    assert message in found[field]


@pytest.mark.parametrize(
    ("where", "value", "below", "message"),
    [
        (ONSET, number(value=0.0), "", "no unit"),
        (ONSET, number(value="1"), "", "no unit"),
        (ONSET, number(value="1 foo"), "", "'1 foo'"),
        (ONSET, number(value=0.0, unit="h"), ".unit", "'h'"),
        (ONSET, number(value="1 V"), ".unit", "needs 's'"),
        (ONSET, number(value="1 V", unit="s"), ".value", "'1 V'"),
        (ONSET, number(value="-1 s"), ".value", "outside"),
        (ONSET, number(unit="s"), ".value", "missing"),
        (ONSET, number(value=True, unit="s"), ".value", "not a quantity"),
        (SHARE, number(value=1.5, unit="1"), ".value", "1.5"),
        (SHARE, number(value=math.nan, unit="1"), ".value", "nan"),
        (SHARE, number(value="inf", unit="1"), ".value", "inf"),
        (ONSET, {"value": "0 s", "source": "x"}, ".status", "missing"),
        (ONSET, {"value": "0 s", "source": "x", "status": "guessed"}, ".status", "published"),
        (ONSET, {"value": "0 s", "status": "default"}, ".source", "missing"),
        (ONSET, {"value": "0 s", "status": "default", "source": " "}, ".source", "where"),
        (ONSET, number(value="0 s", colour=1), ".colour", "not a field"),
        (ONSET, number(value="1 s", interval=["2 s", "0 s"]), ".interval", "inverted"),
        (ONSET, number(value="3 s", interval=["1 s", "2 s"]), ".interval", "outside"),
        (ONSET, number(value="1 s", interval=["0 s", "2 V"]), ".interval.1", "'2 V'"),
        (ONSET, number(value="1 s", interval=["0 s", "nan"]), ".interval.1", "nan"),
        (ONSET, number(value="1 s", level=95), ".level", "less than 1"),
        (ONSET, number(value="1 s", status="fitted"), ".interval", "fitted"),
        (f"{DRIFT}.mean_low", number(value=0.2, unit="1"), "", "above mean_high"),
        (f"{DRIFT}.spread_low", number(value=0.2, unit="1"), "", "above spread_high"),
        (f"{NOISE}.start", "sometimes", "", "stationary, zero"),
        (f"{NOISE}.start", ["zero"], "", "stationary, zero"),
        (f"{NOISE}.tau_min_s", number(value="30 d"), "", "not below"),
        (RANGES, number(values=["1 uA", "100 nA"]), ".values", "not ascending"),
        (RANGES, number(values=["-1 uA", "1 uA"]), ".values.0", "above 0"),
        (RANGES, number(values=[], unit="A"), ".values", "at least 1"),
        ("laws.read_chain.parameters.adc_bits", number(value=7.5, unit="1"), ".value", "whole"),
        ("laws.read_chain.parameters.adc_zero", number(value=300, unit="1"), "", "no codes"),
        ("laws.read_chain.parameters.read_voltage_v", number(value="1 V"), "", "read_voltage_max_v"),
        ("laws.faults.parameters.stuck_set_share", number(value="99.99 %", unit="1"), "", "stuck"),
        ("laws.programming_curve.parameters.melt_current_mean_a", number(value="500 uA"), "", "not below"),
        ("laws.accumulation.parameters.lowest_s", number(value="30 uS"), "", "not below"),
    ],
)
def test_numbers(where: str, value: Any, below: str, message: str) -> None:
    data = plain()
    put(data, where, value)
    found = problems(data)
    assert list(found) == [where + below]
    assert message in found[where + below]


@pytest.mark.parametrize(
    ("bad", "field", "message"),
    [
        (table([0.1, 0.06, 0.05], g=[0.5, 0.1, 1.0]), "g", "not ascending"),
        (table([0.1, 0.06, 0.05], g=[0.1, 0.1, 1.0]), "g", "not ascending"),
        (table([0.1, 0.06, 0.05], g=[-0.1, 0.1, 1.0]), "g", "below zero"),
        (table([0.1, 0.06, 0.05], g=[0.1, "nan", 1.0]), "g.1", "nan"),
        (table([0.1, 0.06]), "values", "2 values for 3"),
        (table([0.1, -0.06, 0.05]), "values.1", "outside"),
        (table([0.1, math.nan, 0.05]), "values.1", "nan"),
        (table([0.1, 0.06, 0.05], intervals=[[0, 1], [0, 1]]), "intervals", "2 intervals for 3"),
        (table([0.1, 0.06, 0.05], intervals=[[0, 1], [1, 0], [0, 1]]), "intervals", "inverted"),
        (table([0.1, 0.06, 0.05], status="fitted"), "intervals", "fitted"),
    ],
)
def test_tables(bad: dict[str, Any], field: str, message: str) -> None:
    data = tabulated()
    data["laws"]["drift"]["parameters"]["mean_table"] = bad
    found = problems(data)
    assert list(found) == [f"{DRIFT}.mean_table.{field}"]
    assert message in found[f"{DRIFT}.mean_table.{field}"]


def test_all_problems_are_reported_at_once() -> None:
    data = plain()
    put(data, "schema", "x")
    put(data, "g_max", number(value="25 V"))
    put(data, ONSET, number(value=1))
    put(data, SHARE, number(value=2, unit="1"))
    put(data, f"{NOISE}.start", "never")
    put(data, "laws.temperature.form", "cubic")
    put(data, "laws.faults.validity.g", [2, 1])
    assert set(problems(data)) == {
        "schema",
        "g_max.unit",
        ONSET,
        f"{SHARE}.value",
        f"{NOISE}.start",
        "laws.temperature.form",
        "laws.faults.validity.g",
    }
