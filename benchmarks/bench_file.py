"""Bench files for the measurements, and the served mock."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logging.getLogger("labkit.mock").setLevel(
    logging.ERROR
)  # verify reads are younger than what the card was fitted to

BENCH = """\
version: 1
name: benchmark
instruments:
  chip:
    driver: pcm-controller
    address: {address}
    backend: "{backend}"
    simulated: {{model: pcm-controller, card: ibm90, rows: {rows}, cols: {cols}, seed: 2020}}
"""


def write_bench(
    folder: Path,
    rows: int,
    cols: int,
    *,
    address: str = "TCPIP0::pcm-mock::5025::SOCKET",
    backend: str = "@pcm",
) -> Path:
    """A bench with one chip in memory, reached in process or at an address."""
    path = folder / f"bench-{rows}x{cols}-{backend[1:]}.yaml"
    path.write_text(BENCH.format(address=address, backend=backend, rows=rows, cols=cols))
    return path


@contextmanager
def served(folder: Path, rows: int, cols: int) -> Iterator[tuple[Path, int]]:
    """A mock in a process of its own: the bench file that reaches it over the socket, and its process id."""
    bench = write_bench(folder, rows, cols)
    command = [sys.executable, "-m", "labkit.cli", "simulate", str(bench), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            address = None
            while address is None:
                text = server.stdout.readline()
                if not text:
                    raise RuntimeError(f"{' '.join(command)} ended with {server.wait()}")
                address = re.search(r"TCPIP0::[^\s]+::SOCKET", text)
            yield write_bench(folder, rows, cols, address=address[0], backend="@py"), server.pid
        finally:
            server.terminate()
            server.stdout.read()
