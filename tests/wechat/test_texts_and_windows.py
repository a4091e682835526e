"""What is sent fits what the platform takes: bytes, sentences, windows, counts."""

from collections.abc import Awaitable
from datetime import timedelta
from uuid import uuid4

import pytest
from county import County

from connectors.wechat.sounds import voice_parts
from connectors.wechat.texts import MAX_BYTES, split_text
from connectors.wechat.windows import Closed, Windows
from handoff.model.words import Channel
from handoff.service.addresses import address_of

LONG = "明天上午九点，村医到您家来。请把病历和医保卡准备好，放在桌子上。" * 40


def test_text_is_split_at_sentences_within_the_platforms_bytes() -> None:
    parts = split_text(LONG)
    assert len(parts) > 1
    assert all(len(part.encode()) <= MAX_BYTES and part.endswith("。") for part in parts)
    assert "".join(parts) == LONG


@pytest.mark.parametrize(
    "text", ["长" * 5000, "😀" * 3000, "a" * 9000, "好"], ids=["no stop", "emoji", "latin", "short"]
)
def test_what_has_no_sentences_is_split_between_characters(text: str) -> None:
    parts = split_text(text)
    assert all(0 < len(part.encode()) <= MAX_BYTES for part in parts)
    assert "".join(parts) == text


def test_no_text_is_something_that_can_be_sent() -> None:
    assert split_text("")


def test_a_voice_message_stays_under_a_minute() -> None:
    assert all(len(part) <= 240 for part in voice_parts(LONG))
    assert "".join(voice_parts(LONG)) == LONG


async def code_of(taking: Awaitable[int]) -> str | None:
    """Why nothing may be sent; None where it was counted."""
    try:
        await taking
    except Closed as closed:
        return closed.code
    return None


@pytest.fixture
async def opened(county: County) -> tuple[Windows, int]:
    """The windows of an address of its own."""
    async with county.domain.store.write() as session:
        address = await address_of(session, Channel.WECHAT, f"o-{uuid4()}", county.clock.now())
        return Windows(county.domain.store, county.clock), address.id


async def did(windows: Windows, address: int, kind: str) -> None:
    async with windows._store.write() as session:
        await windows.opened(session, address, kind)


async def test_nothing_may_be_sent_to_who_has_done_nothing(opened: tuple[Windows, int]) -> None:
    windows, address = opened
    assert await code_of(windows.take(address)) == "window_closed"


async def test_five_messages_for_each_of_theirs_within_two_days(
    opened: tuple[Windows, int], county: County
) -> None:
    windows, address = opened
    await did(windows, address, "message")
    assert [await code_of(windows.take(address)) for _ in range(6)] == [None] * 5 + ["quota_used"]
    await did(windows, address, "message")
    assert await code_of(windows.take(address)) is None
    county.clock.offset += timedelta(hours=48, seconds=1)
    assert await code_of(windows.take(address)) == "window_closed"


@pytest.mark.parametrize("kind", ["follow", "scan", "tap"])
async def test_three_messages_within_a_minute_of(
    kind: str, opened: tuple[Windows, int], county: County
) -> None:
    windows, address = opened
    await did(windows, address, kind)
    assert [await code_of(windows.take(address)) for _ in range(4)] == [None] * 3 + ["quota_used"]
    await did(windows, address, kind)
    county.clock.offset += timedelta(seconds=61)
    assert await code_of(windows.take(address)) == "window_closed"


async def test_the_minute_after_a_tap_is_used_before_the_two_days_after_a_message(
    opened: tuple[Windows, int], county: County
) -> None:
    windows, address = opened
    await did(windows, address, "message")
    await did(windows, address, "tap")
    assert [await code_of(windows.take(address)) for _ in range(3)] == [None] * 3
    county.clock.offset += timedelta(seconds=61)
    assert [await code_of(windows.take(address)) for _ in range(6)] == [None] * 5 + ["quota_used"]


async def test_the_platform_is_believed_where_it_counts_more(opened: tuple[Windows, int]) -> None:
    windows, address = opened
    await did(windows, address, "message")
    await windows.used_up(address)
    assert await code_of(windows.take(address)) == "quota_used"


async def test_what_was_not_sent_after_all_is_not_counted(opened: tuple[Windows, int]) -> None:
    windows, address = opened
    await did(windows, address, "follow")
    for _ in range(5):
        await windows.give_back(await windows.take(address))
    assert await code_of(windows.take(address)) is None
