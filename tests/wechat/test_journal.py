"""What was taken by the platform and is not on record is not said again: by a process that fell down, or by a store that failed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cast import SALT
from county import until
from test_messages import talk_of
from test_sending import case_of, ended, say
from wechat_helpers import WeChat

from connectors.wechat.arrivals import Arrivals
from connectors.wechat.journal import Journal, Taken
from connectors.wechat.windows import Windows
from handoff.model.clock import Clock
from handoff.model.words import Channel
from handoff.service.addresses import address_of
from handoff.service.arriving import Arrived
from handoff.store.database import StoreError
from handoff.store.tables import Arrival, Notice, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTES = """
import sys, time
from pathlib import Path
from connectors.wechat.journal import Journal
from handoff.service.arriving import Arrived

journal = Journal(Path(sys.argv[1]))
for kind, number, *rest in (line.split("|") for line in sys.argv[2:]):
    if kind == "part":
        journal.arrived([Arrived(int(number), rest[0], int(rest[1]))])
    else:
        getattr(journal, kind)(int(number), *rest)
print("noted", flush=True)
time.sleep(600)
"""
"""A process that notes something, and then lives until it is killed."""


@asynccontextmanager
async def noting(folder: Path, *lines: str) -> AsyncIterator[None]:
    """Killed at the end."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NOTES, str(folder), *lines, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert started.stdout is not None
        assert await started.stdout.readline() == b"noted\n"
        yield
    finally:
        started.kill()
        await started.wait()


async def test_what_the_living_note_is_theirs_and_of_the_gone_it_is_taken_up_once(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    mine.arrived([Arrived(1, "mine", 1)])
    async with noting(tmp_path, "part|2|a|1", "part|3|b|2", "given|7|2026-11-27T08:00:00"):
        assert not [*mine.of_the_gone()]
    taken = Taken([Arrived(2, "a", 1), Arrived(3, "b", 2)], {7: "2026-11-27T08:00:00"})
    assert [*mine.of_the_gone()] == [taken]
    assert not [*mine.of_the_gone()]


async def test_what_was_about_to_be_written_is_so_until_it_was(tmp_path: Path) -> None:
    notes = [
        "giving|1|now|t",
        "giving|2|now|t",
        "giving|3|now|t",
        "given|1|now",
        "not_given|3",
        "giving|1|later|u",
    ]
    async with noting(tmp_path, *notes):
        pass
    assert [*Journal(tmp_path).of_the_gone()] == [Taken([], {1: "now"}, {2: ("now", "t"), 1: ("later", "u")})]


async def test_what_could_not_be_taken_up_is_the_next_time(tmp_path: Path) -> None:
    async with noting(tmp_path, "part|2|a|1"):
        pass
    mine = Journal(tmp_path)
    for _taken in mine.of_the_gone():
        break  # as when the store fails
    assert [*mine.of_the_gone()] == [Taken([Arrived(2, "a", 1)])]


async def test_a_line_that_was_broken_off_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "gone.taken").write_text("part 2 a 1\nnonsense\ngiven x y\npart 3 b 1")
    assert [*Journal(tmp_path).of_the_gone()] == [Taken([Arrived(2, "a", 1)])]


async def test_a_file_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.taken").mkdir()
    (tmp_path / "gone.taken").write_text("part 2 a 1\n")
    assert [*Journal(tmp_path).of_the_gone()] == [Taken([Arrived(2, "a", 1)])]


async def test_it_is_emptied_when_all_is_on_record(tmp_path: Path) -> None:
    mine = Journal(tmp_path)
    (own,) = (tmp_path / name for name in os.listdir(tmp_path))
    for n in range(1000):
        mine.arrived([Arrived(n, "reply", 1)])
        mine.given(n, "now")
        assert (mine.parts_of(n), mine.all_given()) == (1, {n: "now"})
        mine.arrived_on_record([Arrived(n, "reply", 1)])
        mine.given_on_record(n, "now")
    mine.arrived([Arrived(5000, "last", 2)])
    assert own.stat().st_size < 8192 and own.read_text().endswith("part 5000 last 2\n")
    assert (mine.parts_of(1), mine.all_given(), mine.parts_of(5000)) == (0, {}, 2)


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
    (notice,) = await wx.county.rows(Notice, Notice.reply_id == sent)
    async with noting(wx.county.settings.at("wechat"), f"part|{notice.id}|{sent}|1"):
        pass
    await until(lambda: wx.county.rows(Notice, Notice.id == notice.id, Notice.parts == 1))
    for name in (sent, unsent):
        await wx.county.domain.dispatch.send(name)
    for name in (sent, unsent):
        await until(lambda name=name: ended(wx, name))
    texts = [one.text for one in wx.far.villager("o-noted").reached if one.how == "custom"]
    assert (f"{unsent}。" in texts, f"{sent}。" in texts) == (True, False)


