"""What nobody could answer yet, and how a worker answers it once for everyone who asks the like."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.model.knowledge import Entry
from handoff.model.sayable import fault, sentences
from handoff.model.words import NEED_ZH, Need, Stage
from handoff.service.after import Changes
from handoff.service.consulting import Consulting
from handoff.service.dispatch import Dispatch
from handoff.service.keeping import tell
from handoff.service.opening import Desk
from handoff.service.phrases import Phrases
from handoff.service.reading import is_kept_close, record_reading
from handoff.store.database import Store
from handoff.store.tables import Answer, Case, Conversation, Question, Worker

RECHECK_MONTHS = 12
LONGEST_ANSWER = 150  # characters: half a minute of slow speech, and nobody remembers more
MOST_SHOWN = 200
_PRIVATE = re.compile(r"\d{5,}|[一二三四五六七八九零幺]{7,}")


class QuestionError(HandoffError):
    """What a worker wrote can't be said to everyone; the message says how to mend it."""


@dataclass(frozen=True)
class Open:
    """A question that waits for an answer."""

    id: int
    need_zh: str
    text: str
    asked_at: datetime
    case_id: int
    case_number: str


@dataclass(frozen=True)
class Written:
    """An answer of a worker that is in use. due: somebody should have looked at it again by now."""

    id: int
    need_zh: str
    ask: str
    said: str
    worker: str
    created_at: datetime
    due: bool


class Questions:
    """The list of unanswered questions, and the answers that workers have written."""

    def __init__(
        self, store: Store, consulting: Consulting, phrases: Phrases, dispatch: Dispatch, clock: Clock
    ) -> None:
        self._store = store
        self._consulting = consulting
        self._phrases = phrases
        self._dispatch = dispatch
        self._clock = clock
        self._desk = Desk(clock)

    async def load(self) -> None:
        """Take the answers on record into the consultation."""
        async with self._store.read() as session:
            self._consulting.take_in(
                [
                    _entry(row)
                    for row in await session.scalars(select(Answer).where(Answer.retired_at.is_(None)))
                ]
            )

    async def waiting(self, worker_id: int) -> list[Open]:
        """The open questions, the oldest first, and on record that this worker has read them; raises QuestionError."""
        async with self._store.write() as session:
            await _must_be_worker(session, worker_id)
            result = await session.execute(
                select(Question, Case)
                .join(Case, Case.id == Question.case_id)
                .where(Question.settled_at.is_(None))
                .order_by(Question.id)
                .limit(MOST_SHOWN)
            )
            found = [(one, case) for one, case in result if not is_kept_close(case, worker_id)]
            for case_id in {case.id for _, case in found}:
                await record_reading(session, case_id, worker_id, self._clock.now())
            return [
                Open(one.id, NEED_ZH[Need(one.need)], one.text, one.asked_at, case.id, case.number)
                for one, case in found
            ]

    async def written(self) -> list[Written]:
        """The answers of workers that are in use, the newest first."""
        async with self._store.read() as session:
            found = await session.execute(
                select(Answer, Worker)
                .join(Worker, Worker.id == Answer.worker_id)
                .where(Answer.retired_at.is_(None))
                .order_by(Answer.id.desc())
                .limit(MOST_SHOWN)
            )
            today = self._clock.now().date()
            return [
                Written(
                    row.id, NEED_ZH[Need(row.need)], "／".join(row.asks), "".join(row.said),
                    worker.display_name, row.created_at, _entry(row).due(today),
                )
                for row, worker in found
            ]  # fmt: skip

    def due(self) -> list[Entry]:
        """The entries of the files that somebody should have looked at again by now."""
        today = self._clock.now().date()
        return [entry for entry in self._consulting.files if entry.due(today)]

    async def answer(self, question_id: int, worker_id: int, ask: str, text: str) -> int:
        """Answer it for everyone, and tell those who asked; returns how many were told. Raises QuestionError."""
        ask, said = _general(ask), _sayable(text)
        changes = Changes()
        async with self._store.write() as session:
            await _must_be_worker(session, worker_id)
            need = (await _must_wait(session, question_id)).need
            waiting = await _lock_waiting(session, need)
            answer = Answer(
                need=need, asks=[ask], said=said, worker_id=worker_id, recheck_months=RECHECK_MONTHS,
                created_at=self._clock.now(),
            )  # fmt: skip
            question = waiting.pop(question_id, None)
            if question is None:
                raise _settled()
            session.add(answer)
            await session.flush()
            only = Consulting([_entry(answer)])
            alike = [one for one in waiting.values() if only.find(one.text, Need(need))]
            told = [
                await self._settle(session, one, worker_id, answer, changes) for one in (question, *alike)
            ]
        await self._dispatch.announce(changes)
        await self.load()
        return sum(told)

    async def dismiss(self, question_id: int, worker_id: int) -> None:
        """It is no question for everyone; its case stays with people. Raises QuestionError."""
        async with self._store.write() as session:
            await _must_be_worker(session, worker_id)
            need = (await _must_wait(session, question_id)).need
            question = (await _lock_waiting(session, need)).get(question_id)
            if question is None:
                raise _settled()
            question.settled_by, question.settled_at = worker_id, self._clock.now()

    async def retire(self, answer_id: int, worker_id: int) -> None:
        """The answer is said no more; it stays on record. Raises QuestionError."""
        async with self._store.write() as session:
            await _must_be_worker(session, worker_id)
            answer = await session.get(Answer, answer_id)
            if answer is None or answer.retired_at is not None:
                raise QuestionError("no_such_answer", "这条答案已经停用了。")
            answer.retired_at = self._clock.now()
        await self.load()

    async def _settle(
        self, session: AsyncSession, question: Question, worker_id: int, answer: Answer, changes: Changes
    ) -> bool:
        """Whether the person who asked is told: not where their case is closed already."""
        now = self._clock.now()
        question.answer_id, question.settled_by, question.settled_at = answer.id, worker_id, now
        case = await session.get_one(Case, question.case_id)
        talk = await session.get_one(Conversation, case.conversation_id, with_for_update=True)
        if not Stage(case.stage).is_open:
            return False
        words = self._phrases.say("answered_later", said="".join(answer.said))
        _, notice = await tell(session, talk, case, words, self._phrases["word_waits"], now, worker_id)
        if notice is not None:
            changes.notices.append(notice)
        changes.conversations.add(talk.id)
        self._desk.record(session, case, "answered_for_all", worker_id=worker_id)
        changes.case(case)
        return True


