"""`wechat check` and `wechat menu`: what is wrong is named, with where to mend it; the menu is published once and the same."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from county import MovedClock, settings_for
from wechat_helpers import AES_KEY, APP_ID, SECRET, TOKEN

from connectors.settings import Settings
from connectors.wechat.check import Found, examine_wechat, one_platform
from connectors.wechat.double import Double, Rules
from connectors.wechat.menu import publish_menu, published_menu, same_menu, wanted_menu

pytestmark = pytest.mark.asyncio(loop_scope="session")

Here = tuple[Double, Settings]


@pytest_asyncio.fixture(loop_scope="session")
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    """The platform, and settings that are right in everything."""
    far = Double(Rules(app_id=APP_ID, secret=SECRET, token=TOKEN, aes_key=AES_KEY))
    async with far.running() as address:
        yield far, settings_for(
            tmp_path, wechat_app_id=APP_ID, wechat_secret=SECRET, wechat_token=TOKEN, wechat_aes_key=AES_KEY,
            wechat_api=address, public_url="https://xy.example.gov.cn", wecom_api=address,
        )  # fmt: skip


def _late() -> MovedClock:
    clock = MovedClock()
    clock.offset = timedelta(minutes=5)
    return clock


async def _publish(settings: Settings) -> None:
    async with one_platform(settings) as platform:
        await publish_menu(platform, wanted_menu(settings))


def _of(found: list[Found]) -> dict[str, Found]:
    return {one.name: one for one in found}


async def test_all_is_well_once_the_menu_is_published(here: Here) -> None:
    _, settings = here
    before = await examine_wechat(settings)
    assert [one.name for one in before if not one.ok] == ["菜单"]
    assert "--publish" in before[-1].mend
    await _publish(settings)
    assert all(one.ok for one in await examine_wechat(settings))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"wechat_secret": ""}, "XIANGYIN_WECHAT_SECRET"),
        ({"wechat_token": ""}, "XIANGYIN_WECHAT_TOKEN"),
        ({"wechat_app_id": "", "wechat_secret": ""}, "XIANGYIN_WECHAT_APP_ID"),
    ],
)
async def test_a_missing_setting_is_named(here: Here, wrong: dict[str, str], named: str) -> None:
    (found,) = await examine_wechat(here[1].model_copy(update=wrong))
    assert not found.ok and named in found.say and "基本配置" in found.mend


async def test_a_key_that_cannot_be_one_is_named(here: Here) -> None:
    (found,) = await examine_wechat(here[1].model_copy(update={"wechat_aes_key": "short"}))
    assert not found.ok and "AES_KEY" in found.mend


async def test_without_a_key_only_plain_mode_is_left_and_said(here: Here) -> None:
    found = _of(await examine_wechat(here[1].model_copy(update={"wechat_aes_key": ""})))
    assert found["设置"].ok and "明文" in found["设置"].say and "安全模式" in found["设置"].mend


@pytest.mark.parametrize(
    ("code", "mend"), [(40125, "AppSecret"), (40013, "AppID"), (40164, "IP白名单"), ("500", "网络")]
)
async def test_without_a_token_nothing_else_is_asked(here: Here, code: int | str, mend: str) -> None:
    far, settings = here
    far.rules.next["token"] = [code]
    found = await examine_wechat(settings)
    assert [one.ok for one in found] == [True, False] and mend in found[-1].mend


async def test_an_account_without_rights_is_told_what_is_left(here: Here) -> None:
    far, settings = here
    far.rules.verified = False
    found = _of(await examine_wechat(settings))["主动发消息的权限"]
    assert not found.ok and "XIANGYIN_WECHAT_VERIFIED=false" in found.mend


async def test_rights_that_the_settings_deny_are_said(here: Here) -> None:
    found = _of(await examine_wechat(here[1].model_copy(update={"wechat_verified": False})))
    assert found["主动发消息的权限"].ok and "true" in found["主动发消息的权限"].mend


async def test_a_clock_that_is_off_is_said(here: Here) -> None:
    found = _of(await examine_wechat(here[1], _late()))["服务器时间"]
    assert not found.ok and "timedatectl" in found.mend


async def test_wecom_is_looked_at_where_it_is_used(here: Here) -> None:
    far, settings = here
    used = {"wecom_corp_id": far.rules.corp_id, "wecom_secret": far.rules.corp_secret, "wecom_agent_id": 7}
    found = _of(await examine_wechat(settings.model_copy(update=used)))
    assert found["企业微信的令牌"].ok
    assert "我看到了" in found["企业微信的设置"].say
    far.rules.corp_listed = False
    wrong = _of(await examine_wechat(settings.model_copy(update=used | {"wecom_secret": "another"})))
    assert not wrong["企业微信的令牌"].ok


async def test_the_menu_has_three_entries_of_at_most_four_characters(here: Here) -> None:
    _, settings = here
    await _publish(settings)
    async with one_platform(settings) as platform:
        now = await published_menu(platform)
    assert now is not None and same_menu(now, wanted_menu(settings))
    assert [button["name"] for button in now["button"]] == ["说话求助", "找社工", "我的事情"]
    assert now["button"][0]["url"] == "https://xy.example.gov.cn/wechat/page"


async def test_the_command_says_it_for_programs_and_by_its_status(here: Here) -> None:
    far, settings = here
    given = {
        "DATA": settings.data, "WECHAT_APP_ID": APP_ID, "WECHAT_SECRET": SECRET, "WECHAT_TOKEN": TOKEN,
        "WECHAT_AES_KEY": AES_KEY, "WECHAT_API": far.url, "PUBLIC_URL": settings.public_url,
    }  # fmt: skip

    async def run(*words: str) -> "subprocess.CompletedProcess[str]":
        import asyncio
        import os

        env = {key: value for key, value in os.environ.items() if not key.startswith("XIANGYIN_")}
        env |= {f"XIANGYIN_{key}": str(value) for key, value in given.items()}
        command = [sys.executable, "-m", "connectors.cli", "wechat", *words, "--json"]
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, env=env, timeout=120, check=False
        )

    before = await run("check")
    assert before.returncode == 1 and [one["name"] for one in json.loads(before.stdout) if not one["ok"]] == [
        "菜单"
    ]
    assert json.loads((await run("menu", "--publish")).stdout)["same"] is True
    after = await run("check")
    assert after.returncode == 0 and SECRET not in after.stdout + after.stderr
