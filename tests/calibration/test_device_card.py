import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from card_data import plain, tabulated

from calibration import (
    CardError,
    DeviceCard,
    LawSection,
    MissingLawError,
    Number,
    Table,
    Validity,
    preset_names,
)

IBM90 = DeviceCard.load("ibm90")
DRIFT = "laws.drift.parameters"


def test_every_preset_loads_and_every_number_says_where_it_comes_from() -> None:
    assert "ibm90" in preset_names()
    for name in preset_names():
        card = DeviceCard.load(name)
        paths = [path for path, _ in card.numbers()]
        assert len(paths) == len(set(paths)) > 50
        for path, number in card.numbers():
            assert number.source.strip(), path
            assert number.status in {"published", "reported", "derived", "default"}, path
            assert np.isfinite(number.value), path


def test_preset_calls_a_default_a_default() -> None:
    status = {path: number.status for path, number in IBM90.numbers()}
    assert status["g_max"] == "published"
    assert status["laws.programming_error.parameters.quadratic_s"] == "published"
    assert status[f"{DRIFT}.device_share"] == "default"
    assert status["laws.programming_curve.parameters.melt_current_mean_a"] == "default"
    assert status["laws.temperature.parameters.amorphous_energy_ev"] == "default"
    assert status["laws.read_chain.parameters.ranges_a.values.0"] == "default"
    assert status["laws.programming_curve.parameters.set_time_constant_s"] == "derived"


def test_derived_numbers_follow_from_the_others() -> None:
    curve, law = IBM90.programming_curve, IBM90.accumulation
    span_a = curve.reference_current_a - curve.saturation_offset_a
    assert curve.saturation_slope_s_per_a == pytest.approx(law.offset_s / -law.slope / span_a, rel=1e-12)
    assert curve.set_time_constant_s == pytest.approx(
        -curve.reference_width_s / np.log(1.0 + law.slope), rel=1e-12
    )


def test_card_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    IBM90.save(path)
    again = DeviceCard.load(path)
    assert again == IBM90
    assert again.fingerprint() == IBM90.fingerprint()
    assert dict(again.numbers()) == dict(IBM90.numbers())
    assert "25 uS" in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["card.yaml"]


def test_saving_replaces_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "card.yaml"
    IBM90.save(path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CardError, match="No space left"):
        IBM90.with_values({f"{DRIFT}.onset_s": 1.0}, source="trial").save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(CardError, match="cannot be written"):
        IBM90.save(tmp_path / "missing" / "card.yaml")


def test_fingerprint_ignores_spelling_and_order_but_no_content() -> None:
    data = plain()
    assert len(IBM90.fingerprint()) == 64
    data["g_max"]["value"] = "0.025 mS"
    data["laws"] = dict(reversed(data["laws"].items()))
    assert DeviceCard.from_dict(data).fingerprint() == IBM90.fingerprint()
    changed = [
        IBM90.with_values({f"{DRIFT}.onset_s": "1 ns"}, source="trial"),
        IBM90.with_values({"laws.read_noise.parameters.start": "zero"}, source="trial"),
    ]
    data["laws"]["drift"]["validity"]["age_s"] = ["20 s", "2 d"]
    changed.append(DeviceCard.from_dict(data))
    data = plain()
    data["g_max"]["source"] = "elsewhere"
    changed.append(DeviceCard.from_dict(data))
    assert len({IBM90.fingerprint(), *(card.fingerprint() for card in changed)}) == 5


def test_fingerprint_is_the_same_in_another_process() -> None:
    code = "from calibration import DeviceCard; print(DeviceCard.load('ibm90').fingerprint())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == IBM90.fingerprint()


def test_loading_a_card_needs_no_scipy_and_no_numba() -> None:
    code = (
        "import sys, calibration; assert 'numpy' not in sys.modules and 'pydantic' not in sys.modules;"
        "calibration.DeviceCard.load('ibm90').drift;"
        "print([m for m in ('scipy', 'numba', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not readable YAML"),
        ("- 1\n- 2", "no fields"),
        ("", "no fields"),
        ("schema: labkit-device-card/1\nname: a\nname: b\n", "'name' is given twice at line 3"),
        ("x: !!python/object/apply:os.getcwd []", "not readable YAML"),
    ],
)
def test_files_that_are_no_cards(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(text)
    with pytest.raises(CardError, match=r"card\.yaml") as caught:
        DeviceCard.load(path)
    assert message in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"presets are .*ibm90"):
        DeviceCard.load("imb90")
    with pytest.raises(CardError, match="no such file"):
        DeviceCard.load(Path("ibm90"))
    with pytest.raises(CardError, match="cannot be read"):
        DeviceCard.load(tmp_path)
    binary = tmp_path / "card.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CardError, match="not UTF-8"):
        DeviceCard.load(binary)


