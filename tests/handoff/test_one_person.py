"""One person by whichever way they come; and nobody hears of another's matter, though they share a telephone."""

import itertools
from datetime import timedelta

import pytest
from cast import BEATEN, LIN, STATION, XIAOMEI, XIUYING
from county import County
from sqlalchemy import delete, select
from strict_double import answer, effect

from handoff.model.nouns import Opening
from handoff.model.words import Channel
from handoff.service.casework import CaseworkError
from handoff.service.identity import number_said, says_name
from handoff.store.tables import Address, Case, Check, Person, Reached, Task

pytestmark = pytest.mark.asyncio(loop_scope="session")
_openids = itertools.count(1)


def _openid() -> str:
    return f"o-somebody-{next(_openids)}"


async def _at(county: County, openid: str) -> str:
    return await county.domain.turns.of_address(Opening(Channel.WECHAT, station=STATION, address=openid))


async def _says(county: County, token: str, text: str, **more: str) -> str:
    county.rasa.script.setdefault(text, answer("嗯。", need="unclear", intent="unclear"))
    outcome = await county.say(token, text)
    return outcome.reply.text if outcome.reply else ""


async def _asks(county: County, token: str, text: str = "我的事办得怎么样了") -> str:
    county.rasa.script[text] = answer(effect("status"), need="status", intent="status")
    return await _says(county, token, text)


async def _orders(county: County, token: str, text: str = "买盐", need: str = "goods") -> Case:
    county.rasa.script[text] = answer("记下了。", effect("open_case", need=need), need=need, intent=need)
    await county.say(token, text)
    return next(one for one in await county.cases(token) if one.need == need)


async def _named(county: County, case: Case, name: str, phone: str = "") -> None:
    lin = county.id_of(LIN)
    if (await county.rows(Case, Case.id == case.id))[0].claimed_by is None:
        await county.domain.casework.claim(case.id, lin)
    await county.domain.casework.name_person(case.id, lin, name, "", phone)
    await county.domain.casework.release(case.id, lin)


async def _fresh(county: County) -> None:
    async with county.domain.store.write() as session:
        await session.execute(delete(Check))


async def _matter_of_xiuying(county: County) -> Case:
    """Told at the station and put on record by a worker."""
    await _fresh(county)
    token = await county.begin()
    case = await _orders(county, token)
    await _named(county, case, XIUYING.name, XIUYING.phone)
    return case


async def _family_phone(county: County) -> tuple[str, Case, Case]:
    """An openid by which both mother and daughter have told something, each put on record."""
    await _fresh(county)
    openid = _openid()
    token = await _at(county, openid)
    hers = await _orders(county, token)
    await _named(county, hers, XIUYING.name)
    daughters = await _orders(county, token, "合同的事", "legal")
    await _named(county, daughters, XIAOMEI.name)
    county.clock.offset += timedelta(days=1)
    return openid, hers, daughters


# -- one person ---------------------------------------------------------------------------------------------


async def test_who_is_named_is_reached_where_they_spoke_and_by_telephone(county: County) -> None:
    token = await _at(county, _openid())
    await _named(county, await _orders(county, token), XIUYING.name, "138 1234-5678")
    person = (await county.rows(Person))[-1]
    joined = [row.address_id for row in await _reached(county, person)]
    addresses = await county.rows(Address, Address.id.in_(joined))
    assert {one.channel for one in addresses} == {"wechat", "phone"}
    assert XIUYING.phone in [one.value for one in addresses]


async def test_the_same_name_and_telephone_is_the_same_person(county: County) -> None:
    for openid in (_openid(), _openid()):
        case = await _orders(county, await _at(county, openid))
        await _named(county, case, "张秀兰", XIAOMEI.phone)
    assert len([one for one in await county.rows(Person) if one.name == "张秀兰"]) == 1


async def test_the_same_name_alone_is_not(county: County) -> None:
    for openid in (_openid(), _openid()):
        await _named(county, await _orders(county, await _at(county, openid)), "刘桂花")
    assert len([one for one in await county.rows(Person) if one.name == "刘桂花"]) == 2


