"""A call that is recorded: what was said before the caller agreed, and after; of who refuses nothing is left."""

import asyncio

import pytest
from conftest import Exchange
from county import until
from mouths import ASKED, GREETING, like
from strict_double import answer, effect

from handoff.store.tables import Conversation, Recording, Turn

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
SETTINGS = {"RECORD_CALLS": "true"}
NUMBER_TOLD = "您说的话连同声音，只给社工看和听，您愿意吗？"
MORE = "我家里还要买一袋米。"


async def _turns(exchange: Exchange) -> list[Turn]:
    """Of the newest conversation, but for silences."""
    newest = max(talk.id for talk in await exchange.rows(Conversation))
    return [turn for turn in await exchange.rows(Turn, Turn.conversation_id == newest) if turn.text]


async def _talk(exchange: Exchange, key: str, number: str) -> list[Turn]:
    """A matter, the question, a key for an answer, one thing more; the turns of it."""

    async def has_all() -> bool:
        return len(await _turns(exchange)) == 3

    ended = len(exchange.actions("telephone.ended"))
    exchange.rasa.otherwise = answer("记下了。", effect("open_case", need="medicine"))
    async with exchange.call(number) as phone:
        await exchange.hears(phone, GREETING)
        await phone.say(exchange.mouths.wav(ASKED))
        await exchange.hears(phone, NUMBER_TOLD)
        exchange.rasa.otherwise = answer("好，我听着。", need="talk")
        await phone.key(key)
        await phone.hear()
        await phone.say(exchange.mouths.wav(MORE))
        await until(has_all)
        await phone.hang_up()
    await exchange.ended(ended + 1)
    return await _turns(exchange)


async def test_all_that_was_said_is_kept_once_the_caller_agrees(exchange: Exchange) -> None:
    first, agreed, last = await _talk(exchange, "1", "13812340001")
    assert agreed.engine == "key"

    async def both() -> dict[int, bytes]:
        found = {one.turn_id: one.sound for one in await exchange.rows(Recording)}
        return found if len(found) > 1 else {}

    kept = await until(both)
    assert kept.keys() == {first.id, last.id}
    for turn, said in ((first, ASKED), (last, MORE)):
        heard = await asyncio.to_thread(exchange.mouths.words, kept[turn.id])
        assert like(heard, said) > 0.5


async def test_of_who_refuses_nothing_is_left(exchange: Exchange) -> None:
    turns = await _talk(exchange, "2", "13812340002")
    assert not await exchange.rows(Recording, Recording.turn_id.in_([turn.id for turn in turns]))
