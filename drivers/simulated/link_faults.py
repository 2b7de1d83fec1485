"""What can go wrong between a simulated instrument and its host, to be armed by a test.

::

    with open_bench("bench.yaml") as bench:
        bench.twins["smu"].faults.delay(0.5)     # the next reply comes half a second late
        bench.twins["smu"].faults.vanish()       # and the one after that is the last

The instrument itself never knows: what it was told to do is done, only what it says does not arrive as it should.
Several faults wait for their turn, one reply each; `after` lets that many replies through before.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.simulated.scpi_output import Piece, Reply

if TYPE_CHECKING:
    from drivers.simulated.twin_link import TwinLink

__all__ = ["FAULTS", "LinkFaults"]

FAULTS = ("cut", "delay", "garbage", "vanish")
"""Kinds of fault: names of methods of :class:`LinkFaults`."""

_NOISE_BYTES = 24


class LinkFaults:
    """The faults of the links to one twin, the next reply's first.

    Attributes
    ----------
    gone : bool
        The instrument has vanished: nothing answers at its address.
    """

    def __init__(self) -> None:
        self._next: deque[tuple[int, Callable[[TwinLink, Reply], None]]] = deque()
        self._passed = 0
        self._vanish_after: int | None = None
        self._keep = 0
        self.gone = False

    @property
    def armed(self) -> bool:
        """Whether anything is going to happen."""
        return bool(self._next) or self._vanish_after is not None or self.gone

    # ---- arming ---------------------------------------------------------------------------------------------
    def arm(self, words: str) -> None:
        """Arm a fault that is spelled ``kind[=value][@after]``, as in ``delay=0.5@20``.

        The value is the bytes kept (cut, vanish), the seconds (delay) or the seed (garbage).

        Raises
        ------
        ValueError
            There is no such fault, or the value is no number.
        """
        what, _, after = words.partition("@")
        kind, given, value = what.partition("=")
        if kind not in FAULTS:
            raise ValueError(f"{words!r} is no fault; there are {', '.join(FAULTS)}")
        try:
            wait = int(after or 0)
            if kind == "delay":
                self.delay(float(value), after=wait)
            elif kind == "vanish":
                self.vanish(wait, keep=int(value or 0))
            elif kind == "garbage":
                self.garbage(int(value or 0), after=wait)
            else:
                self.cut(int(value) if given else None, after=wait)
        except ValueError:
            raise ValueError(f"{words!r}: a fault is spelled like delay=0.5, cut=10 or vanish@20") from None

    def cut(self, keep: int | None = None, *, after: int = 0) -> None:
        """Lose everything behind the first `keep` bytes of a reply, its end too; None: behind half of it."""

        def act(link: TwinLink, reply: Reply) -> None:
            reply.cut(reply.size // 2 if keep is None else keep)
            reply.end = False

        self._next.append((after, act))

    def delay(self, seconds: float, *, after: int = 0) -> None:
        """Hold back a reply, and those behind it, for `seconds` of wall time."""

        def act(link: TwinLink, reply: Reply) -> None:
            reply.not_before = time.monotonic() + seconds

        self._next.append((after, act))

    def garbage(self, seed: int = 0, *, after: int = 0) -> None:
        """Put noise in the place of a reply, with the end that the reply had."""
        noise = bytes(random.Random(seed).choices(_NOISE, k=_NOISE_BYTES))  # noqa: S311 - noise, no secret

        def act(link: TwinLink, reply: Reply) -> None:
            pieces: list[Piece] = [b"\x00" + noise]
            if reply.pieces and bytes(reply.pieces[-1][-1:]) == b"\n":
                pieces.append(b"\n")
            reply.pieces = pieces

        self._next.append((after, act))

    def vanish(self, after: int = 0, *, keep: int = 0) -> None:
        """Let the instrument disappear in the middle of the message that comes `after` that many others.

        The message is still acted on, as by an instrument whose cable is pulled during a sweep; `keep` bytes of its
        reply arrive, then every link is closed and none can be opened, until :meth:`come_back`.
        """
        self._vanish_after, self._keep = after, keep

    def come_back(self) -> None:
        """Let a vanished instrument answer again; faults that are still waiting stay armed."""
        self.gone, self._vanish_after = False, None

    def clear(self) -> None:
        """Disarm everything."""
        self._next.clear()
        self._passed = 0
        self.come_back()

    # ---- acting: called by the link, the instrument's lock is held ------------------------------------------------
    def spoil(self, link: TwinLink, reply: Reply) -> None:
        """Act on a reply that is about to go out."""
        if self.gone:
            reply.cut(0)
        elif self._vanish_after == 0:
            reply.cut(self._keep)
            reply.end = False
        elif self._next:
            after, act = self._next[0]
            self._passed += 1
            if self._passed > after:
                self._next.popleft()
                self._passed = 0
                act(link, reply)

    def obeyed(self, link: TwinLink) -> None:
        """Count a message that was acted on."""
        if self._vanish_after is None:
            return
        if self._vanish_after > 0:
            self._vanish_after -= 1
            return
        self._vanish_after, self.gone = None, True
        for each in list(link.instrument.links):
            each.hang_up()


_NOISE = bytes(byte for byte in range(256) if byte != 0x0A)