async def test_a_number_that_is_none_is_not_put_on_record(county: County) -> None:
    case = await _orders(county, await _at(county, _openid()))
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    with pytest.raises(CaseworkError, match="号码"):
        await county.domain.casework.name_person(case.id, county.id_of(LIN), "王", "", "12")


# -- the check ----------------------------------------------------------------------------------------------


async def test_number_and_name_tell_a_matter_where_it_was_not_known(county: County) -> None:
    case = await _matter_of_xiuying(county)
    openid = _openid()
    token = await _at(county, openid)
    assert "号码" in await _asks(county, token)
    asked = await _says(county, token, f"号码是{case.number}")
    assert "名字" in asked and case.number not in asked
    told = await _says(county, token, "叫王秀英")
    assert case.number in told and "已经登记了" in told
    assert case.number in await _asks(county, await _at(county, openid)), "it is known there from now on"
    assert "identified" in await county.kinds_of_events(case)


async def test_at_a_station_it_is_known_for_this_visit_only(county: County) -> None:
    case = await _matter_of_xiuying(county)
    token = await county.begin()
    await _asks(county, token, f"{case.number}那件事办得怎样")
    assert case.number in await _says(county, token, "王秀英")
    assert case.number in await _asks(county, token)
    assert case.number not in await _asks(county, await county.begin())


@pytest.mark.parametrize("heard", ["王秀英", "我妈叫王秀英", "汪秀英", "王绣盈", "旺修鹰嘛"])
async def test_a_name_misheard_counts_by_its_sound(county: County, heard: str) -> None:
    case = await _matter_of_xiuying(county)
    token = await _at(county, _openid())
    await _asks(county, token, f"问一下{case.number}")
    assert "已经登记了" in await _says(county, token, heard)


async def test_wrong_twice_tells_nothing_and_a_worker_sees_to_it(county: County) -> None:
    case = await _matter_of_xiuying(county)
    token = await _at(county, _openid())
    await _asks(county, token, f"问一下{case.number}")
    first = await _says(county, token, "李大山")
    second = await _says(county, token, "李二山")
    assert "再说一遍" in first and "社工" in second
    assert all(case.number not in said and "登记了" not in said for said in (first, second))
    (human,) = await county.cases(token)
    assert (human.need, human.risk) == ("human", "attention")
    assert "not_identified" in await county.kinds_of_events(human)
    assert not [one for one in await county.rows(Check) if one.is_right]


async def test_a_number_nobody_bears_is_met_with_the_same_words(county: County) -> None:
    case = await _matter_of_xiuying(county)
    heard = []
    for number in (case.number, "0000"):
        token = await _at(county, _openid())
        said = [await _asks(county, token, f"问一下{number}")]
        said += [await _says(county, token, name) for name in ("李大山", "李二山")]
        (human,) = await county.cases(token)
        heard.append([one.replace(human.number, "N") for one in said])
    assert heard[0] == heard[1]


async def test_guessing_is_bounded_for_a_day(county: County) -> None:
    case = await _matter_of_xiuying(county)
    openid = _openid()
    token = await _at(county, openid)
    for guess in ("赵一天", "钱二天", "孙三天", "李四天"):
        if (await county.talk(token)).asked is None:
            await _asks(county, token, f"问一下{case.number}")
        await _says(county, token, guess)
    assert "社工" in await _asks(county, token, f"问一下{case.number}")
    assert case.number not in await _says(county, token, "王秀英")
    county.clock.offset += timedelta(hours=25)
    token = await _at(county, openid)
    await _asks(county, token, f"问一下{case.number}")
    assert case.number in await _says(county, token, "王秀英")


async def test_many_askers_cannot_guess_at_one_matter(county: County) -> None:
    case = await _matter_of_xiuying(county)
    for _ in range(3):
        token = await _at(county, _openid())
        await _asks(county, token, f"问一下{case.number}")
        for guess in ("赵一天", "钱二天"):
            await _says(county, token, guess)
    token = await _at(county, _openid())
    assert "社工" in await _asks(county, token, f"问一下{case.number}")


