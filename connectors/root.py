"""The composition root: everything is built here, once, from the settings."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connectors.errors import ConnectorError
from connectors.fixed_words import responses, said_ahead, said_in
from connectors.pages import page_phrases
from connectors.rasa_client import RasaClient
from connectors.screens import danger_screen, load_dialect
from connectors.settings import ROOT, Settings
from connectors.supervisor import RasaSupervisor
from connectors.voices import Voices
from connectors.wechat.account import Account
from connectors.wechat.inbox import Inbox
from connectors.wechat.wecom_account import WecomAccount
from connectors.wechat.wecom_callback import WecomTaps
from handoff.model.clock import Clock
from handoff.model.hotlines import Hotlines
from handoff.model.knowledge import load_knowledge
from handoff.model.quiet import QuietHours
from handoff.service.breaking_off import BreakingOff
from handoff.service.calls import Calls
from handoff.service.casework import Casework
from handoff.service.consulting import Consulting
from handoff.service.dispatch import Dispatch
from handoff.service.hub import Hub
from handoff.service.phrases import Phrases
from handoff.service.ports import Dialogue
from handoff.service.putting_through import PuttingThrough
from handoff.service.questions import Questions
from handoff.service.queue import Queue
from handoff.service.recordings import Recordings
from handoff.service.talks import Talks
from handoff.service.turns import Turns
from handoff.service.understanding import Understander
from handoff.service.workers import Workers
from handoff.store.database import Store
from handoff.store.migrate import migrate
from handoff.store.sealed import use_key

NLU_DATA = ROOT / "nlu_data"

_TIDY_S = 3600.0


@dataclass(frozen=True)
class Domain:
    """The domain, ready to serve; knows nothing of pages, Rasa's process or voices."""

    store: Store
    hub: Hub
    dispatch: Dispatch
    phrases: Phrases
    understander: Understander
    turns: Turns
    breaking_off: BreakingOff
    casework: Casework
    queue: Queue
    questions: Questions
    talks: Talks
    workers: Workers
    putting_through: PuttingThrough
    calls: Calls
    recordings: Recordings


@dataclass(frozen=True)
class Service:
    """A whole running service."""

    settings: Settings
    domain: Domain
    voices: Voices
    rasa: RasaClient
    supervisor: RasaSupervisor | None
    inbox: Inbox | None = None
    """Of the Official Account, where there is one."""
    taps: WecomTaps | None = None
    """Of the workers' cards in WeCom, where they are told there."""


def understander(settings: Settings, dialogue: Dialogue) -> Understander:
    """The full understanding of single utterances."""
    phrases = Phrases.load(NLU_DATA / "phrases.yaml")
    return Understander(danger_screen(settings.encoder), phrases, consulting(settings), dialogue)


def consulting(settings: Settings) -> Consulting:
    """The consultation over the knowledge base's files."""
    dialect = load_dialect()
    return Consulting(
        load_knowledge(NLU_DATA / "consultation"),
        region=settings.region,
        as_meant=lambda text: dialect.mandarin(text).text,
    )


def open_store(settings: Settings) -> Store:
    """The store, brought to its newest form."""
    settings.at().mkdir(mode=0o700, parents=True, exist_ok=True)
    use_key(settings.key)
    migrate(settings.store_url)
    return Store(settings.store_url)


Connect = Callable[[Store, Dispatch, Clock], Awaitable[None]]
"""Gives the engine its ways."""


async def _not_connected(_store: Store, _dispatch: Dispatch, _clock: Clock) -> None:
    """Open pages and consoles are all the ways there are."""


