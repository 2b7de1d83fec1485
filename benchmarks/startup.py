"""How long ``labkit --help`` takes, from process start to its last line."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time


def main(repeat: int) -> None:
    taken = []
    for _ in range(1 + repeat):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "labkit.cli", "--help"], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - start)
    print(json.dumps({"help_s": statistics.median(taken[1:])}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
