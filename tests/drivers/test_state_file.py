"""The file of a simulated chip: what was in the cells is there again, and nobody else's chip is."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from silicon import EIGHT_BITS, IBM90

from drivers.simulated.chip import SimulatedChip
from drivers.simulated.layout import CellArrays
from drivers.simulated.state_file import InMemory, StateFileError, open_chip

IDENTITY = {"card": "ibm90", "card_sha256": IBM90.fingerprint(), "banks": 1, "rows": 8, "cols": 40, "seed": 5}
SIZE = {"banks": 1, "rows": 8, "cols": 40}
CELLS = np.arange(320, dtype=np.uint32)


def make() -> SimulatedChip:
    return SimulatedChip.create(IBM90, **SIZE, seed=5)


def restore(arrays: CellArrays, seed: int, past_heat: NDArray[np.int64]) -> SimulatedChip:
    return SimulatedChip(IBM90, arrays, **SIZE, seed=seed, past_heat=past_heat)


def opened(path: Path, **other: Any) -> InMemory:
    return open_chip(path, {**IDENTITY, **other}, make, restore)


def pulse(chip: SimulatedChip, current_a: float = 3e-4, at_ns: int = 10**9) -> None:
    chip.pulse(
        CELLS,
        np.full(320, current_a, np.float32),
        np.full(320, at_ns, np.int64),
        rise_s=5e-9,
        top_s=5e-8,
        fall_s=5e-9,
    )


def read(chip: SimulatedChip, at_ns: int) -> np.ndarray:
    at = np.full(320, at_ns, np.int64)
    return chip.read(CELLS, at, voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6, **EIGHT_BITS)[0]


def test_a_chip_goes_on_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "chip.state"
    state = opened(path)
    pulse(state.chip)
    read(state.chip, 3 * 10**9)
    state.board["boots"] = 4
    state.arrays["cycles"] = np.arange(320, dtype=np.uint32)
    state.close()

    unbroken = make()
    pulse(unbroken)
    read(unbroken, 3 * 10**9)
    again = opened(path)
    assert again.board == {"boots": 4}
    np.testing.assert_array_equal(again.arrays["cycles"], np.arange(320))
    # the same bits as a session that never ended
    np.testing.assert_array_equal(read(again.chip, 10**12), read(unbroken, 10**12))
    again.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["chip.state", "chip.state.lock"]


def test_it_is_plain_numpy_and_json(tmp_path: Path) -> None:
    opened(tmp_path / "chip.state").close()
    with np.load(tmp_path / "chip.state", allow_pickle=False) as arrays:
        assert arrays["cells/state"].dtype == np.float32
        assert "cells/noise" in arrays
    with zipfile.ZipFile(tmp_path / "chip.state") as archive:
        assert json.loads(archive.read("chip.json"))["made_as"] == IDENTITY


@pytest.mark.parametrize(
    ("key", "value"), [("seed", 6), ("rows", 16), ("card_sha256", "ff"), ("card", "mine")]
)
def test_another_chips_file_is_refused_and_kept(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "chip.state"
    opened(path).close()
    before = path.read_bytes()
    with pytest.raises(
        StateFileError, match=rf"another chip: {key} {IDENTITY[key]} \(the bench file says {value}\)"
    ):
        opened(path, **{key: value})
    assert path.read_bytes() == before
    opened(path).close()  # the refusal let go of the lock


def test_a_file_open_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chip.state"
    state = opened(path)
    before = path.read_bytes()
    with pytest.raises(StateFileError, match="open in another program"):
        opened(path)
    assert path.read_bytes() == before
    state.close()
    opened(path).close()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "missing array"])
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "chip.state"
    opened(path).close()
    whole = path.read_bytes()
    if damage == "missing array":
        with zipfile.ZipFile(path) as old:
            kept = {name: old.read(name) for name in old.namelist() if "noise" not in name}
        with zipfile.ZipFile(path, "w") as new:
            for name, content in kept.items():
                new.writestr(name, content)
    else:
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 0x10
        content = {
            "cut": whole[: len(whole) // 2],
            "flipped": bytes(flipped),
            "empty": b"",
            "text": b"version: 1\n",
        }
        path.write_bytes(content[damage])
    before = path.read_bytes()
    with pytest.raises(StateFileError, match="no whole state file"):
        opened(path)
    assert path.read_bytes() == before


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chip.state"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "chip.json", json.dumps({"schema": "labkit-chip-state/9", "made_as": IDENTITY, "seed": 5})
        )
    with pytest.raises(StateFileError, match="labkit-chip-state/9"):
        opened(path)


def test_a_full_disk_leaves_the_chip_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "chip.state"
    state = opened(path)
    before = path.read_bytes()
    pulse(state.chip)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StateFileError, match="could not be saved"):
            state.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chip.state", "chip.state.lock"]
    state.close()
    assert path.read_bytes() != before


def test_a_killed_program_leaves_the_last_save_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "chip.state"
    opened(path).close()
    before = path.read_bytes()
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "import test_state_file as t\n"
        "state = t.opened(Path(sys.argv[1])); t.pulse(state.chip); print('pulsed', flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    here = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path), here], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "pulsed\n"
        os.kill(child.pid, signal.SIGKILL)
    assert path.read_bytes() == before
    opened(path).close()
