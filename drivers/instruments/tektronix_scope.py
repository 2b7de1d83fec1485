"""Tektronix oscilloscopes of the DPO/MSO 5000, 7000 and 70000 series.

::

    with TektronixScope.open("TCPIP0::192.168.0.20::inst0::INSTR") as scope:
        scope.channels["1"].scale_v = 0.5
        scope.arm("1", level_v=0.4, window_s=2e-6)
        pulser.fire(2.0)
        trace = scope.trace("1")

Errors are events here: ``*ESR?`` says whether there are any, and ``ALLEv?`` what they are; both are asked in one
message after every setting. Headers in front of replies are switched off when the scope is opened. Waveforms come as
two-byte codes in one block. Sources: instruments §2.7.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from drivers.blocks import items_of
from drivers.chip import BoardError, Identity
from drivers.errors import MalformedAnswer, SettingOutOfRange
from drivers.instrument import Instrument
from drivers.instruments.scope_trace import NotTriggered, ScopeTrace
from drivers.message_link import MessageLink
from drivers.properties import Part, choice, number, switch, text, whole

__all__ = ["ScopeChannel", "TektronixScope"]

CHANNELS = 4
_POLL_S = 0.01
PRETRIGGER_PERCENT = 20.0
"""Part of the window before the trigger."""
RECORD_MAX = 1_000_000
"""Samples of a record that is armed for; the scopes hold more."""
_LAST = 1_000_000_000
_FAULTS = 0x3C
"""Bits of the event status register that are errors: command, execution, device, query."""
_EVENT = re.compile(r'(\d+),"((?:[^"]|"")*)"')
_EDGE_CODE = 127 * 256
_NO_ERRORS = (0, 1, 401, 402)
"""Events that are none: nothing to report, more to come, power on, operation complete."""


class ScopeChannel(Part):
    """One input of the scope."""

    scale_v = number("CH{n}:SCA?", "CH{n}:SCA {}", "Control volts per division.", unit="V", span=(1e-3, 10.0))
    offset_v = number("CH{n}:OFFS?", "CH{n}:OFFS {}", "Control the voltage at the centre.", unit="V")
    position = number("CH{n}:POS?", "CH{n}:POS {}", "Control the position, divisions.", span=(-8.0, 8.0))
    coupling = choice(
        "CH{n}:COUP?",
        "CH{n}:COUP {}",
        "Control the coupling.",
        {"DC": "DC", "AC": "AC", "ground": "GND", "DC reject": "DCREJECT"},
    )
    termination_ohm = number(
        "CH{n}:TER?", "CH{n}:TER {}", "Control the input resistance, 50 or 1e6.", unit="Ohm"
    )
    bandwidth_hz = number(
        "CH{n}:BAN?", "CH{n}:BAN {}", "Control the bandwidth limit; the next higher is taken.", unit="Hz"
    )
    shown = switch("SEL:CH{n}?", "SEL:CH{n} {}", "Control whether the channel is recorded.")

    def __init__(self, scope: TektronixScope, n: int) -> None:
        self.scope, self.n = scope, n
        self.names: Mapping[str, str] = {"n": str(n)}

    def __repr__(self) -> str:
        return f"<channel {self.n} of {self.scope!r}>"

    def ask(self, query: str) -> str:
        """Ask the scope something."""
        return self.scope.ask(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the scope's events."""
        self.scope.tell(command)


