"""The command as a process of its own, and small benches for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

BENCH = """\
version: 1
name: small bench
instruments:
  chip:
    driver: pcm-controller
    address: TCPIP0::pcm-mock::5025::SOCKET
    backend: "@pcm"
    simulated:
      model: pcm-controller
      card: ibm90
      rows: 64
      cols: 64
      seed: 1
      state: chip.state
envelope: {current_max: 460 uA, width_max: 1 ms, read_voltage_max: 0.3 V, pulses_per_cell_max: 1000}
"""
COMMAND = [sys.executable, "-m", "labkit.cli"]


def environment(**changes: str) -> dict[str, str]:
    return {
        **os.environ,
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PYTHONWARNINGS": "error",
        **changes,
    }


def labkit(*words: object, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *(str(word) for word in words)],
        check=False,
        cwd=cwd,
        env=environment(),
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one object on stdout of a command that went well."""
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def refused(done: subprocess.CompletedProcess[str], status: int, *words: str) -> str:
    """The one line on stderr of a command that failed, which must contain these words."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("labkit: ")
    for word in words:
        assert word in lines[0]
    return lines[0]


def write_bench(folder: Path, *changes: tuple[str, str], name: str = "bench.yaml") -> Path:
    text = BENCH
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def write_weights(folder: Path, name: str = "weights.npz", **layers: Any) -> Path:
    rng = np.random.default_rng(3)
    path = folder / name
    np.savez(
        path, **(layers or {"layer1": rng.normal(0, 0.3, (20, 12)), "layer2": rng.normal(0, 0.3, (13, 4))})
    )
    return path
