"""Keysight InfiniiVision oscilloscopes, 1000 X to 4000 X series.

::

    with KeysightInfiniiVision.open("USB0::0x0957::0x17A6::MY1::INSTR") as scope:
        scope.channels["1"].scale_v = 0.5
        scope.arm("1", level_v=0.4, window_s=2e-6)
        pulser.fire(2.0)
        trace = scope.trace("1")

Waveforms come as words in one block. Sources: instruments §2.8.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from drivers.chip import Identity
from drivers.errors import MalformedAnswer, SettingOutOfRange
from drivers.instruments.scope_trace import NotTriggered, ScopeTrace
from drivers.properties import Part, choice, number, switch, text
from drivers.scpi_instrument import ScpiInstrument

__all__ = ["KeysightInfiniiVision", "ScopeInput"]

_RUN = 0x08
_POLL_S = 0.01
_WORD_EDGES = (256, 255 * 256)


class ScopeInput(Part):
    """One input of the scope; voltages are those at the tip of its probe."""

    scale_v = number("CHAN{n}:SCAL?", "CHAN{n}:SCAL {}", "Control volts per division.", unit="V")
    offset_v = number("CHAN{n}:OFFS?", "CHAN{n}:OFFS {}", "Control the voltage at the centre.", unit="V")
    probe = number(
        "CHAN{n}:PROB?", "CHAN{n}:PROB {}", "Control the attenuation of the probe.", span=(0.1, 1e4)
    )
    coupling = choice("CHAN{n}:COUP?", "CHAN{n}:COUP {}", "Control the coupling.", {"DC": "DC", "AC": "AC"})
    limited = switch("CHAN{n}:BWL?", "CHAN{n}:BWL {}", "Control the bandwidth limit.")
    inverted = switch("CHAN{n}:INV?", "CHAN{n}:INV {}", "Control whether the signal is inverted.")
    shown = switch("CHAN{n}:DISP?", "CHAN{n}:DISP {}", "Control whether the channel is recorded.")
    input_ohm = choice(
        "CHAN{n}:IMP?",
        "CHAN{n}:IMP {}",
        "Control the input resistance.",
        {"1 MOhm": "ONEM", "50 Ohm": "FIFT"},
    )

    def __init__(self, scope: KeysightInfiniiVision, n: int) -> None:
        self.scope, self.n = scope, n
        self.names: Mapping[str, str] = {"n": str(n)}

    def __repr__(self) -> str:
        return f"<channel {self.n} of {self.scope!r}>"

    def ask(self, query: str) -> str:
        """Ask the scope something."""
        return self.scope.ask(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the scope's errors."""
        self.scope.tell(command)


