"""The measurements by name."""

import asyncio
from collections.abc import Callable
from typing import Any

from connectors.errors import ConnectorError
from connectors.settings import Settings


async def run_bench(settings: Settings, name: str, store: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Run one measurement; raises ConnectorError for an unknown name."""
    if name == "crash":
        from connectors.bench.crash import bench_crash

        return await bench_crash(settings, store, say)
    if name == "wechat":
        from connectors.bench.wechat import bench_wechat

        return await bench_wechat(settings, say)
    if name == "voice":
        from connectors.bench.voice import bench_voice

        return await bench_voice(settings, say)
    if name == "calls":
        from connectors.bench.calls import bench_calls

        return await bench_calls(settings, say)
    if name == "speech":
        from connectors.bench.speech import bench_speech

        return await asyncio.to_thread(bench_speech, settings, say)
    from connectors.bench.speed import bench_screen, bench_turns

    if name == "turns":
        return await bench_turns(settings, say)
    if name == "screen":
        return await bench_screen(say)
    known = "turns、screen、crash、wechat、voice、calls、speech"
    raise ConnectorError("no_such_bench", f"没有 {name} 这一项，可以量的有：{known}。")
