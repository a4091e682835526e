"""A network that is late by up to 200 ms and loses 5 % of the sound: the caller is heard, answered, and keeps the line."""

import pytest
from bad_line import bad_line
from conftest import Exchange
from county import until
from mouths import ASKED, GREETING, like
from strict_double import answer

from connectors.bench.phone import call
from handoff.store.tables import Conversation, Turn

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
ANSWERED = "好的，我给您记下来了。"


async def test_a_call_over_a_bad_network(exchange: Exchange) -> None:
    exchange.rasa.otherwise = answer(ANSWERED)
    ended = len(exchange.actions("telephone.ended"))
    async with bad_line(exchange.port, late_s=0.2, lost=0.05) as line:
        async with call(line.port, exchange.folder, "13812345678") as phone:
            await exchange.hears(phone, GREETING)
            await phone.say(exchange.mouths.wav(ASKED))
            await until(lambda: exchange.actions("telephone.answered"), within=60)
            _, told = await phone.hear()
            assert told["loud"] > 0 and not told["over"]
            await phone.hang_up()
        assert line.carried > 500 and line.dropped > 20
    assert (await exchange.ended(ended + 1))["broke_off"] is False
    newest = max(talk.id for talk in await exchange.rows(Conversation))
    said = await exchange.rows(Turn, Turn.conversation_id == newest)
    assert {turn.engine for turn in said} == {"whisper"}
    # The stack's own buffer loses two fifths of the sound.
    assert like("".join(turn.text for turn in said), ASKED) >= 0.6
