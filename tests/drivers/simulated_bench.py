"""A bench file's worth of simulated boards around fake chips, under any path."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_chip import FakeState, make_board

from drivers.simulated import registry

SOCKET = "TCPIP0::pcm-mock::5025::SOCKET"
INSTR = "TCPIP0::pcm-other::inst0::INSTR"


def use_fake_boards(monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[FakeState]:
    """Every bench file has two simulated controllers now; returns the states of the boards built."""
    states: list[FakeState] = []

    def load(path: Path) -> Any:
        section = SimpleNamespace(model="pcm-controller")
        instruments = {
            "chip": SimpleNamespace(address=SOCKET, timeout_s=2.0, simulated=section),
            "other": SimpleNamespace(address=INSTR, timeout_s=2.0, simulated=section),
            "meter": SimpleNamespace(address="GPIB0::3::INSTR", timeout_s=2.0, simulated=None),
        }
        return SimpleNamespace(instruments=instruments, references=None)

    def build(section: Any, path: Path, references: Any) -> Any:
        board = make_board(**options)
        states.append(board.state)  # type: ignore[arg-type]
        return board

    monkeypatch.setattr(registry, "_load", load)
    monkeypatch.setitem(registry.MODELS, "pcm-controller", build)
    return states
