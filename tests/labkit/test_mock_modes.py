"""Modes of the mock in a bench file: target-shortcut, effects off, strict, and limits lifted on purpose."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest

from calibration import DeviceCard
from drivers.bench import BenchError
from drivers.chip import Batch, Pulse, ReadSetup
from drivers.errors import BatchRefused, InstrumentError
from drivers.products import Rectangle
from drivers.sim_control import SimControl
from labkit import Station, open_station

CELLS = np.arange(2048, dtype=np.uint32)
RESET = Pulse(rise_s=5e-9, top_s=45e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)


def station(folder: Path, extra: str = "", envelope: str = "", card: str = "ibm90") -> Station:
    path = folder / "bench.yaml"
    path.write_text(
        "version: 1\nname: mock\ninstruments:\n  chip:\n    driver: pcm-controller\n"
        "    address: TCPIP0::pcm-mock::5025::SOCKET\n    backend: '@pcm'\n"
        f"    simulated: {{model: pcm-controller, card: {card}, rows: 8, cols: 256, seed: 3, {extra}}}\n"
        f"envelope: {{{envelope}}}\n"
    )
    return open_station(path)


def control(opened: Station) -> SimControl:
    assert opened.simulation is not None
    return opened.simulation


def batch(opened: Station, amplitude_a: float, pulse: Pulse = RESET) -> Batch:
    amplitude = np.full(CELLS.size, amplitude_a, np.float32)
    return Batch(opened.chip.next_batch_id(), CELLS, pulse, amplitude)


def test_target_shortcut_places_cells_within_the_published_error(tmp_path: Path) -> None:
    law = DeviceCard.load("ibm90").programming_error
    with station(
        tmp_path, "mode: target-shortcut, without: [read_noise, telegraph_noise, columns, lines]"
    ) as opened:
        opened.energise()
        control(opened).place(CELLS, np.full(CELLS.size, 10e-6, np.float32))
        opened.clock.advance(20.0)
        g_s = opened.chip.read(CELLS, ReadSetup(samples=64)).g_s.astype(float)
        works = control(opened).health(CELLS) == 0
        # 2,048 cells: a spread is known to 1.6 %, here 4 standard errors
        assert (g_s[works] - 10e-6).std() == pytest.approx(float(law.sigma_s(0.4)), rel=0.065)
        assert g_s[works].mean() == pytest.approx(10e-6, rel=0.01)
        control(opened).place(CELLS[:1000], np.zeros(1000, np.float32))
        opened.clock.advance(20.0)
        g_s = opened.chip.read(CELLS[:1000], ReadSetup(samples=64)).g_s
        assert np.median(g_s[works[:1000]]) == pytest.approx(0.1e-6, rel=0.15)


def test_modes_exclude_each_other(tmp_path: Path) -> None:
    with station(tmp_path, "mode: target-shortcut") as opened:
        opened.energise()
        with pytest.raises(BatchRefused, match="target-shortcut knows no pulses"):
            opened.chip.program(batch(opened, 4e-4))
        assert not control(opened).pulses(CELLS).any()
    with station(tmp_path) as opened:
        opened.energise()
        with pytest.raises(InstrumentError, match="cannot be placed"):
            control(opened).place(CELLS, np.full(CELLS.size, 1e-6, np.float32))


@pytest.mark.parametrize(
    ("targets_s", "message"),
    [(np.full(2048, -1e-6, np.float32), "-222"), (np.ones(3, np.float32), "one per cell")],
)
def test_targets_that_cannot_be(tmp_path: Path, targets_s: np.ndarray, message: str) -> None:
    with station(tmp_path, "mode: target-shortcut") as opened:
        opened.energise()
        with pytest.raises(InstrumentError, match=message):
            control(opened).place(CELLS, targets_s)


def test_a_device_without_pulse_laws_works_at_the_target_level(tmp_path: Path) -> None:
    with station(tmp_path, "mode: target-shortcut", card="hermes14") as opened:
        opened.energise()
        control(opened).place(CELLS, np.full(CELLS.size, 5e-6, np.float32))
        opened.clock.advance(200.0)
        assert opened.chip.read(CELLS, ReadSetup()).g_s.mean() == pytest.approx(5e-6, rel=0.05)


def test_with_everything_off_a_read_is_the_truth(tmp_path: Path) -> None:
    with station(tmp_path, "without: all") as opened:
        opened.energise()
        opened.chip.program(batch(opened, 300e-6))
        opened.chip.wait(10.0)
        opened.clock.advance(1e6)
        g_s = opened.chip.read(CELLS, ReadSetup()).g_s
        np.testing.assert_allclose(g_s, control(opened).truth_s(CELLS), rtol=1e-4)
        assert np.ptp(g_s) < 1e-10


def test_without_a_converter_every_current_has_its_range(tmp_path: Path) -> None:
    with station(tmp_path, "without: [converter, columns, faults]") as opened:
        opened.energise()
        amplitude = np.linspace(230e-6, 450e-6, CELLS.size, dtype=np.float32)
        opened.chip.program(Batch(opened.chip.next_batch_id(), CELLS, RESET, amplitude))
        opened.chip.wait(10.0)
        assert np.isfinite(opened.chip.read(CELLS, ReadSetup()).g_s).all()


def test_products_switch_what_their_voltage_switches(tmp_path: Path) -> None:
    lifted = "limits: {current_max: 1 mA, read_voltage_max: 1.6 V}"
    with station(tmp_path, lifted, "read_voltage_max: 1.6 V") as opened:
        opened.energise()
        opened.chip.program(batch(opened, 450e-6))
        opened.chip.wait(10.0)
        opened.chip.multiply(
            Rectangle(0, 0, 0, 8, 256), np.full((1, 8), 127, np.int8), ReadSetup(voltage_v=1.6)
        )
        assert (control(opened).health(CELLS) == 8).mean() > 0.98


def test_effects_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"without.*drfit: no such effect; there are all,.*drift"):
        station(tmp_path, "without: [drfit]")


def test_leaving_the_card_is_said_once_with_cells_and_range(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "labkit.mock"), station(tmp_path) as opened:
        opened.energise()
        for _ in range(3):
            opened.chip.program(batch(opened, 300e-6))
            opened.chip.wait(10.0)
            opened.clock.advance(2.0)
            opened.chip.read(CELLS, ReadSetup())
    ages = [record.getMessage() for record in caplog.records if "age" in record.getMessage()]
    assert len(ages) == 1
    told = re.search(r"drift at age 2\S* s \((\d+) cells; valid 20 \.\. 1e\+05 s\)", ages[0])
    assert told is not None
    assert int(told[1]) == pytest.approx(2048, abs=10)  # but for stuck ones


def test_strict_refuses_what_leaves_the_card(tmp_path: Path) -> None:
    with station(tmp_path, "strict: true, without: [faults, device_spread, cycle_spread]") as opened:
        opened.energise()
        opened.chip.program(batch(opened, 300e-6))
        opened.chip.wait(10.0)
        opened.clock.advance(2.0)
        with pytest.raises(InstrumentError, match=r"-221.*drift at age 2\S* s \(2048 cells; valid 20"):
            opened.chip.read(CELLS, ReadSetup())
        opened.clock.advance(30.0)
        assert np.isfinite(opened.chip.read(CELLS, ReadSetup()).g_s).all()
        control(opened).temperature_k = 380.0
        with pytest.raises(BatchRefused, match=r"-221.*temperature 380 K \(2048 cells; valid 295"):
            opened.chip.program(batch(opened, 300e-6))
        assert (control(opened).pulses(CELLS) == 1).all()


def test_with_the_envelope_lifted_cells_die_and_the_counters_show_it(tmp_path: Path) -> None:
    lifted = "limits: {current_max: 1 mA, read_voltage_max: 1.6 V}"
    envelope = "current_max: 1 mA, read_voltage_max: 1.6 V"
    with station(tmp_path, lifted, envelope) as opened:
        opened.energise()
        opened.chip.program(batch(opened, 450e-6))
        opened.chip.wait(10.0)
        opened.clock.advance(30.0)
        opened.chip.read(CELLS, ReadSetup(voltage_v=1.6))
        health = control(opened).health(CELLS)
        assert (health == 8).mean() > 0.98  # all but the stuck and what never became amorphous
        assert np.median(opened.chip.read(CELLS, ReadSetup()).g_s) > 15e-6
        opened.chip.program(batch(opened, 900e-6, Pulse(5e-9, 45e-9, 5e-9, 1e-6, full_scale=900e-6)))
        opened.chip.wait(10.0)
        works = (health & 7) == 0
        assert (control(opened).health(CELLS)[works] == 3).all()
        assert (opened.chip.cycles(CELLS) == 2).all()
        dead = opened.chip.read(CELLS, ReadSetup()).g_s[works]
        assert np.median(np.abs(dead)) < 0.2e-6


def test_a_simulated_year_passes_in_one_call(tmp_path: Path) -> None:
    with station(tmp_path) as opened:
        opened.energise()
        opened.chip.program(batch(opened, 300e-6))
        opened.chip.wait(10.0)
        opened.chip.outputs(False)
        opened.chip.power(False)
        before = opened.chip.messages()
        control(opened).advance(31_536_000.0)
        assert opened.chip.messages() - before == 1
        opened.energise()
        assert np.isfinite(opened.chip.read(CELLS, ReadSetup()).g_s).all()
