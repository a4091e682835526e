"""Workers told in WeCom: what goes out, what its answers mean, what its calls may do."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import structlog
from aiohttp import web
from cast import BEATEN, CHEST, HU, LIN, VILLAGE, ZHOU, Account
from county import County, settings_for
from county import county as county_on
from far_wecom import AES_KEY, SETTINGS, Called, FarWecom, call, far_wecom, sealed, tap, tap_xml
from sqlalchemy import update

from connectors.errors import ConnectorError
from connectors.web import plain_errors
from connectors.wechat import wecom
from connectors.wechat.double import Double
from connectors.wechat.envelope import STALE_S
from connectors.wechat.wecom import WecomWay, notice_of, task_id
from connectors.wechat.wecom_account import WecomAccount
from connectors.wechat.wecom_callback import WecomEnvelope
from handoff.model.clock import Clock
from handoff.model.words import Risk
from handoff.service.dispatch import Dispatch
from handoff.service.ways import ARRIVED, Told
from handoff.store.tables import Case, Notice, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")
FILE = {"scope": "module", "loop_scope": "session"}
STORES = ("sqlite",)
WECOM = {LIN: "LinXiao", ZHOU: "zhou.de", HU: "hu"}
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9))
    + "]><xml><MsgType>text</MsgType><FromUserName>&j;</FromUserName></xml>"
)


@pytest_asyncio.fixture(**FILE)
async def far() -> AsyncIterator[FarWecom]:
    async with far_wecom("linxiao", "zhou.de") as one:
        yield one


@pytest_asyncio.fixture(**FILE)
async def shared_county(
    far: FarWecom, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[County]:
    """A county whose workers are told in WeCom, in this file by our own hand and not by the engine's."""
    settings = settings_for(tmp_path_factory.mktemp("county"), store_url, **SETTINGS, wecom_api=far.url)
    async with county_on(settings) as here:
        for account in (LIN, ZHOU, HU):
            await here.domain.workers.set_wecom(account.name, WECOM[account])
        yield here


@dataclass
class Here:
    """The connector over the county, the far end, and the address that WeCom calls."""

    county: County
    far: FarWecom
    account: WecomAccount
    way: WecomWay
    address: str

    async def case(self, words: str = CHEST) -> Case:
        """A case, its notices left to us."""
        token = await self.county.begin()
        await self.county.say(token, words)
        return await self.county.case(token)

    async def notice(self, case: Case, account: Account = LIN) -> Notice:
        """The first notice of a worker."""
        mine = (Notice.case_id == case.id, Notice.worker_id == self.county.id_of(account))
        return (await self.county.rows(Notice, *mine))[0]

    async def alert(self, case: Case, account: Account = LIN) -> Told:
        """Tell this worker of the case."""
        (worker,) = await self.county.rows(Worker, Worker.name == account.name)
        return await self.way.alert(await self.notice(case, account), case, worker)

    async def tap(self, case: Case, account: Account = LIN, **more: Any) -> str:
        """The worker taps the card that they have got."""
        task = task_id((await self.notice(case, account)).id)
        return await tap(self.address, **{"who": WECOM[account], "task": task, "at": self.now()} | more)

    def now(self) -> float:
        """The time, as the county's clock has it."""
        return self.county.clock.now().timestamp()


