"""Who controls the board: the lock with its tokens, and the watchdog over its owner (controller-protocol §4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.simulated.scpi import Connection

__all__ = ["Access", "Watchdog"]

DEFAULT_WATCHDOG_S = 600.0


@dataclass
class Access:
    """The lock: its owner, and what is left of the owner before."""

    owner: Connection | None = None
    token: str = ""
    _last_token: str | None = None
    _last_owner: Connection | None = None
    _kept_errors: list[str] | None = field(default=None)

    def request(self, connection: Connection, token: str) -> int:
        """Return 1 granted, 2 granted after another token, 0 refused; a take-over closes the older connection."""
        owner = self.owner
        if owner is connection:
            return 1 if token == self.token else 0
        if owner is not None:
            if not token or token != self.token:
                return 0
            self._kept_errors = list(owner.status.errors)
            owner.close(discard=True)
        same = self._last_token is None or (
            token == self._last_token and (token != "" or connection is self._last_owner)
        )
        if same and self._kept_errors:
            connection.status.prepend(self._kept_errors)
        self._kept_errors = None
        self.owner, self.token = connection, token
        self._last_token, self._last_owner = token, connection
        return 1 if same else 2

    def release(self) -> None:
        """Give the lock back."""
        self.owner = None

    def disconnected(self, connection: Connection) -> None:
        """Keep the errors of an owner whose connection ended, for the same token."""
        if self.owner is connection:
            self._kept_errors = list(connection.status.errors)
            self.owner = None

    def error(self, entry: str) -> None:
        """Add an asynchronous error to the queue of an owner that is not connected."""
        if self._kept_errors is not None:
            self._kept_errors.append(entry)

    def may_change(self, connection: Connection) -> bool:
        """Whether a connection holds the lock."""
        return self.owner is connection

    def view(self, connection: Connection) -> int:
        """1 mine, 2 another's, 0 free."""
        if self.owner is None:
            return 0
        return 1 if self.owner is connection else 2


@dataclass
class Watchdog:
    """Acts as SAFE when no owner has spoken for a time.

    Attributes
    ----------
    limit_s : float
        0 = off while an owner is connected.
    last_ns : int
        When the owner spoke last.
    fired : bool
        It fires once until an owner speaks again.
    """

    limit_s: float = DEFAULT_WATCHDOG_S
    last_ns: int = 0
    fired: bool = False

    def fed(self, now_ns: int) -> None:
        """Note that the owner spoke."""
        self.last_ns, self.fired = now_ns, False

    def deadline_ns(self, owner: Connection | None) -> int | None:
        """When it fires, None where it does not count."""
        if self.fired:
            return None
        connected = owner is not None and not owner.ended
        if connected and owner is not None and owner.waiting:
            return None
        limit_s = self.limit_s if connected or self.limit_s else DEFAULT_WATCHDOG_S
        return self.last_ns + round(limit_s * 1e9) if limit_s else None
