"""The directory of hotlines: what may be shown, when it answers, and what is shown when it doesn't."""

from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

import yaml

from handoff.model.errors import HandoffError

LAST_HELP = "110"
"""For whoever is in need while nothing here works; it answers day and night everywhere in the country."""


class HotlinesError(HandoffError):
    """The directory is malformed; the message names the entry."""


@dataclass(frozen=True)
class Hotline:
    """One number that people may be told to call (a Resource of the county)."""

    number: str
    name: str
    opens: time | None
    """None: day and night."""
    closes: time | None
    at_night: str | None
    """The number shown while this one is closed."""
    checked: str | None
    """The day somebody last dialled it."""

    def answers(self, at: datetime) -> bool:
        """Whether somebody answers at this time of the county's clock."""
        now = at.astimezone().time()
        return self.opens is None or self.closes is None or self.opens <= now <= self.closes


class Hotlines:
    """Look up by number; an unknown number is refused when the directory is read, not when somebody needs it."""

    def __init__(self, entries: list[Hotline]) -> None:
        self._by_number = {entry.number: entry for entry in entries}
        for entry in entries:
            if entry.at_night is not None:
                self.find(entry.at_night)

    @classmethod
    def load(cls, path: Path) -> "Hotlines":
        """Read the YAML file; raises HotlinesError."""
        try:
            rows = yaml.safe_load(path.read_text("utf-8"))
            return cls([_entry(row) for row in rows])
        except (OSError, UnicodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise HotlinesError("bad_hotlines", f"热线名录 {path} 有错：{error}") from error

    def find(self, number: str) -> Hotline:
        """The entry; raises HotlinesError for a number that nobody has put on the list."""
        if number not in self._by_number:
            raise HotlinesError("unknown_hotline", f"号码 {number} 不在热线名录里。")
        return self._by_number[number]

    def to_call(self, number: str | None, at: datetime) -> str | None:
        """This number, or the one to call while it is closed."""
        if number is None:
            return None
        entry = self.find(number)
        return number if entry.answers(at) or entry.at_night is None else entry.at_night

    def unchecked(self) -> list[str]:
        """Numbers nobody has dialled yet."""
        return [entry.number for entry in self._by_number.values() if entry.checked is None]


def _entry(row: dict[str, object]) -> Hotline:
    hours = row.get("hours")
    opens, closes = (_clock(hours[0]), _clock(hours[1])) if isinstance(hours, list) else (None, None)
    at_night, checked = row.get("at_night"), row.get("checked")
    return Hotline(
        str(row["number"]),
        str(row["name"]),
        opens,
        closes,
        str(at_night) if at_night else None,
        str(checked) if checked else None,
    )


def _clock(text: object) -> time:
    return time.max if text == "24:00" else time.fromisoformat(str(text))
