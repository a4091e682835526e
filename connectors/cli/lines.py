"""The full understanding of lines: one JSON object for each, in order, an empty line too."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from connectors.cli.streams import print_json, stdin_lines
from connectors.errors import ConnectorError
from connectors.root import understander
from connectors.settings import Settings
from connectors.trial import own_rasa

AT_ONCE = 4
"""So many lines are on their way at the same time; the answers keep the order of the lines."""

Ask = Callable[[str], Coroutine[Any, Any, dict[str, Any]]]


async def understand_lines(settings: Settings) -> None:
    """By the running service where there is one, else with a Rasa of our own."""
    base = await running_service(settings)
    if base:
        async with service_session(settings, base) as http:
            await _in_order(lambda text: ask_service(http, "/api/understand", {"text": text}))
        return
    async with own_rasa(settings) as rasa:
        knows = understander(settings, rasa)

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
    """Print each answer as soon as it and those before it are there, whether or not more lines come."""
    under_way: asyncio.Queue[tuple[str, asyncio.Task[dict[str, Any]]] | None] = asyncio.Queue(AT_ONCE - 1)
    started: set[asyncio.Task[Any]] = set()

    async def take() -> None:
        async for text in stdin_lines():
            task = asyncio.create_task(ask(text))
            started.add(task)
            task.add_done_callback(started.discard)
            await under_way.put((text, task))
        await under_way.put(None)

    taking = asyncio.create_task(take())
    try:
        while (one := await under_way.get()) is not None:
            print_json({"text": one[0]} | await one[1])
        await taking
    finally:
        for task in (taking, *started):
            task.cancel()


def service_session(settings: Settings, base: str) -> aiohttp.ClientSession:
    """A session with our own service; its certificate is made out to a name, not to the address used here."""
    return aiohttp.ClientSession(
        base,
        headers={"Authorization": f"Bearer {settings.api_token}"},
        connector=aiohttp.TCPConnector(ssl=False),
    )


async def ask_service(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A request to the gateway; raises ConnectorError with the service's own code and sentence."""
    try:
        async with http.post(path, json=body) as response:
            answer = dict(await response.json())
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        raise ConnectorError("service_gone", "服务没有回答，可能刚刚停了。请再试一次。") from error
    if response.status != 200:
        raise ConnectorError(str(answer.get("error")), str(answer.get("say")))
    return answer


async def running_service(settings: Settings, *, with_dialogue: bool = True) -> str:
    """The address of this installation's service if it runs (and its Rasa is ready), else nothing."""
    try:
        base = settings.at("address").read_text().strip()
    except (OSError, ValueError):
        return ""
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{base}/api/health", timeout=aiohttp.ClientTimeout(total=2), ssl=False) as response,
        ):
            health = await response.json()
        well = health["status"] == "ok" and (health["dialogue"] or not with_dialogue)
    except (TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError):
        return ""  # an old address, on which nobody or somebody else answers now
    return base if well else ""
