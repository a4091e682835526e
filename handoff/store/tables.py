"""The tables. What people say, their names and numbers are sealed; events and attempts are only ever added."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, MetaData, String, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from handoff.store.sealed import Sealed, SealedBytes, Utc

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

_OPEN = text("stage NOT IN ('closed', 'referred', 'withdrawn')")


class Base(DeclarativeBase):
    """All tables of the domain."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: Utc, dict[str, Any]: JSON, list[str]: JSON}


class Village(Base):
    """A village (村)."""

    __tablename__ = "villages"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)


class Station(Base):
    """A village station (站点) with a page of its own."""

    __tablename__ = "stations"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    village_id: Mapped[int] = mapped_column(ForeignKey("villages.id"))
    name: Mapped[str] = mapped_column(String(80))


class Person(Base):
    """Whom a case is about (服务对象)."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    village_id: Mapped[int | None] = mapped_column(ForeignKey("villages.id"))
    name: Mapped[Any] = mapped_column(Sealed)
    phone: Mapped[Any] = mapped_column(Sealed, nullable=True)
    called: Mapped[Any] = mapped_column(Sealed, nullable=True)
    """How they are spoken to (王嬢嬢), where a worker has put it on record."""
    created_at: Mapped[datetime]


class Address(Base):
    """Where somebody can be reached: a telephone number or an openid; several people may share one."""

    __tablename__ = "addresses"
    __table_args__ = (UniqueConstraint("channel", "digest"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    """Of the value, keyed, to find it by: what is sealed can't be searched."""
    value: Mapped[Any] = mapped_column(Sealed)
    village_id: Mapped[int | None] = mapped_column(ForeignKey("villages.id"))
    gone_at: Mapped[datetime | None]
    """Since when it reaches nobody any more (unfollowed)."""
    created_at: Mapped[datetime]


