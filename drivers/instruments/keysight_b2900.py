"""Driver of the Keysight B2902A and B2912A source-measure units (instruments §2.11).

A burst or sweep is set up in one message, runs on the instrument, and is fetched as one block of REAL,64 in normal
byte order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Identity
from drivers.errors import SettingOutOfRange
from drivers.message_link import MessageLink
from drivers.properties import Part, choice, number, switch
from drivers.roles import Burst
from drivers.scpi_instrument import ScpiInstrument

__all__ = ["ChannelB2900", "KeysightB2900"]

_LIST_MAX = 2500
_LIST_PIECE = 200
_COUNT_MAX = 100_000
_NO_VALUE = 9.89e37
_LIMITED = 0x08
_APERTURE_S = (8e-6, 2.0)
_VOLTS, _AMPERES = 210.0, 3.03
_OVERHEAD_S = 2e-3  # of one reading beyond its aperture, for time-outs only


class ChannelB2900(Part):
    """One channel: a source-meter.

    Parameters
    ----------
    smu : KeysightB2900
    place : int
        1 or 2.
    """

    level_v = number(
        ":SOUR{n}:VOLT?", ":SOUR{n}:VOLT {}", "Control the sourced voltage.", unit="V", span=(-_VOLTS, _VOLTS)
    )
    level_a = number(
        ":SOUR{n}:CURR?",
        ":SOUR{n}:CURR {}",
        "Control the sourced current.",
        unit="A",
        span=(-_AMPERES, _AMPERES),
    )
    source = choice(
        ":SOUR{n}:FUNC:MODE?",
        ":SOUR{n}:FUNC:MODE {}",
        "Control what is sourced.",
        {"voltage": "VOLT", "current": "CURR"},
    )
    limit_a = number(
        ":SENS{n}:CURR:PROT?",
        ":SENS{n}:CURR:PROT {}",
        "Control the current limit of a sourced voltage.",
        unit="A",
        span=(1e-10, _AMPERES),
    )
    limit_v = number(
        ":SENS{n}:VOLT:PROT?",
        ":SENS{n}:VOLT:PROT {}",
        "Control the voltage limit of a sourced current.",
        unit="V",
        span=(2e-3, _VOLTS),
    )
    aperture_s = number(
        ":SENS{n}:CURR:APER?",
        ":SENS{n}:CURR:APER {}",
        "Control the integration time of currents.",
        unit="s",
        span=_APERTURE_S,
    )
    range_a = number(
        ":SENS{n}:CURR:RANG?",
        ":SENS{n}:CURR:RANG {}",
        "Control the fixed range for currents.",
        unit="A",
        span=(0.0, _AMPERES),
    )
    autorange = switch(
        ":SENS{n}:CURR:RANG:AUTO?",
        ":SENS{n}:CURR:RANG:AUTO {}",
        "Control whether currents are measured in an automatic range.",
    )
    output = switch(":OUTP{n}?", ":OUTP{n} {}", "Control whether the output is on.")
    limited = switch(":SENS{n}:CURR:PROT:TRIP?", None, "Get whether the current limit acts now.")

    def __init__(self, smu: KeysightB2900, place: int) -> None:
        self.smu, self.place = smu, place
        self.names = {"n": str(place)}

    def __repr__(self) -> str:
        return f"<ChannelB2900 {self.place} of {self.smu!r}>"

    def ask(self, query: str) -> str:
        """Ask the instrument something; returns its reply."""
        return self.smu.ask(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the instrument's errors.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        self.smu.tell(command)

    # ---- what a source-meter does -------------------------------------------------------------------------
    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        """Measure `samples` times at one voltage, on the instrument; 0 V before and after.

        Parameters
        ----------
        level_v : float
            Volt.
        samples : int
            Up to 100 000.
        aperture_s : float
            Integration time of one sample, seconds.
        limit_a : float
            Compliance, ampere.
        range_a : float, optional
            Fixed measuring range that holds this current; automatic when left out.

        Raises
        ------
        SettingOutOfRange
            Nothing was sent.
        InstrumentError
            The instrument refused it; the level is 0 V then.
        """
        self._within("samples", samples, 1, _COUNT_MAX)
        n = self.place
        setup = self._measuring(np.array([level_v]), aperture_s, limit_a, range_a)
        setup += [f":SOUR{n}:VOLT:MODE LIST", f":SOUR{n}:LIST:VOLT {level_v:.10g}"]
        return self._run(setup, [], samples, aperture_s)

    def sweep(
        self,
        levels_v: NDArray[np.float64],
        *,
        aperture_s: float,
        limit_a: float,
        range_a: float | None = None,
    ) -> Burst:
        """Measure once at each of up to 2500 voltages, on the instrument; 0 V before and after.

        Parameters
        ----------
        levels_v : ndarray
            Volt.
        aperture_s, limit_a, range_a
            As of :meth:`burst`.

        Raises
        ------
        SettingOutOfRange, InstrumentError
            As of :meth:`burst`.
        """
        levels = np.asarray(levels_v, dtype=np.float64).ravel()
        self._within("points", len(levels), 1, _LIST_MAX)
        n = self.place
        setup = self._measuring(levels, aperture_s, limit_a, range_a)
        pieces = [levels[start : start + _LIST_PIECE] for start in range(0, len(levels), _LIST_PIECE)]
        lists = [
            f":SOUR{n}:LIST:VOLT{':APP' if index else ''} " + ",".join(f"{level:.10g}" for level in piece)
            for index, piece in enumerate(pieces)
        ]
        return self._run([*setup, f":SOUR{n}:VOLT:MODE LIST"], lists, len(levels), aperture_s)

    def hold(self, level_v: float, *, limit_a: float) -> None:
        """Hold a voltage at the terminals.

        Parameters
        ----------
        level_v : float
            Volt.
        limit_a : float
            Compliance, ampere.

        Raises
        ------
        SettingOutOfRange, InstrumentError
            As of :meth:`burst`.
        """
        self._within("level_v", level_v, -_VOLTS, _VOLTS)
        self._within("limit_a", limit_a, 1e-10, _AMPERES)
        n = self.place
        self.tell(
            f":SOUR{n}:FUNC:MODE VOLT;:SOUR{n}:FUNC DC;:SOUR{n}:VOLT:MODE FIX;:SENS{n}:CURR:PROT {limit_a:.10g};"
            f":SOUR{n}:VOLT {level_v:.10g};:OUTP{n} ON"
        )

    def zero(self) -> None:
        """Bring the terminals to 0 V with the output on, so that relays may be switched.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        n = self.place
        self.tell(f":SOUR{n}:FUNC:MODE VOLT;:SOUR{n}:VOLT 0;:SOUR{n}:VOLT:MODE FIX")

    # ---- inside -------------------------------------------------------------------------------------------
    def _measuring(
        self, levels: NDArray[np.float64], aperture_s: float, limit_a: float, range_a: float | None
    ) -> list[str]:
        """Return the commands that set up source and measurement at 0 V."""
        for level in levels:
            self._within("level_v", float(level), -_VOLTS, _VOLTS)
        self._within("aperture_s", aperture_s, *_APERTURE_S)
        self._within("limit_a", limit_a, 1e-10, _AMPERES)
        n = self.place
        ranged = [f":SENS{n}:CURR:RANG:AUTO ON"]
        if range_a is not None:
            self._within("range_a", range_a, 0.0, _AMPERES)
            ranged = [f":SENS{n}:CURR:RANG:AUTO OFF", f":SENS{n}:CURR:RANG {range_a:.10g}"]
        return [
            f":SOUR{n}:FUNC:MODE VOLT",
            f":SOUR{n}:FUNC DC",
            f":SOUR{n}:VOLT 0",
            f":SOUR{n}:VOLT:RANG {float(np.abs(levels).max()):.10g}",
            f":SENS{n}:CURR:PROT {limit_a:.10g}",
            f":SENS{n}:CURR:APER {aperture_s:.10g}",
            f":SENS{n}:VOLT:APER {aperture_s:.10g}",
            *ranged,
            f":TRIG{n}:SOUR AINT",
            ":FORM REAL,64",
            ":FORM:BORD NORM",
            ":FORM:ELEM:SENS VOLT,CURR,TIME,STAT",
        ]

    def _run(self, setup: list[str], lists: list[str], count: int, aperture_s: float) -> Burst:
        n = self.place
        with self.smu.together():
            self.tell(";".join([*setup, f":TRIG{n}:COUN {count}"]))
            for message in lists:
                self.tell(message)
        timeout_s = self.smu.link.timeout_s + count * (2 * aperture_s + _OVERHEAD_S)
        self.smu.ask_checked(f":OUTP{n} ON;:INIT (@{n});*OPC?", timeout_s=timeout_s)
        data = self.smu.download(f":FETC:ARR? (@{n})", ">f8", 4 * count).reshape(count, 4)
        voltage, current, t_s, status = (data[:, column].astype(np.float64) for column in range(4))
        for values in (voltage, current):
            values[np.abs(values) > _NO_VALUE] = np.nan
        return Burst(voltage, current, (status.astype(np.int64) & _LIMITED) != 0, t_s - t_s[0])

    def _within(self, name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise SettingOutOfRange(
                f"{name} = {value:g} is outside {low:g} .. {high:g} of {self!r}; nothing was sent",
                setting=name,
                value=value,
                low=low,
                high=high,
            )


class KeysightB2900(ScpiInstrument):
    """A B2902A or B2912A; its channels are ``channels["1"]`` and ``channels["2"]``.

    Parameters
    ----------
    link : MessageLink
    identity : Identity, optional
        Who answers, where that is known already.
    """

    models = ("B2902A", "B2912A", "B2902B", "B2912B")

    def __init__(self, link: MessageLink, *, identity: Identity | None = None) -> None:
        super().__init__(link, identity=identity)
        self.channels: dict[str, Any] = {str(place): ChannelB2900(self, place) for place in (1, 2)}

    def parts(self) -> Mapping[str, Part]:
        """Give the channels by name."""
        return self.channels

    def reset(self) -> None:
        """Bring all settings to the instrument's defaults; outputs are off then.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        self.tell("*RST")

    def make_safe(self) -> None:
        """Stop both channels, bring them to 0 V and switch them off; may raise."""
        self.tell(
            ":ABOR (@1,2);:SOUR1:VOLT 0;:SOUR2:VOLT 0;:SOUR1:CURR 0;:SOUR2:CURR 0;:OUTP1 OFF;:OUTP2 OFF"
        )
