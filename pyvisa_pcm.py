"""Lets any VISA program open the simulated instruments of a bench file: ``ResourceManager("bench.yaml@pcm")``."""

from drivers.simulated.backend import PcmVisaLibrary as WRAPPER_CLASS  # noqa: N814 - the name PyVISA looks for

__all__ = ["WRAPPER_CLASS"]
