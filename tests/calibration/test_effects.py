"""Effects are switched off one by one, and with all of them off a card is ideal."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import CardError, DeviceCard, preset_names
from calibration.effects import EFFECTS

IBM90, SATURATING = DeviceCard.load("ibm90"), DeviceCard.load("saturating")
G = np.linspace(0.0, 1.2, 25)
PULSES = np.arange(1, 40)


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_changes_the_complete_card_and_once_only(effect: str) -> None:
    off = IBM90.without(effect)
    assert off.fingerprint() != IBM90.fingerprint()
    assert off.without(effect) == off
    changed = {name for name in IBM90.laws if off.laws.get(name) != IBM90.laws[name]}
    touched = {
        "cycle_spread": {"accumulation", "programming_curve", "programming_error"},
        "device_spread": {
            "accumulation",
            "programming_curve",
            "temperature",
            "threshold_switching",
            "retention",
            "damage",
            "current_voltage",
            "drift",
        },
        "history": {"accumulation"},
        "converter": {"read_chain"},
    }
    assert changed == touched.get(effect, {effect})


def test_what_is_switched_off_is_a_default_that_says_so() -> None:
    before = dict(IBM90.numbers())
    for path, number in IBM90.without("all").numbers():
        if before.get(path) != number:
            assert (number.status, number.source) == ("default", "effect switched off"), path


@pytest.mark.parametrize("name", preset_names())
def test_ideal_card(name: str) -> None:
    card = DeviceCard.load(name).without("all")
    kept = {
        "programming_error", "drift", "read_noise", "accumulation", "programming_curve", "read_chain", "temperature"
    }  # fmt: skip
    assert set(card.laws) == kept & set(DeviceCard.load(name).laws)
    assert not card.drift.mean_exponent(G).any()
    assert not card.drift.spread_exponent(G).any()
    assert not card.read_noise.strength(G).any()
    assert not card.programming_error.sigma_s(G).any()
    np.testing.assert_array_equal(card.temperature.factor(G, 400.0, 3.0), 1.0)
    chain = card.read_chain
    assert chain.noise_fraction_of_range == 0.0
    assert chain.step_a(chain.ranges_a[-1]) / chain.ranges_a[-1] < 1e-7
    if card.has("accumulation"):
        steps, curve = card.accumulation, card.programming_curve
        assert not steps.spread_step_s(G * card.g_max_s, 1).any()
        assert steps.step_spread == 0.0
        np.testing.assert_array_equal(steps.mean_step_s(1e-6, PULSES), steps.mean_step_s(1e-6, 1000))
        assert steps.boost_s == steps.jump_s == 0.0
        assert curve.full_conductance_spread_s == curve.melt_current_spread_a == curve.cycle_spread == 0.0
        assert curve.full_current_spread_a == curve.reset_ln_spread == 0.0


def test_history_of_either_form_is_its_boost_or_its_jump() -> None:
    published, abstract = IBM90.without("history").accumulation, SATURATING.without("history").accumulation
    np.testing.assert_allclose(published.mean_step_s(0.0, PULSES), 0.88e-6, rtol=1e-12)
    np.testing.assert_allclose(published.spread_step_s(0.0, PULSES), 0.26e-6, rtol=1e-12)
    np.testing.assert_allclose(abstract.mean_step_s([0.0, 10e-6], 1), [0.2e-6, 0.1e-6], rtol=1e-12)
    assert SATURATING.accumulation.mean_step_s(0.0, 1) == pytest.approx(1.0e-6)
    # what pulses and devices differ by stays
    assert abstract.spread_offset_s == SATURATING.accumulation.spread_offset_s > 0.0
    assert abstract.step_spread == SATURATING.accumulation.step_spread > 0.0


def test_spreads_of_the_abstract_device_are_switched_apart() -> None:
    one_pulse = SATURATING.without("cycle_spread")
    assert one_pulse.accumulation.spread_offset_s == 0.0
    assert one_pulse.accumulation.step_spread > 0.0
    one_device = SATURATING.without("device_spread")
    assert one_device.accumulation.step_spread == 0.0
    assert one_device.programming_curve.full_conductance_spread_s == 0.0
    assert one_device.accumulation.spread_offset_s > 0.0


def test_effects_a_card_does_not_have_change_nothing() -> None:
    assert SATURATING.without("lines", "columns", "telegraph_noise", "endurance") == SATURATING
    pair = DeviceCard.load("hermes14-pair")
    assert pair.without("history", "retention") == pair


def test_words_that_are_no_effect() -> None:
    with pytest.raises(CardError, match=r"drifft: no such effect; there are all, cycle_spread") as caught:
        IBM90.without("drift", "drifft", "noise")
    assert [problem.field for problem in caught.value.problems] == ["drifft", "noise"]


def test_has_knows_the_laws_of_a_card_and_refuses_words_that_are_none() -> None:
    assert IBM90.has("lines")
    assert not IBM90.without("lines").has("lines")
    with pytest.raises(CardError, match=r"laws\.line: is not a law of a card"):
        IBM90.has("line")
