"""A turn is stored before anything else is asked, and a message counts once however often it comes."""

import asyncio

import pytest
from cast import CHEST, SALT, XIAOMEI
from county import County, until
from strict_double import answer

from handoff.model.errors import HandoffError
from handoff.model.nouns import Utterance
from handoff.store.database import Store
from handoff.store.tables import Notice, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_words_are_in_the_store_while_the_dialogue_is_still_silent(county: County) -> None:
    token = await county.begin()
    county.rasa.script[SALT] = "hang"
    asking = asyncio.create_task(county.say(token, SALT))
    await until(lambda: county.rasa.times_asked(SALT))
    (turn,) = await county.turns(token)
    assert (turn.text, turn.state, turn.answered_at) == (SALT, "received", None)
    county.rasa.release.set()
    assert (await asking).reply is not None


async def test_a_turn_whose_asker_was_killed_is_answered_later_and_once(county: County) -> None:
    token = await county.begin()
    county.rasa.script[SALT] = "hang"
    asking = asyncio.create_task(county.say(token, SALT))
    await until(lambda: county.rasa.times_asked(SALT))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    county.rasa.script.clear()
    (turn,) = await county.turns(token)
    assert turn.state == "received"
    county.clock.move(seconds=11)
    await until(lambda: _answered(county, token))
    await asyncio.gather(*(county.domain.turns.finish(turn.id) for _ in range(3)))
    assert len([reply for reply in await county.replies(token) if reply.turn_id == turn.id]) == 1


async def _answered(county: County, token: str) -> bool:
    return all(turn.state == "answered" for turn in await county.turns(token))


async def test_an_answer_that_came_late_reaches_the_open_page(county: County) -> None:
    token = await county.begin()
    turn_id = await _left_behind(county, token)
    talk = await county.talk(token)
    await county.domain.turns.finish(turn_id)
    (reply,) = await county.rows(Reply, Reply.turn_id == turn_id)
    with county.domain.hub.listen(f"conversation:{talk.id}") as queue:
        county.clock.move(seconds=4)
        while (event := await asyncio.wait_for(queue.get(), 5)) != {"event": "reply", "reply": reply.id}:
            assert event["event"] == "state"
        county.domain.dispatch.shown(reply.id)

    async def delivered() -> bool:
        return {n.state for n in await county.rows(Notice, Notice.reply_id == reply.id)} == {"delivered"}

    await until(delivered)


async def _left_behind(county: County, token: str) -> int:
    county.rasa.script[SALT] = "hang"
    asking = asyncio.create_task(county.say(token, SALT))
    await until(lambda: county.rasa.times_asked(SALT))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    county.rasa.script.clear()
    return (await county.turns(token))[-1].id


@pytest.mark.parametrize("text", [SALT, CHEST, ""])
async def test_a_repeated_message_gets_the_same_reply(county: County, text: str) -> None:
    token = await county.begin()
    first = await county.say(token, text, message_id="again")
    second = await county.say(token, text, message_id="again")
    assert first.reply is not None
    assert second == first
    assert len(await county.turns(token)) == 1


async def test_a_message_id_belongs_to_its_conversation(county: County) -> None:
    one, other = await county.begin(), await county.begin()
    first = await county.say(one, SALT, message_id="same")
    second = await county.say(other, SALT, message_id="same")
    assert first.turn_id != second.turn_id


@pytest.mark.parametrize("text", [SALT, CHEST])
async def test_twenty_at_once_of_one_message_are_one_turn(county: County, text: str) -> None:
    token = await county.begin()
    outcomes = await asyncio.gather(*(county.say(token, text, message_id="twenty") for _ in range(20)))
    assert len({outcome.reply.id for outcome in outcomes if outcome.reply}) == 1
    assert all(outcome.reply for outcome in outcomes)
    assert len(await county.turns(token)) == 1
    assert len(await county.replies(token)) == 2  # the greeting and this one
    assert county.rasa.times_asked(text) <= 3


@pytest.mark.parametrize("text", [SALT, CHEST])
async def test_two_processes_give_one_reply_to_one_message(county: County, text: str) -> None:
    token, stores = await county.begin(), [Store(county.settings.store_url) for _ in range(2)]
    both = [county.elsewhere(store) for store in stores]
    try:
        outcomes = await asyncio.gather(
            *(turns.take(Utterance(token, "shared", text)) for turns in both for _ in range(5))
        )
    finally:
        for store in stores:
            await store.close()
    assert len({outcome.reply.id for outcome in outcomes if outcome.reply}) == 1
    assert all(outcome.reply for outcome in outcomes)
    assert len(await county.turns(token)) == 1
    assert len(await county.replies(token)) == 2
    assert len(await county.cases(token)) == (1 if text == CHEST else 0)


async def test_answers_of_one_conversation_come_in_order_and_hand_the_state_on(county: County) -> None:
    token = await county.begin()
    texts = [f"买第{n}样东西" for n in "一二三四"]
    for n, text in enumerate(texts):
        county.rasa.script[text] = answer("好。", state={"step": n})
    await asyncio.gather(*(county.say(token, text) for text in texts))
    states = [body["state"] for body in county.rasa.asked]
    order = [texts.index(body["text"]) for body in county.rasa.asked]
    assert states == [None, *({"step": n} for n in order[:-1])]


@pytest.mark.parametrize("token", ["nobody", "", "\x00", "\ud800", "x" * 10_000])
async def test_an_unknown_conversation_is_told_so(county: County, token: str) -> None:
    with pytest.raises(HandoffError) as refused:
        await county.say(token, SALT)
    assert refused.value.code == "unknown_conversation"


async def test_the_dialogue_is_told_who_speaks_and_how(county: County) -> None:
    token = await county.begin(XIAOMEI)
    await county.say(token, SALT)
    assert county.rasa.asked[-1]["metadata"] == {"channel": "kiosk", "speaker": "family", "answers": {}}
