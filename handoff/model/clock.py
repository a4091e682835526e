"""Time as the domain sees it; tests move it instead of sleeping."""

from datetime import UTC, datetime, timedelta


class Clock:
    """The time of day, in UTC."""

    def now(self) -> datetime:
        """The present moment (aware, UTC)."""
        return datetime.now(UTC)


class MovedClock(Clock):
    """A clock that runs on from the true time by an offset that can be moved forward."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        """The true time plus the offset."""
        return super().now() + self.offset

    def move(self, **delta: float) -> None:
        """Move forward, e.g. `move(minutes=2)`."""
        self.offset += timedelta(**delta)
