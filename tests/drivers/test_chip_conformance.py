"""The driver of the controller board keeps the contract of a chip, over both faces of a simulated board."""

from __future__ import annotations

import chip_conformance as conformance
import numpy as np
import pytest
from numpy.typing import NDArray
from two_faces import Face

from drivers.calibrated_reads import CalibratedChip
from drivers.chip import Chip
from drivers.products import Rectangle
from drivers.read_calibration import ReadCalibration

LISTS = ("all", "some", "few", "mixed")


def cells_of(name: str) -> NDArray[np.uint32]:
    cells = np.arange(256, dtype=np.uint32)
    if name == "mixed":
        return np.random.default_rng(3).permutation(cells[5:200:3])
    return {"all": cells, "some": cells[5:200:3], "few": cells[7:13]}[name]


def test_at_rest(face: Face) -> None:
    with face.open() as chip:
        conformance.agrees_with_itself(chip)


@pytest.mark.parametrize("name", LISTS)
def test_reads(face: Face, name: str) -> None:
    with face.ready() as chip:
        conformance.reads_keep_order(chip, cells_of(name))


@pytest.mark.parametrize(
    "rule", ["skips_touch_nothing", "masks_forbid", "an_id_pulses_once", "a_stop_latches"]
)
@pytest.mark.parametrize("name", LISTS)
def test_batches(face: Face, rule: str, name: str) -> None:
    with face.ready() as chip:
        getattr(conformance, rule)(chip, cells_of(name), 2e-4, lambda cells: face.count()[cells])


def test_the_clock(face: Face) -> None:
    with face.ready() as chip:
        conformance.the_clock_is_monotonic(chip, cells_of("some"), 2e-4)


@pytest.mark.parametrize("corner", [(0, 0, 16, 16), (3, 5, 4, 7), (15, 2, 1, 9), (0, 15, 12, 1)])
def test_products(face: Face, corner: tuple[int, int, int, int]) -> None:
    with face.ready() as chip:
        conformance.products_are_sums_of_cells(chip, Rectangle(0, *corner))


@pytest.mark.parametrize(
    "rule", ["skips_touch_nothing", "masks_forbid", "an_id_pulses_once", "a_stop_latches"]
)
def test_batches_through_a_calibration(face: Face, rule: str) -> None:
    with face.ready() as chip:
        wrapped = CalibratedChip(chip, even_calibration(chip))
        getattr(conformance, rule)(wrapped, cells_of("mixed"), 2e-4, lambda cells: face.count()[cells])


def test_reads_through_a_calibration(face: Face) -> None:
    with face.ready() as chip:
        wrapped = CalibratedChip(chip, even_calibration(chip))
        conformance.agrees_with_itself(wrapped)
        conformance.reads_keep_order(wrapped, cells_of("mixed"))


def even_calibration(chip: Chip) -> ReadCalibration:
    """Every column reads 4 % too much and 20 nA more."""
    identity, cols = chip.identify(), chip.geometry().cols
    width = np.full(cols, 1e-3)
    return ReadCalibration(
        identity.maker, identity.model, identity.serial,
        np.full(cols, 1.04), width, np.full(cols, 20e-9), 1e-6 * width, -1e-9 * width, {},
        measured_unix_ns=10**18, temperature_k=None, read_voltage_v=0.2, range_a=1e-5, aperture_s=1e-6,
        samples=64, repeats=16, references={1: 5e-6, 2: 2e-5}, tolerance=0.005,
    )  # fmt: skip
