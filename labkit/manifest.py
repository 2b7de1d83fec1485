"""The manifest of a run: its schema, what may stand in it, reading and writing it."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from labkit.durable import write_whole
from labkit.errors import RunNewer, RunUnreadable

__all__ = ["FILE", "SCHEMA", "plain", "read_manifest", "versions", "write_manifest"]

SCHEMA = "labkit-run/1"
"""Format of the directory; readers refuse a higher number."""

FILE = "manifest.json"

_PACKAGES = (
    "pcm-labkit", "numpy", "scipy", "numba", "pandas", "pyarrow", "pyvisa", "pyvisa-py", "matplotlib"
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and what its numbers depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        found["labkit" if package == "pcm-labkit" else package] = version
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of the run in `folder`.

    Raises
    ------
    RunUnreadable
        There is none, or it is damaged.
    RunNewer
        A later version of labkit wrote it.
    """
    path = folder / FILE
    try:
        manifest = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise RunUnreadable(f"{folder} is no run: it has no {FILE}") from None
    except (OSError, ValueError) as error:
        raise RunUnreadable(f"{path} cannot be read: {error}") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    match = re.fullmatch(r"labkit-run/(\d+)", schema) if isinstance(schema, str) else None
    if match is None or not isinstance(manifest.get("kind"), str):
        raise RunUnreadable(f"{path} is not the manifest of a run")
    if int(match[1]) > int(SCHEMA.rpartition("/")[2]):
        raise RunNewer(
            f"{folder} was written as {schema}, this labkit reads {SCHEMA}: install a newer labkit"
        )
    return dict(manifest)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of the run in `folder`, whole or not at all."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / FILE, lambda file: file.write(text.encode()), replace=True)


def plain(value: Any) -> Any:
    """Turn `value` into what JSON can hold; numbers that are not finite become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))  # settings of an instrument that come in groups
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a run manifest cannot hold {value!r} ({type(value).__name__})")
