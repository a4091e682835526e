"""What a recogniser is told to expect: digits where a number was asked for, and never the right answer."""

import pytest
from cast import LIN, SALT, XIUYING
from county import County
from strict_double import answer, effect

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)
STATUS = "我的事办得怎么样了"


async def test_digits_where_a_number_was_asked_for(county: County) -> None:
    county.rasa.script[STATUS] = answer(effect("status"), need="status", intent="status")
    token = await county.begin()
    assert await county.domain.talks.likely_words(token) == ""
    outcome = await county.say(token, STATUS)
    assert outcome.reply is not None and "号码" in outcome.reply.text
    assert "七" in await county.domain.talks.likely_words(token)


async def test_whoever_is_asked_for_a_name_gets_no_help(county: County) -> None:
    county.rasa.script[STATUS] = answer(effect("status"), need="status", intent="status")
    county.rasa.script[SALT] = answer("记下了。", effect("open_case", need="goods"))
    told = await county.begin()
    await county.say(told, SALT)
    case = await county.claimed(told, LIN)
    await county.domain.casework.name_person(case.id, county.id_of(LIN), XIUYING.name)
    token = await county.begin()
    await county.say(token, STATUS)
    outcome = await county.say(token, case.number)
    assert outcome.reply is not None and "名" in outcome.reply.text
    assert XIUYING.name not in await county.domain.talks.likely_words(token)


async def test_hearing_does_not_depend_on_it(county: County) -> None:
    assert await county.domain.talks.likely_words("nobody's") == ""
