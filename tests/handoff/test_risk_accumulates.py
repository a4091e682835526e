"""Risk that no single utterance shows: told in two pieces, hinted at again, coming back again and again."""

from datetime import timedelta

import pytest
from cast import LIN
from county import County, Pages

from handoff.model.words import DangerKind, Risk
from handoff.store.tables import Case, Conversation, Person

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUIET = "今天吃了面条"


async def _worrying(county: County, wanted: int) -> list[str]:
    """Utterances that the shipped screen doubts about and does not raise by themselves."""
    screen = county.domain.understander.screen
    found = []
    for text in CANDIDATES:
        finding = screen.screen(text)
        if finding.risk is Risk.ATTENTION and finding.doubt:
            found.append(text)
    assert len(found) >= wanted, "the screen has become sure of all of these: find others"
    return found[:wanted]


CANDIDATES = (
    "不想吃饭，也不想说话", "没啥牵挂了", "走到水边站了一会", "衣裳洗好叠好了", "钥匙放在隔壁了", "一个人坐在塘边",
    "农药放在床底下的", "我把存折都交代给女儿了", "往后不用惦记我了", "柜子里那瓶药还在不在", "屋里有股味道，头有点闷",
    "他说再来就不客气", "我想歇一歇，歇久一点", "绳子在梁上挂着", "这日子也就这样了", "鸡我都送人了，往后不喂了",
    "我走了以后你们好好的", "胸口有点不得劲", "水库边上凉快，我去坐坐", "衣裳我都洗好叠好了", "我昨夜里写了几个字压在碗底下",
    "门从外头锁着呢", "血是流了一点，不多", "他昨晚又喝醉了，我躲在柴房", "人有点迷糊，叫半天才应", "手机上叫我报个号",
)  # fmt: skip


async def _risk(county: County, token: str) -> str:
    return (await county.talk(token)).risk


async def test_a_second_worry_in_one_talk_is_urgent_and_people_are_told(county: County) -> None:
    first, second = await _worrying(county, 2)
    token = await county.begin()
    await county.say(token, first)
    assert await _risk(county, token) == Risk.ATTENTION
    county.clock.offset += timedelta(minutes=30)
    await county.say(token, second)
    assert await _risk(county, token) == Risk.URGENT
    assert any(case.risk == Risk.URGENT for case in await county.cases(token))


async def test_a_worry_of_two_days_ago_adds_nothing(county: County) -> None:
    first, second = await _worrying(county, 2)
    token = await county.begin()
    await county.say(token, first)
    county.clock.offset += timedelta(days=2)
    await county.say(token, second)
    assert await _risk(county, token) == Risk.ATTENTION


async def test_a_worry_in_another_talk_of_the_same_person_counts(county: County) -> None:
    first, second = await _worrying(county, 2)
    one, other, strange = await county.begin(), await county.begin(), await county.begin()
    await county.say(one, first)
    await county.claimed(one, LIN)
    case = await county.case(one)
    await county.domain.casework.name_person(case.id, county.id_of(LIN), "王秀英")
    person = (await county.talk(one)).person_id
    async with county.domain.store.write() as session:
        (await session.get_one(Conversation, (await county.talk(other)).id)).person_id = person
    await county.say(other, second)
    await county.say(strange, second)
    assert await _risk(county, other) == Risk.URGENT
    assert await _risk(county, strange) == Risk.ATTENTION


async def test_who_comes_back_a_third_time_in_a_day_is_given_attention(county: County) -> None:
    tokens = [await county.begin() for _ in range(3)]
    await county.say(tokens[0], "我想要买盐")
    ids = [(await county.talk(token)).id for token in tokens]
    async with county.domain.store.write() as session:
        person = Person(name="王秀英", created_at=county.clock.now())
        session.add(person)
        await session.flush()
        for number in ids:
            (await session.get_one(Conversation, number)).person_id = person.id
    await county.say(tokens[2], QUIET)
    (turn,) = await county.turns(tokens[2])
    assert turn.risk == Risk.ATTENTION and turn.kinds == [DangerKind.REPEAT_CONTACT]
    assert await county.rows(Case, Case.conversation_id == ids[2])


async def test_quiet_talk_stays_quiet(county: County) -> None:
    token = await county.begin()
    for text in (QUIET, "天气好，鸡也下蛋了", "你们几点下班"):
        await county.say(token, text)
    assert await _risk(county, token) == Risk.ROUTINE


async def test_what_is_only_danger_in_two_pieces_is_seen_by_a_person_the_same_day(county: County) -> None:
    screen = county.domain.understander.screen
    pairs = [(a, b) for a in CANDIDATES for b in CANDIDATES if a != b]
    quiet = [
        (a, b)
        for a, b in pairs
        if not screen.screen(a).risk.at_least(Risk.ATTENTION)
        and not screen.screen(b).risk.at_least(Risk.ATTENTION)
        and screen.screen(f"{a}，{b}").risk.at_least(Risk.URGENT)
    ]
    assert quiet, "no pair of these is danger only together: find others"
    token = await county.begin()
    for text in quiet[0]:
        await county.say(token, text)
    assert await _risk(county, token) == Risk.ATTENTION
    assert await county.cases(token)


async def test_what_is_seen_in_two_pieces_can_be_stored_and_shown_whatever_signs_are_in_it(
    county: County, web: Pages
) -> None:
    screen = county.domain.understander.screen
    first, second = next(
        (a, b)
        for a in CANDIDATES
        for b in CANDIDATES
        if a != b
        and not screen.screen(a).risk.at_least(Risk.ATTENTION)
        and not screen.screen(b).risk.at_least(Risk.ATTENTION)
        and screen.screen(f"{a}，{b}").risk.at_least(Risk.URGENT)
    )
    token = await county.begin()
    await county.say(token, first)
    await county.say(token, second[:2] + "\ud800\x00" + second[2:])
    (case,) = await county.cases(token)
    assert not any("\ud800" in why or "\x00" in why for why in case.why)
    async with web.browser(LIN) as lin:
        assert (await lin.get(f"/console/cases/{case.id}")).status == 200
