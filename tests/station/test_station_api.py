"""The page's requests: whatever comes in, a plain answer goes out, and only to whom it belongs."""

import asyncio
import io
import json
from typing import Any

import pytest
from cast import BEATEN, CHEST, LIN, SALT, VILLAGE
from county import County, Pages, until

from handoff.store.tables import Notice

pytestmark = pytest.mark.asyncio(loop_scope="session")

BEGIN, TURN, SEEN = "/station/api/conversations", "/station/api/turns", "/station/api/seen"


async def _begun(web: Pages) -> dict[str, Any]:
    async with web.browser() as page:
        answer = await page.post(BEGIN, json={"speaker": "self"})
        assert answer.status == 200
        return dict(answer.json)


async def test_a_visit_from_greeting_to_case_number(county: County, web: Pages) -> None:
    begun = await _begun(web)
    assert begun["reply"]["sentences"]
    assert "".join(begun["reply"]["sentences"]) == begun["reply"]["text"]
    async with web.browser() as page:
        body = {"conversation": begun["conversation"], "message_id": "1", "text": CHEST}
        answer = (await page.post(TURN, json=body)).json
    case = await county.case(begun["conversation"])
    assert answer["heard"] == CHEST
    assert (answer["reply"]["call"], answer["reply"]["number"]) == ("120", case.number)
    assert answer["reply"]["number_spoken"].endswith(VILLAGE)
    assert len(answer["reply"]["speech"]) == len(answer["reply"]["sentences"])


@pytest.mark.parametrize("path", [BEGIN, TURN, SEEN])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"{}", "application/json; charset=nonsense"),
        (b"[" * 50_000, "application/json"),
        (b"1" * 5000, "application/json"),
        (b"conversation=1&text=2", "application/x-www-form-urlencoded"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_malformed_body_is_refused_plainly(
    county: County, web: Pages, path: str, body: bytes, kind: str
) -> None:
    async with web.browser() as page:
        answer = await page.post(path, data=body, headers={"Content-Type": kind})
    assert answer.status == 400
    assert answer.json["error"] == "bad_request" and answer.json["say"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"conversation": None},
        {"conversation": 5},
        {"conversation": ["x"]},
        {"text": None},
        {"text": 5},
        {"text": {"a": 1}},
        {"message_id": ""},
        {"message_id": 7},
        {"message_id": "a\x00b"},
        {"message_id": "\ud800"},
        {"message_id": "a\nb"},
    ],
    ids=str,
)
async def test_missing_and_wrong_fields_are_refused_plainly(
    county: County, web: Pages, wrong: dict[str, object]
) -> None:
    token = await county.begin()
    body = {"conversation": token, "message_id": "m", "text": SALT} | wrong
    async with web.browser() as page:
        answer = await page.post(TURN, data=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["error"]) == (400, "bad_request")
    assert answer.json["say"]
    assert await county.turns(token) == []


@pytest.mark.parametrize("token", ["nobody", "\x00", "\ud800", "a'b"])
@pytest.mark.parametrize("path", [TURN, SEEN])
async def test_an_unknown_conversation_is_404(county: County, web: Pages, path: str, token: str) -> None:
    body = json.dumps({"conversation": token, "message_id": "m", "text": SALT, "replies": ["0" * 32]})
    async with web.browser() as page:
        answer = await page.post(path, data=body, headers={"Content-Type": "application/json"})
    found = (answer.status, answer.json["error"])
    assert found == ((404, "unknown_conversation") if token.isprintable() else (400, "bad_request"))


@pytest.mark.parametrize("body", [{"speaker": "robot"}, {"speaker": 5}, {"speaker": []}])
async def test_an_unknown_speaker_is_refused(county: County, web: Pages, body: dict[str, object]) -> None:
    async with web.browser() as page:
        assert (await page.post(BEGIN, json=body)).status == 400


@pytest.mark.parametrize("station", ["nowhere", "\x00", "\ud800", {"a": 1}, 7])
async def test_an_unknown_station_still_gets_a_conversation(
    county: County, web: Pages, station: object
) -> None:
    async with web.browser() as page:
        headers = {"Content-Type": "application/json"}
        answer = await page.post(BEGIN, data=json.dumps({"station": station}), headers=headers)
    assert answer.status == 200
    assert (await county.talk(answer.json["conversation"])).station_id is None


async def test_a_body_of_three_megabytes_and_a_text_too_long_are_refused(county: County, web: Pages) -> None:
    token = await county.begin()
    async with web.browser() as page:
        for text in ("长" * 1_000_000, "长" * 200_001):
            body = json.dumps({"conversation": token, "message_id": "m", "text": text}, ensure_ascii=False)
            headers = {"Content-Type": "application/json"}
            answer = await page.post(TURN, data=io.BytesIO(body.encode()), headers=headers)
            assert (answer.status, answer.json["error"]) == (413, "too_long")


@pytest.mark.parametrize("replies", [None, "x", {}, ["0" * 32] * 101])
async def test_seen_wants_a_short_list(county: County, web: Pages, replies: object) -> None:
    token = await county.begin()
    async with web.browser() as page:
        answer = await page.post(SEEN, json={"conversation": token, "replies": replies})
    assert answer.status == 400


