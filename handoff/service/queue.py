"""What workers see: the queue by risk and clock, one case with its conversation, and what happened in it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy import case as case_when
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.spoken import masked_name
from handoff.model.words import (
    CHANNEL_ZH,
    KIND_ZH,
    NEED_ZH,
    RISK_ZH,
    SPEAKER_ZH,
    STAGE_ZH,
    Channel,
    DangerKind,
    Need,
    Risk,
    Speaker,
    Stage,
)
from handoff.service.cards import card_of
from handoff.service.casework import CaseworkError
from handoff.service.opening import OPEN
from handoff.service.reading import is_kept_close, record_reading
from handoff.store.database import Store
from handoff.store.tables import (
    Case,
    CaseEvent,
    Conversation,
    Notice,
    Person,
    Reply,
    Task,
    Turn,
    Village,
    Worker,
)

MOST_ROWS = 500
NO_VILLAGE = "村未登记"

_BY_RISK = case_when({risk.value: -risk.rank for risk in Risk}, value=Case.risk)

EVENT_ZH = {
    "opened": "开案",
    "added": "又说了相关的话",
    "raised": "风险升高",
    "asked_for_human": "要求找人",
    "identified": "报对了号码和姓名，已告知进度",
    "not_identified": "问别处登记的事，号码和姓名没对上，没有告知",
    "claimed": "接手",
    "acknowledged": "看到警报",
    "replied": "答复了服务对象",
    "answered_for_all": "问的事有了大家都能用的答案，已告诉服务对象",
    "noted": "备注",
    "person_named": "登记服务对象",
    "put_through": "电话里转给了社工",
    "not_put_through": "电话里要找人，没人接得了，要打回去",
    "card_made": "做了便民卡",
    "card_void": "便民卡作废",
    "risk_set": "改风险",
    "stage_set": "改阶段",
    "released": "交回助手应答",
    "withdrawn": "服务对象撤回",
    "overdue": "超时，再次提醒",
    "broke_off": "电话断了，要打回去",
    "unreached": "话送不到，改用别的办法",
    "consent": "同意与否",
    "read": "查看了个案",
}

UNREACHED_ZH = {
    "not_connected": "页面没开着",
    "not_shown": "页面没有回应",
    "window_closed": "对方四十八小时没说话，微信不让再发",
    "quota_used": "微信允许的条数用完了",
    "not_following": "对方没有关注公众号",
    "not_allowed": "公众号没有这个权限",
    "refused": "微信不收这条消息",
    "not_listed": "服务器地址不在微信白名单里",
    "too_many": "今天发得太多，微信暂时不让发",
    "not_hinted": "订阅通知也没送到",
    "no_answer": "微信那头没有回应",
}
"""Why an attempt did not reach somebody, as workers read it."""
WAY_ZH = {"console": "工作台", "wecom": "企业微信"}
UNTOLD_ZH = {
    "not_connected": "工作台没开着",
    "no_such_user": "企业微信里没有这个账号，或者应用没有让他看见",
    "no_wecom_id": "没有登记企业微信账号",
    "no_licence": "企业微信的接口许可过期了",
    "disabled": "账号停用了",
    "not_listed": "服务器地址不在企业微信的可信 IP 里",
    "bad_secret": "企业微信的设置不对",
    "bad_corp_id": "企业微信的设置不对",
    "bad_agent": "企业微信的设置不对",
    "not_allowed": "企业微信没有给这个权限",
    "too_many": "发得太多，企业微信暂时不让发",
    "no_answer": "企业微信那头没有回应",
    "busy": "企业微信正忙",
}
"""Why a worker could not be told, as workers read it."""
HINTED_ZH = {"subscription": "已发订阅通知，请本人点开"}
INSTEAD_ZH = {"call": "请打电话", "visit": "请上门，或者请站点带话"}


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


@dataclass(frozen=True)
class Unheard:
    """An emergency that nobody has answered to."""

    id: int
    number: str
    village: str


@dataclass(frozen=True)
class Standing:
    """What every page of the console shows: how many cases are open, and the emergencies nobody has answered to."""

    count: int
    unheard: list[Unheard]


@dataclass
class Line:
    """One thing said in a conversation."""

    id: str
    at: str
    from_: str
    who: str
    text: str
    confidence: float | None = None
    delivered: str | None = None


@dataclass
class CaseView:
    """One case with all a worker needs to act."""

    row: Row
    summary: list[str]
    consent_zh: str
    promised: str
    lines: list[Line] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)
    """One for each worker who was to be told: `who`, and how and whether they were."""
    has_card: bool = False
    """Whether the person has a station card that counts."""
    kept_close: bool = False
    """The person does not want their words seen by all; they show once the case is claimed."""


@dataclass(frozen=True)
class CardView:
    """A station card as it is printed: without its person's name, so that who finds it can do nothing with it."""

    number: str
    village: str


