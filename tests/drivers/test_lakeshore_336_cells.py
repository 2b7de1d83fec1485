"""Cells on the stage of a Lake Shore: they are as warm as its sensor says, all the way through a ramp."""

from __future__ import annotations

from pathlib import Path

import pytest
import pyvisa
from lakeshore_bench import SOCKET

from drivers.instruments.lakeshore_336 import LakeShore336
from drivers.roles import Thermometer
from drivers.simulated.registry import open_bench

SMU = "TCPIP0::smu::5025::SOCKET"
BENCH = f"""version: 1
name: t
instruments:
  tc: {{driver: lakeshore-336, address: "{SOCKET}", backend: "@pcm",
       simulated: {{model: lakeshore-336, options: {{noise_k: 0.0, accuracy_k: 0.0, base_k: 300.0}}}}}}
  smu: {{driver: keithley-2600, address: "{SMU}", backend: "@pcm", simulated: {{model: keithley-2636b}}}}
  chip: {{driver: discrete, rows: 1, cols: 1, access: none, smu: smu.a, pulser: smu.b, thermometer: tc.A,
         backend: "@pcm", simulated: {{model: pcm-cells, card: ibm90, rows: 1, cols: 1, seed: 7,
         without: [read_noise, drift]}}}}
wiring:
  - smu.a -- chip.top0
  - chip.bottom -- ground
"""


def test_a_cell_feels_the_stage(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(BENCH)
    with open_bench(path) as bench, LakeShore336.open(SOCKET, backend=f"{path}@pcm") as tc:
        world = bench.world

        def sleep(seconds: float) -> None:
            with world.lock:
                world.pass_s(seconds)

        manager = pyvisa.ResourceManager(f"{path}@pcm")
        smu = manager.open_resource(SMU, read_termination="\n", write_termination="\n")
        smu.write("smua.source.levelv = 0.1 smua.source.output = 1")
        chip = world.chips["chip"].chip

        def current_a() -> float:
            return float(smu.query("print(smua.measure.i())"))

        assert isinstance(tc.A, Thermometer)
        assert chip.temperature_k == pytest.approx(tc.A.temperature_k(), abs=2e-3) == 300.0
        cold_a = current_a()
        tc.regulate(340.0)
        seen = []
        for _ in range(10):
            sleep(10.0)
            seen.append(chip.temperature_k)
        assert seen == sorted(seen)
        tc.out1.wait_settled(
            340.0, within_k=0.1, for_s=10.0, timeout_s=3600.0, clock=lambda: world.now_ns * 1e-9, sleep=sleep
        )
        assert chip.temperature_k == pytest.approx(tc.A.temperature_k(), abs=0.02)
        warm_a = current_a()
        assert abs(warm_a / cold_a - 1.0) > 0.01  # the card's law of temperature acts on it
        tc.make_safe()
        sleep(86_400.0)
        assert chip.temperature_k == pytest.approx(300.0, abs=0.01)
        assert current_a() == pytest.approx(cold_a, rel=0.01)
        smu.close()
        manager.close()