class KeysightInfiniiVision(ScpiInstrument):
    """A scope; has the role :class:`drivers.roles.Oscilloscope`.

    Attributes
    ----------
    channels : mapping of str to ScopeInput
        "1" and on; the last digit of the model says how many.
    """

    models: ClassVar[tuple[str, ...]] = ("DSOX", "DSO-X", "MSOX", "MSO-X", "EDUX")

    time_range_s = number("TIM:RANG?", "TIM:RANG {}", "Control the length of a record.", unit="s")
    time_position_s = number(
        "TIM:POS?", "TIM:POS {}", "Control the time from the trigger to the reference point.", unit="s"
    )
    time_reference = choice(
        "TIM:REF?",
        "TIM:REF {}",
        "Control where the reference point is on the screen.",
        {"left": "LEFT", "centre": "CENT", "right": "RIGH"},
    )
    acquire_type = choice(
        "ACQ:TYPE?",
        "ACQ:TYPE {}",
        "Control what is made of the samples.",
        {"normal": "NORM", "average": "AVER", "high resolution": "HRES", "peak": "PEAK"},
    )
    trigger_level_v = number("TRIG:LEV?", "TRIG:LEV {}", "Control the level of the trigger.", unit="V")
    trigger_source = text("TRIG:SOUR?", "TRIG:SOUR {}", "Control what triggers: CHAN1, EXT, LINE.")
    trigger_slope = choice(
        "TRIG:SLOP?",
        "TRIG:SLOP {}",
        "Control the edge of the trigger.",
        {"rise": "POS", "fall": "NEG", "either": "EITH"},
    )
    trigger_mode = choice(
        "TRIG:SWE?",
        "TRIG:SWE {}",
        "Control whether it records without a trigger too.",
        {"auto": "AUTO", "normal": "NORM"},
    )
    sample_rate_hz = number("ACQ:SRAT?", None, "Get samples per second.", unit="Hz")

    def __init__(
        self,
        link: Any,
        *,
        identity: Identity | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(link, identity=identity)
        self._pause = pause
        digits = [each for each in self._identity.model if each.isdigit()]
        count = int(digits[3]) if len(digits) > 3 and digits[3] in "24" else 4
        self.channels = {str(n): ScopeInput(self, n) for n in range(1, count + 1)}

    def parts(self) -> Mapping[str, Part]:
        """Return the channels, by number."""
        return self.channels

    # ---- the role -------------------------------------------------------------------------------------------
    def arm(self, channel: str, *, level_v: float, window_s: float) -> None:
        """Arm for one rising edge through `level_v` on a channel; returns when a trigger would be taken.

        A tenth of the window lies before the trigger.

        Parameters
        ----------
        channel : str
            "1" and on; it is switched on.
        level_v : float
            Volt, at the tip of the probe.
        window_s : float
            Length of the record, seconds.

        Raises
        ------
        SettingOutOfRange
            No such channel.
        InstrumentError
            The scope refused a setting.
        NotTriggered
            It does not become ready.
        """
        self._known(channel)
        with self._mine:
            with self.together():
                for command in (
                    "STOP",
                    f"CHAN{channel}:DISP 1",
                    f"TIM:MODE MAIN;REF LEFT;POS 0;RANG {window_s:.8g}",
                    f"TRIG:MODE EDGE;SWE NORM;:TRIG:EDGE:SOUR CHAN{channel};SLOP POS;LEV {level_v:.8g}",
                    "SING",
                ):
                    self.tell(command)
            self._wait(lambda: int(float(self.ask("AER?"))) == 1, window_s, "become ready")

    def trace(self, channel: str) -> ScopeTrace:
        """Fetch what the last trigger recorded.

        Raises
        ------
        NotTriggered
            The scope still waits for its trigger, or the channel was not recorded.
        InstrumentError, MalformedAnswer
        """
        self._known(channel)
        with self._mine:
            self._wait(self._stopped, 0.0, "see a trigger")
            if not self.channels[channel].shown:  # it would not answer
                raise NotTriggered(
                    f"{self.channels[channel]!r} is not active: switch it on (shown) before the scope is armed",
                    state="stopped",
                )
            self.tell(f"WAV:SOUR CHAN{channel};FORM WORD;BYT LSBF;UNS 1;:WAV:POIN:MODE RAW;:WAV:POIN MAX")
            numbers = self._preamble()
            codes = self.download("WAV:DATA?", "<u2", int(numbers[2])).astype(np.float64)
        _, _, _, _, t_step_s, t_zero_s, _, y_step_v, y_zero_v, y_reference = numbers
        return ScopeTrace(
            t_zero_s + t_step_s * np.arange(len(codes), dtype=np.float64),
            (codes - y_reference) * y_step_v + y_zero_v,
            (codes <= _WORD_EDGES[0]) | (codes >= _WORD_EDGES[1]),
        )

    def _preamble(self) -> list[float]:
        reply = self.ask("WAV:PRE?")
        try:
            numbers = [float(each) for each in reply.split(",")]
        except ValueError as error:
            raise MalformedAnswer(f"{self!r} answered {reply[:80]!r} where numbers were asked for") from error
        if len(numbers) != 10 or not numbers[2] >= 1:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} where a preamble of 10 numbers was asked for"
            )
        return numbers

    def _stopped(self) -> bool:
        return not int(float(self.ask("OPER:COND?"))) & _RUN

    def _known(self, channel: str) -> None:
        if channel not in self.channels:
            raise SettingOutOfRange(
                f"{self!r} has channels {', '.join(self.channels)}, not {channel!r}; nothing was sent",
                setting="channel",
                value=channel,
            )

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something, `seconds` of which the scope itself takes."""
        deadline = time.monotonic() + seconds + self.link.timeout_s
        asked = 0
        while not done():
            asked += 1
            # On a simulated bench nobody gives a pulse while this process waits; what it waits for then is time.
            waits_in_vain = self._identity.simulated and not seconds and asked > 1
            if waits_in_vain or time.monotonic() > deadline:
                raise NotTriggered(
                    f"{self!r} does not {what}: check level, source and wiring", state="waiting"
                )
            if not self._identity.simulated:
                self._pause(_POLL_S)

    # ---- by hand ----------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start to acquire again and again."""
        self.tell("RUN")

    def stop(self) -> None:
        """Stop acquiring."""
        self.tell("STOP")

    def trigger(self) -> None:
        """Trigger now, whatever the inputs do."""
        self.tell("TRIG:FORC")

    def reset(self) -> None:
        """Reset to the default set-up."""
        self.tell("*RST")

    def make_safe(self) -> None:
        """Stop acquiring: inputs do no harm."""
        self.tell("STOP")