@pytest_asyncio.fixture(**FILE)
async def shared_here(shared_county: County, far: FarWecom) -> AsyncIterator[Here]:
    domain = shared_county.domain
    ways = Dispatch(domain.store, domain.hub, shared_county.clock)
    account = WecomAccount(shared_county.settings, domain.store, ways, shared_county.clock)
    taps = account.taps(domain.casework)
    assert taps is not None
    app = web.Application(middlewares=[plain_errors], client_max_size=2**21)
    taps.add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    way = ways.worker_ways["wecom"]
    assert isinstance(way, WecomWay)
    try:
        yield Here(shared_county, far, account, way, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
        await account.close()


@pytest.fixture
def here(shared_here: Here, county: County) -> Here:
    shared_here.far.reset()
    return shared_here


def strings(found: Any) -> set[str]:
    """Every string in it."""
    if isinstance(found, dict):
        return set().union(*(strings(one) for one in found.values()))
    if isinstance(found, list):
        return set().union(*(strings(one) for one in found))
    return {str(found)}


# -- what goes out ----------------------------------------------------------------------------------------


async def test_a_card_says_risk_village_and_number_and_nothing_else(here: Here) -> None:
    case = await here.case()
    assert await here.alert(case) == ARRIVED
    (message,) = here.far.sent
    link = f"https://xy.example.cn/console/cases/{case.id}"
    task = task_id((await here.notice(case)).id)
    furniture = {
        "LinXiao",
        "1000002",
        "template_card",
        "button_interaction",
        "乡音",
        "我看到了",
        "打开",
        "seen",
    }
    styles = {"0", "1", "3"}
    assert strings(message) == furniture | styles | {f"立即 · {VILLAGE}", f"号码 {case.number}", link, task}
    card = message["template_card"]
    assert [(one["text"], one["type"], one.get("key") or one.get("url")) for one in card["button_list"]] == [
        ("我看到了", 0, "seen"),
        ("打开", 1, link),
    ]


async def test_nothing_that_was_said_is_in_any_form_of_the_message(here: Here) -> None:
    case = await here.case(BEATEN)
    for refused in ([], [40008], [40008, 40058]):
        here.far.answers.extend(refused)
        assert await here.alert(case) == ARRIVED
    assert [one["msgtype"] for one in here.far.sent] == ["template_card", "textcard", "text"]
    out = json.dumps(here.far.sent, ensure_ascii=False)
    for word in (BEATEN, "儿子", "打我", "暴力", "家", "本人", *case.why, case.need):
        assert word not in out
    for message in here.far.sent:
        body = json.dumps(message, ensure_ascii=False)
        assert all(word in body for word in ("紧急", VILLAGE, case.number, f"/console/cases/{case.id}"))


@pytest.mark.parametrize(
    ("more", "forms"),
    [
        ({"public_url": ""}, ["template_card"]),
        ({"wecom_token": "", "wecom_aes_key": ""}, ["textcard"]),
        ({"public_url": "", "wecom_token": "", "wecom_aes_key": ""}, ["text"]),
    ],
)
async def test_no_button_that_does_nothing_and_no_link_that_leads_nowhere(
    here: Here, more: dict[str, str], forms: list[str]
) -> None:
    settings = here.county.settings.model_copy(update=more)
    ways = Dispatch(here.county.domain.store, here.county.domain.hub, here.county.clock)
    with structlog.testing.capture_logs() as logs:
        account = WecomAccount(settings, here.county.domain.store, ways, here.county.clock)
    case = await here.case()
    (worker,) = await here.county.rows(Worker, Worker.name == LIN.name)
    told = await ways.worker_ways["wecom"].alert(await here.notice(case), case, worker)
    await account.close()
    assert told == ARRIVED and [one["msgtype"] for one in here.far.sent] == forms
    assert ("http" in json.dumps(here.far.sent)) == bool(settings.public_url)
    assert (account.taps(here.county.domain.casework) is None) == (not settings.wecom_token)
    assert len(logs) == len([value for value in (settings.public_url, settings.wecom_token) if not value])


async def test_a_village_that_is_not_known_is_said_to_be_so(here: Here) -> None:
    case = await here.case()
    case.village_id = None
    assert await here.alert(case) == ARRIVED
    assert here.far.sent[0]["template_card"]["main_title"]["title"] == "立即 · 村未登记"


@pytest.mark.parametrize("risk", list(Risk))
async def test_every_risk_has_its_word(here: Here, risk: Risk) -> None:
    case = await here.case()
    case.risk = risk
    assert await here.alert(case) == ARRIVED
    title = here.far.sent[0]["template_card"]["main_title"]["title"]
    assert title.split(" · ")[0] in ("立即", "紧急", "关注", "一般")


# -- what the answers mean --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (45009, Told("too_many")),
        (45033, Told("too_many")),
        (-1, Told("busy")),
        (60020, Told("not_listed", again=False)),
        (81013, Told("no_such_user", again=False)),
        (60111, Told("no_such_user", again=False)),
        (301002, Told("bad_agent", again=False)),
        (48002, Told("not_allowed", again=False)),
    ],
)
async def test_every_error_code_has_its_outcome_at_the_first_try(here: Here, code: int, told: Told) -> None:
    here.far.answers.append(code)
    with structlog.testing.capture_logs() as logs:
        assert await here.alert(await here.case()) == told
    assert here.far.asked.count("send") == 1 and not here.far.sent
    (line,) = [one for one in logs if one["event"] == "wecom.failed"]
    assert (line["code"], line["log_level"]) == (told.code, "warning" if told.again else "error")