def _entry(row: Answer) -> Entry:
    return Entry(
        id=f"worker-{row.id}", need=Need(row.need), region="all", asks=tuple(row.asks), keys=(), unless=(), usual=tuple(row.said),
        watch=(), where=(), bring=(), follow="offer", source="社工所写", written=row.created_at.date(),
        recheck_by="社工", recheck_months=row.recheck_months,
    )  # fmt: skip


async def _must_be_worker(session: AsyncSession, worker_id: int) -> None:
    worker = await session.get(Worker, worker_id)
    if worker is None or worker.disabled_at is not None or worker.role != "worker":
        raise QuestionError("not_allowed", "这一页归社工看。")


def _settled() -> QuestionError:
    return QuestionError("settled", "这个问题已经有人处理了。")


async def _must_wait(session: AsyncSession, question_id: int) -> Question:
    question = await session.get(Question, question_id)
    if question is None or question.settled_at is not None:
        raise _settled()
    return question


async def _lock_waiting(session: AsyncSession, need: str) -> dict[int, Question]:
    """The open questions of a need by id, locked in this order by whoever settles any: two must not wait for each other."""
    waiting = select(Question).where(Question.settled_at.is_(None), Question.need == need)
    rows = await session.scalars(
        waiting.order_by(Question.id).with_for_update().execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows if row.settled_at is None}


def _general(ask: str) -> str:
    ask = ask.strip()
    if not 4 <= len(ask) <= 60:
        raise QuestionError("bad_ask", "请把问题写成一般的说法，四个字到六十个字。")
    if _PRIVATE.search(ask):
        raise QuestionError("private", "问题里像是有电话号码或证件号。写一般的说法，不写谁家的事。")
    return ask


def _sayable(text: str) -> list[str]:
    said = sentences(text.replace("\r", "").replace("\n", ""))
    if not said:
        raise QuestionError("empty", "还没写答案。")
    if len("".join(said)) > LONGEST_ANSWER:
        raise QuestionError("too_long", f"答案要念给老人听，最多 {LONGEST_ANSWER} 个字。")
    for one in said:
        if why := fault(one):
            raise QuestionError("not_sayable", f"“{one[:12]}”这句不能念给老人听：{why}。")
    return said