class TektronixScope(Instrument):
    """A scope; has the role :class:`drivers.roles.Oscilloscope`.

    Attributes
    ----------
    channels : mapping of str to ScopeChannel
        "1" to "4".
    """

    models: ClassVar[tuple[str, ...]] = ("DPO5", "DPO7", "MSO5", "MSO7", "DSA7")

    record_length = whole(
        "HOR:MODE:RECO?", "HOR:MODE:RECO {}", "Control the samples of a record, in the manual mode."
    )
    sample_rate_hz = number(
        "HOR:MODE:SAMPLER?",
        "HOR:MODE:SAMPLER {}",
        "Control samples per second, in the manual mode.",
        unit="Hz",
    )
    sample_rate_max_hz = number("ACQ:MAXS?", None, "Get the fastest sampling in real time.", unit="Hz")
    time_scale_s = number(
        "HOR:MODE:SCA?", "HOR:MODE:SCA {}", "Control seconds per division, not in the manual mode.", unit="s"
    )
    horizontal_mode = choice(
        "HOR:MODE?",
        "HOR:MODE {}",
        "Control what follows when the time scale changes.",
        {"auto": "AUTO", "constant rate": "CONSTANT", "manual": "MANUAL"},
    )
    pretrigger_percent = number(
        "HOR:POS?", "HOR:POS {}", "Control the part of a record before the trigger.", span=(0.0, 100.0)
    )
    acquire_mode = choice(
        "ACQ:MOD?",
        "ACQ:MOD {}",
        "Control what is made of the samples.",
        {"sample": "SAMPLE", "high resolution": "HIRES", "average": "AVERAGE"},
    )
    averages = whole("ACQ:NUMAV?", "ACQ:NUMAV {}", "Control the waveforms of an average.", span=(2, 10_000))
    running = switch("ACQ:STATE?", "ACQ:STATE {}", "Control whether it acquires.")
    single = choice(
        "ACQ:STOPA?",
        "ACQ:STOPA {}",
        "Control when it stops.",
        {"one sequence": "SEQUENCE", "never": "RUNSTOP"},
    )
    trigger_level_v = number("TRIG:A:LEV?", "TRIG:A:LEV {}", "Control the level of the trigger.", unit="V")
    trigger_source = choice(
        "TRIG:A:EDGE:SOU?",
        "TRIG:A:EDGE:SOU {}",
        "Control what triggers.",
        {**{str(n): f"CH{n}" for n in range(1, CHANNELS + 1)}, "aux": "AUX", "line": "LINE"},
    )
    trigger_slope = choice(
        "TRIG:A:EDGE:SLO?",
        "TRIG:A:EDGE:SLO {}",
        "Control the edge of the trigger.",
        {"rise": "RISE", "fall": "FALL", "either": "EITHER"},
    )
    trigger_mode = choice(
        "TRIG:A:MOD?",
        "TRIG:A:MOD {}",
        "Control whether it records without a trigger too.",
        {"auto": "AUTO", "normal": "NORMAL"},
    )
    trigger_state = text("TRIG:STATE?", None, "Get the state: ARMED, READY, TRIGGER, AUTO or SAVE.")

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(link, identity=identity)
        self._pause = pause
        link.write("HEAD OFF;:VERB ON")
        self.found_at_opening = tuple(self.errors())
        self.channels = {str(n): ScopeChannel(self, n) for n in range(1, CHANNELS + 1)}

    def parts(self) -> Mapping[str, Part]:
        """Return the channels, by number."""
        return self.channels

    # ---- events ---------------------------------------------------------------------------------------------
    def errors(self) -> list[BoardError]:
        """Return and forget the events that are errors, oldest first.

        Raises
        ------
        MalformedAnswer
            The reply is no register and events.
        """
        reply = self.link.query("*ESR?;:ALLE?")
        register, _, events = reply.partition(";")
        found = [(int(code), words) for code, words in _EVENT.findall(events)]
        if not register.strip().isdigit() or not found:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} to *ESR?;:ALLE?: its replies are out of step; open it again"
            )
        if not int(register) & _FAULTS:
            return []
        errors = [
            BoardError(code, words.strip().rstrip(";").strip())
            for code, words in found
            if code not in _NO_ERRORS
        ]
        return errors or [BoardError(0, f"event status {register.strip()} without an event")]

    # ---- the role -------------------------------------------------------------------------------------------
    def arm(self, channel: str, *, level_v: float, window_s: float) -> None:
        """Arm for one rising edge through `level_v` on a channel; returns when a trigger would be taken.

        The scope goes to the manual horizontal mode, samples as fast as the window allows, and keeps a fifth of the
        window before the trigger.

        Parameters
        ----------
        channel : str
            "1" to "4"; it is switched on.
        level_v : float
            Volt.
        window_s : float
            Length of the record, seconds.

        Raises
        ------
        SettingOutOfRange
            No such channel, or a window of no length.
        InstrumentError
            The scope refused a setting.
        NotTriggered
            It does not become ready.
        """
        if channel not in self.channels:
            raise SettingOutOfRange(
                f"{self!r} has channels {', '.join(self.channels)}, not {channel!r}; nothing was sent",
                setting="channel",
                value=channel,
            )
        if not 0.0 < window_s < 1e4:
            raise SettingOutOfRange(
                f"window_s = {window_s:g} s is no length of a record; nothing was sent",
                setting="window_s",
                value=window_s,
                low=0.0,
                high=1e4,
            )
        with self._mine:
            self.tell("ACQ:STATE OFF;:HOR:MODE MANUAL")
            rate_hz = self._fastest_hz(window_s)
            length = max(500, min(RECORD_MAX, round(window_s * rate_hz)))
            with self.together():
                for command in (
                    f"SEL:CH{channel} ON",
                    f"HOR:MODE:RECO {length}",
                    f"HOR:POS {PRETRIGGER_PERCENT:g}",
                    f"TRIG:A:TYPE EDGE;:TRIG:A:EDGE:SOU CH{channel};:TRIG:A:EDGE:SLO RISE;COUP DC",
                    f"TRIG:A:LEV {level_v:.8g};:TRIG:A:MOD NORMAL",
                    "ACQ:STOPA SEQUENCE",
                    "ACQ:STATE ON",
                ):
                    self.tell(command)
            self._wait({"READY"}, window_s, "become ready")

    def _fastest_hz(self, window_s: float) -> float:
        """Take the fastest sampling whose record the scope holds, and return it."""
        self.sample_rate_hz = min(self.sample_rate_max_hz, RECORD_MAX / window_s)
        return self.sample_rate_hz  # the scope takes one of its own near it

    def trace(self, channel: str) -> ScopeTrace:
        """Fetch what the last trigger recorded.

        Raises
        ------
        NotTriggered
            The scope still waits for its trigger, or the channel was not recorded.
        InstrumentError, MalformedAnswer
        """
        if channel not in self.channels:
            raise SettingOutOfRange(
                f"{self!r} has channels {', '.join(self.channels)}, not {channel!r}",
                setting="channel",
                value=channel,
            )
        with self._mine:
            self._wait({"SAVE"}, 0.0, "see a trigger")
            if not self.channels[channel].shown:  # it would not answer
                raise NotTriggered(
                    f"{self.channels[channel]!r} is not active: switch it on (shown) before the scope is armed",
                    state="SAVE",
                )
            self.tell(f"DAT:SOU CH{channel};ENC SRI;STAR 1;STOP {_LAST};:WFMO:BYT_N 2")
            numbers = self._preamble()
            data = self.link.query_block("CURV?", timeout_s=self.link.timeout_s + numbers[5] / 1e6)
        y_step_v, y_offset, y_zero_v, t_step_s, t_zero_s, count = numbers
        codes = items_of(data, "<i2", int(count)).astype(np.float64)
        return ScopeTrace(
            t_zero_s + t_step_s * np.arange(len(codes), dtype=np.float64),
            (codes - y_offset) * y_step_v + y_zero_v,
            np.abs(codes) >= _EDGE_CODE,
        )

    def _preamble(self) -> list[float]:
        reply = self.ask("WFMO:YMU?;YOF?;YZE?;XIN?;XZE?;NR_P?")
        try:
            numbers = [float(each) for each in reply.split(";")]
        except ValueError as error:
            raise MalformedAnswer(f"{self!r} answered {reply[:80]!r} where numbers were asked for") from error
        if len(numbers) != 6 or not numbers[5] >= 1:
            raise MalformedAnswer(
                f"{self!r} answered {len(numbers)} numbers, {reply[:80]!r}, where 6 were asked for"
            )
        return numbers

    def _wait(self, states: set[str], seconds: float, what: str) -> None:
        """Wait for a state of the trigger."""
        deadline = time.monotonic() + seconds + self.link.timeout_s
        while (state := self.trigger_state.upper()) not in states:
            # On a simulated bench nobody gives a pulse while this process waits.
            if time.monotonic() > deadline or (self._identity.simulated and state == "READY"):
                raise NotTriggered(
                    f"{self!r} does not {what}, its trigger is {state}: check level, source and wiring",
                    state=state,
                )
            if not self._identity.simulated:
                self._pause(_POLL_S)

    # ---- waveforms made by hand -----------------------------------------------------------------------------
    def trigger(self) -> None:
        """Trigger now, whatever the inputs do."""
        self.tell("TRIG FORC")

    def reset(self) -> None:
        """Reset to the default set-up."""
        self.tell("*RST;:HEAD OFF;:VERB ON")

    def make_safe(self) -> None:
        """Stop acquiring: inputs do no harm."""
        self.tell("ACQ:STATE OFF")
