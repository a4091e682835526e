"""A full, read-only or absent store is told plainly, and nothing that was accepted is lost."""

import asyncio
import sqlite3
from pathlib import Path

import psycopg
import pytest
from cast import CHEST, SALT
from county import County, Pages
from sqlalchemy import text

from handoff.store.database import Store, StoreError
from handoff.store.migrate import migrate

pytestmark = pytest.mark.asyncio(loop_scope="session")


_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = ''"
)


async def _turn(web: Pages, token: str, words: str, message_id: str) -> tuple[int, dict[str, object]]:
    async with web.browser() as page:
        body = {"conversation": token, "message_id": message_id, "text": words}
        answer = await page.post("/station/api/turns", json=body)
        return answer.status, answer.json


async def test_a_full_disk_is_told_and_what_was_accepted_stands(county: County, web: Pages) -> None:
    store = county.domain.store
    if not store.is_sqlite:
        pytest.skip("PostgreSQL reports it by the same class of error as a lost server")
    token = await county.begin()
    await county.say(token, SALT, message_id="before")
    async with store.write() as session:
        await session.execute(text("PRAGMA max_page_count = 1"))  # SQLite takes what is used already
    try:
        status, told = await _turn(web, token, CHEST * 2000, "full")
        assert (status, told["error"]) == (507, "disk_full")
        assert "120" in str(told["say"])
        status, told = await _turn(web, token, SALT * 2000, "full-2")
        assert (status, told["error"]) == (507, "disk_full")
        assert "没记下来" in str(told["say"])
    finally:
        async with store.write() as session:
            await session.execute(text("PRAGMA max_page_count = 1073741823"))
    assert [turn.message_id for turn in await county.turns(token)] == ["before"]
    status, told = await _turn(web, token, CHEST, "full")
    assert status == 200
    assert [turn.message_id for turn in await county.turns(token)] == ["before", "full"]


async def test_a_store_that_may_only_be_read_is_told(county: County, web: Pages) -> None:
    store, token = county.domain.store, await county.begin()
    await _read_only(county, store, True)
    try:
        status, told = await _turn(web, token, CHEST, "m")
        assert (status, told["error"]) == (507, "read_only")
    finally:
        await _read_only(county, store, False)
    assert (await _turn(web, token, CHEST, "m"))[0] == 200


async def _read_only(county: County, store: Store, on: bool) -> None:
    if store.is_sqlite:
        if not on:
            await store._writer.dispose()
            return
        async with store.write() as session:
            await session.execute(text("PRAGMA query_only = ON"))
        return
    with psycopg.connect(county.settings.store_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {on}".encode())
        connection.execute(_END_OTHERS)


async def test_lost_connections_are_made_again(county: County, web: Pages) -> None:
    if county.domain.store.is_sqlite:
        pytest.skip("SQLite has no connections to lose")
    token = await county.begin()
    with psycopg.connect(county.settings.store_url, autocommit=True) as connection:
        connection.execute(_END_OTHERS)
    assert (await _turn(web, token, CHEST, "m"))[0] == 200


@pytest.mark.parametrize(
    "url",
    ["sqlite:////proc/nothing/here.db", "postgresql://nobody:never@127.0.0.1:9/none"],
    ids=["sqlite", "postgresql"],
)
async def test_a_store_that_is_not_there_is_told_without_its_password(url: str) -> None:
    with pytest.raises(StoreError) as told:
        migrate(url)
    assert told.value.code == "store_down"
    assert "never" not in str(told.value)


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "xiangyin.db").write_bytes(b"this is a letter, not a database" * 200)
    with pytest.raises(StoreError):
        migrate(f"sqlite:///{tmp_path / 'xiangyin.db'}")


async def test_many_statements_in_a_row_let_others_go_on(tmp_path: Path) -> None:
    """SQLite works on the loop itself: a long list must not keep the sound of a call waiting."""
    migrate(url := f"sqlite:///{tmp_path / 'xiangyin.db'}")
    store, ticks, over = Store(url), 0, False

    async def tick() -> None:
        nonlocal ticks
        while not over:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    async with store.read() as session:
        for _ in range(2000):
            await session.scalar(text("SELECT 1"))
    over = True
    await ticking
    await store.close()
    assert ticks > 20


async def test_a_writer_that_waits_for_another_program_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    migrate(url := f"sqlite:///{tmp_path / 'xiangyin.db'}")
    store = Store(url)
    for opened in (store.read(), store.write()):
        async with opened as session:
            await session.scalar(text("SELECT 1"))
    other = sqlite3.connect(tmp_path / "xiangyin.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with store.write() as session:
            await session.scalar(text("SELECT 1"))

    writing = asyncio.create_task(write())
    async with store.read() as session:
        assert await session.scalar(text("SELECT 1")) == 1
    assert not writing.done()
    other.execute("ROLLBACK")
    await writing
    other.close()
    await store.close()
