"""Single settings out of the replies to ``*LRN?``, which are commands separated by semicolons (instruments §2.2)."""

from __future__ import annotations

from drivers.errors import MalformedAnswer

__all__ = ["field"]


def field(reply: str, head: str) -> str:
    """Return the parameters of a command of a learned reply.

    Parameters
    ----------
    reply : str
        ``RI1,0;RV1,0;RI2,-14``.
    head : str
        The command with its channel, ``RI2``; ``FL2`` and ``CN2`` return "1" or "0" out of their lists of channels.

    Raises
    ------
    MalformedAnswer
        It is not in there.
    """
    commands = [each.strip() for each in reply.split(";") if each.strip()]
    if head.startswith("FL"):
        return _filter(commands, head[2:], reply)
    if head.startswith("CN"):
        on = [each[2:].split(",") for each in commands if each.startswith("CN")]
        return str(int(bool(on) and head[2:] in on[0]))
    for command in commands:
        rest = command.removeprefix(head)
        if rest != command and (rest.startswith(",") or not head[-1].isdigit()):
            return rest.removeprefix(",")
    raise _missing(reply, head)


def _filter(commands: list[str], channel: str, reply: str) -> str:
    """``FL0`` or ``FL1`` speak of all channels, ``FL0,1,2;FL1,3`` of those they name."""
    for command in commands:
        state, _, channels = command.removeprefix("FL").partition(",")
        if state in ("0", "1") and (not channels or channel in channels.split(",")):
            return state
    raise _missing(reply, f"FL{channel}")


def _missing(reply: str, head: str) -> MalformedAnswer:
    return MalformedAnswer(
        f"{reply[:80]!r} does not tell {head}: read it again, and check the link if it stays"
    )
