"""The acceptance tables of device-physics §9: the rows of ``labkit card check`` are the statistical tests of the mock.

One definition of each row serves the command and these tests. The reduced samples run here, the full ones of every
preset among the slow tests. Seeds are fixed, so a verdict never changes by chance; over all seeds a chip that keeps
its laws would be accused in one full check of ibm90 in thirty or forty (see ``labkit.acceptance.suite``).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from calibration import DeviceCard, preset_names
from labkit.acceptance import Acceptance, Verdict, check_card, known_ids
from labkit.acceptance.bench import Bench
from labkit.acceptance.drift_fit import fit_drift, noise_shape
from labkit.acceptance.explained import Explanation
from labkit.acceptance.row import Expected, Measured, Status
from labkit.acceptance.statistics import mean_of, median_of, quantile_of, rms_of, share_of, spread_of
from labkit.acceptance.subject import Reference, Subject
from labkit.acceptance.suite import EXPERIMENTS, GROUPS, false_alarm_rate

IBM90 = DeviceCard.load("ibm90")
QUICK = {
    "laws after programming": "T1,T2,T3,T4,T5,T6,T7,T8,T11,T12,T15",
    "pulses": "P1,P2,P3,P4,P5,P6,P7,P8,P9,P10,P11,P12",
    "the loop": "E1,E2,E4,E5,E6,E7",
    "circuit": "C1,C2,C3,C4,C5,C6,C7,C8,C9,C10",
}
"""What takes a second or two; spectra and the long loops are among the slow tests."""


def missed(found: Acceptance) -> list[str]:
    return [
        f"{row.id} {row.quantity}, {row.conditions}: {row.measured_text} for {row.expected_text} {row.tolerance_text}"
        for row in found.rows
        if row.verdict is Verdict.MISS
    ]


@pytest.mark.parametrize("group", list(QUICK))
def test_the_mock_of_ibm90_keeps_the_tables(group: str) -> None:
    wanted = QUICK[group].split(",")
    found = check_card(IBM90, quick=True, only=wanted)
    assert not missed(found)
    assert {row.id for row in found.rows} == set(wanted)
    assert found.count[Verdict.DOES_NOT_APPLY] == 0


def test_the_mock_of_the_st_chip_keeps_its_published_bounds() -> None:
    found = check_card(DeviceCard.load("st90"), quick=True, only=["S1", "S2", "S3", "S4", "S5", "S6", "S7"])
    assert not missed(found)
    assert found.count[Verdict.OK] == len(found.rows)
    # A bound is not what a chip is expected to give: half of all chips would miss it.
    assert false_alarm_rate(found.rows) < 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_keeps_the_tables_at_full_size(name: str) -> None:
    found = check_card(DeviceCard.load(name))
    assert not missed(found)
    # Nothing is explained away: only so many rows have an argument, and each has its number beside it.
    explained = {row.id for row in found.rows if row.verdict is Verdict.EXPLAINED}
    assert explained <= {"T11", "T12", "T13", "P11", "E4", "E6"}
    if name == "ibm90":
        assert found.count[Verdict.OK] > 230
        assert false_alarm_rate(found.rows) < 0.1


def changed(**values: float) -> DeviceCard:
    names = {f"laws.{name.replace('__', '.parameters.')}": value for name, value in values.items()}
    return IBM90.with_values(names, source="mutant")


MUTANTS = [
    ("T1", {"programming_error__linear_s": 2.3e-6}),
    ("T6", {"drift__spread_low": 0.012}),
    ("T7", {"drift__mean_low": 0.055}),
    ("T8", {"drift__spread_low": 0.010}),
    ("T11", {"read_noise__scale": 0.0105}),
    ("T12", {"read_noise__scale": 0.0105}),
    ("T15", {"programming_curve__reset_median_s": 0.13e-6}),
    ("P1", {"accumulation__boost_s": 1.7e-6}),
    ("P2", {"accumulation__spread_offset_s": 0.5e-6}),
    ("P6", {"programming_curve__saturation_slope_s_per_a": 0.18}),
    ("P9", {"programming_curve__min_width_s": 40e-9}),
    ("P11", {"programming_curve__melt_exponent": 0.8}),
    ("P12", {"programming_curve__full_current_spread_a": 35e-6}),
    ("E4", {"read_chain__noise_fraction_of_range": 0.009}),
    ("E6", {"drift__mean_low": 0.06}),
    ("C4", {"read_chain__adc_bits": 9}),
    ("C6", {"temperature__crystalline_energy_ev": 0.04}),
    ("C8", {"faults__stuck_set_share": 0.003}),
    ("C9", {"endurance__shape": 1.1}),
]


@pytest.mark.parametrize(("row", "values"), MUTANTS, ids=[f"{row}-{next(iter(v))}" for row, v in MUTANTS])
def test_a_mock_with_another_law_is_found(
    monkeypatch: pytest.MonkeyPatch, row: str, values: dict[str, float]
) -> None:
    # The chip gets the mutant, the rows keep what ibm90 promises.
    original = Bench.__init__

    def mutated(self: Bench, card: DeviceCard, cells: int, **more: object) -> None:
        names = {f"laws.{name.replace('__', '.parameters.')}": value for name, value in values.items()}
        kept = {
            name: value
            for name, value in names.items()
            if name in dict(card.numbers()) and card_number(card, name) == card_number(IBM90, name)
        }
        original(self, card.with_values(kept, source="mutant"), cells, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Bench, "__init__", mutated)
    found = check_card(IBM90, quick=True, only=[row])
    assert missed(found), [entry.measured_text for entry in found.rows]


def card_number(card: DeviceCard, name: str) -> float:
    return dict(card.numbers())[name].value


def test_a_card_of_its_own_is_held_to_its_own_laws() -> None:
    card = changed(
        drift__mean_low=0.06,
        read_noise__scale=0.006,
        accumulation__boost_s=1.0e-6,
        programming_curve__melt_exponent=0.9,
        endurance__scale_pulses=1e7,
    )
    found = check_card(card, quick=True, only=["T6", "T7", "T11", "T12", "P1", "P2", "P11", "C9", "E2"])
    assert not missed(found)
    of = {(row.id, row.quantity, row.conditions): row for row in found.rows}
    ours = next(row for key, row in of.items() if key[0] == "T6" and "g = 0.6" in key[2] and "mean" in key[1])
    assert ours.expected is not None
    assert ours.expected.value == pytest.approx(0.06, abs=1e-4)
    assert ours.status is Status.DERIVED
    assert {row.verdict for row in found.rows if row.id == "E2"} == {Verdict.DOES_NOT_APPLY}


@pytest.mark.parametrize("factor", [0.25, 1.5], ids=["100 uA", "600 uA"])
def test_a_card_that_melts_at_another_current_is_held_to_its_own_laws(factor: float) -> None:
    curve = "laws.programming_curve.parameters."
    currents = {
        name: number.value * (1.0 / factor if name.endswith("_per_a") else factor)
        for name, number in IBM90.numbers()
        if name.startswith(curve) and name.endswith("_a")
    }
    card = IBM90.with_values(currents, source="a device of another size")
    wanted = {"T6", "T7", "T11", "T15", "P1", "P9", "P11", "P12", "C4", "C6", "C8", "C9", "C10"}
    found = check_card(card, quick=True, only=wanted)
    assert not missed(found)
    assert {row.id for row in found.rows if row.verdict is not Verdict.DOES_NOT_APPLY} == wanted


def test_every_id_belongs_to_one_experiment() -> None:
    every = [row for experiment in EXPERIMENTS for row in experiment.ids]
    assert len(every) == len(set(every))
    assert known_ids() == [
        *(f"T{k}" for k in range(1, 18)), *(f"P{k}" for k in range(1, 13)), *(f"E{k}" for k in range(1, 9)),
        *(f"C{k}" for k in range(1, 11)), *(f"S{k}" for k in range(1, 8)),
    ]  # fmt: skip
    assert {row[0] for row in every} == set(GROUPS)


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no row X1; the rows are T1, T2"):
        check_card(IBM90, only=["X1"])


# ---------------------------------------------------------------- judging


ONE = Reference(1.0, Status.DERIVED, "test")


def verdict(
    value: float, error: float = 0.0, *, quick: bool = False, unless: Explanation | None = None
) -> Verdict:
    expected = Expected.within(1.0, relative=0.1)
    row = Subject(IBM90, quick=quick).row("T1", "", "", ONE, expected, Measured(value, error), unless=unless)
    return row.verdict


def test_a_full_sample_must_lie_within_the_tolerance() -> None:
    assert verdict(1.1) is verdict(0.9) is Verdict.OK
    assert verdict(1.11, error=1.0) is verdict(0.89) is Verdict.MISS
    assert verdict(float("nan")) is Verdict.MISS


def test_a_small_sample_must_lie_outside_by_far_to_count_as_a_miss() -> None:
    assert verdict(1.2, error=0.03, quick=True) is Verdict.OK
    assert verdict(1.2, error=0.02, quick=True) is Verdict.MISS


@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_an_error_that_is_not_known_excuses_nothing(error: float) -> None:
    assert verdict(1.2, error=error, quick=True) is Verdict.MISS


def test_an_argument_explains_what_it_expects_and_nothing_else() -> None:
    argument = Explanation(1.2, 1.3, "because")
    assert verdict(1.25, unless=argument) is Verdict.EXPLAINED
    assert verdict(1.05, unless=argument) is Verdict.OK
    assert verdict(1.35, unless=argument) is Verdict.MISS


def test_false_alarms_add_up_over_rows() -> None:
    subject, expected = Subject(IBM90), Expected.within(1.0, absolute=0.2)
    rows = [subject.row("T1", "", "", ONE, expected, Measured(1.0, 0.1)) for _ in range(10)]
    assert false_alarm_rate(rows) == pytest.approx(10 * 0.0455, rel=0.001)


# ---------------------------------------------------------------- estimates


def test_standard_errors_are_those_of_repeated_samples() -> None:
    random = np.random.default_rng(1)
    for draw in (random.standard_normal, random.standard_exponential):
        for estimate in (spread_of, rms_of, lambda x: quantile_of(x, 0.9)):
            found = [estimate(draw(4000)) for _ in range(300)]
            scatter = np.std([one.value for one in found])
            # 300 values know a standard deviation to 4 %; quantiles have an error from few order statistics
            assert np.mean([one.error for one in found]) == pytest.approx(scatter, rel=0.2)


@pytest.mark.parametrize("estimate", [mean_of, spread_of, rms_of, median_of])
def test_nothing_measured_is_a_miss(estimate: Callable[[list[float]], Measured]) -> None:
    found = estimate([math.nan])
    assert math.isnan(found.value)
    assert found.interval is None
    assert math.isnan(share_of(0, 0).value)


def test_a_share_of_nothing_is_uncertain() -> None:
    found = share_of(0, 1000)
    assert found.value == 0.0
    assert 0.0005 < found.error < 0.003


def test_the_covariance_fit_keeps_noise_out_of_the_spread_of_exponents() -> None:
    law, cells = IBM90.read_noise, 6000
    random = np.random.default_rng(3)
    ages_s = 20.0 * np.geomspace(1.0, 5000.0, 12)
    shape = noise_shape(law, ages_s, aperture_s=1e-7, spacing_s=1.1e-6, samples=1024)
    x = np.log(ages_s / ages_s[0])[:, np.newaxis]
    nu = 0.05 + 0.012 * random.standard_normal(cells)
    level = 0.05 * random.standard_normal(cells)
    noise = 0.019 * np.linalg.cholesky(shape) @ random.standard_normal((12, cells))
    reads_s = 8e-6 * np.exp(level - x * nu + noise)
    single = np.polyfit(x[:, 0], np.log(reads_s), 1)[0].std()
    found = fit_drift(reads_s, ages_s, shape)
    assert single > 1.25 * 0.012, "a spread of slopes taken cell by cell contains the noise"
    assert found.spread.value == pytest.approx(0.012, abs=4 * found.spread.error)
    assert found.mean.value == pytest.approx(0.05, abs=4 * found.mean.error)
    assert found.strength == pytest.approx(0.019, rel=0.05)
    assert 0 < found.spread.error < 0.0006
    assert 0 < found.mean.error < 0.0004
