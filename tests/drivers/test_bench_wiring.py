"""The wiring lines of a bench file: what they mean, and what is wrong with those that mean nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from bench_world import HEAD

from drivers.bench import BenchError, load_bench
from drivers.bench_wiring import Route, Wiring

CHIPS = """\
  chip: {driver: discrete, rows: 8, cols: 8, smu: smu.a, pulser: pulser.1}
  gated: {driver: discrete, rows: 4, cols: 2, access: transistor, smu: smu.b, pulser: pulser.1}
  board: {driver: pcm-controller, address: "TCPIP0::board::5025::SOCKET"}
  stage: {driver: lakeshore-336, address: "GPIB0::12::INSTR"}
  analyser: {driver: keysight-b1500a, address: "GPIB0::17::INSTR"}
  station: {driver: keithley-4200a, address: "TCPIP0::station::1225::SOCKET"}
"""


def wired(folder: Path, *lines: str) -> Wiring:
    path = folder / "bench.yaml"
    path.write_text(f"{HEAD}{CHIPS}wiring: {json.dumps(lines)}\n")
    return load_bench(path).connections


def problems(folder: Path, *lines: str) -> Sequence[str]:
    with pytest.raises(BenchError) as caught:
        wired(folder, *lines)
    return caught.value.problems


PROBE = (
    "smu.a -- matrix.A",
    "pulser.1 -- 3.3 kOhm -- matrix.B",
    "matrix.[1:64] -- 50 Ohm -- chip.top[0:63]",
    "chip.bottom -- ground",
    "scope.1 -- pulser.1",
)


def test_ranges_are_wired_pairwise(tmp_path: Path) -> None:
    wiring = wired(tmp_path, *PROBE)
    assert wiring.neighbours("matrix.8") == (("chip.top7", 50.0),)
    assert wiring.neighbours("chip.top63") == (("matrix.64", 50.0),)
    assert set(wiring.neighbours("pulser.1")) == {("matrix.B", 3300.0), ("scope.1", 0.0)}
    assert wiring.neighbours("chip.bottom") == (("ground", 0.0),)
    assert wiring.neighbours("smu.b") == ()
    assert {"chip.top0", "ground", "scope.1"} < wiring.nodes


def test_rows_of_a_matrix_are_a_range_of_letters(tmp_path: Path) -> None:
    wiring = wired(tmp_path, "scope.[1:4] -- matrix.[C:F]", "matrix.[13:16] -- gated.wl[0:3]")
    assert wiring.neighbours("scope.4") == (("matrix.F", 0.0),)
    assert wiring.neighbours("gated.wl3") == (("matrix.16", 0.0),)


def test_one_side_may_be_ground_for_all(tmp_path: Path) -> None:
    wiring = wired(tmp_path, "chip.top[0:7] -- 1 MOhm -- ground")
    assert {ohm for node in range(8) for _, ohm in wiring.neighbours(f"chip.top{node}")} == {1e6}


def test_a_line_may_go_on(tmp_path: Path) -> None:
    wiring = wired(tmp_path, "smu.a -- 1 kOhm -- scope.1 -- 2 kOhm -- ground")
    assert wiring.series_ohm("smu.a", "ground") == 3000.0
    assert [wire.b for wire in wiring.path("smu.a", "ground") or ()] == ["scope.1", "ground"]


def test_paths_lead_through_resistors_but_neither_through_relays_nor_through_ground(tmp_path: Path) -> None:
    wiring = wired(tmp_path, *PROBE, "gate.a -- ground", "scope.2 -- gate.a")
    assert wiring.series_ohm("scope.1", "matrix.B") == 3300.0
    assert wiring.path("scope.1", "matrix.A") is None
    assert wiring.series_ohm("smu.a", "chip.top0") is None
    assert wiring.path("chip.bottom", "gate.a") is None
    assert wiring.series_ohm("scope.2", "ground") == 0.0
    assert [wire.a for wire in wiring.path("ground", "scope.2") or ()] == ["gate.a", "scope.2"]
    assert wiring.path("smu.a", "smu.a") == ()


def test_the_path_of_least_resistance_is_taken(tmp_path: Path) -> None:
    wiring = wired(
        tmp_path, "smu.a -- 10 kOhm -- scope.1", "smu.a -- 1 kOhm -- scope.2", "scope.2 -- 2 kOhm -- scope.1"
    )
    assert wiring.series_ohm("smu.a", "scope.1") == 3000.0
    assert len(wiring.path("smu.a", "scope.1") or ()) == 2


def test_routes_name_the_relay_and_what_lies_on_the_way(tmp_path: Path) -> None:
    wiring = wired(tmp_path, *PROBE)
    assert wiring.matrix_line("matrix.A") == ("row", "A")
    assert wiring.matrix_line("matrix.7") == ("column", 7)
    assert wiring.matrix_line("smu.a") is None
    assert wiring.routes("smu.a", "chip.top7", "matrix") == (Route(frozenset({("A", 8)}), 50.0),)
    assert wiring.routes("chip.top7", "pulser.1", "matrix") == (Route(frozenset({("B", 8)}), 3350.0),)
    assert wiring.routes("smu.a", "pulser.1", "matrix") == ()
    assert wiring.routes("smu.a", "gate.a", "matrix") == ()


def test_channels_of_every_kind_of_instrument_are_known(tmp_path: Path) -> None:
    lines = [
        f"{socket} -- ground"
        for socket in (
            "analyser.1",
            "analyser.501",
            "analyser.1002",
            "station.smu1",
            "station.pmu1_2",
            "gate.b",
        )
    ]
    assert len(wired(tmp_path, *lines).wires) == 6


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("smu.a", "a wire looks like"),
        ("smu.a -- ", "a wire looks like"),
        ("smu.a -- smu.a", "smu.a is wired to itself"),
        ("ground -- ground", "ground is wired to itself"),
        ("sum.a -- ground", "there is no instrument 'sum'; there are smu, gate"),
        ("smu.c -- ground", "keithley-2600 has no such channel; it has a or b"),
        ("pulser.3 -- ground", "keysight-81160a has no such channel"),
        ("analyser.11 -- ground", "slots 1 to 10"),
        ("matrix.I -- ground", "rows A to H"),
        ("matrix.0 -- ground", "columns from 1"),
        ("stage.A -- ground", "names its input as thermometer"),
        ("board.1 -- ground", "its board reaches the cells"),
        ("chip.top64 -- ground", "top0 .. top63 and bottom"),
        ("chip.top07 -- ground", "there is no such contact"),
        ("chip.wl0 -- ground", "there is no such contact"),
        ("gated.top0 -- ground", "wl0 .. wl3, bl0 .. bl1 and sl"),
        ("gated.bl2 -- ground", "there is no such contact"),
        ("matrix.[1:4] -- chip.top[0:4]", "4 sockets cannot be wired pairwise to 5"),
        ("smu.a -- chip.top[0:3]", "1 sockets cannot be wired pairwise to 4"),
        ("matrix.[4:1] -- ground", "a range goes upwards"),
        ("matrix.[A:3] -- ground", "from number to number"),
        ("smu.a -- 3.3 kV -- ground", "neither a socket"),
        ("smu.a -- 0 Ohm -- ground", "above 0 Ohm"),
        ("smu.a -- -5 Ohm -- ground", "above 0 Ohm"),
        ("smu.a -- 100 pF -- ground", "neither a socket"),
        ("smu.a -- 1 kOhm -- 2 kOhm -- ground", "is no socket"),
        ("smu.a -- 1 kOhm", "ends at a socket"),
        ("1 kOhm -- smu.a", "is no socket"),
    ],
)
def test_what_is_wrong_is_said_and_the_line_quoted(tmp_path: Path, line: str, said: str) -> None:
    (problem,) = problems(tmp_path, line)
    assert problem.startswith(f"wiring: {line!r}: ")
    assert said in problem


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path, "smu.c -- ground", "smu.a -- ground", "ground -- 1 kOhm -- smu.a", "x.y -- smu.b"
    )
    assert len(found) == 3
    assert "connected already by 'smu.a -- ground'" in found[1]
