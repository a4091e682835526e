"""A whole county for a test: store, engine, dialogue client and far end, with its cast; and the pages over it."""

import asyncio
import inspect
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from cast import ACCOUNTS, HU, STATION, STATION_NAME, VILLAGE, XIUYING, Account, Villager
from sqlalchemy import inspect as columns_of
from sqlalchemy import select, update
from strict_double import StrictDouble, strict_double

from connectors.rasa_client import RasaClient
from connectors.root import NLU_DATA, Connect, Domain, Service, domain, understander
from connectors.server import build_app
from connectors.settings import Settings
from connectors.voices import Voices
from connectors.wechat.inbox import Inbox
from handoff.model.clock import Clock, MovedClock
from handoff.model.hotlines import Hotlines
from handoff.model.nouns import Opening, Outcome, Utterance
from handoff.model.words import Channel, Speaker
from handoff.service.dispatch import Dispatch
from handoff.service.turns import Turns
from handoff.store.database import Store
from handoff.store.tables import Case, CaseEvent, Conversation, Notice, Reply, Station, Turn, Village, Worker

Row = TypeVar("Row")
_ids = itertools.count(1)


async def until(holds: Callable[[], Any], *, within: float = 45.0) -> Any:
    """The first true value of `holds` (plain or async); fails loudly when the time is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        value = holds()
        value = await value if inspect.isawaitable(value) else value
        if value:
            return value
        assert loop.time() < end, f"did not come about within {within} s"
        await asyncio.sleep(0.02)


def settings_for(folder: Path, database_url: str = "", **more: Any) -> Settings:
    """Settings of one county, whatever the machine's own environment says."""
    given: dict[str, Any] = {"data": folder, "database_url": database_url, "warm_voices": False} | more
    return Settings(_env_file=None, **given)


@dataclass
class County:
    """One running domain with its cast."""

    settings: Settings
    domain: Domain
    clock: MovedClock
    rasa: StrictDouble
    client: RasaClient
    ids: dict[str, int] = field(default_factory=dict)
    """Of the workers, by name."""

    def id_of(self, account: Account) -> int:
        """The row of a member of the cast."""
        return self.ids[account.name]

    async def begin(self, villager: Villager = XIUYING, station: str | None = STATION) -> str:
        """A conversation; its token."""
        opening = Opening(Channel.KIOSK, Speaker(villager.speaker), station)
        token, greeting = await self.domain.turns.begin(opening)
        self.domain.dispatch.shown(greeting.id)
        return token

    async def say(
        self, token: str, text: str, *, message_id: str = "", confidence: float = 1.0, engine: str = "typed"
    ) -> Outcome:
        """One utterance; its reply counts as shown."""
        utterance = Utterance(token, message_id or f"m{next(_ids)}", text, confidence, engine)
        outcome = await self.domain.turns.take(utterance)
        if outcome.reply is not None:
            self.domain.dispatch.shown(outcome.reply.id)
        return outcome

    async def rows(self, table: type[Row], *conditions: Any) -> list[Row]:
        """Rows of a table in order of their making."""
        async with self.domain.store.read() as session:
            order = table.created_at if table is Reply else columns_of(table).primary_key[0]
            return [*await session.scalars(select(table).where(*conditions).order_by(order))]

    async def talk(self, token: str) -> Conversation:
        """The conversation as stored."""
        return (await self.rows(Conversation, Conversation.token == token))[0]

    async def turns(self, token: str) -> list[Turn]:
        """Its turns as stored."""
        return await self.rows(Turn, Turn.conversation_id == (await self.talk(token)).id)

    async def replies(self, token: str) -> list[Reply]:
        """Its replies as stored."""
        return await self.rows(Reply, Reply.conversation_id == (await self.talk(token)).id)

    async def cases(self, token: str) -> list[Case]:
        """Its cases as stored."""
        return await self.rows(Case, Case.conversation_id == (await self.talk(token)).id)

    async def case(self, token: str) -> Case:
        """Its only case."""
        (case,) = await self.cases(token)
        return case

    async def events(self, case: Case) -> list[CaseEvent]:
        """What happened in a case."""
        return await self.rows(CaseEvent, CaseEvent.case_id == case.id)

    async def kinds_of_events(self, case: Case) -> list[str]:
        """The kinds of what happened in a case."""
        return [event.kind for event in await self.events(case)]

    async def notices(self, case: Case) -> list[Notice]:
        """The attempts to tell workers of a case."""
        return await self.rows(Notice, Notice.case_id == case.id)

    def elsewhere(self, store: Store) -> Turns:
        """What another process would have: in common with us nothing but the database."""
        hotlines = Hotlines.load(NLU_DATA / "hotlines.yaml")
        return Turns(
            store, understander(self.settings, self.client), hotlines, self.domain.dispatch, self.clock
        )

    def at_hour(self, hour: int) -> None:
        """Put the county's clock to this hour of today."""
        self.clock.offset *= 0
        now = self.clock.now().astimezone()
        self.clock.offset = now.replace(hour=hour, minute=0) - now

    async def claimed(self, token: str, account: Account) -> Case:
        """The only case of a conversation, claimed by this worker."""
        case = await self.case(token)
        await self.domain.casework.claim(case.id, self.id_of(account))
        return case

    async def on_duty(self, account: Account, on: bool) -> None:
        """Put somebody on or off duty."""
        async with self.domain.store.write() as session:
            await session.execute(update(Worker).where(Worker.name == account.name).values(on_duty=on))


