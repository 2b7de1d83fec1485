"""The acceptance tables of a simulated chip: what a faithful mock must reproduce (device-physics §9)."""
