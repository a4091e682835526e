"""After kill -9 in the middle of everything, a restart finishes all that was accepted, once."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from cast import BEATEN, CHEST, SALT
from county import settings_for, until
from sqlalchemy import select
from strict_double import strict_double

from connectors.root import open_store
from connectors.trial import Trial, trial
from handoff.store.database import Store
from handoff.store.tables import Case, Notice, Reply, Timer, Turn

pytestmark = pytest.mark.asyncio(loop_scope="session")

HUNG = "第三件事"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_everything_accepted_is_finished_after_a_restart(
    kind: str, tmp_path: Path, new_database: Callable[[str], str]
) -> None:
    url = new_database(kind)
    async with strict_double() as rasa:
        rasa.script[HUNG] = "hang"
        async with (
            trial(settings_for(tmp_path), rasa_url=rasa.url, DATABASE_URL=url) as one,
            aiohttp.ClientSession() as http,
        ):
            token = (await one.post(http, "/api/conversations", {"speaker": "self"}))["conversation"]
            replies = [await _say(one, http, token, text) for text in (SALT, CHEST, BEATEN)]
            hanging = asyncio.create_task(_say(one, http, token, HUNG))
            await until(lambda: rasa.times_asked(HUNG))
            await one.stop(signal.SIGKILL)
            await asyncio.gather(hanging, return_exceptions=True)
            rasa.script.clear()
            await one.start()
            store = open_store(settings_for(one.folder, url))
            try:
                await until(lambda: _all_finished(store))
                await _nothing_twice(store)
            finally:
                await store.close()
            again = [await _say(one, http, token, text) for text in (SALT, CHEST, BEATEN)]
            assert again == replies
            late = await _say(one, http, token, HUNG)
            assert late["reply"]["text"]


async def _say(one: Trial, http: aiohttp.ClientSession, token: str, text: str) -> dict[str, dict[str, str]]:
    body = {"conversation": token, "message_id": f"id-{text}", "text": text}
    return await one.post(http, "/api/turns", body)


async def _all_finished(store: Store) -> bool:
    """All turns answered; every alarm tried at least once by the second life."""
    async with store.read() as session:
        turns = [*await session.scalars(select(Turn))]
        notices = [
            *await session.scalars(select(Notice).where(Notice.attempt == 1, Notice.case_id.is_not(None)))
        ]
    return all(turn.state == "answered" for turn in turns) and all(n.state != "pending" for n in notices)


async def _nothing_twice(store: Store) -> None:
    async with store.read() as session:
        turns = [*await session.scalars(select(Turn))]
        replies = [*await session.scalars(select(Reply.turn_id).where(Reply.turn_id.is_not(None)))]
        cases = [*await session.scalars(select(Case))]
        timers = [*await session.scalars(select(Timer).where(Timer.fired_at.is_(None)))]
    assert len(turns) == 4
    assert sorted(replies) == sorted(turn.id for turn in turns)
    assert Counter(case.need for case in cases) == {"emergency": 1, "abuse": 1}
    assert sorted(timer.kind for timer in timers) == ["acknowledge", "due", "due"]
