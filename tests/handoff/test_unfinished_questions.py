"""Who hangs up in the middle of the questions is not lost; who takes it back leaves nothing behind."""

import pytest
from cast import CHEST
from county import County
from strict_double import answer, effect

from handoff.model.words import Risk, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKING = {
    "v": 2,
    "loop": "matter_form",
    "missed": 0,
    "slots": {"need": "home", "requested_slot": "matter_more"},
}
LEAKS = "房顶有点漏"


async def _asked(county: County, token: str) -> None:
    county.rasa.script[LEAKS] = answer("多久了？", need="home", intent="home", state=ASKING)
    await county.say(token, LEAKS)


async def test_the_matter_is_noted_down_before_the_first_question_is_answered(county: County) -> None:
    token = await county.begin()
    await _asked(county, token)
    case = await county.case(token)
    assert (case.need, case.risk, case.stage) == ("home", Risk.ROUTINE, Stage.INTAKE)
    (opened,) = await county.events(case)
    assert opened.content["slots"] == {"what": LEAKS}
    assert (await county.replies(token))[-1].text == "多久了？"


async def test_the_number_is_told_as_new_when_all_is_asked(county: County) -> None:
    token = await county.begin()
    await _asked(county, token)
    slots = {"what": LEAKS, "more": "三天"}
    county.rasa.script["三天"] = answer(effect("consult", need="home", slots=slots), need="home")
    outcome = await county.say(token, "三天")
    case = await county.case(token)
    assert outcome.reply is not None and outcome.reply.number == case.number
    assert "两个工作日" in outcome.reply.text and "已经登记了" not in outcome.reply.text
    county.rasa.script["房顶还在漏雨"] = answer(effect("open_case", need="home"), need="home")
    again = await county.say(token, "房顶还在漏雨")
    assert again.reply is not None and "已经登记了" in again.reply.text


async def test_taking_it_back_in_the_middle_withdraws_it(county: County) -> None:
    token = await county.begin()
    await _asked(county, token)
    county.rasa.script["算了"] = answer("好，那就不办了。", need="talk", intent="talk_cancel")
    await county.say(token, "算了")
    assert (await county.case(token)).stage == Stage.WITHDRAWN


async def _asked_with_a_worry(county: County, token: str) -> str:
    screen = county.domain.understander.screen
    worry = next(
        text
        for text in ("墙上裂了条缝", "有人打电话说我医保卡有问题", "胸口有点不得劲", "柜子里那瓶药还在不在", "手机上叫我报个号")
        if screen.screen(text).risk is Risk.ATTENTION
    )  # fmt: skip
    county.rasa.script[worry] = answer("多久了？", need="home", intent="home", state=ASKING)
    await county.say(token, worry)
    return worry


async def test_what_deserves_attention_is_not_taken_back_with_the_questions(county: County) -> None:
    token = await county.begin()
    worry = await _asked_with_a_worry(county, token)
    county.rasa.script["算了"] = answer("好，那就不办了。", need="talk", intent="talk_cancel")
    await county.say(token, "算了")
    # The words before and these may sound like danger together, and then have a case of their own besides.
    case = next(case for case in await county.cases(token) if case.need == "home")
    assert (case.risk, case.stage) == (Risk.ATTENTION, Stage.INTAKE)
    finding = county.domain.understander.screen.screen(worry)
    assert (tuple(case.kinds), tuple(case.why)) == (finding.kinds, finding.why)


async def test_a_second_matter_of_the_same_need_is_added_before_it_is_asked_about(county: County) -> None:
    token = await county.begin()
    county.rasa.script["灯坏了"] = answer(effect("open_case", need="home"), need="home")
    await county.say(token, "灯坏了")
    await _asked(county, token)
    last = (await county.events(await county.case(token)))[-1]
    assert (last.kind, last.content["slots"]) == ("added", {"what": LEAKS})


async def test_another_subject_leaves_it_with_people(county: County) -> None:
    token = await county.begin()
    await _asked(county, token)
    county.rasa.script["买盐"] = answer(effect("open_case", need="goods"))
    await county.say(token, "买盐")
    assert [case.stage for case in await county.cases(token)] == [Stage.INTAKE, Stage.INTAKE]


async def test_danger_in_the_middle_of_the_questions_takes_nothing_back(county: County) -> None:
    token = await county.begin()
    await _asked(county, token)
    await county.say(token, CHEST)
    assert {case.need for case in await county.cases(token)} == {"home", "emergency"}
