"""The simulated bench: boards that answer byte for byte, around chips with the physics of a device card."""
