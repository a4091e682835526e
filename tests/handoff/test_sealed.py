"""What people say, their names and numbers stand nowhere in clear: not in the database's files, not in logs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psycopg
import pytest
import pytest_asyncio
from cast import LIN, XIUYING
from county import County, county, settings_for
from cryptography.fernet import Fernet
from sqlalchemy import select
from strict_double import answer, effect, strict_double

from connectors.trial import trial
from handoff.model.errors import HandoffError
from handoff.store.database import Store
from handoff.store.sealed import use_key
from handoff.store.tables import Person, Turn

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAID = "我姓王叫王秀英，床头放着敌敌畏，我不想活了"
ANSWERED = "王婶您等我，我骑车过来"
NOTED = "她女儿李小梅在城里"
SECRETS = (SAID, "敌敌畏", "不想活", ANSWERED, NOTED, XIUYING.name, XIUYING.phone, "要三包盐", "李小梅")


async def _a_whole_case(here: County) -> None:
    token = await here.begin()
    here.rasa.otherwise = answer(
        "好。", effect("open_case", need="goods", slots={"what": "要三包盐"}), state={"x": SAID}
    )
    await here.say(token, "要三包盐")
    await here.say(token, SAID)
    case = next(one for one in await here.cases(token) if one.need == "crisis")
    work, me = here.domain.casework, here.id_of(LIN)
    await work.claim(case.id, me)
    await work.reply(case.id, me, ANSWERED)
    await work.note(case.id, me, NOTED)
    async with here.domain.store.write() as session:
        session.add(Person(name=XIUYING.name, phone=XIUYING.phone, created_at=here.clock.now()))


def _forms(secret: str) -> list[bytes]:
    escaped = json.dumps(secret)[1:-1]
    return [secret.encode(), escaped.encode(), secret.encode("utf-16-le"), secret.encode("gb18030")]


async def test_nothing_stands_in_the_files_in_clear(tmp_path: Path) -> None:
    async with county(settings_for(tmp_path)) as here:
        await _a_whole_case(here)
        _look_for_words(tmp_path)
    _look_for_words(tmp_path)


def _look_for_words(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"xiangyin.db", "engine.db"} <= {file.name for file in files}
    for file in files:
        held = file.read_bytes() if file.exists() else b""  # journals come and go
        found = [secret for secret in SECRETS if any(form in held for form in _forms(secret))]
        assert not found, file.name


@pytest.mark.slow
async def test_nothing_stands_in_postgresql_in_clear(tmp_path: Path, new_database: object) -> None:
    url = new_database("postgresql")  # type: ignore[operator]
    async with county(settings_for(tmp_path, url)) as here:
        await _a_whole_case(here)
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        rows = [
            str(connection.execute(f'SELECT t::text FROM "{schema}"."{table}" t'.encode()).fetchall())  # noqa: S608
            for schema, table in tables
        ]
    assert len(rows) > 10
    everything = "\n".join(rows)
    for secret in SECRETS:
        assert secret not in everything
        assert secret.encode().hex() not in everything


@pytest_asyncio.fixture(loop_scope="session")
async def sealed_store(tmp_path: Path) -> AsyncIterator[Store]:
    settings = settings_for(tmp_path)
    async with county(settings) as here:
        await _a_whole_case(here)
    store = Store(settings.store_url)
    yield store
    await store.close()
    use_key(settings.key)


async def test_a_wrong_key_is_told_plainly(sealed_store: Store) -> None:
    use_key(Fernet.generate_key())
    with pytest.raises(HandoffError) as wrong:
        async with sealed_store.read() as session:
            (await session.scalars(select(Turn))).all()
    assert wrong.value.code == "wrong_key"
    assert "密钥" in wrong.value.message


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 44, "钥匙".encode()])
async def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(HandoffError) as wrong:
        use_key(key)
    assert wrong.value.code == "bad_key"


@pytest.mark.slow
async def test_the_logs_of_a_whole_visit_hold_no_words(tmp_path: Path) -> None:
    async with strict_double() as rasa:
        rasa.script["要三包盐"] = 500
        async with trial(settings_for(tmp_path), rasa_url=rasa.url) as one, aiohttp.ClientSession() as http:
            begun = await one.post(http, "/api/conversations", {"speaker": "self"})
            for n, text in enumerate([SAID, "要三包盐", "", SAID * 2000, XIUYING.phone + "\ud800"]):
                body = {"conversation": begun["conversation"], "message_id": f"m{n}", "text": text}
                await one.post(http, "/api/turns", body)
            async with http.post(one.base + "/station/api/turns", data=SAID.encode()) as refused:
                assert refused.status == 400
            async with http.get(f"{one.base}/station/events?conversation={SAID}") as refused:
                assert refused.status == 404
            await one.stop()
            printed = "\n".join(one.printed)
    assert "dialogue.failed" in printed
    for secret in SECRETS:
        assert secret not in printed and json.dumps(secret)[1:-1] not in printed
    assert begun["conversation"] not in printed
