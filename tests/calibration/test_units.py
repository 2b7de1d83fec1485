import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from calibration.errors import CalibrationError, UnitError
from calibration.units import Kelvin, Ohm, Second, Siemens, parse, render, unit_of


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("25 uS", "S", 25e-6),
        ("25uS", "S", 25e-6),
        ("25 µS", "S", 25e-6),
        ("25 μS", "S", 25e-6),
        ("300 K", "K", 300.0),
        ("85 C", "K", 358.15),
        ("-40 °C", "K", 233.15),
        ("10 min", "s", 600.0),
        ("1 h", "s", 3600.0),
        ("1 d", "s", 86400.0),
        ("2 days", "s", 172800.0),
        ("50 ns", "s", 50e-9),
        ("1e6", "s", 1e6),
        ("25e-6", "S", 25e-6),
        (".5 mA", "A", 0.5e-3),
        ("6 kohm", "Ohm", 6e3),
        ("6 kΩ", "Ohm", 6e3),
        ("30 meV", "eV", 0.03),
        ("0.05 %", "1", 0.0005),
        ("0.21 uS/uA", "S/A", 0.21),
        ("210 nS/uA", "S/A", 0.21),
        (3, "V", 3.0),
    ],
)
def test_parse_reads_what_people_write(text: object, unit: str, value: float) -> None:
    assert parse(text, unit) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("25 us", "S"),
        ("25 uA", "S"),
        ("25 S", "s"),
        ("25 u", "S"),
        ("3 T", "s"),
        ("5 m", "s"),
        ("12 h", "S"),
        ("5 uS", "1"),
        ("5 uS", "S/A"),
        ("1,5 uS", "S"),
        ("1_000", "s"),
        ("", "S"),
        ("nan", "S"),
        ("nan S", "S"),
        ("inf S", "S"),
        (math.nan, "S"),
        (math.inf, "S"),
        (10**400, "S"),
        (True, "S"),
        (None, "S"),
        ([1], "S"),
    ],
)
def test_parse_refuses_other_units_and_what_is_not_finite(text: object, unit: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text, unit, field="margin")
    assert str(caught.value).startswith("margin: ")
    assert (caught.value.field, caught.value.unit) == ("margin", unit)
    assert isinstance(caught.value, CalibrationError)


def test_pydantic_fields_take_quantities_and_name_the_field() -> None:
    class Bench(BaseModel):
        g_max_s: Siemens
        wait_s: Second = 1.0
        chuck_k: Kelvin = 300.0
        series_ohm: Ohm = 0.0

    bench = Bench.model_validate(
        {"g_max_s": "25 uS", "wait_s": "1 h", "chuck_k": "27 C", "series_ohm": "4 kOhm"}
    )
    assert bench.g_max_s == 25e-6
    assert bench.wait_s == 3600.0
    assert bench.chuck_k == pytest.approx(300.15)
    assert bench.series_ohm == 4000.0
    with pytest.raises(ValidationError) as caught:
        Bench.model_validate({"g_max_s": "25 us", "wait_s": "1 V"})
    errors = caught.value.errors()
    assert [error["loc"] for error in errors] == [("g_max_s",), ("wait_s",)]
    assert "g_max_s: '25 us'" in errors[0]["msg"]


def test_unit_of_names_the_unit_a_text_spells() -> None:
    assert [unit_of(t) for t in ("10 min", "25 uS", "27 C", "1 mS/mA", "25", "5 foo", 3)] == [
        "s",
        "S",
        "K",
        "S/A",
        None,
        None,
        None,
    ]


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["S", "A", "V", "s", "K", "Ohm", "Hz", "W", "eV", "S/A"]),
)
def test_rendered_quantities_parse_to_the_same_float(value: float, unit: str) -> None:
    text = render(value, unit)
    assert parse(text, unit) == value
    assert unit_of(text) == unit


def test_render_uses_the_prefix_a_person_would() -> None:
    assert render(25e-6, "S") == "25 uS"
    assert render(50e-9, "s") == "50 ns"
    assert render(86400.0, "s") == "86400 s"
    assert render(300.0, "K") == "300 K"
    assert render(6000.0, "Ohm") == "6 kOhm"
    assert render(0.0, "A") == "0 A"