class Queue:
    """Reads only, but for the record that somebody has read."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def rows(self, which: str, worker_id: int) -> list[Row]:
        """`queue` (all open), `mine` (open, claimed by me) or `closed` (the last 100)."""
        conditions: dict[str, list[ColumnElement[bool]]] = {
            "queue": [OPEN],
            "mine": [OPEN, Case.claimed_by == worker_id],
            "closed": [~OPEN],
        }
        async with self._store.read() as session:
            found = (
                select(Case)
                .where(*conditions.get(which, [OPEN]))
                .order_by(*(() if which == "closed" else (_BY_RISK,)), Case.id.desc())
                .limit(100 if which == "closed" else MOST_ROWS)
            )
            cases = [*await session.scalars(found)]
            rows = [await self._row(session, case) for case in cases]
        if which == "closed":
            return rows
        due = {case.id: case.due_at for case in cases}
        return sorted(rows, key=lambda row: (-Risk(row.risk).rank, row.claimed_id is not None, due[row.id]))

    async def standing(self) -> Standing:
        """The count of open cases and the unheard emergencies, the newest first."""
        async with self._store.read() as session:
            count = await session.scalar(select(func.count()).select_from(Case).where(OPEN))
            found = (
                select(Case.id, Case.number, Village.name)
                .outerjoin(Village, Village.id == Case.village_id)
                .where(OPEN, Case.risk == Risk.EMERGENCY.value, Case.acknowledged_at.is_(None))
                .order_by(Case.id.desc())
                .limit(MOST_ROWS)
            )
            unheard = [
                Unheard(id, number, village or NO_VILLAGE)
                for id, number, village in await session.execute(found)
            ]
        return Standing(min(count or 0, MOST_ROWS), unheard)

    async def case(self, case_id: int, worker_id: int) -> CaseView:
        """The whole case; that this worker read it goes on record."""
        await self._record_reading(case_id, worker_id)
        async with self._store.read() as session:
            case = await session.get(Case, case_id)
            if case is None:
                raise CaseworkError("no_such_case", "没有这个个案。")
            row = await self._row(session, case)
            if is_kept_close(case, worker_id):
                return CaseView(
                    row, _summary(row, []), _consent(case.consent), await self._promised(session, case),
                    events=await self._events(session, case.id, words=False),
                    told=await self._told(session, case.id), kept_close=True,
                )  # fmt: skip
            row.why = case.why
            lines = await self._lines(session, case.conversation_id)
            view = CaseView(
                row, _summary(row, lines), _consent(case.consent), await self._promised(session, case), lines
            )
            view.events = await self._events(session, case.id)
            view.told = await self._told(session, case.id)
            view.has_card = bool(case.person_id and await card_of(session, case.person_id))
            return view

    async def card(self, case_id: int, worker_id: int) -> CardView:
        """The station card of whom the case is about, for the worker who has it. Raises CaseworkError."""
        async with self._store.read() as session:
            case = await session.get(Case, case_id)
            if case is None or case.claimed_by != worker_id:
                raise CaseworkError("not_yours", "请先接手这个个案。")
            card = await card_of(session, case.person_id) if case.person_id else None
            if card is None:
                raise CaseworkError("no_card", "还没有做卡，或者已经作废。")
            village = await session.get(Village, case.village_id) if case.village_id else None
            return CardView(str(card.number), village.name if village else "")

    async def _row(self, session: AsyncSession, case: Case) -> Row:
        talk = await session.get_one(Conversation, case.conversation_id)
        village = await session.get(Village, case.village_id) if case.village_id else None
        person = await session.get(Person, case.person_id) if case.person_id else None
        worker = await session.get(Worker, case.claimed_by) if case.claimed_by else None
        now = self._clock.now()
        is_open = Stage(case.stage).is_open
        return Row(
            id=case.id, number=case.number, village=village.name if village else NO_VILLAGE, person=masked_name(person.name) if person else "未登记",
            need=case.need, need_zh=NEED_ZH[Need(case.need)], risk=case.risk, risk_zh=RISK_ZH[Risk(case.risk)],
            kinds_zh=[KIND_ZH[DangerKind(kind)] for kind in case.kinds], why=[] if case.consent == "refused" else case.why, channel_zh=CHANNEL_ZH[Channel(talk.channel)],
            speaker_zh=SPEAKER_ZH[Speaker(talk.speaker)], stage=case.stage, stage_zh=STAGE_ZH[Stage(case.stage)], opened_ago=ago(now - case.opened_at),
            due_in=_due(case, now) if is_open else "", overdue=is_open and case.claimed_at is None and now > case.due_at,
            claimed_by=worker.display_name if worker else None, claimed_id=case.claimed_by,
            needs_ack=is_open and case.risk == Risk.EMERGENCY and case.acknowledged_at is None, unread=await self._unread(session, case),
        )  # fmt: skip

    async def _unread(self, session: AsyncSession, case: Case) -> int:
        """Utterances passed to the worker since the worker last spoke in this conversation."""
        last = select(func.max(Reply.created_at)).where(
            Reply.conversation_id == case.conversation_id, Reply.worker_id.is_not(None)
        )
        since = await session.scalar(last)
        waiting = (
            select(func.count())
            .select_from(Turn)
            .where(Turn.conversation_id == case.conversation_id, Turn.state == "held")
        )
        return int(await session.scalar(waiting.where(Turn.received_at > since) if since else waiting) or 0)

    async def _lines(self, session: AsyncSession, conversation_id: int) -> list[Line]:
        turns = await session.scalars(select(Turn).where(Turn.conversation_id == conversation_id))
        said = [(turn.received_at, 0, _turn_line(turn)) for turn in turns]
        replies = await session.scalars(select(Reply).where(Reply.conversation_id == conversation_id))
        for reply in replies:
            attempts = [
                *await session.scalars(
                    select(Notice).where(Notice.reply_id == reply.id).order_by(Notice.attempt)
                )
            ]
            worker = await session.get(Worker, reply.worker_id) if reply.worker_id else None
            said.append((reply.created_at, 1, _reply_line(reply, worker, attempts[-1] if attempts else None)))
        return [line for _, _, line in sorted(said, key=lambda item: item[:2])]

    async def _events(
        self, session: AsyncSession, case_id: int, *, words: bool = True
    ) -> list[dict[str, Any]]:
        events = await session.scalars(
            select(CaseEvent).where(CaseEvent.case_id == case_id).order_by(CaseEvent.id)
        )
        shown = []
        for event in events:
            worker = await session.get(Worker, event.worker_id) if event.worker_id else None
            shown.append(
                {
                    "at": clock_time(event.at),
                    "who": worker.display_name if worker else "乡音",
                    "what": _what(event) if words else EVENT_ZH.get(event.kind, event.kind),
                }
            )
        return shown

    async def _told(self, session: AsyncSession, case_id: int) -> list[dict[str, str]]:
        attempts = select(Notice, Worker.display_name).join(Worker, Worker.id == Notice.worker_id)
        attempts = attempts.where(Notice.case_id == case_id).order_by(Notice.round, Notice.attempt)
        last = {notice.worker_id: (who, notice) for notice, who in await session.execute(attempts)}
        return [{"who": who, "what": _how_told(notice)} for who, notice in last.values()]

    async def _promised(self, session: AsyncSession, case: Case) -> str:
        tasks = [*await session.scalars(select(Task).where(Task.case_id == case.id).order_by(Task.id))]
        what = {"call": "回话", "visit": "上门"}
        return "；".join(
            f"{clock_time(task.due_at)} 前{what.get(task.kind, '办')}" + ("（已办）" if task.done_at else "")
            for task in tasks
        )

    async def _record_reading(self, case_id: int, worker_id: int) -> None:
        async with self._store.write() as session:
            if await session.get(Case, case_id) is not None:
                await record_reading(session, case_id, worker_id, self._clock.now())


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


def _due(case: Case, now: datetime) -> str:
    if case.claimed_at is not None:
        return ""
    left = int((case.due_at - now).total_seconds())
    return f"还剩 {_span(max(left, 60))}" if left > 0 else f"已超时 {_span(max(-left, 60))}"


def clock_time(at: datetime) -> str:
    """Month, day and time as the county's clock shows it."""
    return at.astimezone().strftime("%m-%d %H:%M")