def test_tables_are_laws_too(tmp_path: Path) -> None:
    card = DeviceCard.from_dict(tabulated())
    np.testing.assert_allclose(
        card.drift.mean_exponent([-1.0, 0.0, 0.25, 1.0, 2.0]), [0.10, 0.10, 0.08, 0.05, 0.05]
    )
    assert card.drift.spread_exponent(0.5) == 0.02
    assert dict(card.numbers())[f"{DRIFT}.mean_table.values.1"].value == 0.06
    card.save(tmp_path / "card.yaml")
    assert DeviceCard.load(tmp_path / "card.yaml") == card


def test_partial_card_says_which_law_it_lacks() -> None:
    data = plain()
    data["laws"] = {"drift": data["laws"]["drift"]}
    card = DeviceCard.from_dict(data)
    assert card.drift.t0_s == 20.0
    with pytest.raises(MissingLawError) as caught:
        card.read_noise  # noqa: B018
    assert caught.value.law == "read_noise"


def test_cards_made_in_python_are_checked_alike() -> None:
    faults = {
        name: Number(value=0.1, unit="1", status="fitted", source="run 7", interval=(0.05, 0.2), level=0.95)
        for name in ("stuck_set_share", "stuck_reset_share")
    }
    sections = {"faults": LawSection("stuck-shares", faults, Validity(temperature_k=(295.0, 305.0)))}
    card = DeviceCard("mine", "", IBM90.g_max, IBM90.t0, sections)
    assert card.faults.stuck_set_share == 0.1
    assert DeviceCard.from_dict(yaml.safe_load(yaml.safe_dump(card.to_dict()))) == card
    with pytest.raises(CardError) as caught:
        DeviceCard("", "", IBM90.t0, IBM90.t0, {"faults": LawSection("stuck-shares", {})})
    assert [problem.field for problem in caught.value.problems] == [
        "name",
        "g_max.unit",
        "laws.faults.parameters.stuck_set_share",
        "laws.faults.parameters.stuck_reset_share",
    ]


def test_changed_values_are_defaults_of_their_own() -> None:
    quiet = IBM90.with_values(
        {"laws.read_noise.parameters.scale": 0.0, f"{DRIFT}.pulse_reference_age_s": "1 min"},
        source="noise off",
    )
    assert quiet.read_noise.strength([0.1, 1.0]).tolist() == [0.0, 0.0]
    assert quiet.drift.pulse_reference_age_s == 60.0
    changed = dict(quiet.numbers())["laws.read_noise.parameters.scale"]
    assert (changed.status, changed.source) == ("default", "noise off")
    assert IBM90.read_noise.scale == 0.0088
    with pytest.raises(CardError, match=r"laws\.drift\.parameters\.nu"):
        IBM90.with_values({f"{DRIFT}.nu": 1.0}, source="trial")
    with pytest.raises(CardError, match="'1 V'"):
        IBM90.with_values({f"{DRIFT}.onset_s": "1 V"}, source="trial")


def test_validity_marks_extrapolation() -> None:
    drift = IBM90.validity("drift")
    assert drift.covers(g=[0.001, 0.5], age_s=100.0).tolist() == [False, True]
    assert not drift.covers(g=0.5, age_s=1e9)
    assert not drift.covers(temperature_k=400.0)
    assert IBM90.validity("read_chain").covers(g=[0.0, 2.0]).tolist() == [True, True]


def test_numbers_are_plain_and_frozen() -> None:
    number = Number(
        value="25 uS", status="default", source="full scale", interval=("24 uS", "26 uS"), level=0.95
    )
    assert (number.value, number.unit, number.interval) == (25e-6, "S", (24e-6, 26e-6))
    assert str(number) == "25 uS"
    assert Number.model_validate(number.to_dict()) == number
    with pytest.raises(ValueError, match="frozen"):
        number.value = 1.0
    curve = Table(g=(0.0, 1.0), values=("1 uS", "2 uS"), status="default", source="test")
    assert Table.model_validate(curve.to_dict()) == curve