async def given(wx: WeChat, arrival_id: int) -> bool:
    (found,) = await wx.county.rows(Arrival, Arrival.id == arrival_id)
    return bool((found.outcome or {}).get("given"))


async def test_what_a_killed_process_had_answered_is_given_to_that_request_and_no_other(wx: WeChat) -> None:
    asked, ids = wx.county.clock.now(), dict[str, int]()
    async with wx.county.domain.store.write() as session:
        address = await address_of(session, Channel.WECHAT, "o-given", asked)
        for name, since in (("same", asked), ("later", asked + timedelta(seconds=5))):
            arrival = Arrival(
                channel=Channel.WECHAT, digest=f"given-{name}", address_id=address.id, received_at=asked, done_at=asked,
                outcome={"replies": [], "asked": since.isoformat()},
            )  # fmt: skip
            session.add(arrival)
            await session.flush()
            ids[name] = arrival.id
    notes = [f"given|{number}|{asked.isoformat()}" for number in (ids["later"], 10**9, ids["same"])]
    async with noting(wx.county.settings.at("wechat"), *notes):
        pass
    await until(lambda: given(wx, ids["same"]))  # noted last, taken up last
    assert not await given(wx, ids["later"])


async def falls_down_while_writing(wx: WeChat, openid: str, *, up_after_s: float) -> int:
    """A process that is gone, so long after the message; the number of the message. What it had noted has been taken up."""
    await wx.far.says(openid, SALT)
    wx.far.villager(openid).reached.clear()
    asked, folder = wx.county.clock.now(), wx.county.settings.at("wechat")
    talk = await talk_of(wx, openid)
    (arrival,) = await wx.county.rows(Arrival, Arrival.address_id == talk.address_id)
    until_then = wx.county.clock.now() + timedelta(seconds=30 - up_after_s)
    async with noting(folder, f"giving|{arrival.id}|{asked.isoformat()}|{until_then.isoformat()}"):
        async with wx.county.domain.store.write() as session:
            row = await session.get_one(Arrival, arrival.id)
            row.outcome = {"replies": (row.outcome or {})["replies"], "asked": asked.isoformat()}
    await until(lambda: len([*folder.glob("*.taken")]) == 1)
    return arrival.id


async def test_what_may_have_been_written_is_the_platforms_to_ask_for_again(wx: WeChat) -> None:
    arrival_id = await falls_down_while_writing(wx, "o-perhaps", up_after_s=5)
    wx.county.clock.offset += timedelta(seconds=60)  # it has not asked again
    await until(lambda: given(wx, arrival_id))
    assert not wx.far.villager("o-perhaps").reached


async def test_what_may_have_been_written_is_sent_where_the_platform_asked_in_vain(wx: WeChat) -> None:
    await falls_down_while_writing(wx, "o-in-vain", up_after_s=31)
    wx.county.clock.offset += timedelta(seconds=60)
    villager = wx.far.villager("o-in-vain")
    await wx.far.until(lambda: villager.reached)
    assert [(one.how, one.text) for one in villager.reached] == [("custom", "好的，我记着了。")]


async def test_what_was_not_written_is_given_when_the_platform_asks_again(wx: WeChat) -> None:
    arrival_id = await falls_down_while_writing(wx, "o-asks-again", up_after_s=5)
    wx.county.clock.offset += timedelta(seconds=4)
    villager = wx.far.villager("o-asks-again")
    written = int(wx.county.clock.now().timestamp())
    await wx.far.pushing.push(villager, villager.said[0] | {"CreateTime": written})
    assert [(one.how, one.text) for one in villager.reached] == [("passive", "好的，我记着了。")]
    await until(lambda: given(wx, arrival_id))