@asynccontextmanager
async def domain(
    settings: Settings,
    dialogue: Dialogue,
    clock: Clock | None = None,
    connect: Connect = _not_connected,
) -> AsyncIterator[Domain]:
    """The domain with its durable engine running; `connect` gives the engine its ways before it starts."""
    store, hub, clock = open_store(settings), Hub(), clock or Clock()
    knows = understander(settings, dialogue)
    dispatch = Dispatch(store, hub, clock)
    dispatch.quiet = QuietHours(settings.quiet_from, settings.quiet_to)
    turns = Turns(
        store, knows, Hotlines.load(NLU_DATA / "hotlines.yaml"), dispatch, clock, records_calls=settings.record_calls
    )  # fmt: skip
    recordings = Recordings(store, dispatch, clock, days=settings.recordings_days)
    calls = Calls(
        store, dispatch, clock, dispatch.quiet, possible=settings.calls_out and bool(settings.sip_user)
    )
    casework, queue, workers = (
        Casework(store, knows.phrases, dispatch, calls, clock),
        Queue(store, clock),
        Workers(store, clock),
    )
    questions = Questions(store, knows.consulting, knows.phrases, dispatch, clock)
    try:
        await store.check_key()
        await questions.load()
        await connect(store, dispatch, clock)
        await dispatch.launch(settings.engine_url, turns.finish)
        dispatch.every(_TIDY_S, recordings.tidy)
        yield Domain(
            store,
            hub,
            dispatch,
            knows.phrases,
            knows,
            turns,
            BreakingOff(store, dispatch, calls, clock),
            casework,
            queue,
            questions,
            Talks(store),
            workers,
            PuttingThrough(store, casework, dispatch, clock, dispatch.quiet),
            calls,
            recordings,
        )
    finally:
        await dispatch.close()
        await store.close()


@asynccontextmanager
async def service(
    settings: Settings, say: Callable[[str], None] = lambda _line: None
) -> AsyncIterator[Service]:
    """The whole service: domain, voices, and Rasa under supervision or elsewhere."""
    rasa = RasaClient(settings.rasa_url, settings.dialogue_timeout_s)
    supervisor = None if settings.rasa_url else RasaSupervisor(settings, rasa, say)
    voices = Voices(settings)
    accounts: list[Account] = []
    companies: list[WecomAccount] = []

    async def connect(store: Store, dispatch: Dispatch, clock: Clock) -> None:
        if settings.wechat_app_id:
            accounts.append(Account(settings, voices, store, dispatch, clock))
            await accounts[0].take_up()
        if settings.wecom_corp_id:
            companies.append(WecomAccount(settings, store, dispatch, clock))

    async with domain(settings, rasa, connect=connect) as parts:
        inbox = accounts[0].inbox(parts.turns, parts.understander.screen) if accounts else None
        taps = companies[0].taps(parts.casework) if companies else None
        try:
            if supervisor is not None:
                supervisor.start()
            if settings.warm_voices:
                voices.start(*_said_ahead(settings, parts.phrases, parts.understander.consulting))
            if inbox is not None:
                inbox.start()
            yield Service(settings, parts, voices, rasa, supervisor, inbox, taps)
        finally:
            if inbox is not None:
                await inbox.close()
            for account in accounts:
                account.close()
            for company in companies:
                await company.close()
            await voices.close()
            if supervisor is not None:
                await supervisor.close()
            await rasa.close()


def _said_ahead(settings: Settings, phrases: Phrases, consulting: Consulting) -> tuple[list[str], list[str]]:
    """What is rendered ahead: on a telephone everything that can be, since there a silence is all one has."""
    texts = [*phrases.texts(), *page_phrases().values()]
    if settings.sip_user or settings.audio_socket:
        texts += [*responses(), *said_in(consulting.files)]
    return said_ahead(texts)


def explain_os_error(error: OSError) -> ConnectorError:
    """A full or read-only disk, or a taken port, in plain words."""
    if error.errno == 98 or "address already in use" in str(error).lower():
        return ConnectorError(
            "port_taken",
            "这个端口已经有别的程序在用。请换一个：XIANGYIN_PORT=8031 make run，或先停掉那个程序。",
        )
    if error.errno in (17, 20):
        return ConnectorError(
            "not_a_folder",
            f"{error.filename or '数据目录'} 应该是一个目录，那里却是一个文件。请改 XIANGYIN_DATA。",
        )
    if error.errno in (28, 122):
        return ConnectorError("disk_full", "磁盘满了。请清理后再启动。")
    if error.errno in (13, 30):
        return ConnectorError("read_only", f"写不进去：{error.filename or '数据目录'}。请检查磁盘和权限。")
    return ConnectorError("system", f"系统报错：{error.strerror or error}")