async def test_a_code_that_nobody_knows_is_tried_in_plainer_forms_then_again_later(here: Here) -> None:
    here.far.answers.extend([99999, 99999, 99999])
    assert await here.alert(await here.case()) == Told("wecom_99999", again=True)
    assert here.far.asked.count("send") == 3


@pytest.mark.parametrize(
    ("answer", "code"),
    [({"invaliduser": "linxiao"}, "no_such_user"), ({"unlicenseduser": "linxiao"}, "no_licence")],
)
async def test_an_answer_that_is_well_but_leaves_the_worker_out_is_a_failure(
    here: Here, answer: dict[str, str], code: str
) -> None:
    here.far.answers.append({"errcode": 0, "errmsg": "ok"} | answer)
    assert await here.alert(await here.case()) == Told(code, again=False)


@pytest.mark.parametrize("code", [40014, 42001])
async def test_a_token_that_is_refused_is_fetched_anew_once(here: Here, code: int) -> None:
    assert await here.alert(await here.case()) == ARRIVED
    here.far.reset()
    here.far.answers.append(code)
    assert await here.alert(await here.case()) == ARRIVED
    assert here.far.asked == ["send", "gettoken", "send"]


async def test_tokens_that_are_all_refused_are_not_asked_for_without_end(here: Here) -> None:
    assert await here.alert(await here.case()) == ARRIVED
    here.far.reset()
    here.far.answers.extend([42001] * 9)
    assert await here.alert(await here.case()) == Told("token", again=True)
    assert here.far.asked == ["send", "gettoken", "send"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (40001, Told("bad_secret", again=False)),
        (40013, Told("bad_corp_id", again=False)),
        (60020, Told("not_listed", again=False)),
        (45009, Told("too_many")),
        ({"errcode": 0}, Told("no_answer")),
        ({"errcode": 0, "access_token": "x", "expires_in": "soon"}, Told("no_answer")),
    ],
)
async def test_a_token_that_is_not_given_has_its_outcome_too(here: Here, answer: Any, told: Told) -> None:
    here.far.answers.append(42001)
    here.far.token_answers.append(answer)
    assert await here.alert(await here.case()) == told


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=502, text="<html>"),
        lambda: web.Response(text="<html>a gateway's page</html>"),
        lambda: web.Response(text="[]"),
        lambda: web.json_response({"errcode": "none"}),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        lambda: web.Response(body=b"\xff\xfe"),
    ],
    ids=["502", "page", "list", "no code", "elsewhere", "not text"],
)
async def test_an_answer_that_is_none_is_tried_again_later(here: Here, answer: Any) -> None:
    here.far.answers.append(answer())
    assert await here.alert(await here.case()) == Told("no_answer")