@pytest.mark.parametrize("reply", ["0" * 32, "\x00", "\ud800", 5, None])
async def test_seen_of_what_is_not_there_is_404(county: County, web: Pages, reply: object) -> None:
    token = await county.begin()
    body = json.dumps({"conversation": token, "replies": [reply]})
    async with web.browser() as page:
        answer = await page.post(SEEN, data=body, headers={"Content-Type": "application/json"})
    assert answer.status in (400, 404) and answer.json["say"]


async def test_nobody_hears_or_marks_anothers_reply(county: County, web: Pages) -> None:
    mine, other = await _begun(web), await _begun(web)
    async with web.browser() as page:
        stolen = other["reply"]["speech"][0].split("?")[0]
        heard = await page.get(f"{stolen}?conversation={mine['conversation']}")
        marked = await page.post(
            SEEN, json={"conversation": mine["conversation"], "replies": [other["reply"]["id"]]}
        )
        nobody = await page.get(stolen)
        later = await page.get(stolen.replace("/0.wav", "/99.wav") + f"?conversation={other['conversation']}")
    assert (heard.status, heard.json["error"]) == (404, "no_such_reply")
    assert (marked.status, marked.json["error"]) == (404, "no_such_reply")
    assert (nobody.status, later.status) == (404, 404)


async def test_a_page_without_a_conversation_gets_no_line_and_no_microphone(
    county: County, web: Pages
) -> None:
    async with web.browser() as page:
        for path in ("/station/events", "/station/events?conversation=x", "/station/voice?conversation=x"):
            answer = await page.get(path)
            assert (answer.status, answer.json["error"]) == (404, "unknown_conversation")


async def test_every_answer_forbids_framing_sniffing_and_keeping(county: County, web: Pages) -> None:
    async with web.browser() as page:
        answers = [await page.get("/station"), await page.get("/console/sign-in"), await page.post(TURN)]
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-cache", "no-store", "no-store"]


async def test_a_workers_answer_is_on_the_page_within_a_second_and_only_once(
    county: County, web: Pages
) -> None:
    token, other = await county.begin(), await county.begin()
    await county.say(token, BEATEN)
    await until(lambda: _all_delivered(county, token))  # or the page, once open, is sent our own answer again
    case = await county.case(token)
    async with (
        web.browser() as page,
        page.listen(f"/station/events?conversation={token}") as heard,
        page.listen(f"/station/events?conversation={other}") as elsewhere,
    ):
        await county.domain.casework.claim(case.id, county.id_of(LIN))
        await county.domain.casework.reply(case.id, county.id_of(LIN), "我在，您慢慢说。")
        shown: list[str] = []
        while "我在，您慢慢说。" not in shown:
            name, data = await asyncio.wait_for(heard.get(), 5)
            if name == "reply":
                shown.append(data["text"])
                body = {"conversation": token, "replies": [data["id"]]}
                assert (await page.post(SEEN, json=body)).status == 200
                assert data["from"] in ("worker", "assistant") and data["held_by"] == LIN.display_name
        await until(lambda: _all_delivered(county, token))
        county.clock.move(seconds=5)
        await county.domain.dispatch.sweep()
        await county.domain.dispatch.page_is_back((await county.talk(token)).id)
        await county.domain.casework.reply(case.id, county.id_of(LIN), "还在吗？")
        while "还在吗？" not in shown:
            name, data = await asyncio.wait_for(heard.get(), 5)
            shown += [data["text"]] if name == "reply" else []
        assert shown.count("我在，您慢慢说。") == 1
        assert elsewhere.empty()


async def _all_delivered(county: County, token: str) -> bool:
    ids = [reply.id for reply in await county.replies(token) if reply.turn_id is None]
    notices = await county.rows(Notice, Notice.reply_id.in_(ids))
    return {notice.state for notice in notices} == {"delivered"}


async def test_a_page_that_goes_away_in_the_middle_is_answered_when_it_asks_again(
    county: County, web: Pages
) -> None:
    begun = await _begun(web)
    county.rasa.script[SALT] = "hang"
    body = {"conversation": begun["conversation"], "message_id": "gone", "text": SALT}
    async with web.browser() as page:
        asking = asyncio.create_task(page.post(TURN, json=body))
        await until(lambda: county.rasa.times_asked(SALT))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    county.rasa.release.set()
    async with web.browser() as page:
        again = await page.post(TURN, json=body)
    assert again.json["reply"]["text"]
    assert len(await county.turns(begun["conversation"])) == 1


async def test_the_gateway_wants_its_token(county: County, web: Pages) -> None:
    async with web.browser() as page:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer ä"}):
            for path in ("conversations", "turns", "matters", "understand"):
                answer = await page.post(f"/api/{path}", json={}, headers=headers)
                assert (answer.status, answer.json["error"]) == (403, "not_allowed")
        good = {"Authorization": f"Bearer {county.settings.api_token}"}
        begun = await page.post("/api/conversations", json={"station": "qingshi"}, headers=good)
        odd = await page.post("/api/conversations", json={"station": {"a": 1}}, headers=good)
    assert begun.status == 200
    assert odd.status in (200, 400)
