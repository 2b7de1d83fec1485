"""Card files: YAML that is read strictly and written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from calibration.errors import CardError, Problem

__all__ = ["read_text", "read_yaml", "write_yaml"]

_LARGEST_BYTES = 64 * 2**20

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Safe loader that refuses a key given twice, which YAML would silently overwrite."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


class _Dumper(_SafeDumper):  # type: ignore[misc]
    """Safe dumper that writes lists of plain values on one line and nothing as an alias."""

    def represent_list(self, values: list[Any]) -> yaml.Node:
        plain = all(isinstance(value, str | int | float) for value in values)
        node: yaml.Node = self.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=plain)
        return node

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(list, _Dumper.represent_list)


def read_yaml(text: str, path: Path | str) -> dict[str, Any]:
    """Read the text of a card file.

    Raises
    ------
    CardError
        Not YAML, a key given twice, or not a mapping.
    """
    try:
        data = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a safe loader with one more check
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        what = getattr(error, "problem", None) or str(error)
        raise CardError([Problem("", f"is not readable YAML: {what}{where}")], path=path) from None
    except RecursionError:
        raise CardError([Problem("", "is not a card: nested too deeply")], path=path) from None
    if not isinstance(data, dict):
        raise CardError([Problem("", "is not a card: the file holds no fields at its top")], path=path)
    return data


def read_text(path: Path) -> str:
    """Read a card file.

    Raises
    ------
    CardError
        It cannot be read or is no text.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise CardError([Problem("", "is larger than any card; is this the right file?")], path=path)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CardError([Problem("", f"cannot be read: {error.strerror or error}")], path=path) from error
    except UnicodeDecodeError:
        raise CardError([Problem("", "is not UTF-8 text; is this the right file?")], path=path) from None


def write_yaml(data: dict[str, Any], path: Path) -> None:
    """Write plain data so that a reader sees the old file or the whole new one, whatever happens.

    Raises
    ------
    CardError
        The file cannot be written; an older one is untouched.
    """
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        message = f"cannot be written: {error.strerror or error}; choose a folder that exists and has room"
        raise CardError([Problem("", message)], path=path) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
