"""A worker says on the notice itself that they have seen it, without opening the console."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import Stage
from handoff.service.casework import Casework, CaseworkError
from handoff.service.workers import with_wecom
from handoff.store.database import Store
from handoff.store.tables import Case, CaseEvent, Notice


class Seen:
    """Acknowledges by notice."""

    def __init__(self, store: Store, casework: Casework) -> None:
        self._store = store
        self._casework = casework

    async def by_wecom(self, notice_id: int, wecom_id: str) -> str:
        """`seen`, or why the word does not count: `ended`, or `outdated` where the risk has risen since the notice.

        Raises CaseworkError where it is not the notice of this account, or the account may not act.
        """
        async with self._store.read() as session:
            notice = await session.get(Notice, notice_id)
            worker = await with_wecom(session, wecom_id)
            if notice is None or notice.case_id is None or worker is None:
                raise CaseworkError("unknown", "没有这条提醒，或者没有登记这个账号。")
            if notice.worker_id != worker.id or worker.disabled_at is not None:
                raise CaseworkError("not_allowed", "您没有权限办这个个案。")
            case = await session.get_one(Case, notice.case_id)
            if not Stage(case.stage).is_open:
                return "ended"
            if await _rose_since(session, notice):
                return "outdated"
        await self._casework.acknowledge(case.id, worker.id)
        return "seen"


async def _rose_since(session: AsyncSession, notice: Notice) -> bool:
    """Whoever saw that something can wait has not seen that it can't any more."""
    rose = select(CaseEvent.id).where(CaseEvent.case_id == notice.case_id, CaseEvent.kind == "raised")
    return await session.scalar(rose.where(CaseEvent.at > notice.created_at).limit(1)) is not None
