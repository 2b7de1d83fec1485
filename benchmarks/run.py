"""Measure what labkit promises to be fast at, and say beside each figure what it should be.

    python benchmarks/run.py                 every figure, median of 5
    python benchmarks/run.py kernels help    only these
    python benchmarks/run.py --json          one object, for scripts

Ratios compare things timed in the same run; seconds are those of this machine, so a busy machine shows. Every
subject runs in a process of its own, after a warm-up that compiles the kernels.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Goal:
    """A figure, and what it should be: at most, or at least."""

    key: str
    what: str
    unit: str
    most: float | None = None
    least: float | None = None

    def met(self, value: float) -> bool | None:
        if self.most is None and self.least is None:
            return None
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def wanted(self) -> str:
        if self.most is not None:
            return f"<= {self.most:g}"
        return "" if self.least is None else f">= {self.least:g}"


SUBJECTS: dict[str, tuple[str, list[Goal]]] = {
    "kernels": (
        "kernels.py",
        [
            Goal("alone_cells_per_s", "pulse + read of cells alone, one thread", "M cells/s", least=20.0),
            Goal("preset_cells_per_s", "  of the preset ibm90, array and all", "M cells/s"),
            Goal("pulse_ns", "    pulse", "ns/cell"),
            Goal("read_ns", "    read", "ns/cell"),
            Goal(
                "everything_cells_per_s", "  with every effect on, hot, off voltage", "M cells/s", least=10.0
            ),
        ],
    ),
    "target": (
        "target_level.py",
        [
            Goal("target_level_1m_ns", "target level: program, drift, read 1e6", "ns/cell"),
            Goal("aihwkit_1m_ns", "  aihwkit's PCM model, same run", "ns/cell"),
            Goal("target_level_1m_ratio", "    which takes", "x as long", least=5.0),
            Goal("target_level_10m_ns", "target level: program, drift, read 1e7", "ns/cell"),
            Goal("aihwkit_10m_ns", "  aihwkit's PCM model, same run", "ns/cell"),
            Goal("target_level_10m_ratio", "    which takes", "x as long", least=5.0),
        ],
    ),
    "program": (
        "programming.py",
        [
            Goal("in_process_s", "1,048,576 cells x 20 passes, in process", "s", most=3.0),
            Goal("protocol_share", "  of which protocol, driver and controller", "of all", most=0.5),
            Goal("silicon_share", "  of which cells", "of all"),
            Goal("socket_ratio", "the same over the raw socket", "x in process", most=2.0),
            Goal("messages_per_pass", "messages per pass", ""),
            Goal("messages_spread", "  the same for 4,096 cells, difference", "", most=0.0),
        ],
    ),
    "multiply": (
        "multiply.py",
        [
            Goal("products_per_s", "512 x 512 products, preset ibm90, in process", "1/s", least=2000.0),
            Goal("numpy_products_per_s", "  the same in plain numpy, float32, same run", "1/s"),
            Goal("product_ratio", "  time of one over the other", "x numpy"),
            Goal("single_product_s", "one vector alone", "s"),
        ],
    ),
    "memory": (
        "memory.py",
        [Goal("bytes_per_cell", "memory of the board with its chip", "B/cell", most=250.0)],
    ),
    "scale": (
        "scale.py",
        [
            Goal("ns_64", "pulse + read, 64 cells", "ns/cell"),
            Goal("ns_1M", "  1,048,576 cells", "ns/cell"),
            Goal("ns_10M", "  10,485,760 cells", "ns/cell"),
            Goal("size_ratio", "  time per cell, the last over the one before", "x", most=1.2),
            Goal("two_threads", "  the last on two threads, speed", "x one", least=1.6),
            Goal("two_spinning", "    two threads that share nothing, same run", "x one"),
            Goal("serial_share", "    share of the work outside of the threads", "of all", most=0.1),
            Goal("state_bytes_1M", "memory of the cells, 1,048,576 of them", "B/cell", most=200.0),
            Goal("state_bytes_10M", "  10,485,760 of them", "B/cell", most=200.0),
            Goal("program_bytes", "largest memory while programming them, all in all", "B/cell", most=600.0),
            Goal("year_s", "clock: a year of chip time in one call", "s"),
            Goal("year_ratio", "  the same over a second of chip time", "x", most=1.5),
        ],
    ),
    "instruments": (
        "instruments.py",
        [
            Goal("pyvisa_query_us", "query to a bench instrument, in process, plain pyvisa", "us"),
            Goal("link_query_us", "  through our link, same run", "us"),
            Goal("link_query_ratio", "    which takes", "x as long", most=2.0),
            Goal("socket_us", "  through our link over the raw socket", "us"),
            Goal("hislip_us", "  through our link over HiSLIP", "us"),
        ],
    ),
    "help": ("startup.py", [Goal("help_s", "labkit --help", "s", most=0.5)]),
    "demo": ("demo.py", [Goal("demo_s", "labkit demo", "s", most=60.0)]),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure labkit.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"any of {', '.join(SUBJECTS)}")
    parser.add_argument("--repeat", type=int, default=5, help="of which the median is taken (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    wanted = parser.parse_args()
    if unknown := set(wanted.subjects) - set(SUBJECTS):
        parser.error(f"there is no subject {', '.join(sorted(unknown))}; there are {', '.join(SUBJECTS)}")
    figures: dict[str, float] = {}
    missed = []
    if not wanted.json:
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, median of {wanted.repeat}\n"
        )
    for name in wanted.subjects or SUBJECTS:
        script, goals = SUBJECTS[name]
        found = measure(script, wanted.repeat)
        figures |= found
        for goal in goals:
            value = found.get(goal.key)
            if value is not None and goal.met(value) is False:
                missed.append(goal.key)
            if not wanted.json:
                print(line(goal, value), flush=True)
    if wanted.json:
        print(json.dumps({"repeat": wanted.repeat, "figures": figures, "missed": missed}))
    elif missed:
        print(f"\nnot reached: {', '.join(missed)}")
    return 1 if missed else 0


def measure(script: str, repeat: int) -> dict[str, float]:
    """Run one subject; it prints a JSON object as its last line."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), str(repeat)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(goal: Goal, value: float | None) -> str:
    if value is None:
        return f"{goal.what:52} {'not installed':>12}"
    verdict = {True: "ok", False: "MISSED", None: ""}[goal.met(value)]
    return f"{goal.what:52} {value:12.4g} {goal.unit:14} {goal.wanted():8} {verdict}"


if __name__ == "__main__":
    sys.exit(main())
