"""The Official Account from the command line: check, menu, the local double."""

import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from connectors.settings import Settings
from connectors.wechat.check import examine_wechat, one_platform
from connectors.wechat.menu import publish_menu, published_menu, same_menu, wanted_menu


async def check(settings: Settings, as_json: bool) -> int:
    """What works and how to mend what does not; 0 when all is well."""
    found = await examine_wechat(settings)
    if as_json:
        print(json.dumps([asdict(one) for one in found], ensure_ascii=False))
    else:
        table = Table("", "看了什么", "结果", "怎么补", show_edge=False)
        for one in found:
            table.add_row("✓" if one.ok else "✗", one.name, one.say, one.mend)
        Console().print(table)
    return 0 if all(one.ok for one in found) else 1


async def menu(settings: Settings, publish: bool, as_json: bool) -> int:
    """Show what is published beside what should be; with `publish`, publish it."""
    wanted = wanted_menu(settings)
    async with one_platform(settings) as platform:
        if publish:
            await publish_menu(platform, wanted)
        now = await published_menu(platform)
    same = same_menu(now, wanted)
    if as_json:
        print(json.dumps({"published": now, "wanted": wanted, "same": same}, ensure_ascii=False))
        return 0 if same else 1
    _draw("现在发布的", now)
    if same:
        print("和要的一样。手机上最多一天才换成新的；取消关注再关注，马上就能看到。")
        return 0
    _draw("应该是", wanted)
    print("发布：xiangyin wechat menu --publish")
    return 1


def _draw(title: str, found: dict[str, Any] | None) -> None:
    buttons = " │ ".join(str(button.get("name")) for button in (found or {}).get("button", []))
    print(f"{title}：│ {buttons} │" if buttons else f"{title}：没有菜单")
