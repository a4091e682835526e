"""After danger: one direct question a turn; a clear no does not raise, anything else does."""

import pytest
from cast import BEATEN, CHEST, DARK, DARK_WITH_MEANS, LIN, SALT, VEILED
from county import County
from strict_double import answer, effect

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)

PLAINLY, MEANS, NEAR = (
    "您是不是不想活了？",
    "您手边有没有农药、药片、刀子或者绳子？",
    "现在身边有没有别人？",
)


async def _said(county: County, token: str, text: str) -> str:
    outcome = await county.say(token, text)
    assert outcome.reply is not None
    return outcome.reply.text


async def test_one_question_a_turn_until_all_are_asked(county: County) -> None:
    token = await county.begin()
    county.rasa.otherwise = answer("嗯。", need="talk", intent="talk_affirm")
    heard = [await _said(county, token, text) for text in (VEILED, "是的", "不好说", "就我一个", "嗯")]
    assert [text.count("？") for text in heard[:3]] == [1, 1, 1]
    for text, question in zip(heard, (PLAINLY, MEANS, NEAR), strict=False):
        assert question in text
    assert "陪着您" in heard[3]
    assert "陪着您" in heard[4]


async def test_a_yes_to_an_offer_and_an_answer_to_a_form_are_taken_while_help_is_on_the_way(
    county: County,
) -> None:
    token = await county.begin()
    county.rasa.otherwise = answer("嗯。", need="talk", intent="talk_affirm")
    for text in (VEILED, "是的", "不好说", "就我一个"):
        await county.say(token, text)
    offered = {"v": 2, "loop": None, "missed": 0, "slots": {"offered": "papers"}}
    county.rasa.script["问个证"] = answer("要记下来吗？", need="papers", intent="papers", state=offered)
    county.rasa.script["要得"] = answer(
        "好，记下来了。", effect("open_case", need="papers"), need="talk", intent="talk_affirm"
    )
    await county.say(token, "问个证")
    assert "记下来了" in await _said(county, token, "要得")
    assert "papers" in {case.need for case in await county.cases(token)}
    asking = {
        "v": 2,
        "loop": "health_form",
        "missed": 0,
        "slots": {"need": "health", "requested_slot": "health_near"},
    }
    county.rasa.script["牙疼"] = answer("有没有人陪您？", need="health", intent="health", state=asking)
    county.rasa.script["有的"] = answer("好，我记下了。", need="talk", intent="talk_affirm")
    await county.say(token, "牙疼")
    assert "记下了" in await _said(county, token, "有的")


async def test_what_was_said_plainly_is_not_asked(county: County) -> None:
    heard = await _said(county, await county.begin(), DARK)
    assert PLAINLY not in heard and MEANS in heard


async def test_means_are_not_asked_for_once_they_are_known(county: County) -> None:
    heard = await _said(county, await county.begin(), DARK_WITH_MEANS)
    assert MEANS not in heard and NEAR in heard


@pytest.mark.parametrize(
    "no",
    ["没有", "没得", "莫得", "没有，家里从来不放那些", "没", "哎，没有的事", "早扔了", "都锁起来了"],
)
async def test_a_clear_no_does_not_raise(county: County, no: str) -> None:
    token = await county.begin()
    await county.say(token, DARK)
    await county.say(token, no)
    assert (await county.case(token)).risk == "urgent"


@pytest.mark.parametrize(
    "answered",
    [
        "有",
        "在墙角放着",
        "你问这个干什么",
        "不知道",
        "没错",
        "没错，有",
        "没有药，有绳子",
        "没农药，刀子有一把",
        "不是农药，是绳子",
        "没办法，只剩那瓶了",
        "没人",
        "呜呜",
    ],
)
async def test_what_is_not_a_clear_no_raises(county: County, answered: str) -> None:
    token = await county.begin()
    await county.say(token, DARK)
    await county.say(token, answered)
    case = await county.case(token)
    assert case.risk == "emergency"
    assert (await county.kinds_of_events(case))[-1] == "raised"


async def test_who_tells_of_another_danger_instead_of_answering_is_heard(county: County) -> None:
    token = await county.begin()
    await county.say(token, BEATEN)
    await county.say(token, "存折压在枕头底下，密码写在本本上，往后你们自己拿，我就不操心了")
    assert {case.need for case in await county.cases(token)} == {"abuse", "crisis"}


async def test_a_no_that_the_dialogue_understood_does_not_raise(county: County) -> None:
    token = await county.begin()
    await county.say(token, DARK)
    county.rasa.script["哪有那些东西哟"] = answer("好。", need="talk", intent="talk_deny")
    await county.say(token, "哪有那些东西哟")
    assert (await county.case(token)).risk == "urgent"


@pytest.mark.parametrize("code", [500, "crash", b"{}"])
async def test_the_questions_go_on_without_the_dialogue_engine(county: County, code: object) -> None:
    token = await county.begin()
    await county.say(token, DARK)
    county.rasa.otherwise = code
    assert NEAR in await _said(county, token, "有一瓶")
    assert (await county.case(token)).risk == "emergency"


async def test_danger_said_in_answer_is_met_as_danger(county: County) -> None:
    token = await county.begin()
    await county.say(token, DARK)
    outcome = await county.say(token, CHEST)
    assert outcome.reply is not None and outcome.reply.call == "120"
    assert {case.need for case in await county.cases(token)} == {"crisis", "emergency"}
    assert outcome.reply.text.count("？") == 1


async def test_asking_to_hear_it_again_is_no_answer(county: County) -> None:
    token = await county.begin()
    first = await _said(county, token, DARK)
    county.rasa.script["再说一遍"] = answer(effect("repeat"), need="talk", intent="talk_repeat")
    assert await _said(county, token, "再说一遍") == first
    assert (await county.case(token)).risk == "urgent"
    assert NEAR in await _said(county, token, "没有")


async def test_questions_never_asked_are_not_answered_by_the_next_words(county: County) -> None:
    """Danger said to a worker is the worker's to ask about; the assistant must not take it up later."""
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.claimed(token, LIN)
    await county.say(token, DARK)
    await county.domain.casework.release(case.id, county.id_of(LIN))
    county.rasa.script[SALT] = answer("要几包？")
    assert await _said(county, token, SALT) == "要几包？"
    assert {case.risk for case in await county.cases(token)} == {"urgent"}
