"""One case as a worker reads it: what was said, what happened, who was told, and what was promised."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.words import PURPOSE_ZH, RISK_ZH, STAGE_ZH, Purpose, Risk, Stage
from handoff.service.calls import planned_calls
from handoff.service.queue_row import Row, clock_time
from handoff.store.tables import Case, CaseEvent, Notice, Recording, Reply, Task, Turn, Worker

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
    "call_planned": "排了一个电话",
    "called": "电话打通，话说到了",
    "call_missed": "电话没打成",
    "call_given_up": "打了几次没打成，乡音不再打",
    "call_needless": "电话不用打了",
    "call_cancelled": "取消了一个电话",
    "reminder_heard": "提醒听清了",
    "helped": "回访：帮到了",
    "not_helped": "回访：没帮到，另开了一件",
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
MISSED_ZH = {
    "no_answer": "没有人接",
    "not_confirmed": "接了，没有应",
    "interrupted": "打到一半服务停了",
}
"""Why a call that we made came to nothing, as workers read it."""
HINTED_ZH = {"subscription": "已发订阅通知，请本人点开"}
INSTEAD_ZH = {"call": "请打电话", "visit": "请上门，或者请站点带话"}


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
    sound: int | None = None
    """The turn whose recording there is."""


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
    calls: list[dict[str, Any]] = field(default_factory=list)
    """The calls that we are still going to make: `id`, `at` and `what`."""
    kept_close: bool = False
    """The person does not want their words seen by all; they show once the case is claimed."""


async def view_of(
    session: AsyncSession, case: Case, row: Row, lines: list[Line], *, kept_close: bool = False
) -> CaseView:
    """The case with these lines of its conversation; `kept_close`: without any words."""
    return CaseView(
        row, _summary(row, lines), _consent(case.consent), await _promised_in(session, case), lines,
        await _events_of(session, case.id, words=not kept_close), await _told_of(session, case.id),
        calls=await _calls_of(session, case.id), kept_close=kept_close,
    )  # fmt: skip


async def lines_of(session: AsyncSession, conversation_id: int) -> list[Line]:
    """All that was said in a conversation, in its order."""
    turns = await session.scalars(select(Turn).where(Turn.conversation_id == conversation_id))
    with_sound = select(Recording.turn_id).join(Turn, Turn.id == Recording.turn_id)
    sounds = {*await session.scalars(with_sound.where(Turn.conversation_id == conversation_id))}
    said = [(turn.received_at, 0, _turn_line(turn, turn.id in sounds)) for turn in turns]
    replies = await session.scalars(select(Reply).where(Reply.conversation_id == conversation_id))
    for reply in replies:
        attempts = [
            *await session.scalars(select(Notice).where(Notice.reply_id == reply.id).order_by(Notice.attempt))
        ]
        worker = await session.get(Worker, reply.worker_id) if reply.worker_id else None
        said.append((reply.created_at, 1, _reply_line(reply, worker, attempts[-1] if attempts else None)))
    return [line for _, _, line in sorted(said, key=lambda item: item[:2])]


async def _events_of(session: AsyncSession, case_id: int, *, words: bool = True) -> list[dict[str, Any]]:
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


async def _told_of(session: AsyncSession, case_id: int) -> list[dict[str, str]]:
    attempts = select(Notice, Worker.display_name).join(Worker, Worker.id == Notice.worker_id)
    attempts = attempts.where(Notice.case_id == case_id).order_by(Notice.round, Notice.attempt)
    last = {notice.worker_id: (who, notice) for notice, who in await session.execute(attempts)}
    return [{"who": who, "what": _how_told(notice)} for who, notice in last.values()]


async def _promised_in(session: AsyncSession, case: Case) -> str:
    tasks = [*await session.scalars(select(Task).where(Task.case_id == case.id).order_by(Task.id))]
    what = {"call": "回话", "visit": "上门"}
    return "；".join(
        f"{clock_time(task.due_at)} 前{what.get(task.kind, '办')}" + ("（已办）" if task.done_at else "")
        for task in tasks
    )


async def _calls_of(session: AsyncSession, case_id: int) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "at": clock_time(call.due_at), "what": PURPOSE_ZH[Purpose(call.purpose)]}
        for call in await planned_calls(session, case_id)
    ]


def _turn_line(turn: Turn, has_sound: bool) -> Line:
    heard = turn.confidence if turn.engine != "typed" else None
    return Line(
        f"t{turn.id}", clock_time(turn.received_at), "person", "服务对象", turn.text or "（没有声音）", heard,
        sound=turn.id if has_sound else None,
    )  # fmt: skip


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
    if content.get("purpose"):
        tried = f"第 {content['try']} 次，{MISSED_ZH.get(content['why'], '')}" if "why" in content else ""
        parts += [PURPOSE_ZH[Purpose(content["purpose"])], tried]
    if content.get("consent"):
        parts.append(_consent(content["consent"]))
    parts += [str(content[key]) for key in ("reason", "text") if content.get(key)]
    return "：".join(part for part in parts if part)
