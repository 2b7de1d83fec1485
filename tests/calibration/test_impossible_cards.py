"""Cards of devices there cannot be, each refused with its field and its number named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from card_data import GOOD

from calibration import CardError, DeviceCard, preset_names


def number(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


def one(value: float) -> dict[str, Any]:
    return number(value=value, unit="1")


def curve(g: list[float], values: list[Any]) -> dict[str, Any]:
    return number(g=g, values=values)


def changed(preset: str, where: str, value: Any) -> dict[str, Any]:
    data = DeviceCard.load(preset).to_dict()
    *path, last = f"laws.{where}".split(".")
    place: Any = data
    for part in path:
        place = place[part]
    place[last] = value
    return data


LINEAR = "accumulation.parameters"
CURVE = "programming_curve.parameters"
NEGATIVE = [
    ("ibm90", "temperature.parameters.spread", one(-0.1)),
    ("ibm90", f"{LINEAR}.step_spread", one(-0.1)),
    ("ibm90", f"{LINEAR}.spread_offset_s", number(value="-0.26 uS")),
    ("ibm90", f"{CURVE}.melt_current_spread_a", number(value="-15 uA")),
    ("ibm90", f"{CURVE}.cycle_spread", one(-0.1)),
    ("ibm90", "threshold_switching.parameters.spread", one(-0.05)),
    ("ibm90", "current_voltage.parameters.polarity_spread", one(-0.01)),
    ("ibm90", "retention.parameters.ln_spread", one(-0.3)),
    ("ibm90", "damage.parameters.current_spread_a", number(value="-20 uA")),
    ("ibm90", "columns.parameters.gain_spread", one(-0.01)),
    ("ibm90", "lines.parameters.bit_line_ohm", number(value="-0.35 Ohm")),
    ("hermes14", "drift.parameters.spread_low", one(-0.01)),
    ("hermes14", "read_noise.parameters.high", one(-0.04)),
    ("saturating", f"{LINEAR}.cycle_spread", one(-0.3)),
    ("saturating", f"{LINEAR}.jump", one(-4.0)),
]
TOO_LARGE = [
    ("ibm90", "threshold_switching.parameters.drift_per_efold", one(0.2)),
    ("ibm90", "faults.parameters.stuck_reset_share", one(1.2)),
    ("ibm90", "drift.parameters.device_share", one(1.5)),
    ("ibm90", "endurance.parameters.stuck_set_share", one(70.0)),
    ("ibm90", "spatial_correlation.parameters.row_share", one(2.0)),
    ("ibm90", "threshold_switching.parameters.share_after", one(1.1)),
    ("ibm90", "telegraph_noise.parameters.amplitude_high", one(5.0)),
    ("hermes14", "drift.parameters.mean_knee", one(1.5)),
    ("hermes14", "drift.parameters.spread_knee", one(-0.3)),
    ("hermes14", "read_noise.parameters.knee", one(15.91)),
]


@pytest.mark.parametrize(("preset", "where", "value"), NEGATIVE + TOO_LARGE)
def test_number_outside_what_makes_sense(preset: str, where: str, value: dict[str, Any]) -> None:
    with pytest.raises(CardError) as caught:
        DeviceCard.from_dict(changed(preset, where, value))
    (problem,) = caught.value.problems
    assert problem.field == f"laws.{where}.value"
    assert "outside" in problem.message
    assert problem.message[-1].isalnum()


CONFLICTS = [
    ("ibm90", "spatial_correlation.parameters.row_share", one(0.95), "die_share", "more than the variance"),
    ("ibm90", "telegraph_noise.parameters.amplitude_low", one(0.5), "amplitude_low", "above amplitude_high"),
    ("ibm90", "telegraph_noise.parameters.tau_min_s", number(value="1 d"), "tau_min_s", "not below"),
    ("ibm90", "threshold_switching.parameters.smallest_voltage_v", number(value="2 V"),
     "smallest_voltage_v", "above amorphous_voltage_v"),
    ("hermes14", "drift.parameters.mean_low", one(0.2), "mean_low", "above mean_high"),
    ("hermes14", "drift.parameters.spread_low", one(0.2), "spread_low", "above spread_high"),
    ("hermes14", "read_noise.parameters.low", one(0.2), "low", "above high"),
    ("hermes14", "read_noise.parameters.tau_min_s", number(value="30 d"), "tau_min_s", "not below"),
    ("saturating", f"{LINEAR}.step_max_s", number(value="25 uS"), "step_max_s", "one pulse would"),
    ("saturating", f"{LINEAR}.lowest_s", number(value="31 uS"), "lowest_s", "not below highest_s"),
]  # fmt: skip


@pytest.mark.parametrize(("preset", "where", "value", "field", "message"), CONFLICTS)
def test_numbers_that_contradict_each_other(
    preset: str, where: str, value: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(CardError) as caught:
        DeviceCard.from_dict(changed(preset, where, value))
    (problem,) = caught.value.problems
    assert problem.field == where.rsplit(".", 1)[0].join(["laws.", f".{field}"])
    assert message in problem.message


SIGMA = "programming_error.parameters.sigma_table_s"
TABLES = [
    (curve([0.0, 0.5, 1.0], ["1 uS", "2 uS"]), "values", "2 values for 3 conductances"),
    (curve([0.0, 1.0], ["1 uS", "2 uS", "3 uS"]), "values", "3 values for 2 conductances"),
    (curve([0.0, 1.0], ["1 uS", "-2 uS"]), "values.1", "outside"),
    (curve([0.0, 1.0], ["1 uS", "2 V"]), "values.1", "'2 V'"),
    (number(g=[0.0, 1.0], values=[0.0, math.nan], unit="S"), "values.1", "not a finite number"),
    (curve([1.0, 0.0], ["1 uS", "2 uS"]), "g", "not ascending"),
    (curve([0.5], ["1 uS"]), "g", "at least 2"),
]


@pytest.mark.parametrize(("table", "below", "message"), TABLES)
def test_sigma_table_that_is_none(table: dict[str, Any], below: str, message: str) -> None:
    with pytest.raises(CardError) as caught:
        DeviceCard.from_dict(changed("binary", SIGMA, table))
    (problem,) = caught.value.problems
    assert problem.field == f"laws.{SIGMA}.{below}"
    assert message in problem.message


CELSIUS = [
    ("temperature.validity.temperature_k", [25, 85], "25 K", "'25 C'"),
    ("retention.validity.temperature_k", [-40, 350], "-40 K", "'-40 C'"),
    ("temperature.parameters.reference_k", number(value=25, unit="K"), "25 K", "'298.15 K'"),
    ("retention.parameters.lifetime_temperature_k", number(value="76.9 K"), "76.9 K", "'76.9 C'"),
]


@pytest.mark.parametrize(("where", "value", "named", "remedy"), CELSIUS)
def test_degrees_celsius_given_as_kelvin(where: str, value: Any, named: str, remedy: str) -> None:
    with pytest.raises(CardError) as caught:
        DeviceCard.from_dict(changed("ibm90", where, value))
    (problem,) = caught.value.problems
    assert problem.field.startswith(f"laws.{where}")
    assert "looks like degrees Celsius" in problem.message
    assert named in problem.message
    assert remedy in problem.message


@pytest.mark.parametrize(("spelled", "kelvin"), [("25 C", 298.15), ("77 K", 77.0), ("-40 C", 233.15)])
def test_temperatures_that_are_well_spelled(spelled: str, kelvin: float) -> None:
    data = changed("ibm90", "temperature.parameters.reference_k", number(value=spelled))
    data["laws"]["temperature"]["validity"]["temperature_k"] = [spelled, "400 K"]
    card = DeviceCard.from_dict(data)
    assert card.temperature.reference_k == pytest.approx(kelvin)
    assert card.validity("temperature").covers(temperature_k=kelvin + 1.0)


RANGES = [
    ("g", [0.9, 0.1], "inverted range"),
    ("age_s", ["1 d", "20 s"], "inverted range"),
    ("temperature_k", ["358 K", "298 K"], "inverted range"),
    ("g", [-0.1, 1.0], "below zero"),
    ("age_s", [-20, 20], "below zero"),
    ("g", [math.nan, 1.0], "not a finite number"),
    ("age_s", [0, math.inf], "not a finite number"),
]


@pytest.mark.parametrize(("name", "ends", "message"), RANGES)
def test_range_of_validity_that_is_none(name: str, ends: list[Any], message: str) -> None:
    where = f"drift.validity.{name}"
    with pytest.raises(CardError) as caught:
        DeviceCard.from_dict(changed("ibm90", where, ends))
    (problem,) = caught.value.problems
    assert problem.field.startswith(f"laws.{where}")
    assert message in problem.message


@pytest.mark.parametrize("preset", preset_names())
def test_every_number_of_every_preset_refuses_nan(preset: str) -> None:
    card = DeviceCard.load(preset)
    singles = [(path, n.unit) for path, n in card.numbers() if ".values." not in path]
    data = card.to_dict()
    for path, unit in singles:
        *above, last = path.split(".")
        place: Any = data
        for part in above:
            place = place[part]
        place[last] = number(value=math.nan, unit=unit)
    with pytest.raises(CardError) as caught:
        DeviceCard.from_dict(data)
    assert {problem.field for problem in caught.value.problems} == {f"{path}.value" for path, _ in singles}
    assert all("finite" in problem.message for problem in caught.value.problems)


def test_file_of_an_impossible_card_names_the_file_and_everything_wrong(tmp_path: Path) -> None:
    data = changed("st90", "temperature.parameters.reference_k", number(value=25, unit="K"))
    data["laws"]["faults"]["parameters"]["stuck_set_share"] = one(5.0)
    path = tmp_path / "chip12.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(CardError) as caught:
        DeviceCard.load(path)
    assert len(caught.value.problems) == 2
    assert "chip12.yaml" in str(caught.value)
    assert "write '25 C'" in str(caught.value)
    assert "5.0 is outside 0.0 .. 1.0" in str(caught.value)
