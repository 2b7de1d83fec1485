"""Plain data of cards for the tests of this folder."""

from __future__ import annotations

from typing import Any

from calibration import DeviceCard

GOOD = {"status": "default", "source": "test"}


def plain() -> dict[str, Any]:
    return DeviceCard.load("ibm90").to_dict()


def table(values: list[Any], **more: Any) -> dict[str, Any]:
    return {"g": [0.0, 0.5, 1.0], "values": values, "unit": "1", **GOOD, **more}


def tabulated() -> dict[str, Any]:
    """A card whose drift is given as tables."""
    data = plain()
    published = data["laws"]["drift"]["parameters"]
    shared = {name: published[name] for name in ("onset_s", "device_share", "pulse_reference_age_s")}
    tables = {"mean_table": table([0.10, 0.06, 0.05]), "spread_table": table([0.04, 0.02, 0.01])}
    data["laws"]["drift"].update(form="table", parameters={**shared, **tables})
    return data
