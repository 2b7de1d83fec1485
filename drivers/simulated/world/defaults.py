"""Numbers of the simulated bench that no source states: defaults, in the sense of the tag [K]."""

from __future__ import annotations

__all__ = [
    "AMBIENT_K",
    "DELAY_S",
    "GATE_THRESHOLD_V",
    "HEATING_S",
    "HEAT_STEP_K",
    "HOLD_A",
    "HOLD_V",
    "LEAK_S",
    "ON_OHM",
    "PAD_F",
    "RELAY_LEAK_S",
    "RELAY_OFFSET_A",
    "RELAY_OHM",
    "SHARED_OHM",
    "SMU_EDGE_S",
    "TRANSCONDUCTANCE_A_PER_V2",
]

AMBIENT_K = 296.0
"""The room, K."""

HEAT_STEP_K = 0.01
"""Changes of the stage's temperature that are smaller wait until they have added up, K."""

HOLD_V = 0.4
"""A cell that is on carries ``(V - HOLD_V) / ON_OHM`` beside its current below threshold.

Holding voltages are 0.3 V to 0.5 V (device-physics §4.2); at 0.4 V and below every reading follows the law of the card.
"""

HOLD_A = 10e-6
"""Below this current of the path that is on, an amorphous cell goes out, A."""

ON_OHM = 2600.0
"""Dynamic resistance of a cell that is on, heater included; with a load of 3.3 kOhm the whole path has about the
6 kOhm that the cards say of cell, selector and line at programming."""

DELAY_S = 2e-9
"""From the moment a voltage exceeds the threshold until the cell is on, s."""

HEATING_S = 5e-9
"""A current counts as the plateau of a pulse where it was reached or exceeded for so long in all, s: shorter
overshoots, such as the discharge of the pad at snap-back, do not heat the cell."""

SMU_EDGE_S = 50e-6
"""Fall of a current that a source-meter switches off, s."""

PAD_F = 2e-12
"""Capacitance of a contact of the chip (pad and needle) to ground, F; of the line of a column as well."""

GATE_THRESHOLD_V = 0.7
"""Threshold of the access transistors, V."""

TRANSCONDUCTANCE_A_PER_V2 = 400e-6
"""``I_sat = 1/2 k (V_gate - threshold)^2``: 1.06 mA at 3 V, with 1.1 kOhm in the linear region."""

RELAY_OHM = 1.0
"""Closed relay with its path through the matrix, Ohm."""

RELAY_OFFSET_A = 2e-15
"""What a closed relay drives into its path, A; low-current cards state less than 100 fA."""

RELAY_LEAK_S = 1e-13
"""What a closed relay adds between its path and ground, S; low-current cards state less than 1e-13 S."""

LEAK_S = 1e-15
"""From every node to ground, S: what an open socket has."""

SHARED_OHM = 1e-3
"""Output resistance of a source that shares its node with another one, Ohm."""
