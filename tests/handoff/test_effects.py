"""What the dialogue asks to be done: status, repeat, pace, stop, withdraw, hand over."""

import pytest
from cast import BEATEN, CHEST, LIN
from county import County
from strict_double import answer, effect

from handoff.model.words import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)


async def _ask(county: County, token: str, name: str, **fields: str) -> str:
    county.rasa.script[name] = answer(effect(name, **fields), need="talk", intent=f"talk_{name}")
    outcome = await county.say(token, name)
    assert outcome.reply is not None
    return outcome.reply.text


async def _goods(county: County, token: str) -> str:
    county.rasa.script["买盐"] = answer("记下了。", effect("open_case", need="goods"))
    await county.say(token, "买盐")
    return (await county.cases(token))[-1].number


async def test_status_where_there_is_nothing(county: County) -> None:
    assert "没有查到" in await _ask(county, await county.begin(), "status")


async def test_status_says_number_stage_and_who_has_it(county: County) -> None:
    token = await county.begin()
    number = await _goods(county, token)
    waiting = await _ask(county, token, "status")
    assert number in waiting and "代购与物资" in waiting and "还在等社工" in waiting
    case = await county.claimed(token, LIN)
    await county.domain.casework.set_stage(case.id, county.id_of(LIN), Stage.INTERVENTION)
    await county.domain.casework.release(case.id, county.id_of(LIN))
    moving = await _ask(county, token, "status")
    assert "正在办着" in moving and LIN.display_name in moving


async def test_status_of_another_conversation_is_nobodys_business(county: County) -> None:
    number = await _goods(county, await county.begin())
    assert number not in await _ask(county, await county.begin(), "status")


async def test_repeat_says_the_last_words_with_number_and_call_again(county: County) -> None:
    token = await county.begin()
    first = await county.say(token, CHEST)
    county.rasa.script["再说一遍"] = answer(effect("repeat"), need="talk", intent="talk_repeat")
    again = await county.say(token, "再说一遍")
    assert first.reply is not None and again.reply is not None
    assert (again.reply.text, again.reply.number, again.reply.call) == (
        first.reply.text,
        first.reply.number,
        first.reply.call,
    )


async def test_repeat_says_a_workers_words_again(county: County) -> None:
    token = await county.begin()
    await _goods(county, token)
    case = await county.claimed(token, LIN)
    await county.domain.casework.reply(case.id, county.id_of(LIN), "盐买好了，明天送来。")
    await county.domain.casework.release(case.id, county.id_of(LIN))
    assert await _ask(county, token, "repeat") == "盐买好了，明天送来。"


async def test_slower_and_louder_stay_and_have_their_bounds(county: County) -> None:
    token = await county.begin()
    for _ in range(12):
        await _ask(county, token, "pace", change="slower")
        county.rasa.script.clear()
        await _ask(county, token, "pace", change="louder")
        county.rasa.script.clear()
    talk = await county.talk(token)
    assert (talk.speed, talk.volume) == (0.6, 2.0)
    outcome = await county.say(token, "还有一件事")
    assert outcome.reply is not None and (outcome.reply.speed, outcome.reply.volume) == (0.6, 2.0)


async def test_stop_is_said_to_the_page(county: County) -> None:
    token = await county.begin()
    county.rasa.script["别说了"] = answer(effect("stop"), need="talk", intent="talk_stop")
    outcome = await county.say(token, "别说了")
    assert outcome.reply is not None and outcome.reply.stop


async def test_a_light_case_is_withdrawn_and_the_number_freed(county: County) -> None:
    token = await county.begin()
    number = await _goods(county, token)
    assert number in await _ask(county, token, "withdraw")
    case = await county.case(token)
    assert case.stage == "withdrawn"
    assert (await county.kinds_of_events(case))[-1] == "withdrawn"
    assert "没有要撤回" in await _ask(county, token, "withdraw")


async def test_danger_is_not_withdrawn(county: County) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    county.rasa.script["算了不要了"] = answer(effect("withdraw"), need="talk", intent="talk_cancel")
    await county.say(token, "方便")  # the answer to the one question
    text = (await county.say(token, "算了不要了")).reply
    assert text is not None and "还是会来看看您" in text.text
    assert (await county.case(token)).stage == "intake"


async def test_of_a_light_and_a_grave_case_the_light_one_goes(county: County) -> None:
    token = await county.begin()
    await _goods(county, token)
    await county.say(token, CHEST)
    await county.say(token, "有人")
    await _ask(county, token, "withdraw")
    assert {case.need: case.stage for case in await county.cases(token)} == {
        "goods": "withdrawn",
        "emergency": "intake",
    }


async def test_asking_for_a_person_opens_a_case_once(county: County) -> None:
    token = await county.begin()
    first = await _ask(county, token, "hand_over", reason="asked")
    second = await _ask(county, token, "hand_over", reason="asked")
    case = await county.case(token)
    assert (case.need, case.risk) == ("human", "routine")
    assert case.number in first and case.number in second
    assert await county.kinds_of_events(case) == ["opened", "asked_for_human"]


async def test_several_effects_and_words_make_one_reply(county: County) -> None:
    token = await county.begin()
    county.rasa.script["都要"] = answer(
        "我慢慢说。",
        effect("pace", change="slower"),
        effect("open_case", need="home", slots={"what": "None"}),
    )
    outcome = await county.say(token, "都要")
    case = await county.case(token)
    assert outcome.reply is not None
    assert outcome.reply.text.startswith("我慢慢说。")
    assert case.number in outcome.reply.text
    assert outcome.reply.speed < 1
    assert (await county.events(case))[0].content["slots"] == {}