def _turn_line(turn: Turn) -> Line:
    heard = turn.confidence if turn.engine != "typed" else None
    return Line(
        f"t{turn.id}", clock_time(turn.received_at), "person", "服务对象", turn.text or "（没有声音）", heard
    )


def _reply_line(reply: Reply, worker: Worker | None, last: Notice | None) -> Line:
    state = {"delivered": "已送达", "pending": "正在送", "retried": "正在送"}
    delivered = None
    if last is not None:
        delivered = state.get(last.state) or f"未送达：{UNREACHED_ZH.get(last.code or '', '送不到')}"
    who = worker.display_name if worker else "乡音"
    return Line(
        f"r{reply.id}",
        clock_time(reply.created_at),
        "worker" if worker else "assistant",
        who,
        reply.text,
        None,
        delivered,
    )


def _how_told(last: Notice) -> str:
    """What came of the last attempt to tell a worker, and by which way."""
    if last.state == "delivered":
        state = f"{clock_time(last.finished_at)} 送到" if last.finished_at else "送到"
    elif last.state == "failed":
        state = f"没送到：{UNTOLD_ZH.get(last.code or '', '送不到')}"
    else:
        state = "正在送"
    again = f"（第 {last.round + 1} 次提醒）" if last.round else ""
    return f"{WAY_ZH.get(last.way, last.way)} {state}{again}"


