"""What KXCI reports, read and told apart: texts with a code in parentheses, of which it keeps the last one only."""

# ruff: noqa: N818 - the names say what happened

from __future__ import annotations

import re

from drivers.chip import BoardError
from drivers.errors import InstrumentError, MalformedAnswer

__all__ = ["PulserTooHot", "SourceVoltageReached", "advice", "parsed", "raised"]

_ERROR = re.compile(r"(?P<text>.*?)[\s.]*\((?P<code>-?\d+)\)", re.DOTALL)


class PulserTooHot(InstrumentError):
    """The pulse card has reached its thermal limit (-968): give it longer pauses, or a smaller current."""


class SourceVoltageReached(InstrumentError):
    """The voltage cannot be had at the stated load on this source range (-964); nothing was pulsed."""


_KINDS: dict[int, type[InstrumentError]] = {-968: PulserTooHot, -964: SourceVoltageReached}
_ADVICE = {
    -997: "close Clarius and start KXCI",
    -993: "the instrument cannot read a value of the command",
    -992: "KXCI does not know the command; pulses need Clarius 1.13 or later",
    -989: "the command belongs to another page",
    -980: "a test is still running: wait for it or abort it",
    -979: "compare the channel with the units in the mainframe",
    -975: "choose a page of the system mode first",
    -974: "choose the user mode first",
    -968: "let the pulse card cool down, then pause longer between bursts or lower the current",
    -967: "compare times, levels and ranges with what the channel can do; prepare the pulses before they are fired",
    -966: "the test was aborted",
    -965: "the card was initialised for the other kind of pulse",
    -964: "lower the amplitude, state the load as it is, or take the 40 V source range",
    -963: "measure less or sample slower",
    -955: "keep the output relay closed in every segment",
    -952: "measure fewer pulses or sample slower",
    -951: "measure shorter or fewer segments, or sample slower",
    -950: "lower voltage or current",
    -949: "measure fewer pulses",
}


def parsed(reply: str) -> BoardError | None:
    """Read the answer to ``:ERROR:LAST:GET``; None where there is no error.

    Raises
    ------
    MalformedAnswer
        It is neither empty nor a text with a code.
    """
    text = reply.strip()
    if not text:
        return None
    found = _ERROR.fullmatch(text)
    if found is None:
        raise MalformedAnswer(f"{text[:80]!r} is no error of KXCI, which ends with a code in parentheses")
    code = int(found["code"])
    return BoardError(code, found["text"]) if code else None


def advice(error: BoardError) -> str:
    """Return what to do about an error, "" where its text says it."""
    return _ADVICE.get(error.code, "")


def raised(who: str, found: list[BoardError]) -> InstrumentError:
    """Return what to raise for errors."""
    last = found[-1]
    hint = advice(last)
    told = "; ".join(str(error) for error in found)
    return _KINDS.get(last.code, InstrumentError)(
        f"{who} reports {told}{': ' + hint if hint else ''}; its settings may not be what was asked for",
        errors=tuple(found),
    )
