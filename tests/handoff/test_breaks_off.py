"""A call that breaks off: what was said stands, its case goes on, and somebody calls back. So does silence."""

import pytest
from county import County
from strict_double import answer, effect

from handoff.model.nouns import SILENCE, Opening
from handoff.model.words import Channel, Speaker
from handoff.store.tables import Task

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def called(county: County) -> str:
    token, greeting = await county.domain.turns.begin(
        Opening(Channel.PHONE, Speaker.SELF, address="13900000000")
    )
    county.domain.dispatch.shown(greeting.id)
    return token


async def calls(county: County, token: str) -> list[Task]:
    return await county.rows(Task, Task.case_id == (await county.case(token)).id, Task.kind == "call")


async def test_who_has_no_case_yet_gets_one_that_deserves_attention(county: County) -> None:
    token = await called(county)
    await county.say(token, "我家那个")
    await county.domain.breaking_off.note(token)
    case = await county.case(token)
    assert (case.need, case.risk) == ("unclear", "attention")
    assert await county.kinds_of_events(case) == ["opened", "broke_off"]
    assert len(await calls(county, token)) == 1


async def test_an_open_case_gets_a_call_that_is_soon_enough(county: County) -> None:
    token = await called(county)
    county.rasa.script["要买盐"] = answer(effect("open_case", need="goods", slots={}))
    await county.say(token, "要买盐")
    await county.domain.breaking_off.note(token)
    (back,) = await calls(county, token)
    case = await county.case(token)
    assert case.opened_at < back.due_at < case.due_at, "the call of the opening comes sooner"
    assert (await county.kinds_of_events(await county.case(token)))[-1] == "broke_off"


async def test_breaking_off_twice_does_not_plan_two_calls(county: County) -> None:
    token = await called(county)
    await county.domain.breaking_off.note(token)
    await county.domain.breaking_off.note(token)
    assert len(await calls(county, token)) == 1


async def test_danger_is_called_back_by_the_clock_that_runs_already(county: County) -> None:
    token = await called(county)
    await county.say(token, "我喝了农药")
    await county.domain.breaking_off.note(token)
    assert len(await calls(county, token)) == 1


async def test_silence_on_the_telephone_is_promised_a_call_at_once(county: County) -> None:
    token = await called(county)
    outcome = await county.say(token, "", engine=SILENCE)
    assert outcome.reply is not None and "打回去" in outcome.reply.text
    case = await county.case(token)
    assert case.risk == "attention" and len(await calls(county, token)) == 1


async def test_the_telephone_greets_in_its_own_words(county: County) -> None:
    _, greeting = await county.domain.turns.begin(Opening(Channel.PHONE))
    assert "按零" in greeting.text and "松开" not in greeting.text
