"""A case as one line, and times as people say them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from handoff.store.tables import Case


@dataclass
class Row:
    """One case as a line of the queue; words in Chinese, ready to show."""

    id: int
    number: str
    village: str
    person: str
    need: str
    need_zh: str
    risk: str
    risk_zh: str
    kinds_zh: list[str]
    why: list[str]
    channel_zh: str
    speaker_zh: str
    stage: str
    stage_zh: str
    opened_ago: str
    due_in: str
    overdue: bool
    claimed_by: str | None
    claimed_id: int | None
    needs_ack: bool
    unread: int


def ago(passed: timedelta) -> str:
    """`3 分钟前`, as people say how long ago it was."""
    seconds = max(0, int(passed.total_seconds()))
    if seconds < 60:
        return "刚刚"
    return f"{_span(seconds)}前"


def _span(seconds: int) -> str:
    if seconds < 3600:
        return f"{seconds // 60} 分钟"
    return f"{seconds // 3600} 小时" if seconds < 86400 else f"{seconds // 86400} 天"


def due_in(case: Case, now: datetime) -> str:
    """How long there still is to take an unclaimed case, in words."""
    if case.claimed_at is not None:
        return ""
    left = int((case.due_at - now).total_seconds())
    return f"还剩 {_span(max(left, 60))}" if left > 0 else f"已超时 {_span(max(-left, 60))}"


def clock_time(at: datetime) -> str:
    """Month, day and time as the county's clock shows it."""
    return at.astimezone().strftime("%m-%d %H:%M")
