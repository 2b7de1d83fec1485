"""A chip whose life was interrupted, or that was reached another way, is the same chip to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from everything_on import EVERYTHING_ON, Results, Step, assert_same_life, live, physics, target_shortcut
from numpy.typing import NDArray

from calibration import DeviceCard
from drivers.chip import Batch, Pulse, ReadSetup
from drivers.controller import PcmController
from drivers.products import Rectangle
from drivers.sim_control import SimControl
from drivers.simulated.chip import Mode, SimulatedChip
from drivers.simulated.layout import CellArrays
from drivers.simulated.registry import open_bench
from drivers.simulated.server import InstrumentServer
from drivers.simulated.state_file import InMemory, open_chip

CELLS = 2000
STORIES: dict[Mode, Callable[[int], list[Step]]] = {"physics": physics, "target-shortcut": target_shortcut}
ADDRESS = "TCPIP0::pcm-mock::5025::SOCKET"
PULSE = Pulse(rise_s=5e-9, top_s=45e-9, fall_s=5e-9, period_s=1e-6, full_scale=700e-6)


# ---- the chip and its file ----------------------------------------------------------------------------------


def opened(path: Path, mode: Mode, threads: int, card: DeviceCard = EVERYTHING_ON) -> InMemory:
    size: dict[str, Any] = {"banks": 1, "rows": 1, "cols": CELLS, "threads": threads, "mode": mode}

    def restore(arrays: CellArrays, seed: int, past_heat: NDArray[np.int64]) -> SimulatedChip:
        return SimulatedChip(card, arrays, seed=seed, past_heat=past_heat, **size)

    return open_chip(path, {"mode": mode}, lambda: SimulatedChip.create(card, seed=77, **size), restore)


def in_sessions(
    path: Path, mode: Mode, steps: list[Step], breaks: list[int]
) -> tuple[SimulatedChip, Results]:
    """Live through steps in as many sessions; time stands still between them, the temperature is as it was."""
    told: Results = []
    kelvin: float | None = None
    for number, (first, last) in enumerate(zip([0, *breaks], [*breaks, len(steps)], strict=True)):
        state = opened(path, mode, threads=1 + number % 3)
        if kelvin is not None:
            state.chip.set_temperature(kelvin, int(state.board["absolute_ns"]))
        told += live(state.chip, steps[first:last])
        kelvin = state.chip.temperature_k
        state.board["absolute_ns"] = steps[last - 1].at_ns + CELLS
        state.close()
    return state.chip, told


@pytest.mark.parametrize("mode", STORIES)
def test_a_life_in_sessions_is_the_life_in_one_go(mode: Mode, tmp_path: Path) -> None:
    steps = STORIES[mode](CELLS)
    unbroken = in_sessions(tmp_path / "one.state", mode, steps, [])
    for number, breaks in enumerate(([len(steps) // 2], list(range(1, len(steps), 5)))):
        assert_same_life(*in_sessions(tmp_path / f"{number}.state", mode, steps, breaks), *unbroken)


def test_a_break_while_it_is_hot_adds_up_to_the_same_heat(tmp_path: Path) -> None:
    steps = physics(CELLS)
    hot = [
        n for n in range(2, len(steps)) if steps[n - 1].act == "heat" and steps[n - 1].options["kelvin"] > 390
    ]
    assert len(hot) > 3
    chips = [
        in_sessions(tmp_path / f"{len(breaks)}.state", "physics", steps, breaks)[0] for breaks in ([], hot)
    ]
    now_ns = steps[-1].at_ns
    np.testing.assert_array_equal(chips[0].past_heat(now_ns), chips[1].past_heat(now_ns))


def test_a_chip_that_lay_in_the_cold_was_not_warm(tmp_path: Path) -> None:
    # At its reference temperature a state of this device lives for a day; it is kept at 77 K all the time.
    card = EVERYTHING_ON.with_values(
        {"laws.retention.parameters.lifetime_s": 86_400.0,
         "laws.retention.parameters.lifetime_temperature_k": 300.0}, source="test",
    )  # fmt: skip
    state = opened(tmp_path / "cold.state", "physics", 1, card)
    state.chip.set_temperature(77.0, 0)
    state.board["absolute_ns"] = 10**15
    state.close()
    again = opened(tmp_path / "cold.state", "physics", 1, card)
    again.chip.set_temperature(77.0, 10**15)
    assert again.chip.past_heat(10**15).size == 0
    again.close()


# ---- the board, through its driver --------------------------------------------------------------------------


def bench_file(folder: Path, name: str, mode: Mode = "physics", threads: int = 1) -> Path:
    """A board around a chip with everything on, which lives in a file of its own."""
    card = folder / "everything-on.yaml"
    if not card.exists():
        EVERYTHING_ON.save(card)
    path = folder / f"{name}.yaml"
    path.write_text(
        "version: 1\nname: mock\ninstruments:\n  chip:\n    driver: pcm-controller\n"
        f"    address: {ADDRESS}\n    backend: '@pcm'\n"
        f"    simulated: {{model: pcm-controller, card: {card.name}, rows: 32, cols: 64, seed: 9, mode: {mode}, "
        f"threads: {threads}, state: {name}.state, limits: {{current_max: 700 uA, read_voltage_max: 1 V}}}}\n"
    )
    return path


@contextmanager
def driver(path: Path, *, over_socket: bool = False) -> Iterator[PcmController]:
    """The driver on the bench, which is closed behind it, and its file written, where nobody else holds it."""
    with open_bench(path) as bench:
        server = InstrumentServer(bench.named("chip"), 0) if over_socket else nullcontext()
        with server as served:
            address, backend = (ADDRESS, f"{path}@pcm") if served is None else (served.address, "@py")
            with PcmController.open(address, backend=backend, timeout_s=30.0) as chip:
                chip.power(True)
                chip.outputs(True)
                yield chip
                chip.power(False)


def evening(chip: PcmController, mode: Mode, seed: int) -> list[NDArray[Any]]:
    """Batches or targets, reads at every voltage, products, heat; returns what was told, times since it began."""
    control, rng = SimControl(chip), np.random.default_rng(seed)
    cells = np.arange(chip.geometry().cells, dtype=np.uint32)
    chip.ask(["SYST:WDOG 0", "SYST:LOCK:OWN?"])  # it would end the evening after ten minutes of silence
    begun_ns = chip.clock_ns()
    told: list[NDArray[Any]] = []
    for kelvin in (400.0, 400.0, 330.0, 300.0):
        control.temperature_k = kelvin
        some = np.sort(rng.permutation(cells)[: rng.integers(cells.size // 2, cells.size)])
        if mode == "target-shortcut":
            control.place(some, rng.uniform(0.0, 25e-6, some.size).astype(np.float32))
        else:
            amplitude_a = rng.uniform(0.0, 460e-6, some.size)
            amplitude_a[::200] = 650e-6
            count = int(rng.integers(1, 20))
            chip.program(Batch(chip.next_batch_id(), some, PULSE, amplitude_a.astype(np.float32), count))
            chip.wait(60.0)
            told.append(chip.pulse_times_ns() - np.uint64(begun_ns))
        for voltage_v, samples, wait_s in ((0.2, 1, 1e-3), (0.35, 70, 7e3), (0.2, 3, 4e4), (0.9, 1, 1.0)):
            control.advance(wait_s)
            reading = chip.read(some[:: 1 + (voltage_v > 0.5)], ReadSetup(voltage_v, samples))
            assert reading.t_ns is not None
            told += [reading.g_s, reading.flags, reading.t_ns - np.uint64(begun_ns)]
        inputs = rng.integers(-127, 128, (5, 20)).astype(np.int8)
        told.append(chip.multiply(Rectangle(0, 3, 8, 20, 30), inputs, ReadSetup()).current_a)
    told += [control.truth_s(cells), control.health(cells), control.pulses(cells)]
    return told


def assert_same(got: list[NDArray[Any]], expected: list[NDArray[Any]]) -> None:
    assert len(got) == len(expected)
    for number, (a, b) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=f"answer {number}")


def assert_same_chip(one: Path, other: Path) -> None:
    """All that two state files hold, but the counter of boots."""
    with np.load(one.with_suffix(".state")) as a, np.load(other.with_suffix(".state")) as b:
        names = {name for name in a.files if name != "chip.json"}
        assert names == {name for name in b.files if name != "chip.json"}
        assert "heat" in names
        for name in names:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        kept = [json.loads(archive["chip.json"])["board"] for archive in (a, b)]
    assert kept[0].pop("boots") >= 1
    kept[1].pop("boots")
    assert kept[0] == kept[1]


@pytest.mark.parametrize("mode", STORIES)
def test_in_process_and_over_the_socket_the_same_is_told(mode: Mode, tmp_path: Path) -> None:
    told, paths = [], []
    for name, over_socket in (("process", False), ("socket", True)):
        paths.append(bench_file(tmp_path, name, mode, threads=1 + over_socket))
        with driver(paths[-1], over_socket=over_socket) as chip:
            told.append(evening(chip, mode, 1))
    assert_same(*told)
    assert_same_chip(*paths)


@pytest.mark.parametrize("mode", STORIES)
def test_a_board_closed_and_opened_again_goes_on_as_if_it_had_not_been(mode: Mode, tmp_path: Path) -> None:
    told, paths = [], []
    for name in ("unbroken", "resumed"):
        path = bench_file(tmp_path, name, mode)
        paths.append(path)
        # Whoever holds the bench keeps the board alive while its driver comes and goes.
        with open_bench(path) if name == "unbroken" else nullcontext():
            lives = []
            for seed in (1, 2):  # eight batches: ids of one digit, since a longer message takes longer
                with driver(path) as chip:
                    lives += evening(chip, mode, seed)
            told.append(lives)
    assert_same(*told)
    assert_same_chip(*paths)
