"""The report of a probe station: scope traces, I-V curves and staircases of single cells."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_run import G_MAX_S, fake_run

from labkit.report import write_report
from labkit.runs import Run

LOAD_OHM = 3300.0
HOLDING_V, ON_OHM, THRESHOLD_V = 0.4, 1000.0, 0.9


def pulse(kind: str, number: int, top_v: float, fall_s: float) -> pd.DataFrame:
    """A pulse into an amorphous cell that switches where it reaches its threshold."""
    t_s = np.linspace(-20e-9, 400e-9, 421)
    source_v = np.interp(
        t_s, [0.0, 5e-9, 50e-9, 50e-9 + fall_s], [0.0, top_v, top_v, 0.0], left=0.0, right=0.0
    )
    on = np.logical_or.accumulate(source_v > THRESHOLD_V) & (source_v > HOLDING_V)
    current_a = np.where(on, (source_v - HOLDING_V) / (LOAD_OHM + ON_OHM), 1e-9 * source_v)
    return pd.DataFrame(
        {
            "trace": number,
            "kind": kind,
            "t_s": t_s,
            "source_v": source_v,
            "cell_v": source_v - LOAD_OHM * current_a,
            "current_a": current_a,
        }
    )


def tables() -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:
    volts = np.linspace(0.0, 0.5, 26)
    curves = [
        pd.DataFrame(
            {"cell": cell, "voltage_v": volts, "current_a": cell * 1e-6 * volts, "limited": volts > 0.45}
        )
        for cell in range(1, 9)
    ]
    amperes = np.linspace(50e-6, 450e-6, 17)
    steps = [
        pd.DataFrame(
            {"cell": cell, "amplitude_a": amperes, "g_s": G_MAX_S / (1 + np.exp((amperes - 250e-6) / 3e-5))}
        )
        for cell in range(4)
    ]
    return {
        "traces": (
            pd.concat([pulse("RESET", 0, 2.3, 5e-9), pulse("SET", 1, 1.3, 300e-9)]),
            {"series_ohm": LOAD_OHM},
        ),
        "current_voltage": (pd.concat(curves), {}),
        "staircase": (pd.concat(steps), {}),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = fake_run(tmp_path_factory.mktemp("probe") / "run", cells=64, rows=8, cols=8, images=False)
    for name, (frame, metadata) in tables().items():
        made.write_table(name, frame, metadata=metadata)
    return made


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return write_report(run).read_text()


def svg_of(page: str, title: str) -> ET.Element:
    figure = page[page.index(f">{title}<") if f">{title}<" in page else page.index(title) :]
    return ET.fromstring(figure[figure.index("<svg") : figure.index("</svg>") + 6])  # noqa: S314 - ours


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Pulses on the oscilloscope", ("RESET", "SET", "time (ns)", "current (µA)", "voltage (V)")),
        ("Current over voltage", ("I-V of 8 cells", "current (A)")),
        ("Conductance over RESET amplitude", ("median", "amplitude of the RESET pulse (µA)")),
        ("Every cell", ("target (µS)", "Drift")),
    ],
)
def test_each_measurement_has_its_figure(page: str, title: str, words: tuple[str, ...]) -> None:
    text = "".join(svg_of(page, title).itertext())
    for word in words:
        assert word in text


def test_the_caption_names_the_load(page: str) -> None:
    assert "2 pulses as the oscilloscope recorded them on both sides of the load resistor of 3300 Ω" in page


def test_a_run_of_the_array_has_none_of_them(tmp_path: Path) -> None:
    page = write_report(fake_run(tmp_path / "run", cells=2000, rows=64, cols=64, images=False)).read_text()
    assert "oscilloscope" not in page
    assert "Every cell" not in page
