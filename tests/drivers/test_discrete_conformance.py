"""A chip made of instruments keeps the contract of a chip, whatever its instruments are."""

from __future__ import annotations

from pathlib import Path

import chip_conformance as conformance
import numpy as np
import pytest
from fake_chip import FakeChip
from numpy.typing import NDArray
from role_fakes import RoleBench

from drivers.discrete_journal import Journal

LISTS = ("all", "some", "few", "mixed")
RULES = ("skips_touch_nothing", "masks_forbid", "an_id_pulses_once", "a_stop_latches")


def cells_of(name: str) -> NDArray[np.uint32]:
    cells = np.arange(64, dtype=np.uint32)
    if name == "mixed":
        return np.random.default_rng(3).permutation(cells[5:50:3])
    return {"all": cells, "some": cells[5:50:3], "few": cells[7:13]}[name]


@pytest.fixture(params=["matrix", "word lines"])
def bench(request: pytest.FixtureRequest) -> RoleBench:
    return RoleBench(FakeChip(1, 8, 8), word_lines=request.param == "word lines")


@pytest.fixture(params=["file", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return Journal(tmp_path / "cells.journal" if request.param == "file" else None, 64)


def test_at_rest(bench: RoleBench, journal: Journal) -> None:
    with bench.chip(journal) as chip:
        conformance.agrees_with_itself(chip)


def test_with_a_thermometer(bench: RoleBench) -> None:
    bench.thermometer = bench.smu
    bench.smu.temperature_k = lambda: 301.5  # type: ignore[attr-defined]
    with bench.chip() as chip:
        conformance.agrees_with_itself(chip)
        assert chip.temperature_k() == 301.5


@pytest.mark.parametrize("name", LISTS)
def test_reads(bench: RoleBench, name: str) -> None:
    with bench.ready() as chip:
        conformance.reads_keep_order(chip, cells_of(name))
    assert bench.hot == 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", LISTS)
def test_batches(bench: RoleBench, journal: Journal, rule: str, name: str) -> None:
    with bench.ready(journal) as chip:
        getattr(conformance, rule)(chip, cells_of(name), 2e-4, bench.pulses)
    assert bench.hot == 0


def test_the_clock(bench: RoleBench, journal: Journal) -> None:
    with bench.ready(journal) as chip:
        conformance.the_clock_is_monotonic(chip, cells_of("some"), 2e-4)


def test_one_cell_without_relays() -> None:
    bench = RoleBench(FakeChip(1, 1, 1), matrix=False)
    cells = np.zeros(1, np.uint32)
    with bench.ready() as chip:
        conformance.agrees_with_itself(chip)
        conformance.reads_keep_order(chip, cells)
        for rule in ("masks_forbid", "an_id_pulses_once", "a_stop_latches"):
            getattr(conformance, rule)(chip, cells, 2e-4, bench.pulses)
