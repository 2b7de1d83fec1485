"""Limits of a simulated board and of the envelope: what both allow is done, one step beyond either pulses nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivers.chip import Batch, Drive, Pulse, ReadSetup
from drivers.errors import BatchRefused, InstrumentError
from labkit import EnvelopeExceeded, Station, open_station

CELLS = np.arange(256, dtype=np.uint32)
LIFTED = "limits: {current_max: 600 uA, voltage_max: 5 V, read_voltage_max: 0.7 V}"


def station(folder: Path, limits: str, envelope: str) -> Station:
    path = folder / "bench.yaml"
    path.write_text(
        "version: 1\nname: mock\ninstruments:\n  chip:\n    driver: pcm-controller\n"
        "    address: TCPIP0::pcm-mock::5025::SOCKET\n    backend: '@pcm'\n"
        f"    simulated: {{model: pcm-controller, card: ibm90, rows: 16, cols: 16, seed: 3, {limits}}}\n"
        f"envelope: {{{envelope}}}\n"
    )
    return open_station(path)


def batch(opened: Station, amplitude: float, drive: Drive = Drive.CURRENT) -> Batch:
    limit_a = None if drive is Drive.CURRENT else 4e-4
    pulse = Pulse(5e-9, 45e-9, 5e-9, 1e-6, full_scale=amplitude, drive=drive, limit_a=limit_a)
    return Batch(opened.chip.next_batch_id(), CELLS, pulse, np.full(256, amplitude, np.float32))


def pulses(opened: Station) -> int:
    return int(opened.chip.cycles(CELLS).sum())


def test_what_both_allow_is_done_and_one_step_beyond_is_refused_by_the_host(tmp_path: Path) -> None:
    with station(tmp_path, LIFTED, "current_max: 600 uA, read_voltage_max: 0.7 V") as opened:
        opened.energise()
        opened.chip.program(batch(opened, 600e-6))
        assert opened.chip.wait(10.0).value == "DONE"
        opened.chip.program(
            batch(opened, 5.0, Drive.VOLTAGE)
        )  # the envelope says nothing: the board's own limit
        assert opened.chip.wait(10.0).value == "DONE"
        assert pulses(opened) == 512
        reading = opened.chip.read(CELLS, ReadSetup(voltage_v=0.7))
        assert np.isfinite(reading.g_s).mean() > 0.99

        for amplitude, drive in ((600.1e-6, Drive.CURRENT), (5.001, Drive.VOLTAGE)):
            with pytest.raises(EnvelopeExceeded):
                opened.chip.program(batch(opened, amplitude, drive))
        with pytest.raises(EnvelopeExceeded):
            opened.chip.read(CELLS, ReadSetup(voltage_v=0.701))
        assert pulses(opened) == 512


@pytest.mark.parametrize(
    ("limits", "current_a", "read_v"),
    [(LIFTED, 600e-6, 0.7), ("threads: 1", 500e-6, 0.4)],
    ids=["lifted", "default"],
)
def test_the_board_refuses_what_a_wider_envelope_lets_through(
    tmp_path: Path, limits: str, current_a: float, read_v: float
) -> None:
    with station(tmp_path, limits, "current_max: 1 mA, read_voltage_max: 2 V") as opened:
        opened.energise()
        assert opened.chip.limits().current_max_a == current_a
        with pytest.raises(BatchRefused, match="-222"):
            opened.chip.program(batch(opened, current_a * 1.0001))
        with pytest.raises(InstrumentError, match="-222"):
            opened.chip.read(CELLS, ReadSetup(voltage_v=read_v + 0.001))
        assert pulses(opened) == 0
        opened.chip.program(batch(opened, current_a))
        assert opened.chip.wait(10.0).value == "DONE"
        opened.chip.read(CELLS, ReadSetup(voltage_v=read_v))
        assert pulses(opened) == 256
