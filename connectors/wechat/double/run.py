"""`xiangyin wechat simulate`: the double in a process of its own, until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable

from connectors.wechat.double import Double, Rules
from connectors.wechat.double.play import Play


async def simulate(port: int, service: str, say: Callable[[str], None]) -> None:
    """Serve; `service` is where the connector answers. Prints what it must be told."""
    rules = Rules(callback=f"{service}/wechat", corp_callback=f"{service}/wecom")
    double = Double(rules)
    double.villager("o-wangxiuying")
    stop = asyncio.Event()
    for end in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(end, stop.set)
    async with double.running(port, Play(double).add_to) as address:
        say(f"演练用的微信平台：{address}  在这个网页上装成村里人，旁边是社工的企业微信。")
        say("让乡音接到它上面，把下面这些放进 .env（或环境变量），再启动 make run：")
        say("")
        for name, value in settings_for(rules, address, service).items():
            say(f"{name}={value}")
        say("")
        say("社工要收企业微信的提醒：.venv/bin/xiangyin worker wecom lin lin。按 Ctrl-C 停下。")
        await stop.wait()


def settings_for(rules: Rules, address: str, service: str) -> dict[str, str]:
    """What the connector is to be told, as environment variables."""
    return {
        "XIANGYIN_PUBLIC_URL": service,
        "XIANGYIN_WECHAT_API": address,
        "XIANGYIN_WECHAT_OPEN": address,
        "XIANGYIN_WECHAT_APP_ID": rules.app_id,
        "XIANGYIN_WECHAT_SECRET": rules.secret,
        "XIANGYIN_WECHAT_TOKEN": rules.token,
        "XIANGYIN_WECHAT_AES_KEY": rules.aes_key,
        "XIANGYIN_WECOM_API": f"{address}/wecom-api",
        "XIANGYIN_WECOM_CORP_ID": rules.corp_id,
        "XIANGYIN_WECOM_AGENT_ID": "1000002",
        "XIANGYIN_WECOM_SECRET": rules.corp_secret,
        "XIANGYIN_WECOM_TOKEN": rules.corp_token,
        "XIANGYIN_WECOM_AES_KEY": rules.corp_aes_key,
    }
