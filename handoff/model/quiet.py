"""Quiet hours: when nobody is rung up for what can wait."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta


@dataclass(frozen=True)
class QuietHours:
    """Every day from one time to another, by the county's own clock; over midnight where `start` is the later."""

    start: time
    end: time

    def ends(self, now: datetime) -> datetime | None:
        """When the quiet that holds at `now` is over (UTC); None where none holds."""
        here = now.astimezone()
        at = here.time().replace(tzinfo=None)
        over_midnight = self.start > self.end
        quiet = at >= self.start or at < self.end if over_midnight else self.start <= at < self.end
        if not quiet:
            return None
        later = timedelta(days=1) if at >= self.end else timedelta()
        return (here.replace(hour=0, minute=0, second=0, microsecond=0) + later).replace(
            hour=self.end.hour, minute=self.end.minute
        ).astimezone(UTC)  # fmt: skip
