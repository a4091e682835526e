"""The page inside WeChat, and the station card: from the menu to a name that is known, before a real browser."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from cast import XIUYING
from chromium import Chromium, Tab
from visits import Console, StationVisit, accounts

from connectors.settings import Settings
from connectors.trial import Trial, trial
from connectors.wechat.double import Double, Rules

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

APP_ID, SECRET, TOKEN = "wx2c2769f8efd9abc2", "a-secret-of-tests", "qingshi"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
Record = Callable[[str], Awaitable[float]]


@dataclass
class Phones:
    """A county with an Official Account, and telephones with WeChat on them."""

    service: Trial
    far: Double
    chromium: Chromium
    profiles: dict[str, str] = field(default_factory=dict)
    """Of each phone and of the worker's and the station's machine: whoever has it has its cookies."""

    async def tab(self, whose: str, width: int = 1280, height: int = 800) -> Tab:
        """A page on somebody's machine."""
        if whose not in self.profiles:
            self.profiles[whose] = await self.chromium.profile()
        return await self.chromium.tab(self.profiles[whose], width, height)

    async def opens(self, openid: str, query: str = "") -> StationVisit:
        """The menu's page on the phone of a follower."""
        self.far.oauth.present = self.far.villager(openid).openid
        tab = await self.tab(openid)
        await tab.size(390, 844, touch=True)
        await tab.goto(f"{self.service.base}/wechat/page{query}")
        return StationVisit(tab)

    async def worker(self) -> Console:
        """A worker, signed in."""
        console = Console(await self.tab("worker", 1440, 900), self.service.base)
        await console.sign_in("lin", accounts(self.service)["lin"])
        return console

    def told(self, openid: str) -> list[str]:
        """What has reached somebody's chat as text."""
        return [one.text for one in self.far.villager(openid).reached if one.kind == "text"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def account(settings: Settings, rasa: str) -> AsyncIterator[tuple[Trial, Double]]:
    far = Double(Rules(app_id=APP_ID, secret=SECRET, token=TOKEN, aes_key=AES_KEY))
    async with (
        far.running() as platform,
        trial(
            settings, rasa_url=rasa, WECHAT_APP_ID=APP_ID, WECHAT_SECRET=SECRET, WECHAT_TOKEN=TOKEN,
            WECHAT_AES_KEY=AES_KEY, WECHAT_API=platform, WECHAT_OPEN=platform, PUBLIC_URL="",
        ) as service,
    ):  # fmt: skip
        far.rules.callback = f"{service.base}/wechat"
        yield service, far


@pytest_asyncio.fixture(loop_scope="session")
async def phones(account: tuple[Trial, Double], chromium: Chromium) -> AsyncIterator[Phones]:
    one = Phones(*account, chromium)
    yield one
    for profile in one.profiles.values():
        await chromium.close_profile(profile)


async def test_from_the_menu_spoken_answered_and_the_same_matter_in_chat(
    phones: Phones, into_microphone: Record
) -> None:
    visit = await phones.opens("o-browser-1")
    await visit.tab.click("#talk")  # the first touch greets and listens
    await visit.state("listening")
    await visit.tab.click("#talk")
    await visit.state("idle", "speaking")
    await visit.hold_and_say(await into_microphone("我想找人帮忙。"))
    await visit.tab.until_text("#heard", "找人")
    await visit.answer("号码")
    number = await visit.tab.text("#number")
    assert len(number) == 4
    await phones.far.says("o-browser-1", "我的事办得怎么样了")
    await phones.far.until(lambda: any(number in text for text in phones.told("o-browser-1")))
    again = await phones.opens("o-browser-1")
    await again.tab.until_text("#matter", number)
    assert await again.size_of("#matter") >= 20
    assert await again.tab.js("document.documentElement.scrollWidth <= innerWidth")
    assert visit.tab.troubles == again.tab.troubles == []


async def test_a_worker_answers_into_the_open_page(phones: Phones) -> None:
    visit = await phones.opens("o-browser-2")
    await visit.type("找人")
    await visit.answer("号码")
    worker = await phones.worker()
    await worker.open(await visit.tab.text("#number"))
    await worker.claim()
    await worker.reply("我下午到您家。")
    await visit.answer("我下午到您家")
    assert visit.tab.troubles == worker.tab.troubles == []


async def test_a_card_made_by_a_worker_is_known_on_another_phone_and_at_the_station(phones: Phones) -> None:
    visit = await phones.opens("o-browser-3")
    await visit.type("找人")
    await visit.answer("号码")
    number = await visit.tab.text("#number")
    worker = await phones.worker()
    await worker.open(number)
    await worker.claim()
    await _fill_in(worker, "登记服务对象", {"#person-name": XIUYING.name}, "登记")
    await _fill_in(worker, "便民卡", {}, "做一张")
    await worker.tab.until("document.body.dataset.page === 'card'")
    card = (await worker.tab.text(".station-card-number")).replace(" ", "")
    assert len(card) == 8 and XIUYING.name not in await worker.tab.text(".station-card")
    drawn = await worker.tab.js(
        "document.querySelector('.station-card-code svg').getBoundingClientRect().width"
    )
    assert drawn > 80
    # Read by WeChat's scanner, on the phone of a grandson.
    other = await phones.opens("o-browser-4", f"?card={card}")
    await other.answer("名字")
    assert "card" not in await other.tab.js("location.search")
    await other.type(XIUYING.name)
    await other.answer(number)
    # Read by the station's card reader, which types without a pause and ends with Enter.
    station = StationVisit(await phones.tab("station"))
    await station.tab.goto(f"{phones.service.base}/station")
    await asyncio.gather(*(station.tab.key(key) for key in [*card, "Enter"]))
    await station.answer("名字")
    await station.type(XIUYING.name)
    await station.answer(number)
    # A page that nobody has touched yet may not sound: the words stand there, and the button says them.
    troubles = [one for one in other.tab.troubles if "AudioContext was not allowed" not in one]
    assert visit.tab.troubles == worker.tab.troubles == station.tab.troubles == troubles == []


async def _fill_in(worker: Console, act: str, fields: dict[str, str], button: str) -> None:
    """Open an act of the case page, fill in its form and send it."""
    details = f"[...document.querySelectorAll('details')].find(one => one.querySelector('summary').textContent === '{act}')"
    await worker.tab.until(f"({details}).open = true")
    for place, value in fields.items():
        await worker.tab.write(place, value)
    await worker.tab.js("window.stillHere = true")
    await worker.tab.js(
        f"[...({details}).querySelectorAll('button')].find(one => one.textContent.startsWith('{button}')).click()"
    )
    await worker.tab.until("window.stillHere === undefined && document.readyState === 'complete'")
