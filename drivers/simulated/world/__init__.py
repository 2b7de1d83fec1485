"""The simulated bench behind the twins: one time, one lock, wires, relays, resistors and memory cells."""

from drivers.simulated.world.world import World

__all__ = ["World"]
