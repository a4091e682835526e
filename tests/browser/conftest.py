"""A real browser before the real service: real Rasa, real ears, real voice, a recorded voice as microphone."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from chromium import Chromium, Tab, find
from visits import Console, Door, StationVisit, accounts

from connectors.settings import Settings, read_settings
from connectors.trial import Trial, own_rasa, trial
from voice.audio import Sound, to_wav
from voice.models import ModelStore
from voice.speak import Speaker

session_fixture = pytest_asyncio.fixture(scope="session", loop_scope="session")


@pytest.fixture(scope="session", autouse=True)
def a_browser() -> None:
    """Where no browser can be had, that is said loudly and the tests are skipped."""
    if find() is None:
        line = "!!!!! 没有 Chromium，用浏览器的测试都跳过了：请以 root 运行 apt install chromium。 !!!!!"
        print(line, file=sys.__stderr__)
        pytest.skip(line)


@session_fixture
async def settings(a_browser: None) -> Settings:
    return await asyncio.to_thread(read_settings)


@session_fixture
async def rasa(settings: Settings) -> AsyncIterator[str]:
    """The address of a Rasa that outlives the services of the tests."""
    if settings.rasa_url:
        yield settings.rasa_url
        return
    async with own_rasa(settings) as client:
        yield client.url


@session_fixture
async def county(settings: Settings, rasa: str) -> AsyncIterator[Trial]:
    """The service that most tests share."""
    async with trial(settings, rasa_url=rasa, WARM_VOICES="true") as one:
        yield one


@session_fixture
async def chromium(a_browser: None) -> AsyncIterator[Chromium]:
    async with Chromium.start() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def new_tab(chromium: Chromium) -> AsyncIterator[Callable[..., Awaitable[Tab]]]:
    """Opens pages for one test, in a profile of its own."""
    profile = await chromium.profile()

    async def new(width: int = 1280, height: int = 800) -> Tab:
        return await chromium.tab(profile, width, height)

    yield new
    await chromium.close_profile(profile)


@pytest_asyncio.fixture(loop_scope="session")
async def visit(county: Trial, new_tab: Callable[..., Awaitable[Tab]]) -> AsyncIterator[StationVisit]:
    """The station page, freshly opened; afterwards nothing may have gone wrong in it."""
    tab = await new_tab()
    await tab.goto(f"{county.base}/station")
    yield StationVisit(tab)
    assert tab.troubles == []


@pytest_asyncio.fixture(loop_scope="session")
async def console(county: Trial, new_tab: Callable[..., Awaitable[Tab]]) -> AsyncIterator[Console]:
    """The console of a worker who has signed in by the form; afterwards nothing may have gone wrong in it."""
    worker = Console(await new_tab(1440, 900), county.base)
    await worker.sign_in("lin", accounts(county)["lin"])
    yield worker
    assert worker.tab.troubles == []


@pytest_asyncio.fixture(loop_scope="session")
async def door(settings: Settings, rasa: str) -> AsyncIterator[Door]:
    """A service of one's own that can be killed, behind an address that stays."""
    async with trial(settings, rasa_url=rasa) as one:
        entrance = Door(one)
        async with entrance.open():
            yield entrance


@pytest.fixture(scope="session")
def speaker(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    """A villager's voice, not the assistant's."""
    models = ModelStore(settings.models, hub_mirror=os.environ.get("XIANGYIN_HUB_MIRROR"))
    return Speaker(models, voice="zm_yunyang", cache=tmp_path_factory.mktemp("phrases"))


@pytest.fixture
def into_microphone(chromium: Chromium, speaker: Speaker) -> Callable[[str], Awaitable[float]]:
    """Puts a sentence, spoken, before the browser's microphone; seconds until it is said."""

    async def record(sentence: str) -> float:
        spoken = await asyncio.to_thread(speaker.say, sentence)
        sound = with_silence(spoken)
        await asyncio.to_thread(_write, chromium.microphone, sound)
        return len(sound.samples) / sound.rate

    return record


def with_silence(spoken: Sound) -> Sound:
    """With the second that a person takes before speaking."""
    import numpy as np

    quiet = np.zeros(spoken.rate, dtype=np.float32)
    return Sound(np.concatenate([quiet, spoken.samples, quiet[: spoken.rate // 2]]), spoken.rate)


def _write(path: Path, sound: Sound) -> None:
    path.write_bytes(to_wav(sound))