async def test_who_names_the_whole_village_has_named_nobody(county: County) -> None:
    case = await _matter_of_xiuying(county)
    token = await _at(county, _openid())
    await _asks(county, token, f"问一下{case.number}")
    assert case.number not in await _says(county, token, "李大山张小河王秀英赵铁柱孙桂花周天明")


async def test_what_is_told_of_violence_is_told_by_nobody_but_a_worker(county: County) -> None:
    await _fresh(county)
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.case(token)
    await _named(county, case, XIUYING.name, XIUYING.phone)
    asking = await _at(county, _openid())
    await _asks(county, asking, f"问一下{case.number}")
    told = await _says(county, asking, "王秀英")
    assert case.number not in told and "社工" in told


async def test_danger_goes_before_the_check(county: County) -> None:
    case = await _matter_of_xiuying(county)
    token = await _at(county, _openid())
    await _asks(county, token, f"问一下{case.number}")
    assert "社工" in await _says(county, token, "我不想活了")
    assert (await county.case(token)).need == "crisis"


# -- the station card ---------------------------------------------------------------------------------------


async def _xiuying_with_card(county: County) -> tuple[Case, str]:
    await _fresh(county)
    case = await _orders(county, await county.begin())
    lin = county.id_of(LIN)
    await county.domain.casework.claim(case.id, lin)
    await county.domain.casework.name_person(case.id, lin, XIUYING.name, "", XIUYING.phone)
    await county.domain.casework.make_card(case.id, lin)
    await county.domain.casework.release(case.id, lin)
    return case, (await county.domain.queue.card(case.id, lin)).number


async def test_a_card_and_a_name_tell_who_it_is_at_any_address(county: County) -> None:
    case, number = await _xiuying_with_card(county)
    openid = _openid()
    asked = await _says(county, await _at(county, openid), f"卡号 {number[:4]} {number[4:]}")
    assert "名字" in asked and case.number not in asked
    assert case.number in await _says(county, await _at(county, openid), "王秀英")
    assert case.number in await _asks(county, await _at(county, openid)), "known from now on"


async def test_a_card_shown_at_a_station_is_known_for_this_visit_only(county: County) -> None:
    case, number = await _xiuying_with_card(county)
    token = await county.begin()
    # As a card reader types it.
    await _says(county, token, f"https://xy.example.gov.cn/wechat/page?card={number}")
    assert case.number in await _says(county, token, "我叫王秀英")
    assert case.number not in await _asks(county, await county.begin())


@pytest.mark.parametrize("lost", ["void", "made anew"])
async def test_a_lost_card_tells_nothing(county: County, lost: str) -> None:
    case, number = await _xiuying_with_card(county)
    lin = county.id_of(LIN)
    if lost == "void":
        await county.domain.casework.void_card(case.id, lin)
        with pytest.raises(CaseworkError, match="作废"):
            await county.domain.queue.card(case.id, lin)
    else:
        await county.domain.casework.make_card(case.id, lin)
        assert (await county.domain.queue.card(case.id, lin)).number != number
    openid = _openid()
    await _says(county, await _at(county, openid), f"我的卡号是{number}")
    assert case.number not in await _says(county, await _at(county, openid), "王秀英")
    assert case.number not in await _asks(county, await _at(county, openid))


async def test_a_found_card_cannot_be_guessed_at(county: County) -> None:
    case, number = await _xiuying_with_card(county)
    for guess in ("张三", "李四", "赵五", "孙六", "周七", "吴八"):
        openid = _openid()
        await _says(county, await _at(county, openid), f"卡号{number}")
        await _says(county, await _at(county, openid), guess)
    openid = _openid()
    await _says(county, await _at(county, openid), f"卡号{number}")
    assert case.number not in await _says(county, await _at(county, openid), "王秀英")


async def test_a_card_does_not_tell_of_violence(county: County) -> None:
    await _fresh(county)
    token = await county.begin()
    await county.say(token, BEATEN)
    case = await county.case(token)
    lin = county.id_of(LIN)
    await county.domain.casework.claim(case.id, lin)
    await county.domain.casework.name_person(case.id, lin, XIUYING.name, "", XIUYING.phone)
    await county.domain.casework.make_card(case.id, lin)
    number = (await county.domain.queue.card(case.id, lin)).number
    openid = _openid()
    await _says(county, await _at(county, openid), f"卡号{number}")
    assert case.number not in await _says(county, await _at(county, openid), "王秀英")


