"""The sound of a call: kept only of who agrees, heard by who may read the words, and not for ever."""

from datetime import timedelta

import pytest
from cast import LIN, ZHOU
from county import County, Pages
from sqlalchemy import text
from strict_double import answer, effect

from handoff.model.errors import HandoffError
from handoff.model.nouns import Opening
from handoff.model.words import Channel
from handoff.store.tables import Recording

pytestmark = pytest.mark.asyncio(loop_scope="session")
SETTINGS = {"record_calls": True, "recordings_days": 30}
SOUND = b"ID3 how it sounded"
ASKS = "连同声音"


async def _call(county: County, number: str) -> str:
    token, _ = await county.domain.turns.begin(Opening(Channel.PHONE, address=number))
    return token


async def _order(county: County, token: str) -> str:
    """A matter is told, and opened: its number comes with the question."""
    county.rasa.script["买盐"] = answer("记下了。", effect("open_case", need="goods"))
    outcome = await county.say(token, "买盐")
    assert outcome.reply is not None
    return outcome.reply.text


async def _says(county: County, token: str, words: str, intent: str = "talk_smalltalk") -> int:
    county.rasa.script[words] = answer("我听着。", need="talk", intent=intent)
    return (await county.say(token, words)).turn_id


async def _agrees(county: County, number: str) -> tuple[str, int]:
    """A call in which recording is agreed to, and its last turn."""
    token = await _call(county, number)
    await _order(county, token)
    return token, await _says(county, token, "愿意", "talk_affirm")


async def test_callers_are_asked_and_nobody_else(county: County) -> None:
    assert ASKS in await _order(county, await _call(county, "13700000001"))
    assert ASKS not in await _order(county, await county.begin())


async def test_until_it_is_answered_nothing_is_kept(county: County) -> None:
    recordings, token = county.domain.recordings, await _call(county, "13700000002")
    await _order(county, token)
    (turn,) = await county.turns(token)
    assert await recordings.allowed(token) is None
    assert not await recordings.keep(token, turn.id, SOUND)
    await _says(county, token, "愿意", "talk_affirm")
    assert await recordings.allowed(token) is True
    assert await recordings.keep(token, turn.id, SOUND)


async def test_a_yes_to_something_else_later_is_none_to_this(county: County) -> None:
    token = await _call(county, "13700000003")
    await _order(county, token)
    await _says(county, token, "还有个事")
    turn = await _says(county, token, "我同意给社工看", "talk_affirm")
    assert (await county.case(token)).consent == "given"
    assert not await county.domain.recordings.keep(token, turn, SOUND)


async def test_who_refuses_is_not_recorded(county: County) -> None:
    token = await _call(county, "13700000004")
    await _order(county, token)
    turn = await _says(county, token, "不愿意", "talk_deny")
    assert await county.domain.recordings.allowed(token) is False
    assert not await county.domain.recordings.keep(token, turn, SOUND)


async def test_who_takes_it_back_is_recorded_no_longer_and_what_was_is_gone(county: County) -> None:
    token, turn = await _agrees(county, "13700000005")
    await county.domain.recordings.keep(token, turn, SOUND)
    await _says(county, token, "把录音删了嘛")
    assert await county.rows(Recording, Recording.turn_id == turn) == []
    await _says(county, token, "我又同意了")
    assert not await county.domain.recordings.keep(token, turn, SOUND)


async def test_it_lies_sealed(county: County) -> None:
    token, turn = await _agrees(county, "13700000006")
    await county.domain.recordings.keep(token, turn, SOUND)
    async with county.domain.store.read() as session:
        raw = await session.scalar(text("SELECT sound FROM recordings WHERE turn_id = :turn"), {"turn": turn})
    assert raw is not None and b"sounded" not in bytes(raw)


async def test_a_worker_hears_it_beside_the_words(county: County, web: Pages) -> None:
    token, turn = await _agrees(county, "13700000007")
    case = await county.case(token)
    async with web.browser(LIN) as lin:
        place = f"/console/cases/{case.id}/sounds/{turn}"
        assert place not in (await lin.get(f"/console/cases/{case.id}")).text
        await county.domain.recordings.keep(token, turn, SOUND)
        assert f'src="{place}"' in (await lin.get(f"/console/cases/{case.id}")).text
        heard = await lin.get(place)
        assert heard.status == 200 and heard.text == SOUND.decode()
        assert heard.headers["Content-Type"] == "audio/mpeg" and heard.headers["Cache-Control"] == "no-store"
        assert (await lin.get(f"/console/cases/{case.id}/sounds/999999")).status == 404
    assert "read" in await county.kinds_of_events(case)
    async with web.browser() as stranger:
        assert (await stranger.get(place)).text != SOUND.decode()


async def test_another_case_does_not_lead_to_it(county: County) -> None:
    token, turn = await _agrees(county, "13700000008")
    await county.domain.recordings.keep(token, turn, SOUND)
    other, _ = await _agrees(county, "13700000009")
    with pytest.raises(HandoffError) as refused:
        await county.domain.recordings.of_turn((await county.case(other)).id, turn, county.id_of(LIN))
    assert refused.value.code == "no_sound"


async def test_words_that_are_kept_close_are_not_heard_either(county: County) -> None:
    token, turn = await _agrees(county, "13700000010")
    await county.domain.recordings.keep(token, turn, SOUND)
    case = await county.claimed(token, LIN)
    async with county.domain.store.write() as session:
        kept_close = await session.get_one(type(case), case.id)
        kept_close.consent = "refused"
    assert await county.domain.recordings.of_turn(case.id, turn, county.id_of(LIN)) == SOUND
    with pytest.raises(HandoffError):
        await county.domain.recordings.of_turn(case.id, turn, county.id_of(ZHOU))


async def test_it_is_gone_after_its_time(county: County) -> None:
    token, turn = await _agrees(county, "13700000011")
    await county.domain.recordings.keep(token, turn, SOUND)
    county.clock.offset += timedelta(days=29)
    await county.domain.recordings.tidy()
    assert len(await county.rows(Recording, Recording.turn_id == turn)) == 1
    county.clock.offset += timedelta(days=2)
    await county.domain.recordings.tidy()
    assert await county.rows(Recording, Recording.turn_id == turn) == []
