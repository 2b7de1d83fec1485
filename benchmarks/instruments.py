"""What a query to a simulated bench instrument costs: through our link and through plain PyVISA, on one backend.

Both ask the same twin the same question, in turns, so that a busy machine slows both alike; the servers are asked
over the loopback interface.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyvisa

from drivers.message_link import MessageLink
from drivers.simulated.hislip import HislipServer
from drivers.simulated.registry import open_bench
from drivers.simulated.server import InstrumentServer

ADDRESS = "GPIB0::12::INSTR"
BENCH = f"""\
version: 1
name: benchmark
instruments:
  stage:
    {{driver: lakeshore-336, address: "{ADDRESS}", backend: "@pcm", simulated: {{model: lakeshore-336}}}}
"""
QUERIES = 2000
QUESTION = "*IDN?"


def query_s(ask: Callable[[str], str]) -> float:
    start = time.perf_counter()
    for _ in range(QUERIES):
        ask(QUESTION)
    return (time.perf_counter() - start) / QUERIES


def main(repeat: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(BENCH, "utf-8")
        with open_bench(path) as bench:
            found = measure(path, repeat)
            port = bench.twins["stage"]
            with HislipServer(port, 0) as hislip, InstrumentServer(port, 0) as server:
                found["hislip_us"] = served_us(hislip.address, repeat)
                found["socket_us"] = served_us(server.address, repeat)
    print(json.dumps(found))


def measure(path: Path, repeat: int) -> dict[str, float]:
    link = MessageLink(ADDRESS, backend=f"{path}@pcm")
    manager = pyvisa.ResourceManager(f"{path}@pcm")
    bare = manager.open_resource(ADDRESS, read_termination="\n", write_termination="\n")
    ours, theirs = [], []
    for _ in range(1 + repeat):
        theirs.append(query_s(bare.query))
        ours.append(query_s(link.query))
    ratios = [a / b for a, b in zip(ours[1:], theirs[1:], strict=True)]
    bare.close()
    link.close()
    return {
        "pyvisa_query_us": 1e6 * statistics.median(theirs[1:]),
        "link_query_us": 1e6 * statistics.median(ours[1:]),
        "link_query_ratio": statistics.median(ratios),
    }


def served_us(address: str, repeat: int) -> float:
    link = MessageLink(address)
    taken = [query_s(link.query) for _ in range(1 + repeat)]
    link.close()
    return 1e6 * statistics.median(taken[1:])


if __name__ == "__main__":
    main(int(sys.argv[1]))
