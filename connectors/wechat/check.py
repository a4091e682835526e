"""`xiangyin wechat check`: settings, token, white list, rights, menu and clock, each with a way to mend it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests

from connectors.errors import ConnectorError
from connectors.root import open_store
from connectors.settings import Settings
from connectors.wechat.envelope import STALE_S, Envelope
from connectors.wechat.menu import published_menu, same_menu, wanted_menu
from connectors.wechat.platform import Platform, PlatformError
from connectors.wechat.wecom import Wecom
from handoff.model.clock import Clock


@dataclass(frozen=True)
class Found:
    """One thing that was looked at."""

    name: str
    ok: bool
    say: str
    mend: str = ""


@asynccontextmanager
async def one_platform(settings: Settings) -> AsyncIterator[Platform]:
    """The platform for a command, with the token that a running service uses too."""
    if not settings.wechat_app_id:
        raise ConnectorError(
            "no_wechat",
            "还没有设公众号：XIANGYIN_WECHAT_APP_ID、_SECRET、_TOKEN、_AES_KEY。怎么填见 docs/wechat.md。",
        )
    store = open_store(settings)
    platform = Platform(settings, store, Clock())
    try:
        yield platform
    finally:
        platform.close()
        await store.close()


async def examine_wechat(settings: Settings, clock: Clock | None = None) -> list[Found]:
    """Look at everything in its order; what depends on what failed is not asked."""
    return [*await _examine_account(settings, clock or Clock()), *await examine_wecom(settings)]


async def _examine_account(settings: Settings, clock: Clock) -> list[Found]:
    found = [_settings(settings)]
    if not found[0].ok:
        return found
    async with one_platform(settings) as platform:
        found.append(await _guarded("令牌和白名单", lambda: _token(platform)))
        if not found[-1].ok:
            return found
        found.append(await _guarded("服务器时间", lambda: _time(settings, clock)))
        found.append(await _guarded("主动发消息的权限", lambda: _rights(settings, platform)))
        found.append(await _guarded("菜单", lambda: _menu(settings, platform)))
    return found


async def examine_wecom(settings: Settings) -> list[Found]:
    """WeCom's settings, token and the address that is allowed to call; nothing where it is not used."""
    if not settings.wecom_corp_id:
        return []
    found = [wecom_settings(settings)]
    store = open_store(settings)
    wecom = Wecom(settings, store, Clock())
    try:
        found.append(await _guarded("企业微信的令牌", lambda: _wecom_token(wecom)))
    finally:
        await wecom.close()
        await store.close()
    return found


def wecom_settings(settings: Settings) -> Found:
    """Whether what must be set is there, and what the cards lack without the rest."""
    name = "企业微信的设置"
    if not (settings.wecom_agent_id and settings.wecom_secret):
        return Found(
            name, False, "缺 AgentId 或 Secret", "企业微信管理后台 → 应用管理 → 乡音，抄到 .env 里。"
        )
    lacks = [
        text
        for missing, text in (
            (not settings.public_url, "没有 XIANGYIN_PUBLIC_URL，卡片上没有“打开”"),
            (not settings.wecom_token, "没有 XIANGYIN_WECOM_TOKEN，卡片上没有“我看到了”"),
        )
        if missing
    ]
    if lacks:
        return Found(name, True, "；".join(lacks), "怎么填见 docs/wechat.md 第 8 节。")
    return Found(name, True, "齐了")


async def _wecom_token(wecom: Wecom) -> Found:
    await wecom.token_works()
    return Found("企业微信的令牌", True, "拿到了")


async def _guarded(name: str, look: Callable[[], Awaitable[Found]]) -> Found:
    try:
        return await look()
    except ConnectorError as error:
        return Found(name, False, f"没查成（{error.code}）", error.message)


def _settings(settings: Settings) -> Found:
    missing = [
        f"XIANGYIN_{name.upper()}"
        for name in ("wechat_app_id", "wechat_secret", "wechat_token", "wechat_aes_key")
        if not getattr(settings, name)
    ]
    if missing == ["XIANGYIN_WECHAT_AES_KEY"]:
        return Found(
            "设置", True, "没有 EncodingAESKey：只能用明文模式", "建议用安全模式：把 XIANGYIN_WECHAT_AES_KEY 填上。"
        )  # fmt: skip
    if missing:
        return Found(
            "设置", False, f"缺 {'、'.join(missing)}", "公众平台 → 设置与开发 → 基本配置，抄到 .env 里。"
        )
    try:
        Envelope(settings, Clock())
    except ConnectorError as error:
        return Found("设置", False, "不对", error.message)
    return Found("设置", True, "齐了")


async def _token(platform: Platform) -> Found:
    try:
        await platform.token_works()
    except PlatformError as error:
        return Found("令牌和白名单", False, f"拿不到令牌（{error.code}）", error.message)
    return Found("令牌和白名单", True, "令牌拿到了，服务器地址在白名单里")


async def _time(settings: Settings, clock: Clock) -> Found:
    """Messages that we take for stale would all be refused."""
    import asyncio

    answer = await asyncio.to_thread(requests.get, settings.wechat_api, timeout=8)
    said = answer.headers.get("Date")
    if said is None:
        return Found("服务器时间", True, "平台没有说时间，没法比")
    apart = abs((clock.now() - parsedate_to_datetime(said)).total_seconds())
    if apart > STALE_S / 5:
        return Found(
            "服务器时间", False, f"和平台差 {apart:.0f} 秒", "把服务器的时间对准：timedatectl set-ntp true"
        )
    return Found("服务器时间", True, f"和平台差 {apart:.0f} 秒")


async def _rights(settings: Settings, platform: Platform) -> Found:
    """Asked with an openid that is nobody's: the platform says first whether one may ask at all."""
    name = "主动发消息的权限"
    try:
        await platform.call("rights", lambda client: client.message.send_text("nobody", "."))
    except PlatformError as error:
        if error.code == "not_allowed":
            return Found(
                name, False, "没有", "公众号要认证（微信认证的服务号）。没认证时只能五秒内当场回：XIANGYIN_WECHAT_VERIFIED=false"
            )  # fmt: skip
        if error.code == "no_answer":
            raise
    if not settings.wechat_verified:
        return Found(
            name, True, "有，但设置里写着没认证", "把 XIANGYIN_WECHAT_VERIFIED 去掉，或者改成 true。"
        )
    return Found(name, True, "有")


async def _menu(settings: Settings, platform: Platform) -> Found:
    wanted = wanted_menu(settings)
    if same_menu(await published_menu(platform), wanted):
        return Found("菜单", True, "已经发布，和要的一样")
    return Found("菜单", False, "还没发布，或者不一样", "xiangyin wechat menu --publish")
