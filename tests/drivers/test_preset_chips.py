"""Chips boot from every card with laws of single pulses, and answer pulses as their device does."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import DeviceCard, preset_names
from drivers.simulated.chip import SimulatedChip

CARDS = {name: DeviceCard.load(name) for name in preset_names()}
PHYSICS = [name for name, card in CARDS.items() if card.has("programming_curve")]
YOUNG_S = 25.0


class Bench:
    """1,024 cells of a preset, pulsed and read all at once."""

    def __init__(self, card: DeviceCard) -> None:
        self.curve, self.chain = card.programming_curve, card.read_chain
        self.chip = SimulatedChip.create(card, banks=1, rows=4, cols=256, seed=1)
        self.cells = np.arange(1024, dtype=np.uint32)
        self.now_ns = 1_000_000_000

    def pulse(self, current_a: float, width_s: float, count: int = 1) -> None:
        self.now_ns += 1_000_000
        self.chip.pulse(
            self.cells, np.full(1024, current_a, np.float32), np.full(1024, self.now_ns), rise_s=5e-9,
            top_s=width_s - 5e-9, fall_s=5e-9, count=count,
        )  # fmt: skip

    def set(self, count: int = 1) -> None:
        self.pulse(self.curve.reference_current_a, self.curve.reference_width_s, count)

    def read_s(self) -> np.ndarray:
        self.now_ns += int(YOUNG_S * 1e9)
        current, flags = self.chip.read(
            self.cells, np.full(1024, self.now_ns), voltage_v=self.chain.read_voltage_v, samples=8,
            aperture_s=1e-6, spacing_s=2e-6, ranges_a=self.chain.ranges_a, adc_bits=self.chain.adc_bits,
            adc_zero=self.chain.adc_zero,
        )  # fmt: skip
        assert not (flags & 1).any()
        return np.asarray(current / self.chain.read_voltage_v)


@pytest.mark.parametrize("name", PHYSICS)
def test_chip_boots_from_the_card_and_answers_pulses(name: str) -> None:
    bench = Bench(CARDS[name])
    bench.pulse(450e-6, 50e-9)
    reset_s = bench.read_s()
    assert np.median(reset_s) < 0.15e-6
    bench.set()
    once_s = bench.read_s()
    bench.set(count=40)
    often_s = bench.read_s()
    assert np.median(reset_s) < np.median(once_s) < np.median(often_s) * 1.02


def test_binary_cells_have_two_states_far_apart() -> None:
    # Of either kind one cell in 2,000 is stuck: 6 or more among 1,024 are one chance in seventy thousand.
    bench = Bench(CARDS["binary"])
    threshold_s = 5e-6
    for _ in range(3):
        bench.set()
        assert np.count_nonzero(bench.read_s() < threshold_s) < 6
        bench.pulse(450e-6, 50e-9)
        assert np.count_nonzero(bench.read_s() > threshold_s) < 6


def test_steps_of_the_abstract_device_follow_its_law() -> None:
    # 1,024 devices: the mean is known to 1.5 % after the first pulse and to 0.2 % after a hundred.
    shares = ("stuck_set_share", "stuck_reset_share")
    changes = {f"laws.faults.parameters.{share}": 0.0 for share in shares}
    card = CARDS["saturating"].with_values(changes, source="all cells work")
    bench = Bench(card)
    bench.pulse(450e-6, 50e-9)
    done = 0
    for pulses in (1, 3, 10, 30, 100, 300):
        bench.set(count=pulses - done)
        done = pulses
        mean_s = bench.chip.truth(bench.cells, bench.now_ns).mean()
        law_s = float(card.accumulation.mean_trajectory_s(pulses))
        assert mean_s == pytest.approx(law_s, rel=0.06 if pulses == 1 else 0.02)