async def _no_ways(_store: Store, _dispatch: Dispatch, _clock: Clock) -> None:
    pass


@asynccontextmanager
async def county(settings: Settings, connect: Connect = _no_ways, **client: Any) -> AsyncIterator[County]:
    """A county on the store of `settings`; an empty store gets its village and its cast."""
    clock = MovedClock()
    async with strict_double() as double:
        rasa = RasaClient(double.url, **client)
        try:
            async with domain(settings, rasa, clock, connect) as parts:
                here = County(settings, parts, clock, double, rasa)
                await _people(here)
                yield here
        finally:
            await rasa.close()
            # The engine has left its own, closed executor on the loop, which the next engine here must not meet.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


async def _people(here: County) -> None:
    known = {worker.name: worker.id for worker in await here.domain.workers.list()}
    if not known:
        async with here.domain.store.write() as session:
            village = Village(name=VILLAGE)
            session.add(village)
            await session.flush()
            session.add(Station(code=STATION, name=STATION_NAME, village_id=village.id))
        for one in ACCOUNTS:
            known[one.name] = await here.domain.workers.add(
                one.name, one.display_name, one.role, one.password
            )
        await here.domain.workers.disable(HU.name)
    here.ids.update(known)


# -- the pages over it ------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What came back by HTTP."""

    status: int
    text: str
    headers: Mapping[str, str]
    url: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)

    @property
    def csrf(self) -> str:
        """The token of the page's forms."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.text)
        return unescape(found[1]) if found else ""


class Pages:
    """Every route of the service on a free loopback port."""

    def __init__(self, here: County, base: str) -> None:
        self.county = here
        self.base = base

    @asynccontextmanager
    async def browser(self, account: Account | None = None) -> "AsyncIterator[Browser]":
        """A browser with cookies of its own, signed in where an account is given."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            one = Browser(http, self.base)
            if account is not None:
                done = await one.sign_in(account.name, account.password)
                assert done.status == 200, done.status
            yield one


class Browser:
    """Follows links, sends forms, keeps cookies; runs no scripts."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http = http
        self.base = base

    async def get(self, path: str, **more: Any) -> Answer:
        """One GET, redirects followed."""
        return await self._ask("GET", path, **more)

    async def post(self, path: str, **more: Any) -> Answer:
        """One POST, redirects followed."""
        return await self._ask("POST", path, **more)

    async def _ask(self, method: str, path: str, **more: Any) -> Answer:
        async with self.http.request(method, self.base + path, **more) as response:
            text = (await response.read()).decode()
            return Answer(response.status, text, response.headers, response.url.path)

    async def sign_in(self, name: str, password: str) -> Answer:
        """As a person does it: open the page, fill in the form, send it."""
        form = {"name": name, "password": password, "csrf": (await self.get("/console/sign-in")).csrf}
        return await self.post("/console/sign-in", data=form)

    async def act(self, case_id: int, verb: str, **fields: str) -> Answer:
        """Send one of the case page's forms."""
        return await self.send(f"/console/cases/{case_id}/{verb}", **fields)

    async def send(self, path: str, **fields: str) -> Answer:
        """Send one of the console's forms."""
        csrf = (await self.get("/console/queue")).csrf
        return await self.post(path, data={"csrf": csrf, **fields})

    @asynccontextmanager
    async def listen(self, path: str) -> "AsyncIterator[asyncio.Queue[tuple[str, Any]]]":
        """Server-sent events of an address, from the moment on that the line is open."""
        heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        timeout = aiohttp.ClientTimeout(total=None)
        async with self.http.get(self.base + path, timeout=timeout) as response:
            assert response.status == 200, response.status
            assert await response.content.readline() == b": open\n"
            reading = asyncio.create_task(_read_events(response.content, heard))
            try:
                yield heard
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                response.close()


async def _read_events(lines: aiohttp.StreamReader, heard: "asyncio.Queue[tuple[str, Any]]") -> None:
    name = ""
    async for raw in lines:
        line = raw.decode().rstrip()
        name = line[7:] if line.startswith("event: ") else name
        if line.startswith("data: "):
            heard.put_nowait((name, json.loads(line[6:])))


@asynccontextmanager
async def pages(
    here: County, voices: Voices | None = None, inbox: Inbox | None = None
) -> AsyncIterator[Pages]:
    """The web application over a county, served on loopback."""
    voices = voices or Voices(here.settings)
    app = build_app(Service(here.settings, here.domain, voices, here.client, None, inbox), here.clock)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Pages(here, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
        await voices.close()
