"""Which effects are off where a row says so: names of ``calibration.effects.EFFECTS``."""

from __future__ import annotations

__all__ = ["ALIKE", "PLAIN", "SILENT", "STEADY", "VARYING"]

VARYING = ("telegraph_noise", "columns", "lines", "spatial_correlation", "faults", "endurance", "damage")
"""What no row of the tables means unless it says so: errors of the place, faults, noise beside the 1/f noise."""

STEADY = (*VARYING, "retention", "read_disturb", "threshold_switching", "current_voltage")
"""The same, and nothing that reading or heat does to a state: drift, read noise, pulses, converter remain."""

SILENT = (*STEADY, "read_noise", "converter")
"""And no noise of any kind."""

PLAIN = (*SILENT, "drift")
"""Pulses alone: what is read is the conductance at the reference age of the pulse laws."""

ALIKE = ("device_spread", "cycle_spread")
"""Together with these a melting pulse leaves exactly the conductance it is meant to."""
