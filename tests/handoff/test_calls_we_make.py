"""Calls that the service makes by itself: back to a line that broke off, a reminder, whether it helped."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count

import pytest
import pytest_asyncio
from cast import BEATEN, CHEST, DARK, LIN, SALT, XIUYING, ZHOU
from county import County, settings_for
from county import county as county_on
from strict_double import answer, effect

from handoff.model.errors import HandoffError
from handoff.model.nouns import Opening
from handoff.model.words import Channel, Stage
from handoff.service.calls import MOST_BACK, MOST_TRIES, Due
from handoff.store.tables import Call, Case, Conversation, Task

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHONE, OWN = "13911112222", "13933334444"
_others = count(13800000000)
REMINDER = "明天上午九点去卫生院量血压"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_county(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[County]:
    """A county with a telephone that can make calls."""
    settings = settings_for(tmp_path_factory.mktemp("county"), store_url, sip_user="xiangyin")
    async with county_on(settings) as here:
        yield here


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _noon(county: County) -> None:
    """At a time when people may be rung up; what an earlier test has left to ring is over."""
    county.at_hour(12)
    county.rasa.script[SALT] = answer("记下了。", effect("open_case", need="goods"))
    async with county.domain.store.write() as session:
        for call in await county.rows(Call, Call.state.in_(("planned", "ringing"))):
            (await session.get_one(Call, call.id)).state = "cancelled"


async def called(county: County, text: str = SALT, number: str = "") -> str:
    """Somebody has called, from a number of their own where none is given, and said this."""
    opening = Opening(Channel.PHONE, address=number or str(next(_others)))
    token, _ = await county.domain.turns.begin(opening)
    await county.say(token, text)
    return token


async def broken_off(county: County, text: str = SALT, number: str = "") -> tuple[str, Case]:
    token = await called(county, text, number)
    await county.domain.breaking_off.note(token)
    return token, (await county.cases(token))[0]


async def mine(
    county: County, *, name: str = "", phone: str = "", text: str = SALT, number: str = ""
) -> Case:
    """A case that Lin has claimed."""
    case = await county.claimed(await called(county, text, number), LIN)
    if name:
        await county.domain.casework.name_person(case.id, county.id_of(LIN), name, phone=phone)
    return case


async def reminded(county: County, case: Case, after: timedelta = timedelta(hours=2)) -> None:
    at = county.clock.now() + after
    await county.domain.casework.remind(case.id, county.id_of(LIN), REMINDER, at)


async def closed(county: County, case: Case) -> None:
    await county.domain.casework.close(case.id, county.id_of(LIN), Stage.CLOSED, "送到了", "已办好")


async def due(county: County, after: timedelta = timedelta()) -> Due | None:
    county.clock.offset += after
    return await county.domain.calls.take_due()


async def taken(county: County, after: timedelta) -> tuple[Due, str, str]:
    """A call that is due has been answered: the call, the token of its conversation, and the first words."""
    call = await due(county, after)
    assert call is not None
    token, first = await county.domain.turns.begin_call(call.id)
    return call, token, first.text


async def says(county: County, token: str, text: str) -> str:
    outcome = await county.say(token, text)
    return outcome.reply.text if outcome.reply else ""


async def state(county: County, call: Due) -> str:
    (row,) = await county.rows(Call, Call.id == call.id)
    return row.state


# -- back to a line that broke off -----------------------------------------------------------------------------


async def test_who_was_cut_off_is_rung_back_and_goes_on_where_they_were(county: County) -> None:
    token, case = await broken_off(county, number=PHONE)
    assert await due(county) is None, "they may be dialling again just now"
    call, again, first = await taken(county, timedelta(minutes=1))
    assert (call.number, again) == (PHONE, token) and "断了" in first and "盐" not in first
    await says(county, token, "我还要两瓶酱油")
    await county.domain.calls.ended(call.id, spoke=True)
    assert await state(county, call) == "done"
    assert (await county.kinds_of_events(case))[-1] == "called"
    assert await due(county, timedelta(hours=1)) is None


async def test_whoever_has_called_again_by_themselves_is_not_rung_up(county: County) -> None:
    _, case = await broken_off(county, number=OWN)
    county.clock.offset += timedelta(seconds=20)
    await called(county, "刚才断了", OWN)
    assert await due(county, timedelta(minutes=1)) is None
    assert (await county.kinds_of_events(case))[-1] == "call_needless"


async def test_a_worker_who_has_taken_the_case_calls_themselves(county: County) -> None:
    token, case = await broken_off(county)
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    assert await due(county, timedelta(minutes=1)) is None
    assert await county.domain.talks.held_by((await county.talk(token)).id)


@pytest.mark.parametrize("text", [CHEST, BEATEN])
async def test_a_line_that_must_be_free_or_may_be_overheard_is_left_to_a_person(
    county: County, text: str
) -> None:
    await broken_off(county, text)
    assert await due(county, timedelta(minutes=1)) is None


async def test_a_wish_to_die_is_rung_back_even_at_night_but_only_at_once(county: County) -> None:
    county.at_hour(23)
    await broken_off(county, DARK)
    call = await due(county, timedelta(minutes=1))
    assert call is not None
    await county.domain.calls.missed(call.id, "no_answer")
    assert await due(county, timedelta(minutes=10)) is None, "the rest of the night is people's own"
    assert await due(county, timedelta(hours=9)) is not None


async def test_a_call_that_nobody_takes_is_tried_again_and_then_left_to_a_person(county: County) -> None:
    _, case = await broken_off(county)
    for n in range(1, MOST_TRIES + 1):
        call = await due(county, timedelta(minutes=5))
        assert call is not None and call.tries == n
        await county.domain.calls.missed(call.id, "no_answer")
    assert await due(county, timedelta(days=2)) is None
    assert await state(county, call) == "given_up"
    assert (await county.kinds_of_events(case)).count("call_missed") == MOST_TRIES
    tasks = await county.rows(Task, Task.case_id == case.id, Task.asked_by == "unreached")
    assert [task.kind for task in tasks] == ["call"]


async def test_a_call_that_is_answered_by_nobodys_word_counts_as_missed(county: County) -> None:
    await broken_off(county)
    call, _, _ = await taken(county, timedelta(minutes=1))
    await county.domain.calls.ended(call.id, spoke=False)
    assert await state(county, call) == "planned"


async def test_a_line_that_breaks_again_and_again_is_not_rung_for_ever(county: County) -> None:
    token = await called(county)
    for _ in range(MOST_BACK):
        await county.domain.breaking_off.note(token)
        call, _, _ = await taken(county, timedelta(minutes=1))
        await says(county, token, "喂")
        await county.domain.calls.ended(call.id, spoke=True)
    await county.domain.breaking_off.note(token)
    assert await due(county, timedelta(minutes=1)) is None


async def test_what_was_ringing_when_the_service_ended_is_tried_again(county: County) -> None:
    await broken_off(county)
    call = await due(county, timedelta(minutes=1))
    assert call is not None
    await county.domain.calls.recover()
    again = await due(county, timedelta(minutes=5))
    assert again is not None and (again.id, again.tries) == (call.id, 2)


# -- a reminder ------------------------------------------------------------------------------------------------


async def test_a_reminder_is_told_to_its_person_and_to_nobody_else(county: County) -> None:
    case = await mine(county, name=XIUYING.name, phone=OWN)
    await reminded(county, case)
    call, token, first = await taken(county, timedelta(hours=2))
    assert call.number == OWN and XIUYING.name in first and "血压" not in first
    said = await says(county, token, "不是")
    assert "血压" not in said and "过后再打" in said
    await county.domain.calls.ended(call.id, spoke=True)
    call, token, _ = await taken(county, timedelta(hours=1))
    assert REMINDER in await says(county, token, "是")
    await county.domain.calls.is_settled(call.id)
    assert "挂了吧" in await says(county, token, "晓得了")
    await county.domain.calls.ended(call.id, spoke=True)
    assert await state(county, call) == "done"
    assert "reminder_heard" in await county.kinds_of_events(case)


@pytest.mark.parametrize("yes", ["是", "是我", "我是王秀英", "嗯"])
async def test_a_yes_is_a_yes_in_many_words_and_a_key(county: County, yes: str) -> None:
    case = await mine(county, name=XIUYING.name)
    await reminded(county, case)
    _, token, _ = await taken(county, timedelta(hours=2))
    assert REMINDER in await says(county, token, yes)


@pytest.mark.parametrize("no", ["不行", "没听清", "我不晓得你说的啥子"])
async def test_what_was_not_understood_is_said_again(county: County, no: str) -> None:
    case = await mine(county, name=XIUYING.name)
    await reminded(county, case)
    _, token, _ = await taken(county, timedelta(hours=2))
    await says(county, token, "是")
    assert REMINDER in await says(county, token, no)
    assert "reminder_heard" not in await county.kinds_of_events(case)


async def test_danger_said_in_a_call_of_ours_comes_first(county: County) -> None:
    await reminded(county, await mine(county, name=XIUYING.name))
    call, token, _ = await taken(county, timedelta(hours=2))
    assert "一二零" in await says(county, token, CHEST)
    (case,) = await county.cases(token)
    assert case.risk == "emergency"
    await county.domain.calls.ended(call.id, spoke=True)
    assert await state(county, call) == "planned", "the reminder was not heard"


async def test_whoever_says_something_else_is_heard(county: County) -> None:
    await reminded(county, await mine(county, name=XIUYING.name))
    _, token, _ = await taken(county, timedelta(hours=2))
    assert "记下了" in await says(county, token, SALT)


async def test_a_reminder_that_would_come_too_late_is_left_to_a_person(county: County) -> None:
    county.at_hour(19)
    case = await mine(county, name=XIUYING.name)
    await reminded(county, case, timedelta(hours=1, minutes=45))
    call = await due(county, timedelta(hours=1, minutes=50))
    assert call is not None
    await county.domain.calls.missed(call.id, "no_answer")
    assert await state(county, call) == "given_up", "tomorrow morning it would be wrong"
    assert await county.rows(Task, Task.case_id == case.id, Task.asked_by == "unreached")


async def test_a_reminder_that_the_service_slept_through_is_left_to_a_person(county: County) -> None:
    case = await mine(county, name=XIUYING.name)
    await reminded(county, case)
    assert await due(county, timedelta(hours=5)) is None
    assert "call_given_up" in await county.kinds_of_events(case)


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (timedelta(minutes=-5), "bad_time"),
        (timedelta(days=90), "bad_time"),
        (timedelta(hours=11), "quiet_hours"),
    ],
)
async def test_a_time_that_is_no_time_for_a_call_is_refused(
    county: County, after: timedelta, code: str
) -> None:
    case = await mine(county)
    with pytest.raises(HandoffError) as refused:
        await reminded(county, case, after)
    assert refused.value.code == code


@pytest.mark.parametrize("text", ["", "   "])
async def test_a_reminder_of_nothing_is_refused(county: County, text: str) -> None:
    case, at = await mine(county), county.clock.now() + timedelta(hours=2)
    with pytest.raises(HandoffError, match="没写"):
        await county.domain.casework.remind(case.id, county.id_of(LIN), text, at)


async def test_only_whoever_has_the_case_may_have_its_person_rung_up(county: County) -> None:
    case, at = await mine(county), county.clock.now() + timedelta(hours=2)
    with pytest.raises(HandoffError, match="接手"):
        await county.domain.casework.remind(case.id, county.id_of(ZHOU), REMINDER, at)


async def test_about_violence_no_machine_calls(county: County) -> None:
    case = await mine(county, text=BEATEN)
    with pytest.raises(HandoffError, match="您自己打"):
        await reminded(county, case)


async def test_a_planned_call_shows_and_can_be_taken_back(county: County) -> None:
    case = await mine(county)
    await reminded(county, case)
    lin = county.id_of(LIN)
    (shown,) = (await county.domain.queue.case(case.id, lin)).calls
    assert shown["what"] == "提醒"
    other = await mine(county)
    await county.domain.casework.cancel_call(other.id, lin, shown["id"])
    assert (await county.domain.queue.case(case.id, lin)).calls, "it belongs to another case"
    await county.domain.casework.cancel_call(case.id, lin, shown["id"])
    assert not (await county.domain.queue.case(case.id, lin)).calls
    assert await due(county, timedelta(hours=3)) is None


async def test_without_a_telephone_number_a_reminder_says_what_is_missing(county: County) -> None:
    token = await county.begin()
    await county.say(token, SALT)
    case = await county.claimed(token, LIN)
    with pytest.raises(HandoffError, match="电话"):
        await reminded(county, case)


# -- whether it helped -----------------------------------------------------------------------------------------


async def asked_whether_it_helped(county: County) -> tuple[Case, Due, str]:
    case = await mine(county, name=XIUYING.name)
    await closed(county, case)
    call, token, first = await taken(county, timedelta(days=1, minutes=1))
    assert "帮" not in first, "whoever takes the call hears nothing of a matter"
    assert "帮到您没有" in await says(county, token, "是")
    return case, call, token


@pytest.mark.parametrize("yes", ["帮到了", "是", "办好了，谢谢你们"])
async def test_a_day_after_it_was_closed_it_is_asked_whether_it_helped(county: County, yes: str) -> None:
    case, call, token = await asked_whether_it_helped(county)
    assert "那就好" in await says(county, token, yes)
    assert "helped" in await county.kinds_of_events(case)
    assert await county.domain.calls.is_settled(call.id)
    assert not await county.cases(token)


@pytest.mark.parametrize("no", ["没帮到", "不是", "还没有办好"])
async def test_what_did_not_help_becomes_a_matter_of_its_own(county: County, no: str) -> None:
    case, _, token = await asked_whether_it_helped(county)
    assert "跟社工说" in await says(county, token, no)
    assert "not_helped" in await county.kinds_of_events(case)
    (again,) = await county.cases(token)
    assert (again.need, again.risk, again.stage) == (case.need, "attention", "intake")


async def test_what_was_not_done_is_not_asked_about(county: County) -> None:
    case = await mine(county)
    lin = county.id_of(LIN)
    await county.domain.casework.close(case.id, lin, Stage.CLOSED, "打了三次没人接", "联系不上")
    assert await due(county, timedelta(days=2)) is None


@pytest.mark.parametrize("text", [CHEST, DARK, BEATEN])
async def test_after_danger_no_machine_asks(county: County, text: str) -> None:
    await closed(county, await mine(county, text=text))
    assert await due(county, timedelta(days=2)) is None


async def test_a_number_that_nobody_answers_any_more_is_let_be(county: County) -> None:
    case = await mine(county)
    await closed(county, case)
    for _ in range(MOST_TRIES):
        call = await due(county, timedelta(days=1, hours=1))
        assert call is not None
        await county.domain.calls.missed(call.id, "no_answer")
    assert await due(county, timedelta(days=3)) is None
    assert not await county.rows(Task, Task.case_id == case.id, Task.asked_by == "unreached")


async def test_nothing_is_planned_where_there_is_no_telephone(county: County) -> None:
    county.domain.calls.possible = False
    try:
        await broken_off(county)
        with pytest.raises(HandoffError, match="没有接电话"):
            await reminded(county, await mine(county))
    finally:
        county.domain.calls.possible = True
    assert await due(county, timedelta(minutes=1)) is None


async def test_the_number_stands_in_the_store_sealed_and_in_no_view(county: County) -> None:
    case = await mine(county, number=PHONE)
    await reminded(county, case)
    view = await county.domain.queue.case(case.id, county.id_of(LIN))
    assert PHONE not in str(view)
    talks = await county.rows(Conversation, Conversation.id == case.conversation_id)
    assert talks[0].address_id is not None
