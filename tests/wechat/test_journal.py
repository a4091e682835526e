"""What was taken by the platform and is not on record is not said again: by a process that fell down, or by a store that failed."""

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cast import SALT
from county import until
from sqlalchemy import select
from test_messages import talk_of
from test_sending import case_of, ended, say
from wechat_helpers import WeChat

from connectors.wechat.journal import Journal, Taken
from handoff.model.words import Channel
from handoff.service.addresses import address_of
from handoff.store.database import StoreError
from handoff.store.tables import Arrival, Notice, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTES = """
import sys, time
from pathlib import Path
from connectors.wechat.journal import Journal

journal = Journal(Path(sys.argv[1]))
for kind, name, value in (line.split("|") for line in sys.argv[2:]):
    journal.arrived({name: int(value)}) if kind == "part" else journal.given(int(name), value)
print("noted", flush=True)
time.sleep(600)
"""
"""A process that notes something, and then lives until it is killed."""


async def noting(folder: Path, *lines: str) -> asyncio.subprocess.Process:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NOTES, str(folder), *lines, stdout=asyncio.subprocess.PIPE
    )
    assert started.stdout is not None
    assert await started.stdout.readline() == b"noted\n"
    return started


async def killed(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def test_what_the_living_note_is_theirs_and_of_the_gone_it_is_taken_up_once(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    mine.arrived({"mine": 1})
    other = await noting(tmp_path, "part|a|1", "part|b|2", "part|a|3", "given|7|2026-11-27T08:00:00")
    assert not [*mine.of_the_gone()]
    await killed(other)
    assert [*mine.of_the_gone()] == [Taken({"a": 3, "b": 2}, {7: "2026-11-27T08:00:00"})]
    assert not [*mine.of_the_gone()]


async def test_what_could_not_be_taken_up_is_the_next_time(tmp_path: Path) -> None:
    await killed(await noting(tmp_path, "part|a|1"))
    mine = Journal(tmp_path)
    for _taken in mine.of_the_gone():
        break  # as when the store fails
    assert [*mine.of_the_gone()] == [Taken({"a": 1})]


async def test_a_line_that_was_broken_off_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "gone.taken").write_text("part a 1\nnonsense\ngiven x y\npart b 1")
    assert [*Journal(tmp_path).of_the_gone()] == [Taken({"a": 1})]


async def test_it_is_emptied_when_all_is_on_record(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    (own,) = (tmp_path / name for name in os.listdir(tmp_path))
    for n in range(5000):
        mine.arrived({f"reply-{n}": 1})
        assert mine.parts_arrived(f"reply-{n}") == 1
        mine.arrived_on_record({f"reply-{n}": 1})
    mine.arrived({"last": 2})
    assert own.stat().st_size < 64 * 1024 and own.read_text().endswith("part last 2\n")
    assert (mine.parts_arrived("reply-1"), mine.parts_arrived("last")) == (0, 2)


async def test_what_a_killed_process_had_sent_is_not_sent_again(wx: WeChat) -> None:
    await wx.far.says("o-noted", SALT)
    talk, later = await talk_of(wx, "o-noted"), wx.county.clock.now() + timedelta(days=1)
    sent, unsent = "noted-sent", "noted-unsent"
    async with wx.county.domain.store.write() as session:
        for name in (sent, unsent):
            session.add(
                Reply(id=name, conversation_id=talk.id, text=f"{name}。", shown={"speed": 1, "volume": 1}, created_at=later)
            )  # fmt: skip
        await session.flush()
        session.add_all(
            Notice(reply_id=name, way=Channel.WECHAT, state="pending", created_at=later)
            for name in (sent, unsent)
        )
    await killed(await noting(wx.county.settings.at("wechat"), f"part|{sent}|1"))
    await wx.inbox._way.take_up()
    for name in (sent, unsent):
        await wx.county.domain.dispatch.send(name)
    for name in (sent, unsent):
        await until(lambda name=name: ended(wx, name))
    texts = [one.text for one in wx.far.villager("o-noted").reached if one.how == "custom"]
    assert (f"{unsent}。" in texts, f"{sent}。" in texts) == (True, False)


async def test_what_a_killed_process_had_answered_is_given_to_that_request_and_no_other(wx: WeChat) -> None:
    asked = wx.county.clock.now()
    async with wx.county.domain.store.write() as session:
        address = await address_of(session, Channel.WECHAT, "o-given", asked)
        for name, since in (("same", asked), ("later", asked + timedelta(seconds=5))):
            session.add(
                Arrival(
                    channel=Channel.WECHAT, digest=f"given-{name}", address_id=address.id, received_at=asked, done_at=asked,
                    outcome={"replies": [], "asked": since.isoformat()},
                )
            )  # fmt: skip
    ids = {one.digest: one.id for one in await wx.county.rows(Arrival, Arrival.digest.startswith("given-"))}
    notes = [f"given|{number}|{asked.isoformat()}" for number in (*ids.values(), 10**9)]
    await killed(await noting(wx.county.settings.at("wechat"), *notes))
    await wx.inbox._way.take_up()
    async with wx.county.domain.store.read() as session:
        found = {
            one.digest: bool((one.outcome or {}).get("given"))
            for one in await session.scalars(select(Arrival).where(Arrival.id.in_(ids.values())))
        }
    assert found == {"given-same": True, "given-later": False}


async def test_what_the_store_could_not_take_is_not_said_again(
    wx: WeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, dispatch, failed = await case_of(wx, "o-unrecorded"), wx.county.domain.dispatch, 0
    usual = dispatch.parts_arrived

    async def fails_once(parts: Mapping[str, int]) -> None:
        nonlocal failed
        failed += 1
        if failed == 1:
            raise StoreError("disk_full", "full")
        await usual(parts)

    monkeypatch.setattr(dispatch, "parts_arrived", fails_once)
    reply = await say(wx, case, "我是小林，晌午过来。")
    await until(lambda: ended(wx, reply))
    said = [one.text for one in wx.far.villager("o-unrecorded").reached if one.text == "我是小林，晌午过来。"]
    assert failed and len(said) == 1
