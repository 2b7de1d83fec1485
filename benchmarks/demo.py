"""How long ``labkit demo`` takes, report included."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(repeat: int) -> None:
    taken = []
    with tempfile.TemporaryDirectory() as name:
        for turn in range(repeat):
            start = time.perf_counter()
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "labkit.cli",
                    "demo",
                    "--no-open",
                    "--out",
                    str(Path(name) / f"{turn}"),
                ],
                stdout=subprocess.DEVNULL,
                check=True,
            )
            taken.append(time.perf_counter() - start)
    print(json.dumps({"demo_s": statistics.median(taken)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
