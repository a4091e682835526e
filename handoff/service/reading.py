"""That a worker has read what people said is on record, like everything else that is done with it."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.store.tables import Case, CaseEvent

READ_AGAIN_AFTER = timedelta(minutes=10)


async def record_reading(session: AsyncSession, case_id: int, worker_id: int, now: datetime) -> None:
    """Add a `read` event, unless this worker's last one is quite fresh; the case must exist."""
    mine = select(func.max(CaseEvent.at)).where(
        CaseEvent.case_id == case_id, CaseEvent.worker_id == worker_id, CaseEvent.kind == "read"
    )
    last = await session.scalar(mine)
    if last is None or now - last > READ_AGAIN_AFTER:
        session.add(CaseEvent(case_id=case_id, at=now, kind="read", worker_id=worker_id, content={}))


def is_kept_close(case: Case, worker_id: int) -> bool:
    """Whether this worker must not see what was said: the person refused, and somebody else, or nobody, has the case."""
    return case.consent == "refused" and case.claimed_by != worker_id