class StillClock(Clock):
    """Stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


async def left_to_the_platform(wx: WeChat, openid: str, until: datetime, now: datetime) -> int:
    """An answer that may have been written as a process fell down just now; the number of the message."""
    async with wx.county.domain.store.write() as session:
        address = await address_of(session, Channel.WECHAT, openid, now)
        arrival = Arrival(
            channel=Channel.WECHAT, digest=openid, address_id=address.id, received_at=now, done_at=now,
            outcome={"replies": [], "asked": now.isoformat(), "perhaps": until.isoformat()},
        )  # fmt: skip
        session.add(arrival)
    return arrival.id


def starts_up(wx: WeChat, at: datetime) -> tuple[Arrivals, StillClock]:
    """A process that is up from then on, and its clock."""
    clock = StillClock(at)
    return Arrivals(wx.county.domain.store, Windows(wx.county.domain.store, clock), clock), clock


async def test_what_the_platform_has_not_asked_for_again_stays_given_through_the_next_restart(
    wx: WeChat,
) -> None:
    now = wx.county.clock.now() + timedelta(days=400)  # out of reach of the service that runs
    until = now + timedelta(seconds=9)
    arrival_id = await left_to_the_platform(wx, "o-settled", until, now)
    second, clock = starts_up(wx, now + timedelta(seconds=5))  # in time for the last try
    clock.at = until + timedelta(seconds=5)
    await second.settle()
    assert not await given(wx, arrival_id)  # it may still come
    clock.at = until + timedelta(seconds=15)  # held up
    assert await second.take_back(arrival_id) is None and not await given(wx, arrival_id)
    await second.settle()
    assert await given(wx, arrival_id)
    third, _ = starts_up(wx, now + timedelta(seconds=30))
    assert arrival_id not in await third.never_given(at_start=True)
    assert await third.take_back(arrival_id) is None


async def test_who_starts_after_the_last_try_sends_what_may_not_have_been_written(wx: WeChat) -> None:
    now = wx.county.clock.now() + timedelta(days=400)
    until = now + timedelta(seconds=9)
    arrival_id = await left_to_the_platform(wx, "o-not-settled", until, now)
    late, clock = starts_up(wx, until + timedelta(seconds=1))
    clock.at = now + timedelta(seconds=30)
    await late.settle()
    assert not await given(wx, arrival_id)
    assert arrival_id in await late.never_given(at_start=True)
    assert await late.take_back(arrival_id) == []


async def test_what_the_store_could_not_take_is_not_said_again(
    wx: WeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, dispatch = await case_of(wx, "o-unrecorded"), wx.county.domain.dispatch
    usual, failed = dispatch.parts_arrived, set[str]()

    async def fails_once(arrived: Collection[Arrived]) -> None:
        replies = {one.reply_id for one in arrived}
        if not failed >= replies:
            failed.update(replies)
            raise StoreError("disk_full", "full")
        await usual(arrived)

    monkeypatch.setattr(dispatch, "parts_arrived", fails_once)
    reply = await say(wx, case, "我是小林，晌午过来。")
    await until(lambda: ended(wx, reply))
    said = [one.text for one in wx.far.villager("o-unrecorded").reached if one.text == "我是小林，晌午过来。"]
    assert reply in failed and len(said) == 1
    (notice,) = await wx.county.rows(Notice, Notice.reply_id == reply)
    assert not wx.inbox._journal.parts_of(notice.id)


async def test_what_was_answered_and_could_not_be_recorded_is_not_sent_as_well(
    wx: WeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, failed = wx.inbox._arrivals.given, list[int]()

    async def fails_once(arrival_id: int, asked: str) -> None:
        if arrival_id not in failed:
            failed.append(arrival_id)
            raise StoreError("disk_full", "full")
        await usual(arrival_id, asked)

    monkeypatch.setattr(wx.inbox._arrivals, "given", fails_once)
    await wx.far.says("o-written", SALT)
    (arrival_id,) = failed
    wx.county.clock.offset += timedelta(
        seconds=60
    )  # the platform asks no more: what was never given is sent now
    await until(lambda: given(wx, arrival_id))
    assert [one.how for one in wx.far.villager("o-written").reached] == ["passive"]