async def test_danger_goes_before_a_card(county: County) -> None:
    _, number = await _xiuying_with_card(county)
    token = await _at(county, _openid())
    await _says(county, token, f"卡号{number}")
    await _says(county, token, "我不想活了")
    assert (await county.case(token)).need == "crisis"


@pytest.mark.parametrize(
    "text",
    [
        "我身份证号后八位是19530412",
        "明天20261126去镇上",
        "电话13812345678",
        "我要买12345678斤米，你给我记一下送过来",
    ],
)
async def test_other_numbers_are_no_card(county: County, text: str) -> None:
    assert "这张卡" not in await _says(county, await county.begin(), text)


async def test_only_who_has_the_case_makes_a_card_and_for_somebody_named(county: County) -> None:
    case = await _orders(county, await county.begin())
    with pytest.raises(CaseworkError, match="接手"):
        await county.domain.casework.make_card(case.id, county.id_of(LIN))
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    with pytest.raises(CaseworkError, match="登记"):
        await county.domain.casework.make_card(case.id, county.id_of(LIN))


# -- a family's telephone -----------------------------------------------------------------------------------


async def test_on_a_shared_telephone_one_is_asked_who_one_is(county: County) -> None:
    openid, hers, daughters = await _family_phone(county)
    asked = await _asks(county, await _at(county, openid))
    assert "哪一位" in asked and hers.number not in asked and daughters.number not in asked
    told = await _says(county, await _at(county, openid), "王秀英")
    assert hers.number in told and daughters.number not in told


async def test_the_daughter_hears_of_her_own_alone(county: County) -> None:
    openid, hers, daughters = await _family_phone(county)
    told = await _says(county, await _at(county, openid), "我是李小梅")
    assert daughters.number in told and hers.number not in told
    assert hers.number not in await _asks(county, await _at(county, openid))


async def test_another_person_begins_anew(county: County) -> None:
    openid, hers, _ = await _family_phone(county)
    first = await _at(county, openid)
    await _says(county, first, "我是王秀英")
    await _orders(county, first, "修灯", "home")
    await _says(county, first, "我是李小梅")
    second = await _at(county, openid)
    assert second != first
    fresh = await _orders(county, second, "修灯", "home")
    assert fresh.number != next(one for one in await county.cases(first) if one.need == "home").number
    assert fresh.person_id != hers.person_id


async def _calls(county: County, number: str) -> tuple[str, str]:
    token, greeting = await county.domain.turns.begin(Opening(Channel.PHONE, address=number))
    return token, greeting.text


async def _house_telephone(county: County) -> tuple[str, Case, Case]:
    """A number at which mother and daughter are both reached."""
    await _fresh(county)
    number = f"0285550{next(_openids):04d}"
    cases = []
    for villager, said, need in ((XIUYING, "买盐", "goods"), (XIAOMEI, "合同的事", "legal")):
        token, _ = await _calls(county, number)
        cases.append(await _orders(county, token, said, need))
        await _named(county, cases[-1], villager.name)
    return number, cases[0], cases[1]


async def test_who_calls_from_a_house_telephone_is_asked_who_they_are(county: County) -> None:
    number, hers, daughters = await _house_telephone(county)
    token, greeting = await _calls(county, number)
    assert "哪一位" in greeting and hers.number not in greeting
    told = await _says(county, token, "是我呀，王秀英")
    assert hers.number in told and daughters.number not in told and told.endswith("我听着。")


async def test_who_says_what_they_want_instead_is_heard(county: County) -> None:
    number, hers, daughters = await _house_telephone(county)
    token, _ = await _calls(county, number)
    case = await _orders(county, token, "修灯", "home")
    assert case.person_id is None
    told = await _asks(county, token)
    assert "哪一位" in told and hers.number not in told and daughters.number not in told


async def test_danger_is_heard_before_who_it_is(county: County) -> None:
    number, _, _ = await _house_telephone(county)
    token, _ = await _calls(county, number)
    await _says(county, token, "我不想活了")
    assert (await county.case(token)).need == "crisis"


