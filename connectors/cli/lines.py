"""Commands that read lines: one JSON object for each, in order, an empty line too."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp

from connectors.errors import ConnectorError
from connectors.root import danger_screen, understander
from connectors.settings import Settings
from connectors.trial import own_rasa

AT_ONCE = 4
"""So many lines are on their way at the same time; the answers keep the order of the lines."""

Ask = Callable[[str], Coroutine[Any, Any, dict[str, Any]]]


def _lines() -> Iterator[str]:
    for raw in sys.stdin.buffer:
        yield raw.decode("utf-8", "replace").rstrip("\n").removesuffix("\r")


def _print(fields: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def screen_lines() -> None:
    """The danger screen alone."""
    screen = danger_screen()
    for text in _lines():
        found = screen.screen(text)
        _print({"text": text, "risk": found.risk, "kinds": [*found.kinds], "why": [*found.why]})


async def understand_lines(settings: Settings) -> None:
    """By the running service where there is one, else with a Rasa of our own."""
    base = await running_service(settings)
    if base:
        async with aiohttp.ClientSession(
            base, headers={"Authorization": f"Bearer {settings.api_token}"}
        ) as http:
            await _in_order(lambda text: _ask_service(http, text))
        return
    async with own_rasa(settings) as rasa:
        knows = understander(rasa)

        async def ask(text: str) -> dict[str, Any]:
            known = await knows.understand(text)
            return {
                "need": known.need,
                "risk": known.risk,
                "kinds": [*known.kinds],
                "confidence": known.confidence,
                "reply": known.reply,
            }

        await _in_order(ask)


async def _in_order(ask: Ask) -> None:
    lines = _lines()
    waiting: list[tuple[str, asyncio.Future[dict[str, Any]]]] = []
    while True:
        while len(waiting) < AT_ONCE and (text := await asyncio.to_thread(next, lines, None)) is not None:
            waiting.append((text, asyncio.ensure_future(ask(text))))
        if not waiting:
            return
        text, answer = waiting.pop(0)
        _print({"text": text} | await answer)


async def _ask_service(http: aiohttp.ClientSession, text: str) -> dict[str, Any]:
    async with http.post("/api/understand", json={"text": text}) as response:
        answer = dict(await response.json())
    if response.status != 200:
        raise ConnectorError(str(answer.get("error")), str(answer.get("say")))
    return answer


async def running_service(settings: Settings) -> str:
    """The address of this installation's service if it runs and its Rasa is ready, else nothing."""
    try:
        base = settings.at("address").read_text().strip()
    except OSError:
        return ""
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{base}/api/health", timeout=aiohttp.ClientTimeout(total=2), ssl=False) as response,
        ):
            health = await response.json()
        return base if health.get("status") == "ok" and health.get("dialogue") else ""
    except (TimeoutError, aiohttp.ClientError, ValueError):
        return ""
