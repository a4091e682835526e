"""Where a worker holds the conversation, words go to the worker and the assistant is silent, but for an emergency."""

import asyncio

import pytest
from cast import BEATEN, CHEST, DARK, LIN, SALT, ZHOU
from county import County

from handoff.model.words import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)


async def _held(county: County) -> str:
    token = await county.begin()
    await county.say(token, BEATEN)
    await county.claimed(token, LIN)
    return token


async def test_words_go_to_the_worker_and_the_assistant_says_nothing(county: County) -> None:
    token = await _held(county)
    county.rasa.asked.clear()
    outcome = await county.say(token, SALT)
    assert (outcome.reply, outcome.held_by) == (None, LIN.display_name)
    assert (await county.turns(token))[-1].state == "held"
    assert county.rasa.asked == []
    view = await county.domain.queue.case((await county.case(token)).id, county.id_of(LIN))
    assert view.lines[-1].text == SALT
    assert view.row.unread == 1


async def test_the_worker_is_told_of_new_words_at_once(county: County) -> None:
    token = await _held(county)
    case = await county.case(token)
    with county.domain.hub.listen("consoles") as queue:
        await county.say(token, SALT)
        event = await asyncio.wait_for(queue.get(), 1)
    assert (event["event"], event["case"], event["new"]) == ("changed", case.id, False)


async def test_silence_is_passed_on_too(county: County) -> None:
    token = await _held(county)
    outcome = await county.say(token, "")
    assert (outcome.reply, (await county.turns(token))[-1].state) == (None, "held")


async def test_an_emergency_is_answered_at_once_all_the_same(county: County) -> None:
    token = await _held(county)
    outcome = await county.say(token, CHEST)
    assert outcome.reply is not None
    assert (outcome.reply.call, outcome.reply.held_by) == ("120", LIN.display_name)
    assert {case.need for case in await county.cases(token)} == {"abuse", "emergency"}


async def test_urgent_danger_opens_a_case_and_leaves_the_words_to_the_worker(county: County) -> None:
    token = await _held(county)
    outcome = await county.say(token, DARK)
    assert outcome.reply is None
    crisis = next(case for case in await county.cases(token) if case.need == "crisis")
    assert {notice.worker_id for notice in await county.notices(crisis)} == {
        county.id_of(LIN),
        county.id_of(ZHOU),
    }


async def test_a_repeat_of_held_words_is_still_held(county: County) -> None:
    token = await _held(county)
    first = await county.say(token, SALT, message_id="held")
    assert await county.say(token, SALT, message_id="held") == first
    assert len(await county.turns(token)) == 2


async def test_the_assistant_answers_again_when_it_is_given_back(county: County) -> None:
    token = await _held(county)
    await county.domain.casework.release((await county.case(token)).id, county.id_of(LIN))
    outcome = await county.say(token, SALT)
    assert outcome.reply is not None and outcome.held_by is None


async def test_one_worker_does_not_give_back_what_another_holds(county: County) -> None:
    token = await _held(county)
    await county.say(token, CHEST)
    other = next(case for case in await county.cases(token) if case.need == "emergency")
    await county.domain.casework.claim(other.id, county.id_of(ZHOU))
    await county.domain.casework.release(other.id, county.id_of(ZHOU))
    assert (await county.talk(token)).held_by == county.id_of(LIN)


async def test_the_conversation_stays_held_while_another_claimed_case_is_open(county: County) -> None:
    token = await _held(county)
    await county.say(token, CHEST)
    first, second = await county.cases(token)
    await county.domain.casework.claim(second.id, county.id_of(ZHOU))
    await county.domain.casework.close(first.id, county.id_of(LIN), Stage.CLOSED, "谈好了")
    assert (await county.talk(token)).held_by == county.id_of(ZHOU)
    await county.domain.casework.close(second.id, county.id_of(ZHOU), Stage.CLOSED, "送医了")
    assert (await county.talk(token)).held_by is None