async def test_who_calls_from_a_number_of_their_own_is_not_asked(county: County) -> None:
    number = f"0285551{next(_openids):04d}"
    token, greeting = await _calls(county, number)
    await _named(county, await _orders(county, token), XIUYING.name)
    assert "哪一位" not in greeting + (await _calls(county, number))[1]


async def _repeats(county: County, token: str) -> str:
    county.rasa.script["再说一遍"] = answer(effect("repeat"), need="talk", intent="talk_repeat")
    return await _says(county, token, "再说一遍")


async def test_a_page_left_open_tells_whoever_took_over_nothing(county: County) -> None:
    openid, hers, daughters = await _family_phone(county)
    page = await _at(county, openid)
    assert hers.number in await _says(county, page, "我是王秀英")
    assert daughters.number in await _says(county, page, "我是李小梅")
    assert await _at(county, openid) != page
    for said in (await _repeats(county, page), await _asks(county, page)):
        assert hers.number not in said and daughters.number not in said
    assert hers.number in await _says(county, page, "王秀英"), "she may still say who she is"


async def test_who_took_over_hears_their_own_words_again(county: County) -> None:
    openid, hers, daughters = await _family_phone(county)
    first = await _at(county, openid)
    await _says(county, first, "我是王秀英")
    await _says(county, first, "我是李小梅")
    again = await _repeats(county, await _at(county, openid))
    assert daughters.number in again and hers.number not in again


async def test_what_is_kept_for_somebody_is_not_repeated(county: County) -> None:
    openid, hers, _ = await _family_phone(county)
    await county.domain.casework.reply(hers.id, county.id_of(LIN), "药费报下来了。")
    for token in (await _token_of(county, hers), await _at(county, openid)):
        assert "药费" not in await _repeats(county, token)


async def test_a_stranger_at_the_family_telephone_hears_nothing(county: County) -> None:
    openid, hers, daughters = await _family_phone(county)
    token = await _at(county, openid)
    await _asks(county, token)
    told = await _says(county, token, "我是赵铁柱")
    assert hers.number not in told and daughters.number not in told


async def test_what_a_worker_writes_waits_until_its_person_is_there(county: County) -> None:
    openid, hers, _ = await _family_phone(county)
    token = await _at(county, openid)
    await _says(county, token, "我是李小梅")
    await county.domain.casework.reply(hers.id, county.id_of(LIN), "盐明天送到您家里。")
    sent = [
        reply.text
        for reply in await county.replies(await _token_of(county, hers))
        if "waits_for" not in reply.shown
    ]
    assert not any("盐明天" in text for text in sent) and "哪一位" in sent[-1]
    assert "盐明天" not in await _asks(county, await _at(county, openid))
    assert "盐明天" in await _says(county, await _at(county, openid), "王秀英")
    assert "盐明天" not in await _says(county, await _at(county, openid), "我是王秀英"), "told once"


async def test_what_a_worker_writes_about_violence_is_told_for_no_name(county: County) -> None:
    openid, hers, _ = await _family_phone(county)
    token = await _at(county, openid)
    await county.say(token, BEATEN)
    case = next(one for one in await county.cases(token) if one.need == "abuse")
    await _named(county, case, XIUYING.name)
    county.clock.offset += timedelta(days=1)
    await county.domain.casework.reply(case.id, county.id_of(LIN), "明天我带您去派出所。")
    assert "派出所" not in await _says(county, await _at(county, openid), "我是王秀英")
    tasks = await county.rows(Task, Task.case_id == case.id, Task.asked_by == "unreached")
    assert [task.kind for task in tasks] == ["call"]


async def test_where_the_person_is_speaking_it_comes_at_once(county: County) -> None:
    openid, _, _ = await _family_phone(county)
    token = await _at(county, openid)
    await _says(county, token, "我是王秀英")
    newest = await _at(county, openid)
    case = await _orders(county, newest, "修灯", "home")
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    await county.domain.casework.reply(case.id, county.id_of(LIN), "明天来修灯。")
    assert (await county.replies(newest))[-1].text == "明天来修灯。"


