"""Who comes into the console, for how long, and who is kept out."""

import asyncio

import pytest
from cast import DARK, FANG, HU, LIN, ZHOU, Account
from county import County, Pages
from county import pages as fresh_pages
from sqlalchemy import select

from handoff.store.tables import Session

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)

SIGN_IN = "/console/sign-in"


async def test_the_right_password_opens_the_queue(county: County, web: Pages) -> None:
    async with web.browser() as lin:
        page = await lin.sign_in(LIN.name, LIN.password)
        assert (page.status, page.url) == (200, "/console/queue")
        assert LIN.display_name in page.text
        cookies = {cookie.key: cookie for cookie in lin.http.cookie_jar}
    assert cookies["xiangyin_session"]["httponly"] and cookies["xiangyin_session"]["samesite"] == "Strict"
    assert cookies["xiangyin_session"].value not in {row.token_hash for row in await _sessions(county)}


async def _sessions(county: County) -> list[Session]:
    async with county.domain.store.read() as session:
        return [*await session.scalars(select(Session))]


@pytest.mark.parametrize(
    ("name", "password"),
    [(LIN.name, "wrong-wrong"), (HU.name, HU.password), ("nobody", LIN.password), ("", ""), ("lin\x00", "x")],
)
async def test_wrong_disabled_and_unknown_are_told_the_same(county: County, name: str, password: str) -> None:
    async with fresh_pages(county) as web, web.browser() as stranger:
        page = await stranger.sign_in(name, password)
        assert page.status == 401
        assert "登录名或密码不对" in page.text
        assert (await stranger.get("/console/queue")).url == SIGN_IN


@pytest.mark.parametrize("path", ["/console", "/console/queue", "/console/events", "/console/cases/1"])
async def test_without_a_session_everything_leads_to_the_door(county: County, web: Pages, path: str) -> None:
    async with web.browser() as stranger:
        assert (await stranger.get(path)).url == SIGN_IN
        stranger.http.cookie_jar.update_cookies({"xiangyin_session": "guessed"})
        assert (await stranger.get(path)).url == SIGN_IN


async def test_a_link_to_a_case_leads_there_once_signed_in(county: County, web: Pages) -> None:
    """The button of a notice in WeCom, on a telephone where nobody is signed in yet."""
    token = await county.begin()
    await county.say(token, DARK)
    place = f"/console/cases/{(await county.case(token)).id}"
    async with web.browser() as lin:
        door = await lin.get(place)
        assert door.url == SIGN_IN and f'name="next" value="{place}"' in door.text
        form = {"name": LIN.name, "csrf": door.csrf, "next": place}
        wrong = await lin.post(SIGN_IN, data=form | {"password": "wrong-wrong"})
        assert wrong.status == 401 and f'value="{place}"' in wrong.text
        page = await lin.post(SIGN_IN, data=form | {"password": LIN.password})
        assert (page.status, page.url) == (200, place)


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/console/queue",
        "//evil.example",
        "/station",
        "/console/sign-out",
        "/console/cases/1/../../x",
        "/console/cases/１",
    ],
)
async def test_a_sign_in_leads_nowhere_else(county: County, web: Pages, place: str) -> None:
    async with web.browser() as lin:
        door = await lin.get(SIGN_IN, params={"next": place})
        assert 'name="next" value=""' in door.text
        form = {"name": LIN.name, "password": LIN.password, "csrf": door.csrf, "next": place}
        assert (await lin.post(SIGN_IN, data=form)).url == "/console/queue"


@pytest.mark.parametrize("csrf", ["", "-", "guessed", None])
async def test_a_forged_sign_in_is_refused(county: County, csrf: str | None) -> None:
    form = {"name": LIN.name, "password": LIN.password} | ({} if csrf is None else {"csrf": csrf})
    async with fresh_pages(county) as web:
        async with web.browser() as elsewhere:  # another site's form: our cookie is not sent with it
            assert (await elsewhere.post(SIGN_IN, data=form)).status == 401
        async with web.browser() as page:
            await page.get(SIGN_IN)
            assert (await page.post(SIGN_IN, data=form)).status == 401
        async with web.browser() as empty:
            headers = {"Cookie": "xiangyin_sign_in="}
            assert (await empty.post(SIGN_IN, data=form, headers=headers)).status == 401


async def test_after_eight_wrong_tries_even_the_right_one_must_wait(county: County) -> None:
    async with fresh_pages(county) as web, web.browser() as lin:
        for _ in range(8):
            assert "登录名或密码不对" in (await lin.sign_in(LIN.name, "wrong-wrong")).text
        assert "试得太多" in (await lin.sign_in(LIN.name, LIN.password)).text
        assert "试得太多" in (await lin.sign_in(ZHOU.name, ZHOU.password)).text  # the same address
        county.clock.move(minutes=5, seconds=1)
        assert (await lin.sign_in(LIN.name, LIN.password)).status == 200


async def test_many_tries_at_once_do_not_slip_by_the_brake(county: County) -> None:
    async with fresh_pages(county) as web, web.browser() as thief:
        pages = await asyncio.gather(*(thief.sign_in(LIN.name, f"guess-{n:04}") for n in range(16)))
    assert sum("登录名或密码不对" in page.text for page in pages) <= 8


async def test_right_sign_ins_are_not_counted(county: County) -> None:
    async with fresh_pages(county) as web:
        for _ in range(10):
            async with web.browser() as lin:
                assert (await lin.sign_in(LIN.name, LIN.password)).status == 200


async def test_a_session_ends_after_twelve_hours(county: County, web: Pages) -> None:
    async with web.browser(LIN) as lin:
        county.clock.move(hours=11, minutes=59)
        assert (await lin.get("/console/queue")).url == "/console/queue"
        county.clock.move(minutes=2)
        assert (await lin.get("/console/queue")).url == SIGN_IN


async def test_signing_out_ends_the_session_itself(county: County, web: Pages) -> None:
    async with web.browser(LIN) as lin:
        kept = {cookie.key: cookie.value for cookie in lin.http.cookie_jar}
        csrf = (await lin.get("/console/queue")).csrf
        assert (await lin.post("/console/sign-out", data={"csrf": "forged"})).status == 400
        assert (await lin.get("/console/queue")).url == "/console/queue"
        assert (await lin.post("/console/sign-out", data={"csrf": csrf})).url == SIGN_IN
        lin.http.cookie_jar.update_cookies(kept)
        assert (await lin.get("/console/queue")).url == SIGN_IN


async def test_shutting_an_account_ends_its_sessions_at_once(county: County, web: Pages) -> None:
    left = Account("qi", "社工小齐", "worker", "qi-door-1234")
    await county.domain.workers.add(left.name, left.display_name, left.role, left.password)
    async with web.browser(left) as qi:
        await county.domain.workers.disable(left.name)
        assert (await qi.get("/console/queue")).url == SIGN_IN
        assert (await qi.sign_in(left.name, left.password)).status == 401


async def test_a_volunteer_comes_in_too(county: County, web: Pages) -> None:
    async with web.browser(FANG) as fang:
        assert (await fang.get("/console/queue")).status == 200
