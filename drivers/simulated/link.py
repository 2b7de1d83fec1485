"""What a face (VISA library, socket server) needs of a link to a simulated instrument, whatever is said over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from drivers.simulated.locks import FairLock
from drivers.simulated.resource_lock import ResourceLock
from drivers.simulated.scpi_framing import Buffer
from drivers.simulated.scpi_output import Output
from drivers.simulated.transport import Transport

__all__ = ["Link", "Locked", "Port"]


class Locked(Protocol):
    """An instrument whose lock is held while it works."""

    lock: FairLock


class Link(Protocol):
    """A stream of bytes in both directions, without a transport.

    Attributes
    ----------
    output : Output
        What is to be sent and has not been taken yet.
    closed : bool
        Nothing more is received or sent behind what is in `output`.
    ended : bool
        Nothing more will be received.
    unasked : bool
        Something may be sent at any moment, whoever caused it; else only what this link asked for.
    look_ahead, on_change : callable or None
        Set by the face: receives between two slices of a long operation; called when there may be something
        to send.
    """

    output: Output
    closed: bool
    ended: bool
    unasked: bool
    look_ahead: Callable[[], None] | None
    on_change: Callable[[], None] | None

    @property
    def instrument(self) -> Locked:
        """The instrument at the other end."""

    @property
    def idle(self) -> bool:
        """Whether everything received has been acted on."""

    @property
    def receiving(self) -> bool:
        """Whether part of a message has arrived."""

    @property
    def backlog(self) -> int:
        """Complete messages that wait for their turn."""

    def feed(self, data: Buffer) -> None:
        """Receive bytes and act on them."""

    def receive(self, data: Buffer) -> None:
        """Receive bytes; the instrument's lock must be held."""

    def receive_space(self) -> memoryview | None:
        """Room for the bytes that come next, None where they must go through :meth:`receive`."""

    def received_into_space(self, count: int) -> None:
        """Tell that `count` bytes were put there."""

    def pump(self, messages: int | None = None) -> None:
        """Go on with whatever waits."""

    def wall_s(self) -> float | None:
        """Wall seconds until :meth:`pump` can achieve something, None where only input can."""

    def end(self) -> None:
        """Tell that the link is closed from the other side."""


class Port(Protocol):
    """A place where links to a simulated instrument are made."""

    lock: ResourceLock

    @property
    def name(self) -> str:
        """What people call it."""

    def connect(self, transport: Transport = ...) -> Link:
        """Open a link over a kind of interface."""
