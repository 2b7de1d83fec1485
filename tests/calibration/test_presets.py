"""The cards that come with the toolkit: what they claim, and what follows in them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from calibration import DeviceCard, preset_names

CARDS = {name: DeviceCard.load(name) for name in preset_names()}
PHYSICS = [name for name, card in CARDS.items() if card.has("programming_curve")]


def statuses(name: str) -> Counter[str]:
    return Counter(number.status for _, number in CARDS[name].numbers())


def test_there_is_a_card_for_every_experiment() -> None:
    assert set(CARDS) == {"ibm90", "st90", "hermes14", "hermes14-pair", "binary", "saturating"}
    assert all(card.name == name for name, card in CARDS.items())


@pytest.mark.parametrize("name", ["st90", "binary", "saturating"])
def test_devices_known_from_abstracts_claim_nothing_published(name: str) -> None:
    assert set(statuses(name)) == {"default", "derived"}


@pytest.mark.parametrize("name", ["hermes14", "hermes14-pair"])
def test_hermes_claims_its_fits_and_no_more(name: str) -> None:
    published = {path for path, number in CARDS[name].numbers() if number.status == "published"}
    laws = {path.split(".")[1] for path in published if "." in path}
    assert laws == {"programming_error", "drift", "read_noise"}
    assert "laws.drift.parameters.device_share" not in published
    assert {"g_max", "t0"} <= published


@pytest.mark.parametrize("name", PHYSICS)
def test_derived_numbers_follow_from_the_others(name: str) -> None:
    law, curve = CARDS[name].accumulation, CARDS[name].programming_curve
    numbers = dict(CARDS[name].numbers())
    assert curve.set_rate(curve.reference_width_s) == pytest.approx(-law.slope, rel=1e-12)
    assert numbers["laws.programming_curve.parameters.set_time_constant_s"].status == "derived"
    asymptote_s = law.offset_s / -law.slope
    line_s = curve.saturation_slope_s_per_a * (curve.reference_current_a - curve.saturation_offset_a)
    if numbers["laws.programming_curve.parameters.saturation_slope_s_per_a"].status == "derived":
        assert line_s == pytest.approx(asymptote_s, rel=1e-12)
    else:  # of the abstract device: its own full conductance ends the steps
        assert curve.full_conductance_mean_s == pytest.approx(asymptote_s, rel=1e-12)
        assert line_s > curve.full_conductance_mean_s + 5.0 * curve.full_conductance_spread_s


@pytest.mark.parametrize("name", ["hermes14", "hermes14-pair"])
def test_shortest_time_constant_of_target_level_cards_is_derived(name: str) -> None:
    noise = CARDS[name].read_noise
    assert noise == noise.for_target_level()


def test_st90_keeps_the_published_bounds_by_its_own_laws() -> None:
    card = CARDS["st90"]
    levels = np.array([0.25, 0.5, 0.75, 1.0])
    assert np.all(card.programming_error.sigma_s(levels) / (levels * card.g_max_s) < 0.06)
    fourteen_h = 14 * 3600.0
    mean, spread = card.drift.mean_exponent(levels), card.drift.spread_exponent(levels)
    np.testing.assert_allclose(1.0 - card.drift.factor(fourteen_h, mean), 0.114, atol=0.001)
    np.testing.assert_allclose(1.0 - card.drift.factor(fourteen_h, mean + 2.0 * spread), 0.149, atol=0.001)
    noise = card.read_noise
    slower = noise.time_constants_s() < fourteen_h
    assert noise.strength(0.5) * np.sqrt(noise.state_variances()[slower].sum()) == pytest.approx(
        0.06, abs=0.002
    )


def test_ratio_of_two_st90_cells_stays_at_85_c_and_of_two_mushroom_cells_does_not() -> None:
    change = {}
    for name in ("st90", "ibm90"):
        low, high = CARDS[name].temperature.factor([1.0 / 3.0, 1.0], 358.15)
        change[name] = low / high - 1.0
    assert abs(change["st90"]) < 0.03
    assert change["ibm90"] > 1.0
    energy = CARDS["st90"].temperature.activation_energy_ev(np.linspace(0.0, 1.0, 11))
    assert energy.max() <= 0.1
