"""Makes the pictures of the README anew: a small story told to a real service on a fresh store, seen in a real browser."""

import asyncio
import sys
import uuid
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
# The browser is driven as the tests drive it.
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from chromium import BrowserError, Chromium, Tab, find  # noqa: E402  # found by the path set above
from visits import Console, StationVisit, accounts  # noqa: E402

from connectors.errors import ConnectorError  # noqa: E402
from connectors.settings import read_settings  # noqa: E402
from connectors.trial import Trial, own_rasa, trial  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
LARGEST = 300_000  # bytes of one picture

EARLIER = (
    ("self", ("我想买一床棉被", "一床就够，不急", "送到家里，青石村三组")),
    ("self", ("老伴走了半年了，晚上一个人睡不着，想找人说说话",)),
    ("family", ("我妈家里没有水两天了，水管冻裂了", "好的")),
    ("self", ("降压药是饭前吃还是饭后吃", "医生开的，吃了两年了")),
    ("volunteer", ("有人打电话说我奶奶中奖了，要她先交两千块手续费，她正要去转账",)),
)
"""Who spoke, and what they said one after another, before the pictures are taken."""


async def main() -> None:
    """Tell the story and take the pictures."""
    settings = read_settings()
    await asyncio.to_thread(PICTURES.mkdir, parents=True, exist_ok=True)
    async with (
        own_rasa(settings) as rasa,
        trial(settings, rasa_url=rasa.url, WARM_VOICES="true") as one,
        Chromium.start() as browser,
        aiohttp.ClientSession(one.base) as http,
    ):
        for speaker, sentences in EARLIER:
            await _talk(http, speaker, sentences)
        await _quiet_trouble(await browser.tab(await browser.profile()), one)
        await _on_a_phone(await browser.tab(await browser.profile(), 390, 844), one)
        in_danger = StationVisit(await browser.tab(await browser.profile()))
        await _danger(in_danger, one)
        await _at_the_console(await browser.tab(await browser.profile(), 1440, 900), one, in_danger)


async def _talk(http: aiohttp.ClientSession, speaker: str, sentences: tuple[str, ...]) -> None:
    begun = await _post(http, "/station/api/conversations", {"speaker": speaker})
    for sentence in sentences:
        turn = {"conversation": begun["conversation"], "message_id": uuid.uuid4().hex, "text": sentence}
        await _post(http, "/station/api/turns", turn)


async def _post(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with http.post(path, json=body) as response:
        response.raise_for_status()
        return dict(await response.json())


async def _quiet_trouble(tab: Tab, one: Trial) -> None:
    await tab.goto(f"{one.base}/station")
    visit = StationVisit(tab)
    await visit.type("我想找社工来帮忙")
    await visit.answer("号码")
    await visit.state("idle")
    await _take(tab, "station")


async def _on_a_phone(tab: Tab, one: Trial) -> None:
    await tab.goto(f"{one.base}/station")
    visit = StationVisit(tab)
    await visit.type("降压药吃完了，要到哪里去开？")
    await visit.answer()
    await visit.state("idle")
    await tab.js("document.querySelector('#words').scrollTop = 0")
    await _take(tab, "station-phone")


async def _danger(visit: StationVisit, one: Trial) -> None:
    await visit.tab.goto(f"{one.base}/station")
    await visit.type("我胸口疼得厉害，喘不上气来")
    await visit.answer("号码")
    await visit.state("idle")
    await visit.tab.js("document.querySelector('#words').scrollTop = 0")
    await _take(visit.tab, "station-danger")


async def _at_the_console(tab: Tab, one: Trial, in_danger: StationVisit) -> None:
    console = Console(tab, one.base)
    await console.sign_in("lin", accounts(one)["lin"])
    number = await in_danger.tab.text("#number")
    await tab.until_text("#alarm", number)
    await _take(tab, "console-queue")
    await console.open(number)
    await console.claim()
    await console.reply("我是社工小林，救护车已经在路上。您坐着别动，门先打开。")
    await in_danger.tab.until_text(".answer.from-worker", "救护车")
    await in_danger.state("idle")
    await in_danger.type("好，我儿子也在旁边")
    await tab.until_text("#conversation", "我儿子也在旁边")
    await tab.until("document.querySelector('#conversation [data-under-way]') === null")
    await _take(tab, "console-case")
    await tab.goto(f"{one.base}/console/questions")
    await _take(tab, "console-questions")


async def _take(tab: Tab, name: str) -> None:
    # A picture shows the page at rest, without the moment's focus ring or a half-done scroll.
    await tab.js("document.activeElement?.blur()")
    await tab.js("document.fonts.ready.then(() => new Promise((done) => setTimeout(done, 600)))")
    path = PICTURES / f"{name}.png"
    await tab.shot(path)
    size = (await asyncio.to_thread(path.stat)).st_size
    if size > LARGEST:
        raise BrowserError(f"{path.name} is {size} bytes; no more than {LARGEST} are wanted")
    print(f"  docs/pictures/{path.name}  {size // 1000} kB", flush=True)


if __name__ == "__main__":
    if find() is None:
        sys.exit("没有 Chromium，拍不了图。请以 root 运行 apt install chromium fonts-noto-cjk。")
    try:
        asyncio.run(main())
    except (BrowserError, ConnectorError) as error:
        sys.exit(f"图没有拍成：{error}")
