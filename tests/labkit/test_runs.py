"""Run directories: whole or absent, never overwritten, readable after any crash."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from labkit.errors import DiskFull, LabkitError, RunError, RunExists, RunNewer, RunUnreadable
from labkit.runs import Run

CREATED_NS = 1_767_225_600_123_456_789
ROOT = Path(__file__).resolve().parents[2]


def create(path: Path | None, **changes: Any) -> Run:
    parts: dict[str, Any] = {
        "kind": "program",
        "settings": {"g_max_s": 25e-6},
        "card": {"name": "ibm90"},
        "station": {"name": "bench"},
        "seeds": {"chip": 1},
        "inputs": {},
        "created_unix_ns": CREATED_NS,
    }
    return Run.create(path, **{**parts, **changes})


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as on a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---------------------------------------------------------------- creating and opening


def test_a_new_run_says_what_it_is(tmp_path: Path) -> None:
    run = create(tmp_path / "deep" / "run")
    manifest = Run.open(tmp_path / "deep" / "run").manifest
    assert manifest == run.manifest
    assert manifest["schema"] == "labkit-run/1"
    assert manifest["kind"] == "program"
    assert manifest["status"] == "running"
    assert manifest["created_unix_ns"] == CREATED_NS
    assert manifest["created_utc"] == "2026-01-01T00:00:00Z"
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["versions"]["python"] == sys.version.split()[0]
    assert {"labkit", "pyarrow", "numba", "platform"} <= manifest["versions"].keys()
    assert manifest["settings"] == {"g_max_s": 25e-6}
    assert files(tmp_path / "deep") == ["run", "run/manifest.json"]


def test_default_names_carry_time_and_kind_and_never_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [create(None).path for _ in range(3)]
    assert names == [
        tmp_path / "runs" / name
        for name in ("20260101T000000Z-program", "20260101T000000Z-program-2", "20260101T000000Z-program-3")
    ]


@pytest.mark.parametrize("content", [[], ["kept.txt"]])
def test_an_existing_directory_is_never_touched(tmp_path: Path, content: list[str]) -> None:
    (tmp_path / "run").mkdir()
    for name in content:
        (tmp_path / "run" / name).write_text("mine")
    with pytest.raises(RunExists, match="never overwritten"):
        create(tmp_path / "run")
    assert files(tmp_path / "run") == content
    assert os.listdir(tmp_path) == ["run"]  # noqa: PTH208 - hidden names count


def test_a_manifest_that_cannot_be_written_leaves_no_directory(tmp_path: Path) -> None:
    with room_for(100), pytest.raises(DiskFull):
        create(tmp_path / "run")
    with pytest.raises(TypeError, match="cannot hold"):
        create(tmp_path / "run", settings={"function": print})
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_takes_what_a_bench_has(tmp_path: Path) -> None:
    class Kind(StrEnum):
        RESET = "RES"

    settings = {
        "path": Path("a/b"),
        "kind": Kind.RESET,
        "float": np.float32(0.5),
        "count": np.uint64(2**63),
        "array": np.arange(3),
        "tuple": (1, 2.5),
        "nested": {1: [None, True]},
        "missing": float("nan"),
    }
    assert create(tmp_path / "run", settings=settings).manifest["settings"] == {
        "path": "a/b",
        "kind": "RES",
        "float": 0.5,
        "count": 2**63,
        "array": [0, 1, 2],
        "tuple": [1, 2.5],
        "nested": {"1": [None, True]},
        "missing": None,
    }


def test_opening_takes_the_directory_or_its_manifest(tmp_path: Path) -> None:
    create(tmp_path / "run")
    assert Run.open(tmp_path / "run" / "manifest.json").path == Run.open(str(tmp_path / "run")).path


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, RunUnreadable),
        ("", RunUnreadable),
        ('{"schema": "labkit-run/1", "kind"', RunUnreadable),
        ("[]", RunUnreadable),
        ('{"schema": "something/1", "kind": "program"}', RunUnreadable),
        ('{"schema": "labkit-run/1"}', RunUnreadable),
        ('{"schema": "labkit-run/2", "kind": "program"}', RunNewer),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(
    tmp_path: Path, text: str | None, error: type[LabkitError]
) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(error) as caught:
        Run.open(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_does_not_exist_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunUnreadable, match="no run"):
        Run.open(tmp_path / "nowhere")


# ---------------------------------------------------------------- manifest


def test_updates_keep_what_another_process_wrote(tmp_path: Path) -> None:
    ours = create(tmp_path / "run")
    theirs = Run.open(tmp_path / "run")
    theirs.update_manifest(geometry={"rows": 4})
    ours.finish("finished", cells=3)
    ours.finish("finished", passes=2)
    manifest = Run.open(tmp_path / "run").manifest
    assert manifest["geometry"] == {"rows": 4}
    assert manifest["figures"] == {"cells": 3, "passes": 2}
    assert manifest["status"] == "finished"
    assert files(tmp_path / "run") == ["manifest.json"]


def test_what_a_run_is_never_changes(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    with pytest.raises(RunError, match="created_unix_ns"):
        run.update_manifest(created_unix_ns=1)
    assert Run.open(run.path).manifest["created_unix_ns"] == CREATED_NS


def test_a_full_disk_leaves_the_old_manifest(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    before = (run.path / "manifest.json").read_bytes()
    with room_for(len(before)), pytest.raises(DiskFull, match="free some space"):
        run.update_manifest(settings={"long": "x" * 10_000})
    assert (run.path / "manifest.json").read_bytes() == before
    assert files(run.path) == ["manifest.json"]


# ---------------------------------------------------------------- tables


def test_tables_come_back_as_they_were(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    columns = {
        "cell": np.arange(5, dtype=np.uint32),
        "layer": pd.Categorical(["a", "b", "a", "a", "b"], categories=["b", "a"]),
        "g_s": np.array([1e-6, np.nan, 3e-6, -1e-8, 0.0], np.float32),
        "t_ns": np.array([0, 1, 2**64 - 1, 3, 4], np.uint64),
        "flag": np.array([0, 1, 2, 4, 8], np.uint8),
        "polarity": np.array([1, -1, 1, -1, 1], np.int8),
        "converged": np.array([True, False, True, True, False]),
        "label": ["x", "y", "z", "x", "y"],
        "age_s": np.linspace(0, 1, 5),
    }
    run.write_table("reads/0000", columns, metadata={"lsb_s": np.float64(7.6e-9)})
    frame = Run.open(run.path).table("reads/0000")
    assert list(frame) == list(columns)
    for name, values in columns.items():
        if name not in {"layer", "label"}:
            assert frame[name].dtype == values.dtype  # type: ignore[union-attr]
            np.testing.assert_array_equal(frame[name].to_numpy(), values)
    assert list(frame["layer"].cat.categories) == ["b", "a"]
    assert frame["layer"].tolist() == ["a", "b", "a", "a", "b"]
    assert frame["label"].tolist() == columns["label"]
    assert frame.attrs == {"lsb_s": 7.6e-9}


def test_frames_are_stored_without_their_index(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.write_table("passes", pd.DataFrame({"pass": [1, 2]}, index=[7, 9]))
    assert run.table("passes").to_dict("list") == {"pass": [1, 2]}


def test_tables_are_listed_by_name(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    for name in ("reads/0001", "cells", "reads/0000"):
        run.write_table(name, {"x": [1]})
    (run.path / "reads" / ".0002.parquet.abc.part").write_bytes(b"left by a killed process")
    (run.path / ".hidden.parquet").write_bytes(b"")
    assert run.tables() == ["cells", "reads/0000", "reads/0001"]


def test_a_table_is_written_once(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.write_table("cells", {"x": [1]})
    with pytest.raises(RunExists, match="never overwritten"):
        run.write_table("cells", {"x": [2]})
    assert run.table("cells")["x"].tolist() == [1]


@pytest.mark.parametrize("name", ["", "../cells", "/cells", "a//b", "a/../b", ".cells", "cells\n", "a/"])
def test_names_stay_inside_the_run(tmp_path: Path, name: str) -> None:
    run = create(tmp_path / "run")
    with pytest.raises(ValueError, match="no table name"):
        run.write_table(name, {"x": [1]})
    assert files(tmp_path) == ["run", "run/manifest.json"]


def test_columns_of_different_lengths_write_nothing(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    with pytest.raises(ValueError, match="length"):
        run.write_table("cells", {"x": [1], "y": [1, 2]})
    assert files(run.path) == ["manifest.json"]


def test_a_missing_table_names_those_there_are(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.write_table("cells", {"x": [1]})
    with pytest.raises(RunError, match="'passes'; it has: cells"):
        run.table("passes")


def test_a_damaged_table_is_called_damaged(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.write_table("cells", {"x": np.arange(1000)})
    path = run.path / "cells.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RunUnreadable, match=r"cells\.parquet"):
        run.table("cells")


def test_a_full_disk_keeps_earlier_tables_and_no_part_of_the_new(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.write_table("first", {"x": np.arange(100)})
    noise = np.random.default_rng(1).random(100_000)
    with room_for(65_536), pytest.raises(DiskFull, match="free some space"):
        run.write_table("second", {"x": noise})
    assert run.tables() == ["first"]
    assert files(run.path) == ["first.parquet", "manifest.json"]
    run.write_table("second", {"x": noise})
    np.testing.assert_array_equal(run.table("second")["x"], noise)


def test_converter_codes_and_continuous_floats_each_get_their_encoding(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(10e-6, 4e-6, 200_000)
    lsb = 25e-6 / 4096
    run = create(tmp_path / "run")
    codes = (np.round(values / lsb) * lsb).astype(np.float32)
    run.write_table("read", {"code_s": codes, "fit_s": values.astype(np.float32)})
    group = pq.read_metadata(run.path / "read.parquet").row_group(0)
    column = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert "RLE_DICTIONARY" in column["code_s"].encodings
    assert column["code_s"].compression == "SNAPPY"
    assert "BYTE_STREAM_SPLIT" in column["fit_s"].encodings
    assert not any("DICTIONARY" in name for name in column["fit_s"].encodings)
    assert column["fit_s"].compression.startswith("LZ4")
    assert column["code_s"].total_compressed_size < 0.5 * codes.nbytes
    assert column["fit_s"].total_compressed_size < 0.95 * codes.nbytes
    np.testing.assert_array_equal(np.round(run.table("read")["code_s"] / lsb), np.round(values / lsb))


def test_reads_are_numbered_and_listed(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    for age_s, label in ((25.0, "25 s"), (3600.0, "1 h")):
        run.add_read(
            g_s=np.full(3, 1e-6),
            flags=np.zeros(3),
            t_ns=np.arange(3),
            age_s=np.full(3, age_s),
            nominal_age_s=age_s,
            label=label,
            setup={"samples": 1},
        )
    reads = Run.open(run.path).manifest["reads"]
    assert [read["table"] for read in reads] == run.tables() == ["reads/0000", "reads/0001"]
    assert reads[1] == {
        "table": "reads/0001",
        "nominal_age_s": 3600.0,
        "label": "1 h",
        "setup": {"samples": 1},
    }
    assert [str(kind) for kind in run.table("reads/0000").dtypes] == ["float32", "uint8", "uint64", "float32"]


CHILD = """
import sys
import numpy as np
from labkit.runs import Run

run = Run.open(sys.argv[1])
values = np.random.default_rng(0).random(300_000)
for number in range(10_000):
    run.write_table(f"reads/{number:04d}", {"x": values})
    run.update_manifest(written=number)
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_only_whole_files(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(run.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        told = -1
        while told < 4:
            told = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
    left = Run.open(run.path)
    assert left.manifest["written"] >= told
    assert len(left.tables()) >= told + 1
    for name in left.tables():
        assert len(left.table(name)) == 300_000


def test_naming_runs_loads_no_table_library() -> None:
    code = "import json, sys, labkit.runs; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pandas", "pyarrow", "scipy", "numba", "matplotlib"} & set(json.loads(done.stdout))
