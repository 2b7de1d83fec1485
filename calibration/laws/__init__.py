"""The laws of a PCM device, one file each; every formula has its only home here.

A law is a frozen dataclass of plain SI numbers, usually taken from a card (``card.drift``,
``card.read_noise``...). Its fields say with `typing.Annotated` what a card must give for them. Methods take
and return float64 arrays.
"""
