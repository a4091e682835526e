"""The menu under the chat: shown, compared with what is published, and published."""

from typing import Any

from connectors.errors import ConnectorError
from connectors.settings import Settings
from connectors.wechat.platform import Platform, PlatformError
from connectors.wechat.reading import TAPS

_NO_MENU = "wechat_46003"


def wanted_menu(settings: Settings) -> dict[str, Any]:
    """Three entries that an old person can tell apart, of at most four characters, which is all that the platform shows.

    Raises ConnectorError where the page has no public address.
    """
    if not settings.public_url.startswith("https://") and not settings.wechat_api.startswith("http://127."):
        raise ConnectorError(
            "no_public_url", "菜单要打开大字页面，得先设 XIANGYIN_PUBLIC_URL（https:// 开头的外网地址）。"
        )
    page = {"type": "view", "name": "说话求助", "url": f"{settings.public_url}/wechat/page"}
    taps = [
        {"type": "click", "name": name, "key": key}
        for key, name in (("human", "找社工"), ("status", "我的事情"))
        if key in TAPS
    ]
    return {"button": [page, *taps]}


async def published_menu(platform: Platform) -> dict[str, Any] | None:
    """What is published now; None for nothing. Raises PlatformError."""
    try:
        found = await platform.call("menu", lambda client: client.menu.get())
    except PlatformError as error:
        if error.code == _NO_MENU:
            return None
        raise
    return dict(found["menu"]) if found and "menu" in found else None


async def publish_menu(platform: Platform, menu: dict[str, Any]) -> None:
    """Publish; raises PlatformError. Phones show it within a day, at once after following anew."""
    await platform.call("menu", lambda client: client.menu.create(menu))


def same_menu(one: dict[str, Any] | None, other: dict[str, Any]) -> bool:
    """Whether both say the same, whatever else the platform adds."""
    fields = ("type", "name", "key", "url")

    def plain(menu: dict[str, Any]) -> list[list[Any]]:
        return [[button.get(field) for field in fields] for button in menu.get("button", [])]

    return one is not None and plain(one) == plain(other)