async def test_what_is_written_to_somebody_unnamed_who_is_speaking_comes_at_once(county: County) -> None:
    openid, _, _ = await _family_phone(county)
    newest = await _at(county, openid)
    case = await _orders(county, newest, "修灯", "home")
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    await county.domain.casework.reply(case.id, county.id_of(LIN), "灯在哪间屋？")
    assert (await county.replies(newest))[-1].text == "灯在哪间屋？"


async def test_what_is_kept_for_somebody_unnamed_is_a_task_and_told_once_they_are_named(
    county: County,
) -> None:
    openid, _, _ = await _family_phone(county)
    first = await _at(county, openid)
    case = await _orders(county, first, "修灯", "home")
    await county.domain.casework.claim(case.id, county.id_of(LIN))
    await county.domain.casework.release(case.id, county.id_of(LIN))
    county.clock.offset += timedelta(hours=5)
    second = await _at(county, openid)
    await county.domain.casework.reply(case.id, county.id_of(LIN), "明天来修灯。")
    assert [
        one.kind for one in await county.rows(Task, Task.case_id == case.id, Task.asked_by == "unreached")
    ]
    assert "修灯" not in await _says(county, second, "我是王秀英")
    await _named(county, case, XIUYING.name)
    assert "明天来修灯" in await _says(county, await _at(county, openid), "我是王秀英")


async def test_who_says_who_they_are_hears_what_was_kept_though_a_worker_holds_the_talk(
    county: County,
) -> None:
    openid, hers, _ = await _family_phone(county)
    token = await _token_of(county, hers)
    county.clock.offset += timedelta(hours=5)
    await county.domain.casework.reply(hers.id, county.id_of(LIN), "盐明天送到您家里。")
    assert "盐明天" in await _says(county, token, "我是王秀英")


async def test_who_is_known_by_number_on_anothers_telephone_begins_anew(county: County) -> None:
    await _fresh(county)
    openid = f"o-hers-{next(_openids)}"
    token = await _at(county, openid)
    daughters = await _orders(county, token, "合同的事", "legal")
    await _named(county, daughters, XIAOMEI.name)
    other = await _at(county, f"o-other-{next(_openids)}")
    hers = await _orders(county, other, "买盐", "goods")
    await _named(county, hers, XIUYING.name)
    await _asks(county, token, f"{hers.number}那件事办得怎么样了")
    told = await _says(county, token, XIUYING.name)
    assert hers.number in told
    fresh = await _orders(county, await _at(county, openid), "修灯", "home")
    assert fresh.person_id != daughters.person_id


async def _reached(county: County, person: Person) -> list[Reached]:
    async with county.domain.store.read() as session:
        return [*await session.scalars(select(Reached).where(Reached.person_id == person.id))]


async def _token_of(county: County, case: Case) -> str:
    from handoff.store.tables import Conversation

    return (await county.rows(Conversation, Conversation.id == case.conversation_id))[0].token


# -- what is heard ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("七零八八", "7088"), ("号码是7 0 8 8", "7088"), ("拐零八八", "7088"), ("幺二、三五", "1235"),
        ("那个，七，零，八，八", "7088"), ("我有两头猪", None), ("１２３５", "1235"), ("13812345678", None), ("", None),
    ],
)  # fmt: skip
async def test_a_number_is_heard_however_it_is_written(text: str, number: str | None) -> None:
    assert number_said(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("后马是骑二八骑", "7287"), ("医物三七吧", "1537"), ("5要34", "5134"), ("是八，酒，零零", "8900"), ("一二九零嘛", "1290"),
        ("我有事要说", None), ("我家的医保卡丢了", None), ("", None),
    ],
)  # fmt: skip
async def test_where_a_number_was_asked_for_what_sounds_like_one_is_one(
    text: str, number: str | None
) -> None:
    assert number_said(text, by_sound=True) == number


async def test_a_name_is_neither_a_part_of_it_nor_another() -> None:
    assert says_name("黄秀英", "王秀英") is False
    assert says_name("秀英", "王秀英") is False
    assert says_name("", "王秀英") is False
