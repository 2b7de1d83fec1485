"""Device cards that come with the toolkit."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["preset_names", "preset_text"]


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    names = (entry.name for entry in files("calibration.presets").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def preset_text(name: str) -> str:
    """Return the YAML text of a preset."""
    return files("calibration.presets").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