class Reached(Base):
    """Who is reached at an address, once they have said that it is them."""

    __tablename__ = "reached"
    address_id: Mapped[int] = mapped_column(ForeignKey("addresses.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    since: Mapped[datetime]


class Card(Base):
    """A card with a number that a person carries (便民卡); how it looks is made anew whenever it is printed."""

    __tablename__ = "cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the number, keyed, to find it by."""
    number: Mapped[Any] = mapped_column(Sealed)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    made_by: Mapped[int] = mapped_column(ForeignKey("workers.id"))
    made_at: Mapped[datetime]
    void_at: Mapped[datetime | None]


class Check(Base):
    """An answer to the question by which somebody shows that a matter is theirs; its words are not kept."""

    __tablename__ = "checks"
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    address_id: Mapped[int | None] = mapped_column(ForeignKey("addresses.id"))
    station_id: Mapped[int | None] = mapped_column(ForeignKey("stations.id"))
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    card_id: Mapped[int | None] = mapped_column(ForeignKey("cards.id"))
    is_right: Mapped[bool]
    at: Mapped[datetime] = mapped_column(index=True)


class Arrival(Base):
    """A message as a platform handed it to us, put on record before anything is done with it."""

    __tablename__ = "arrivals"
    __table_args__ = (
        UniqueConstraint("channel", "digest"),
        Index("ix_arrivals_open", "address_id", "done_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    """Of what makes it the same message when the platform sends it again."""
    address_id: Mapped[int] = mapped_column(ForeignKey("addresses.id"))
    message: Mapped[Any] = mapped_column(Sealed, nullable=True)
    """Gone once it is done: what was said stands in its turn."""
    outcome: Mapped[dict[str, Any] | None]
    """What came of it: replies by id, in their order; None while it is open."""
    taken_until: Mapped[datetime | None]
    """So long the process that works on it has it for itself."""
    received_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class Window(Base):
    """How many messages may still be sent to an address, and until when, because of something it did."""

    __tablename__ = "windows"
    __table_args__ = (UniqueConstraint("address_id", "kind"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    address_id: Mapped[int] = mapped_column(ForeignKey("addresses.id"))
    kind: Mapped[str] = mapped_column(String(16))
    opened_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    allowed: Mapped[int]
    sent: Mapped[int] = mapped_column(default=0)


class Credential(Base):
    """A platform's token, shared by all processes and fetched by one of them at a time."""

    __tablename__ = "credentials"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(Sealed, nullable=True)
    expires_at: Mapped[datetime | None]
    fetching_until: Mapped[datetime | None]


class Media(Base):
    """A sound that lies at the platform already, so that it need not be sent up again."""

    __tablename__ = "media"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    media_id: Mapped[Any] = mapped_column(Sealed)
    expires_at: Mapped[datetime]


class Worker(Base):
    """A human who answers (社工) or operates for others (志愿者); never a background loop."""

    __tablename__ = "workers"
    __table_args__ = (Index("uq_workers_wecom_id", "wecom_id", unique=True),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    display_name: Mapped[str] = mapped_column(String(40))
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(200))
    on_duty: Mapped[bool] = mapped_column(default=True)
    wecom_id: Mapped[str | None] = mapped_column(String(64))
    """Their account in WeCom, where alarms reach them without an open console."""
    phone: Mapped[Any] = mapped_column(Sealed, nullable=True)
    """Where callers who ask for a person are put through to."""
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Session(Base):
    """A worker signed in; only the hash of the cookie is kept."""

    __tablename__ = "sessions"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    worker_id: Mapped[int] = mapped_column(ForeignKey("workers.id"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]


class Conversation(Base):
    """One person's talk with us by one channel."""

    __tablename__ = "conversations"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    channel: Mapped[str] = mapped_column(String(16))
    speaker: Mapped[str] = mapped_column(String(16))
    station_id: Mapped[int | None] = mapped_column(ForeignKey("stations.id"))
    village_id: Mapped[int | None] = mapped_column(ForeignKey("villages.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    risk: Mapped[str] = mapped_column(String(16))
    held_by: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    dialogue: Mapped[Any] = mapped_column(Sealed, nullable=True)
    questions: Mapped[list[str]] = mapped_column(default=list)
    """Danger questions still to be asked, one a turn."""
    asked: Mapped[Any] = mapped_column(Sealed, nullable=True)
    """What was asked last: `step` (who speaks: `caller`, `who`, `number`, `name`; in a call that we made: `is_it_you`,
    `heard`, `helped`), and what belongs to it."""
    version: Mapped[int] = mapped_column(default=0)
    """Counts the answers: one made from an older state of the talk is not used."""
    speed: Mapped[float] = mapped_column(default=1.0)
    volume: Mapped[float] = mapped_column(default=1.0)
    address_id: Mapped[int | None] = mapped_column(ForeignKey("addresses.id"), index=True)
    consent: Mapped[str] = mapped_column(String(16), default="not_asked", server_default="not_asked")
    """`not_asked`, `asked` (by the last reply), `unanswered`, `given` or `refused`."""
    recording: Mapped[str] = mapped_column(String(16), default="not_asked", server_default="not_asked")
    """Whether the sound of their words may be kept: `not_asked`, `asked` (together with consent), `given` or `refused`."""
    started_at: Mapped[datetime]


class Turn(Base):
    """An utterance as it was accepted, and what was understood; its reply stands in `replies`."""

    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("conversation_id", "message_id"),
        Index("ix_turns_state", "state", "received_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    message_id: Mapped[str] = mapped_column(String(128))
    text: Mapped[Any] = mapped_column(Sealed)
    confidence: Mapped[float]
    engine: Mapped[str] = mapped_column(String(32))
    need: Mapped[str | None] = mapped_column(String(16))
    need_confidence: Mapped[float | None]
    risk: Mapped[str] = mapped_column(String(16))
    kinds: Mapped[list[str]]
    why: Mapped[Any] = mapped_column(Sealed)
    state: Mapped[str] = mapped_column(String(16))
    """`received`, then `answered`, or `held` where a worker has the conversation."""
    received_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class Recording(Base):
    """How an utterance sounded; only of those who have agreed to it, and gone after a time."""

    __tablename__ = "recordings"
    turn_id: Mapped[int] = mapped_column(ForeignKey("turns.id"), primary_key=True)
    sound: Mapped[bytes] = mapped_column(SealedBytes)
    """MP3."""
    kept_at: Mapped[datetime] = mapped_column(index=True)


class Reply(Base):
    """Words to the person, by the assistant or by a worker."""

    __tablename__ = "replies"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"), index=True)
    turn_id: Mapped[int | None] = mapped_column(ForeignKey("turns.id"), unique=True)
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    text: Mapped[Any] = mapped_column(Sealed)
    shown: Mapped[dict[str, Any]]
    """What goes with the words: pace, case number, number to call."""
    created_at: Mapped[datetime]


class Case(Base):
    """A matter that a person must see to (个案)."""

    __tablename__ = "cases"
    __table_args__ = (
        Index(
            "uq_cases_open",
            "conversation_id",
            "need",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("uq_cases_number_open", "number", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(8))
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    village_id: Mapped[int | None] = mapped_column(ForeignKey("villages.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    need: Mapped[str] = mapped_column(String(16))
    risk: Mapped[str] = mapped_column(String(16))
    kinds: Mapped[list[str]]
    why: Mapped[Any] = mapped_column(Sealed)
    stage: Mapped[str] = mapped_column(String(16))
    consent: Mapped[str] = mapped_column(String(16))
    """`not_asked`, `given`, `refused` or `overridden` (danger to life)."""
    claimed_by: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    claimed_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime]


class CaseEvent(Base):
    """What happened in a case; rows are only added (triggers refuse change and removal)."""

    __tablename__ = "case_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(24))
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    turn_id: Mapped[int | None] = mapped_column(ForeignKey("turns.id"))
    content: Mapped[Any] = mapped_column(Sealed)


class Task(Base):
    """Something promised in a case: a visit, a call back, an order."""

    __tablename__ = "tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    asked_by: Mapped[str] = mapped_column(String(16), default="opening", server_default="opening")
    """`opening`, or `unreached` where words could not be brought to the person otherwise."""
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class Notice(Base):
    """One attempt to tell someone: a worker of a case, or the person of a reply."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("case_id", "worker_id", "round", "attempt", name="uq_notices_worker_attempt"),
        UniqueConstraint("reply_id", "attempt", name="uq_notices_reply_attempt"),
        Index("ix_notices_state", "state", "created_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    reply_id: Mapped[str | None] = mapped_column(ForeignKey("replies.id"))
    way: Mapped[str] = mapped_column(String(16))
    round: Mapped[int] = mapped_column(default=0)
    """0 for the first alert of a case; each rise of risk or run-out clock begins another."""
    attempt: Mapped[int] = mapped_column(default=1)
    parts: Mapped[int] = mapped_column(default=0, server_default="0")
    """So many parts of a long reply have arrived."""
    state: Mapped[str] = mapped_column(String(16))
    """`pending`, then `delivered`, `retried` or `failed`."""
    code: Mapped[str | None] = mapped_column(String(32))
    """Why an attempt did not succeed."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Timer(Base):
    """A clock on a case: when it runs out, somebody must be told."""

    __tablename__ = "timers"
    __table_args__ = (Index("ix_timers_due", "fired_at", "due_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    kind: Mapped[str] = mapped_column(String(16))
    """`acknowledge` (nobody has seen an emergency) or `due` (nobody has acted in time)."""
    due_at: Mapped[datetime]
    fired_at: Mapped[datetime | None]


class Call(Base):
    """A telephone call that the service makes by itself."""

    __tablename__ = "calls"
    __table_args__ = (Index("ix_calls_due", "state", "due_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    address_id: Mapped[int] = mapped_column(ForeignKey("addresses.id"))
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversations.id"))
    """What was said in its last try."""
    purpose: Mapped[str] = mapped_column(String(16))
    """`call_back`, `reminder` or `helped`."""
    words: Mapped[Any] = mapped_column(Sealed, nullable=True)
    """Of a reminder."""
    state: Mapped[str] = mapped_column(String(16))
    """`planned`, `ringing`, then `done`, `given_up` or `cancelled`."""
    code: Mapped[str | None] = mapped_column(String(32))
    """Why the last try did not succeed."""
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Answer(Base):
    """What a worker has answered for everyone who asks the like; it joins the knowledge base at once."""

    __tablename__ = "answers"
    id: Mapped[int] = mapped_column(primary_key=True)
    need: Mapped[str] = mapped_column(String(16))
    asks: Mapped[Any] = mapped_column(Sealed)
    """Ways of asking it, in general words."""
    said: Mapped[Any] = mapped_column(Sealed)
    """The sentences that are said."""
    worker_id: Mapped[int] = mapped_column(ForeignKey("workers.id"))
    recheck_months: Mapped[int]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class Question(Base):
    """Something asked for which the knowledge base had no answer; its case went to a person."""

    __tablename__ = "questions"
    __table_args__ = (Index("ix_questions_settled_at", "settled_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    turn_id: Mapped[int] = mapped_column(ForeignKey("turns.id"), unique=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    need: Mapped[str] = mapped_column(String(16))
    text: Mapped[Any] = mapped_column(Sealed)
    asked_at: Mapped[datetime]
    answer_id: Mapped[int | None] = mapped_column(ForeignKey("answers.id"))
    settled_by: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))
    settled_at: Mapped[datetime | None]
