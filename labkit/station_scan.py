"""What VISA sees on this computer, and the bench file it suggests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from labkit.errors import StationError
from labkit.interrupts import interrupts

__all__ = ["Found", "proposed_bench", "scan"]

_TIMEOUT_S = 2.0
_SHORT_NAMES = {
    "pcm-controller": "chip",
    "keithley-2600": "smu",
    "keithley-4200a": "analyser",
    "keithley-707b": "matrix",
    "keysight-33500": "pulser",
    "keysight-81160a": "pulser",
    "keysight-b1500a": "analyser",
    "keysight-b2900": "smu",
    "lakeshore-336": "stage",
    "tektronix-scope": "scope",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A VISA resource.

    Attributes
    ----------
    address : str
        VISA address.
    identity : str or None
        What it answered to ``*IDN?``; None where it did not.
    driver : str or None
        The driver that is for it, where there is one.
    problem : str
        Why it did not answer.
    """

    address: str
    identity: str | None
    driver: str | None
    problem: str = ""


def scan(backend: str = "@py", addresses: Sequence[str] = ()) -> list[Found]:
    """Ask everything VISA lists who it is. Nothing but ``*IDN?`` is sent.

    Parameters
    ----------
    backend : str
        PyVISA backend: ``"@py"``, ``"bench.yaml@pcm"``.
    addresses : sequence of str
        Addresses to ask besides: raw sockets are never listed by VISA.

    Raises
    ------
    StationError
        The backend cannot be used.
    """
    import pyvisa

    try:
        manager = pyvisa.ResourceManager(backend)
        try:
            listed = manager.list_resources("?*")
        finally:
            manager.close()
    except (ValueError, ImportError, OSError, pyvisa.errors.Error) as error:
        raise StationError(f"the VISA backend {backend} cannot be used: {error}") from error
    every = dict.fromkeys((*listed, *addresses))
    return [_asked(address, backend) for address in every]


def _asked(address: str, backend: str) -> Found:
    from drivers.errors import DriverError
    from drivers.message_link import MessageLink

    problem = ""
    for end in ("\n", "\r\n", "\0"):  # most instruments; FLEX and Lake Shore; KXCI
        try:
            with interrupts.message():
                link = MessageLink(
                    address, backend=backend, timeout_s=_TIMEOUT_S, write_end=end, read_end=end[-1]
                )
                try:
                    reply = link.query("*IDN?").strip()
                finally:
                    with suppress(DriverError):
                        link.close()
        except (DriverError, OSError) as error:
            problem = problem or str(error)
            continue
        return Found(address, reply, _driver_for(reply))
    return Found(address, None, None, problem)


def _driver_for(identity: str) -> str | None:
    """Return the driver whose models an identity begins with."""
    from drivers.instruments import DRIVERS, driver_class

    fields = [field.strip() for field in identity.split(",")]
    if len(fields) < 2:
        return None
    model = fields[1].upper().removeprefix("MODEL").strip()
    if "PCM" in model:
        return "pcm-controller"
    for driver in DRIVERS:
        if any(model.startswith(known.upper()) for known in driver_class(driver).models):
            return driver
    return None


def proposed_bench(found: Sequence[Found], backend: str = "@py") -> str:
    """Return the text of a bench file for the instruments that labkit has drivers for.

    Parameters
    ----------
    found : sequence of Found
    backend : str
        Written down where it is not the usual one.
    """
    lines = ["version: 1", "name: my bench", "instruments:"]
    taken: dict[str, int] = {}
    for each in found:
        if each.driver is None or each.identity is None:
            continue
        name = _SHORT_NAMES[each.driver]
        taken[name] = taken.get(name, 0) + 1
        lines.append(f"  {name}{taken[name] if taken[name] > 1 else ''}:    # {_plain(each.identity)}")
        lines.append(f"    driver: {each.driver}")
        lines.append(f'    address: "{each.address}"')
        if backend not in ("@py", ""):
            lines.append(f"    # seen through {backend}")
        if each.driver != "pcm-controller":
            model = each.identity.split(",")[1].strip().upper().removeprefix("MODEL").strip()
            lines.append(f'    model: "{model}"')
    if not taken:
        lines[-1] = "instruments: {}    # nothing here that labkit has a driver for"
    unknown = [each for each in found if each.driver is None]
    lines += [f"# no driver: {each.address} ({_plain(each.identity or 'no answer')})" for each in unknown]
    if "smu" in taken or "analyser" in taken:
        lines += [
            "# What is connected to what, and the chip on the probe card, cannot be seen from here:",
            "# wiring:",
            "#   - smu.a -- matrix.A",
        ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", text)[:100]