async def test_a_platform_that_does_not_answer_is_not_waited_for_without_end(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await here.alert(await here.case()) == ARRIVED
    monkeypatch.setattr(wecom, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    ways = Dispatch(here.county.domain.store, here.county.domain.hub, here.county.clock)
    account = WecomAccount(here.county.settings, here.county.domain.store, ways, here.county.clock)
    case = await here.case()
    (worker,) = await here.county.rows(Worker, Worker.name == LIN.name)
    here.far.gate.clear()
    told = await asyncio.wait_for(ways.worker_ways["wecom"].alert(await here.notice(case), case, worker), 5)
    here.far.gate.set()
    await account.close()
    assert told == Told("no_answer")


async def test_nobody_without_an_account_is_told(here: Here) -> None:
    case = await here.case()
    (worker,) = await here.county.rows(Worker, Worker.name == LIN.name)
    worker.wecom_id = None
    assert await here.way.alert(await here.notice(case), case, worker) == Told("no_wecom_id", again=False)
    (gone,) = await here.county.rows(Worker, Worker.name == HU.name)
    assert await here.way.alert(await here.notice(case), case, gone) == Told("disabled", again=False)
    assert here.far.asked == []


async def test_the_log_holds_no_number_no_village_no_account_and_no_secret(here: Here) -> None:
    here.far.answers.extend([40008, 60020])
    with structlog.testing.capture_logs() as logs:
        case = await here.case()
        await here.alert(case)
        await here.tap(case)
        await here.tap(case, who="stranger")
        await call(here.address, {}, b"x")
    out = json.dumps(logs, ensure_ascii=False)
    for secret in (VILLAGE, case.number, "LinXiao", "stranger", "token-", SETTINGS["wecom_secret"]):
        assert secret not in out
    assert {one["event"] for one in logs} >= {
        "wecom.failed",
        "wecom.tap_refused",
        "wecom.refused",
    }


# -- a tap ------------------------------------------------------------------------------------------------


async def _acknowledged(here: Here, case: Case) -> list[int | None]:
    return [one.worker_id for one in await here.county.events(case) if one.kind == "acknowledged"]


async def test_a_tap_is_an_acknowledgement_and_a_repeat_does_nothing(here: Here) -> None:
    case = await here.case()
    assert await here.tap(case) == "已有人看到"
    assert await here.tap(case) == "已有人看到"
    assert await here.tap(case, ZHOU) == "已有人看到"
    assert await _acknowledged(here, case) == [here.county.id_of(LIN)]
    (now,) = await here.county.rows(Case, Case.id == case.id)
    assert now.acknowledged_at is not None and now.claimed_by is None


async def test_the_same_call_again_and_many_at_once_are_one_acknowledgement(here: Here) -> None:
    case = await here.case()
    request = sealed(tap_xml("LinXiao", task_id((await here.notice(case)).id)), here.now())
    answers = await asyncio.gather(*(call(here.address, *request) for _ in range(6)))
    assert {one.status for one in answers} == {200}
    assert await _acknowledged(here, case) == [here.county.id_of(LIN)]


async def test_accounts_are_the_same_in_capitals_and_small_letters(here: Here) -> None:
    case = await here.case()
    assert await here.tap(case, who="linxiao") == "已有人看到"


@pytest.mark.parametrize("who", ["stranger", "hu", "zhou.de"], ids=["stranger", "shut account", "another's"])
async def test_strangers_shut_accounts_and_notices_of_others_are_refused(here: Here, who: str) -> None:
    case = await here.case()
    assert await here.tap(case, who=who) == "没有记下"
    assert await _acknowledged(here, case) == []


async def test_an_account_that_was_shut_after_the_notice_is_refused(here: Here) -> None:
    case = await here.case()
    await here.county.domain.workers.disable(ZHOU.name)
    assert await here.tap(case, ZHOU) == "没有记下"
    async with here.county.domain.store.write() as session:
        await session.execute(update(Worker).where(Worker.name == ZHOU.name).values(disabled_at=None))
    assert await _acknowledged(here, case) == []


async def test_notices_cannot_be_guessed(here: Here) -> None:
    case = await here.case()
    number = (await here.notice(case)).id
    real = task_id(number)
    assert notice_of(real) == number and len(real) <= 128 and real != task_id(number + 1)
    for guess in (
        str(number),
        f"{number}-",
        f"{number}-{'0' * 32}",
        real[:-1],
        real.replace("-", "--"),
        "",
        "é",
    ):
        assert notice_of(guess) is None
        assert await here.tap(case, task=guess) == "没有记下"
    assert await here.tap(case, task=f"{number + 1}-{real.split('-')[1]}") == "没有记下"
    assert await here.tap(case, key="other") == "没有记下"
    assert await _acknowledged(here, case) == []


async def test_a_tap_on_a_card_from_before_the_risk_rose_does_not_stop_the_clock(here: Here) -> None:
    token = await here.county.begin()
    await here.county.say(token, "我头有点晕，胸口闷")
    (case, *_) = await here.county.cases(token)
    if case.risk == Risk.EMERGENCY:
        pytest.fail("the words must be less than an emergency")
    old = await here.notice(case)
    here.county.clock.move(seconds=1)
    await here.county.say(token, CHEST)
    (case, *_) = [one for one in await here.county.cases(token) if one.id == case.id]
    assert case.risk == Risk.EMERGENCY
    assert await here.tap(case, task=task_id(old.id)) == "险情升了，看新的"
    assert await _acknowledged(here, case) == []
    newer = await here.county.rows(
        Notice, Notice.case_id == case.id, Notice.worker_id == old.worker_id, Notice.round > old.round
    )
    assert await here.tap(case, task=task_id(newer[0].id)) == "已有人看到"


async def test_a_tap_on_a_case_that_has_ended_changes_nothing(here: Here) -> None:
    case = await here.case()
    async with here.county.domain.store.write() as session:
        await session.execute(update(Case).where(Case.id == case.id).values(stage="closed"))
    assert await here.tap(case) == "已经结了"
    assert await _acknowledged(here, case) == []


# -- what else may come -----------------------------------------------------------------------------------


def _message(kind: str, inner: str, who: str = "LinXiao") -> str:
    return (
        f"<xml><ToUserName><![CDATA[corp]]></ToUserName><FromUserName><![CDATA[{who}]]></FromUserName>"
        f"<CreateTime>1</CreateTime><MsgType><![CDATA[{kind}]]></MsgType>{inner}<AgentID>1000002</AgentID></xml>"
    )


async def _post(here: Here, xml: str, **more: Any) -> Called:
    return await call(here.address, *sealed(xml, more.pop("at", here.now()), **more))


async def test_words_are_answered_with_where_to_go(here: Here) -> None:
    done = await _post(here, _message("text", "<Content>收到</Content><MsgId>1</MsgId>"))
    assert done.said is not None and done.said["MsgType"] == "text"
    assert "我看到了" in done.said["Content"]


@pytest.mark.parametrize("event", ["enter_agent", "subscribe", "unsubscribe", "LOCATION", "something_new"])
async def test_other_events_are_taken_without_a_word(here: Here, event: str) -> None:
    done = await _post(here, _message("event", f"<Event>{event}</Event>"))
    assert (done.status, done.said) == (200, None)


async def test_the_check_of_our_address_is_echoed(here: Here) -> None:
    query, body = sealed("5577006791947779410", here.now())
    echo = body.decode().split("<Encrypt><![CDATA[")[1].split("]")[0]
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{here.address}/wecom", params=query | {"echostr": echo}) as answer:
            assert (answer.status, await answer.text()) == (200, "5577006791947779410")
        for wrong in ({"echostr": echo[:-4] + "AAAA"}, {"timestamp": "1", "echostr": echo}, {}):
            async with http.get(f"{here.address}/wecom", params=query | wrong) as answer:
                assert (answer.status, await answer.text()) == (403, "")


async def test_what_is_not_signed_by_wecom_now_and_for_us_is_refused(here: Here) -> None:
    case = await here.case()
    xml = tap_xml("LinXiao", task_id((await here.notice(case)).id))
    for wrong in (
        {"token": "another"},
        {"key": AES_KEY[::-1]},
        {"corp_id": "ww0000000000000000"},
        {"at": here.now() - STALE_S - 5},
        {"at": here.now() + STALE_S + 5},
    ):
        assert await _post(here, xml, **wrong) == Called(403, None)
    query, body = sealed(xml, here.now())
    for bent in (
        query | {"msg_signature": "0" * 40},
        query | {"msg_signature": "é"},
        query | {"nonce": "other"},
        query | {"timestamp": "١٢٣"},
        {name: value for name, value in query.items() if name != "msg_signature"},
        {},
    ):
        assert await call(here.address, bent, body) == Called(403, None)
    assert await _acknowledged(here, case) == []


async def test_xml_bombs_and_what_is_no_message_are_refused(here: Here) -> None:
    inner = [BOMB, "", "<xml>", "<xml></xml>", "[]", "<a>" * 9_000, _message("text", "", who="a b"), "<xml/>"]
    inner += [
        _message("text", "", who="]]&gt;x"),
        "<xml><MsgType>text</MsgType><FromUserName><a/></FromUserName></xml>",
    ]
    for xml in inner:
        assert await _post(here, xml) == Called(403, None), xml[:40]
    query, body = sealed("<xml/>", here.now())
    for outer in (
        BOMB.encode(),
        b"",
        b"<xml>",
        b"\xff\xfe",
        body + body,
        body.replace(b"Encrypt", b"encrypt"),
    ):
        assert await call(here.address, query, outer) == Called(403, None)


async def test_bodies_of_a_megabyte_are_refused_unread(here: Here) -> None:
    query, body = sealed("<xml/>", here.now())
    assert await call(here.address, query, body + b" " * 1_000_000) == Called(403, None)


async def test_a_key_of_the_wrong_length_is_named_at_the_start(here: Here) -> None:
    settings = here.county.settings.model_copy(update={"wecom_aes_key": "short"})
    ways = Dispatch(here.county.domain.store, here.county.domain.hub, here.county.clock)
    account = WecomAccount(settings, here.county.domain.store, ways, here.county.clock)
    with pytest.raises(ConnectorError, match="XIANGYIN_WECOM_AES_KEY"):
        account.taps(here.county.domain.casework)
    await account.close()


# -- against the platform as it is played elsewhere ---------------------------------------------------------


async def test_from_a_card_to_the_tap_with_the_double_that_knows_nothing_of_us(here: Here) -> None:
    """As `wechat simulate` has it: its tokens, its cards, its own encryption of the event."""
    double = Double()
    rules = double.rules
    rules.clock, rules.corp_callback = here.now, f"{here.address}/wecom"
    rules.corp_id, rules.corp_token, rules.corp_aes_key = (
        SETTINGS["wecom_corp_id"], SETTINGS["wecom_token"], AES_KEY,
    )  # fmt: skip
    async with double.running() as url:
        more = {"wecom_api": f"{url}/wecom-api", "wecom_secret": rules.corp_secret, "wecom_agent_id": 1000003}
        settings = here.county.settings.model_copy(update=more)
        ways = Dispatch(here.county.domain.store, here.county.domain.hub, here.county.clock)
        account = WecomAccount(settings, here.county.domain.store, ways, here.county.clock)
        case = await here.case()
        (worker,) = await here.county.rows(Worker, Worker.name == LIN.name)
        notice = await here.notice(case)
        assert await ways.worker_ways["wecom"].alert(notice, case, worker) == ARRIVED
        (card,) = double.corp.cards
        assert (card.worker, card.kind) == ("LinXiao", "template_card")
        assert all(word in card.text for word in ("立即", VILLAGE, case.number, "我看到了", "打开"))
        assert card.link.endswith(f"/console/cases/{case.id}")
        assert await double.corp.tap(card) == 200
        assert await _acknowledged(here, case) == [here.county.id_of(LIN)]
        assert await double.corp.tap(card) == 200
        here.county.clock.move(hours=3)  # the platform's token has ended, and so has ours
        assert await ways.worker_ways["wecom"].alert(notice, case, worker) == ARRIVED
        assert len(double.corp.cards) == 2
        assert await _acknowledged(here, case) == [here.county.id_of(LIN)]
        await account.close()


class _Then(Clock):
    """The time at which a published example was signed."""

    def __init__(self, stamp: str) -> None:
        self._stamp = int(stamp)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._stamp, UTC)


async def test_the_platforms_published_examples_are_opened(tmp_path: Path) -> None:
    """From the platform's own samples of 企业微信加解密: token, key, CorpID and ciphertexts are its, not ours."""
    settings = settings_for(
        tmp_path, wecom_corp_id="wx5823bf96d3bd56c7", wecom_token="QDG6eK",
        wecom_aes_key="jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
    )  # fmt: skip
    check = {
        "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", "timestamp": "1409659589", "nonce": "263014780",
        "echostr": "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
    }  # fmt: skip
    assert WecomEnvelope(settings, _Then(check["timestamp"])).echo(check) == "1616140317555161061"
    sent = {
        "msg_signature": "477715d11cdb4164915debcba66cb864d751f3e6", "timestamp": "1409659813", "nonce": "1372623149",
    }  # fmt: skip
    body = (
        "<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName><Encrypt><![CDATA["
        "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXx"
        "accAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP"
        "7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XX"
        "ZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q=="
        "]]></Encrypt><AgentID><![CDATA[218]]></AgentID></xml>"
    )
    message = WecomEnvelope(settings, _Then(sent["timestamp"])).open(sent, body.encode())
    assert (message.source, message.content, message.agent) == ("mycreate", "hello", 218)
