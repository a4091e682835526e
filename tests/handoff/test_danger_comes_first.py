"""Danger opens a case and tells people in the very commit that stores the words, without the dialogue engine."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from cast import BEATEN, CHEST, DARK, DARK_WITH_MEANS, LIN, SALT, ZHOU
from county import County, until
from strict_double import answer, effect

from handoff.model.nouns import Utterance
from handoff.model.words import Risk, Stage
from handoff.store.database import Store
from handoff.store.tables import Case, Task, Timer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("text", "risk", "need", "call", "minutes"),
    [
        (CHEST, "emergency", "emergency", "120", 2),
        (DARK, "urgent", "crisis", "12356", 15),
        (DARK_WITH_MEANS, "emergency", "crisis", "120", 2),
        (BEATEN, "urgent", "abuse", "110", 15),
    ],
)
async def test_a_case_stands_with_everything_and_rasa_was_never_asked(
    county: County, text: str, risk: str, need: str, call: str, minutes: int
) -> None:
    county.client.url = ""
    county.at_hour(12)
    token = await county.begin()
    outcome = await county.say(token, text)
    case = await county.case(token)
    assert (case.risk, case.need, case.stage) == (risk, need, "intake")
    assert case.due_at - case.opened_at == timedelta(minutes=minutes)
    assert case.why and all(part in text for part in case.why)
    assert await county.kinds_of_events(case) == ["opened"]
    assert {notice.worker_id for notice in await county.notices(case)} == {
        county.id_of(LIN),
        county.id_of(ZHOU),
    }
    clocks = {t.kind: t.due_at - case.opened_at for t in await county.rows(Timer, Timer.case_id == case.id)}
    expected = {"due": 15} | ({"acknowledge": 2} if risk == "emergency" else {})
    assert {kind: round(after / timedelta(minutes=1), 1) for kind, after in clocks.items()} == expected
    assert len(await county.rows(Task, Task.case_id == case.id)) == 1
    assert outcome.reply is not None
    assert (outcome.reply.call, outcome.reply.number) == (call, case.number)
    assert outcome.reply.village == "青石村"
    assert outcome.reply.text.count(case.number) == 2
    assert county.rasa.asked == []


async def test_a_hanging_rasa_does_not_delay_danger(county: County) -> None:
    token = await county.begin()
    county.rasa.otherwise = "hang"
    waiting = asyncio.create_task(county.say(token, SALT))
    await until(lambda: county.rasa.times_asked(SALT))
    outcome = await county.say(token, CHEST)
    assert not waiting.done()
    assert outcome.reply is not None and outcome.reply.call == "120"
    await waiting


async def test_it_is_one_commit_or_nothing(county: County, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await county.begin()

    async def breaks(*_args: object, **_more: object) -> None:
        raise RuntimeError("killed in the middle")

    with monkeypatch.context() as broken:
        broken.setattr("handoff.service.turns.add_reply", breaks)
        with pytest.raises(RuntimeError):
            await county.say(token, CHEST, message_id="one")
    assert (await county.turns(token), await county.cases(token)) == ([], [])
    outcome = await county.say(token, CHEST, message_id="one")
    assert outcome.reply is not None
    assert len(await county.cases(token)) == 1


async def test_danger_in_the_middle_of_a_form_leaves_the_form(county: County) -> None:
    token = await county.begin()
    county.rasa.script[SALT] = answer("要买多少？", state={"form": "goods"})
    await county.say(token, SALT)
    assert (await county.talk(token)).dialogue == {"form": "goods"}
    await county.say(token, CHEST)
    assert (await county.talk(token)).dialogue is None
    assert (await county.case(token)).risk == "emergency"


async def test_what_the_screen_missed_but_the_dialogue_took_for_danger_opens_a_case(county: County) -> None:
    county.at_hour(12)
    token = await county.begin()
    county.rasa.script["日子到头了"] = answer("我听着呢。", need="crisis", intent="crisis")
    outcome = await county.say(token, "日子到头了")
    case = await county.case(token)
    assert (case.need, case.risk) == ("crisis", "urgent")
    assert outcome.reply is not None and outcome.reply.call == "12356"
    assert len({notice.worker_id for notice in await county.notices(case)}) == 2


async def test_at_night_the_number_shown_is_one_that_answers(county: County) -> None:
    county.at_hour(3)
    outcome = await county.say(await county.begin(), DARK)
    assert outcome.reply is not None and outcome.reply.call == "120"


async def test_risk_only_rises_in_a_conversation(county: County) -> None:
    token = await county.begin()
    seen = []
    for text in (SALT, DARK, SALT, CHEST, DARK, SALT, ""):
        await county.say(token, text)
        seen.append(Risk((await county.talk(token)).risk).rank)
    assert seen == sorted(seen) and seen[-1] == Risk.EMERGENCY.rank


async def test_risk_only_rises_however_many_speak_at_once(county: County) -> None:
    for _ in range(2):
        token = await county.begin()
        await asyncio.gather(*(county.say(token, text) for text in (CHEST, BEATEN, DARK, SALT) * 2))
        assert (await county.talk(token)).risk == "emergency"


async def test_a_second_danger_of_the_same_kind_raises_the_one_case(county: County) -> None:
    token = await county.begin()
    await county.say(token, DARK)
    outcome = await county.say(token, DARK_WITH_MEANS)
    case = await county.case(token)
    assert (case.risk, case.consent) == ("emergency", "overridden")
    assert await county.kinds_of_events(case) == ["opened", "raised"]
    assert case.due_at - case.opened_at < timedelta(minutes=3)
    assert sorted({notice.round for notice in await county.notices(case)}) == [0, 1]
    assert outcome.reply is not None and outcome.reply.number == case.number


async def test_the_same_danger_said_again_alerts_nobody_twice(county: County) -> None:
    token = await county.begin()
    await county.say(token, CHEST)
    await county.say(token, CHEST)
    case = await county.case(token)
    assert await county.kinds_of_events(case) == ["opened", "added"]
    assert {notice.round for notice in await county.notices(case)} == {0}


async def test_many_writers_open_one_case(county: County) -> None:
    token, stores = await county.begin(), [Store(county.settings.store_url) for _ in range(3)]
    many = [county.elsewhere(store) for store in stores]
    try:
        outcomes = await asyncio.gather(
            *(many[n % 3].take(Utterance(token, f"w{n}", CHEST)) for n in range(12))
        )
    finally:
        for store in stores:
            await store.close()
    case = await county.case(token)
    assert {outcome.reply.number for outcome in outcomes if outcome.reply} == {case.number}
    assert Counter(await county.kinds_of_events(case)) == {"opened": 1, "added": 11}


async def test_a_new_case_is_opened_when_the_old_one_has_ended(county: County) -> None:
    token = await county.begin()
    await county.say(token, CHEST)
    case = await county.claimed(token, LIN)
    await county.domain.casework.close(case.id, county.id_of(LIN), Stage.CLOSED, "送到卫生院了")
    await county.say(token, CHEST)
    old, new = await county.cases(token)
    assert (old.stage, new.stage) == ("closed", "intake")


async def test_numbers_are_four_digits_without_a_four_and_differ(county: County) -> None:
    tokens = [await county.begin() for _ in range(15)]
    await asyncio.gather(*(county.say(token, CHEST) for token in tokens))
    numbers = [case.number for case in await county.rows(Case, Case.stage == "intake")]
    assert len(numbers) >= 15
    assert len(set(numbers)) == len(numbers)
    assert all(len(number) == 4 and number.isdigit() and "4" not in number for number in numbers)
    assert not any(number.startswith("0") for number in numbers)


async def test_a_number_that_is_taken_is_not_given_again(
    county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter("3021" * 6 + "5637" * 100)
    monkeypatch.setattr("handoff.service.opening.secrets.choice", lambda _digits: next(drawn))
    one, other = await county.begin(), await county.begin()
    await county.say(one, CHEST)
    await county.say(other, CHEST)
    first, second = (await county.case(one)).number, (await county.case(other)).number
    assert first == "3021"
    assert second != first
    assert len(second) == 4


async def test_a_doubtful_hearing_of_a_possible_danger_counts_as_danger(county: County) -> None:
    token = await county.begin()
    await county.say(token, "不想死", confidence=0.3, engine="vosk")
    case = await county.case(token)
    assert Risk(case.risk).at_least(Risk.URGENT)
    assert "asr_doubt" in case.kinds


async def test_danger_in_another_reading_of_the_same_sound_is_asked_about(county: County) -> None:
    token = await county.begin()
    heard = Utterance(token, "m-doubt", "空口疼得很", 0.9, "vosk", ("胸口疼得很，喘不上气",))
    outcome = await county.domain.turns.take(heard)
    assert outcome.reply is not None and "没听准" in outcome.reply.text
    case = await county.case(token)
    assert (case.risk, case.kinds) == ("urgent", ["asr_doubt"])


async def test_an_ordinary_request_opens_a_quiet_case(county: County) -> None:
    token = await county.begin()
    county.rasa.script[SALT] = answer("记下了。", effect("open_case", need="goods", slots={"what": "两包盐"}))
    outcome = await county.say(token, SALT)
    case = await county.case(token)
    assert (case.need, case.risk, case.consent) == ("goods", "routine", "not_asked")
    assert case.due_at - case.opened_at == timedelta(days=2)
    assert await county.notices(case) == []
    assert (await county.events(case))[0].content["slots"] == {"what": "两包盐"}
    assert outcome.reply is not None and outcome.reply.number == case.number
