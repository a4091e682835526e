"""Who comes back the next day: welcomed by what they are called, told how it stands, and not asked yesterday's question."""

from datetime import timedelta

import pytest
from cast import BEATEN, LIN
from county import County
from strict_double import answer, effect

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)


async def _order(county: County, token: str) -> str:
    county.rasa.script["买盐"] = answer("记下了。", effect("open_case", need="goods"))
    outcome = await county.say(token, "买盐")
    assert outcome.reply is not None
    return outcome.reply.text


async def _says(county: County, token: str, text: str = "今天天气好") -> str:
    county.rasa.script[text] = answer("是啊。", need="talk", intent="talk_smalltalk")
    outcome = await county.say(token, text)
    assert outcome.reply is not None
    return outcome.reply.text


async def test_the_next_day_one_hears_first_how_it_stands(county: County) -> None:
    token = await county.begin()
    await _order(county, token)
    number = (await county.case(token)).number
    county.clock.offset += timedelta(days=1)
    heard = await _says(county, token)
    assert (
        heard.startswith("您来了") and number in heard and "还在等社工" in heard and heard.endswith("是啊。")
    )
    assert "您来了" not in await _says(county, token, "你吃了没")


async def test_the_same_thing_told_again_is_the_same_case(county: County) -> None:
    token = await county.begin()
    await _order(county, token)
    county.clock.offset += timedelta(days=1)
    heard = await _order(county, token)
    case = await county.case(token)
    assert f"已经登记了，号码是{case.number}" in heard
    assert [kind for kind in await county.kinds_of_events(case) if kind != "consent"] == ["opened", "added"]


async def test_a_question_of_yesterday_is_not_answered_by_todays_words(county: County) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    assert (await county.talk(token)).questions
    county.clock.offset += timedelta(days=1)
    heard = await _says(county, token)
    assert not (await county.talk(token)).questions
    assert "受虐" not in heard and (await county.case(token)).number not in heard


async def test_what_a_form_had_asked_is_forgotten_and_its_case_is_not(county: County) -> None:
    token = await county.begin()
    state = {
        "v": 2,
        "slots": {"need": "home", "requested_slot": "matter_more"},
        "loop": "matter_form",
        "missed": 0,
    }
    county.rasa.script["屋漏"] = answer("漏了多久了？", need="home", intent="home") | {"state": state}
    await county.say(token, "屋漏")
    county.clock.offset += timedelta(hours=5)
    await _says(county, token)
    assert county.rasa.asked[-1]["state"] is None
    assert (await county.case(token)).stage == "intake"


async def test_one_is_called_as_a_worker_put_it_on_record(county: County) -> None:
    token = await county.begin()
    await _order(county, token)
    case = await county.claimed(token, LIN)
    assert not (await county.replies(token))[-1].text.startswith("王嬢嬢")
    await county.domain.casework.name_person(case.id, county.id_of(LIN), "王秀英", "王嬢嬢")
    await county.domain.casework.reply(case.id, county.id_of(LIN), "盐明天送来。")
    await county.domain.casework.release(case.id, county.id_of(LIN))
    assert (await county.replies(token))[-1].text == "盐明天送来。"
    county.clock.offset += timedelta(days=1)
    assert (await _says(county, token)).startswith("王嬢嬢，您来了")


async def test_who_is_asked_about_violence_hears_its_name_from_nobody(county: County) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    async with county.domain.store.write() as session:
        talk = await session.get_one(type(await county.talk(token)), (await county.talk(token)).id)
        talk.questions = []
    county.rasa.script["办得咋样"] = answer(effect("status"), need="status", intent="status")
    outcome = await county.say(token, "办得咋样")
    assert outcome.reply is not None
    assert "受虐" not in outcome.reply.text and (await county.case(token)).number in outcome.reply.text