def _summary(row: Row, lines: list[Line]) -> list[str]:
    """Three lines: what it is, what raised it, what was said last."""
    said = [line.text for line in lines if line.from_ == "person"]
    kinds = "、".join(row.kinds_zh)
    first = f"{row.village}，{row.speaker_zh}{row.channel_zh}求助：{row.need_zh}" + (
        f"（{kinds}）" if kinds else ""
    )
    raised = f"风险{row.risk_zh}" + (f"，因为说了：{'、'.join(row.why)}" if row.why else "")
    return [first, raised, f"最近说的：{said[-1][:60]}" if said else "还没有说话"]


def _consent(consent: str) -> str:
    return {
        "not_asked": "未问",
        "given": "同意给社工看",
        "refused": "不同意，只给接手的人看",
        "overridden": "危及生命，先救人",
    }[consent]


def _what(event: CaseEvent) -> str:
    content = event.content or {}
    parts = [EVENT_ZH.get(event.kind, event.kind)]
    if event.kind == "stage_set":
        parts.append(f"{STAGE_ZH[Stage(content['from'])]} → {STAGE_ZH[Stage(content['to'])]}")
    if event.kind == "risk_set":
        parts.append(f"{RISK_ZH[Risk(content['from'])]} → {RISK_ZH[Risk(content['to'])]}")
    if content.get("slots"):
        parts.append(
            "；".join(
                str(value) for key, value in content["slots"].items() if key not in ("reason", "answered")
            )
        )
    if event.kind == "unreached":
        parts += [
            UNREACHED_ZH.get(content["code"], "送不到"),
            HINTED_ZH.get(content.get("hinted") or "", ""),
            INSTEAD_ZH.get(content["instead"], ""),
        ]
    if content.get("consent"):
        parts.append(_consent(content["consent"]))
    parts += [str(content[key]) for key in ("reason", "text") if content.get(key)]
    return "：".join(part for part in parts if part)
