"""What the knowledge base answers, what it can't, and how a worker answers it once for everyone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from cast import FANG, LIN, ZHOU
from county import County
from strict_double import answer, effect

from connectors.root import NLU_DATA
from handoff.model.knowledge import load_knowledge
from handoff.model.words import Need, Stage
from handoff.service.consulting import Consulting
from handoff.service.questions import LONGEST_ANSWER, QuestionError, Questions
from handoff.store.tables import Question, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTRY = next(
    entry
    for entry in load_knowledge(NLU_DATA / "consultation")
    if entry.need is Need.PAPERS and entry.follow == "offer"
)
ODD = "村口那口老井的井盖找哪个部门登记编号"
LIKE_ODD = "老井的井盖到哪个部门去登记编号"
TOLD = "老井归村委会管。请找村里管水的人登记。"


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _as_shipped(county: County) -> AsyncIterator[None]:
    yield
    for one in await county.domain.questions.written():
        await county.domain.questions.retire(one.id, county.id_of(LIN))
    for one in await county.domain.questions.waiting(county.id_of(LIN)):
        await county.domain.questions.dismiss(one.id, county.id_of(LIN))


async def _ask(county: County, token: str, text: str, **slots: str) -> str:
    """The words to a matter that the dialogue has asked all about."""
    county.rasa.script[text] = answer(effect("consult", need="home", slots=slots), need="home")
    outcome = await county.say(token, text)
    assert outcome.reply is not None
    return outcome.reply.text


async def _answer_at_once(county: County, text: str, need: Need) -> str:
    county.rasa.script[text] = answer(effect("answer", need=need), "要不要我记下来？", need=need)
    outcome = await county.say(await county.begin(), text)
    assert outcome.reply is not None
    return outcome.reply.text


async def test_the_dialogue_is_told_what_is_known_and_the_entry_is_said(county: County) -> None:
    said = await _answer_at_once(county, ENTRY.asks[0], ENTRY.need)
    assert said.startswith("".join(ENTRY.said)) and said.endswith("要不要我记下来？")
    assert county.rasa.asked[-1]["metadata"]["answers"][ENTRY.need] == ENTRY.follow


async def test_what_is_known_after_all_questions_is_said_and_a_case_opened(county: County) -> None:
    token = await county.begin()
    county.rasa.script["办证"] = answer(
        effect("consult", need=ENTRY.need, slots={"what": ENTRY.asks[0], "more": "没有说"}), need=ENTRY.need
    )
    outcome = await county.say(token, "办证")
    case = await county.case(token)
    assert outcome.reply is not None and "".join(ENTRY.said) in outcome.reply.text
    assert case.number in outcome.reply.text and case.need == ENTRY.need
    assert not await county.rows(Question, Question.case_id == case.id)


async def test_what_is_not_known_is_said_so_and_waits_on_the_list_with_its_case(county: County) -> None:
    token = await county.begin()
    said = await _ask(county, token, "井盖", what=ODD, more="没有说")
    case = await county.case(token)
    assert "答不准" in said and case.number in said and "九五五九八" in said
    (waiting,) = await county.domain.questions.waiting(county.id_of(LIN))
    assert (waiting.text, waiting.case_id, waiting.need_zh) == (ODD, case.id, "水电住房")
    assert (await county.kinds_of_events(case)).count("read") == 1
    await county.domain.questions.waiting(county.id_of(LIN))
    assert (await county.kinds_of_events(case)).count("read") == 1


async def test_where_nothing_was_told_there_is_a_case_and_no_question(county: County) -> None:
    token = await county.begin()
    said = await _ask(county, token, "家里的事", what="没有说", more="没有说")
    assert (await county.case(token)).number in said and "答不准" not in said
    assert await county.domain.questions.waiting(county.id_of(LIN)) == []


async def test_a_worker_answers_it_once_and_everyone_hears_it(county: County) -> None:
    first, second = await county.begin(), await county.begin()
    await _ask(county, first, "井盖", what=ODD)
    await _ask(county, second, "井盖二", what=LIKE_ODD)
    (one, _) = await county.domain.questions.waiting(county.id_of(LIN))
    told = await county.domain.questions.answer(one.id, county.id_of(LIN), ODD, TOLD)
    assert told == 2
    assert await county.domain.questions.waiting(county.id_of(LIN)) == []
    for token in (first, second):
        last = (await county.rows(Reply, Reply.conversation_id == (await county.talk(token)).id))[-1]
        assert TOLD in last.text and last.worker_id == county.id_of(LIN)
        assert "answered_for_all" in await county.kinds_of_events(await county.case(token))
    assert await _answer_at_once(county, LIKE_ODD, Need.HOME) == TOLD + "要不要我记下来？"
    assert county.rasa.asked[-1]["metadata"]["answers"]["home"] == "offer"


async def test_an_answer_is_there_again_after_a_restart_and_gone_when_retired(county: County) -> None:
    await _ask(county, await county.begin(), "井盖", what=ODD)
    (one,) = await county.domain.questions.waiting(county.id_of(LIN))
    await county.domain.questions.answer(one.id, county.id_of(LIN), ODD, TOLD)
    fresh = Consulting([])
    parts = county.domain
    again = Questions(parts.store, fresh, parts.phrases, parts.dispatch, county.clock)
    await again.load()
    assert fresh.find(LIKE_ODD, Need.HOME) is not None
    (written,) = await again.written()
    assert (written.said, written.due) == (TOLD, False)
    county.clock.offset += timedelta(days=370)
    assert (await again.written())[0].due
    await county.domain.questions.retire(written.id, county.id_of(LIN))
    await again.load()
    assert fresh.find(LIKE_ODD, Need.HOME) is None
    with pytest.raises(QuestionError, match="已经停用"):
        await county.domain.questions.retire(written.id, county.id_of(LIN))


async def test_an_answer_that_went_away_while_the_dialogue_thought_is_a_question_for_people(
    county: County,
) -> None:
    said = await _answer_at_once(county, ODD, Need.HOME)
    assert "答不准" in said
    (waiting,) = await county.domain.questions.waiting(county.id_of(LIN))
    assert waiting.text == ODD


@pytest.mark.parametrize(
    ("ask", "text", "why"),
    [
        (ODD, "", "还没写答案"),
        (ODD, "一天吃两片就行。", "药的用量"),
        (ODD, "没事，不用去看。", "不要紧"),
        (ODD, "你去村委会。", "要称“您”"),
        (
            ODD,
            "您去找村委会，再到镇上，再到县里，再到市里，再找水利局，再找民政局，再回到村里来问。",
            "超过 40",
        ),
        (ODD, "请找村里管水的人登记。" * 15, str(LONGEST_ANSWER)),
        ("井盖", TOLD, "一般的说法"),
        ("王婆婆家电话13800000000的井盖", TOLD, "电话号码"),
    ],
)
async def test_what_must_not_be_said_to_everyone_is_refused_with_the_reason(
    county: County, ask: str, text: str, why: str
) -> None:
    await _ask(county, await county.begin(), "井盖", what=ODD)
    (one,) = await county.domain.questions.waiting(county.id_of(LIN))
    with pytest.raises(QuestionError, match=why):
        await county.domain.questions.answer(one.id, county.id_of(LIN), ask, text)
    assert len(await county.domain.questions.waiting(county.id_of(LIN))) == 1
    assert await county.domain.questions.written() == []


async def test_of_two_who_answer_one_wins(county: County) -> None:
    await _ask(county, await county.begin(), "井盖", what=ODD)
    (one,) = await county.domain.questions.waiting(county.id_of(LIN))
    await county.domain.questions.dismiss(one.id, county.id_of(LIN))
    with pytest.raises(QuestionError, match="已经有人处理"):
        await county.domain.questions.answer(one.id, county.id_of(LIN), ODD, TOLD)


async def test_two_who_answer_questions_alike_at_once_do_not_wait_for_each_other(county: County) -> None:
    await _ask(county, await county.begin(), "井盖", what=ODD)
    await _ask(county, await county.begin(), "井盖二", what=LIKE_ODD)
    first, second = await county.domain.questions.waiting(county.id_of(LIN))
    done = await asyncio.gather(
        county.domain.questions.answer(first.id, county.id_of(LIN), ODD, TOLD),
        county.domain.questions.answer(second.id, county.id_of(ZHOU), LIKE_ODD, TOLD),
        return_exceptions=True,
    )
    assert [one for one in done if one == 2] == [2]
    assert [type(one) for one in done if one != 2] == [QuestionError]


async def test_a_volunteer_neither_sees_nor_answers(county: County) -> None:
    await _ask(county, await county.begin(), "井盖", what=ODD)
    (one,) = await county.domain.questions.waiting(county.id_of(LIN))
    with pytest.raises(QuestionError, match="归社工"):
        await county.domain.questions.waiting(county.id_of(FANG))
    with pytest.raises(QuestionError, match="归社工"):
        await county.domain.questions.answer(one.id, county.id_of(FANG), ODD, TOLD)


async def test_whose_case_is_closed_is_not_spoken_to_again(county: County) -> None:
    token = await county.begin()
    await _ask(county, token, "井盖", what=ODD)
    case = await county.claimed(token, LIN)
    await county.domain.casework.close(case.id, county.id_of(LIN), Stage.CLOSED, "办好了")
    before = len(await county.replies(token))
    (one,) = await county.domain.questions.waiting(county.id_of(LIN))
    assert await county.domain.questions.answer(one.id, county.id_of(LIN), ODD, TOLD) == 0
    assert len(await county.replies(token)) == before
