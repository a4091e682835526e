"""The client of Rasa's strict channel: an error, a time-out and an empty answer are all one thing, no answer."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from handoff.model.nouns import DialogueAnswer, Effect, asked_about
from handoff.model.words import Need
from handoff.service.ports import DialogueError


class RasaClient:
    """Asks one Rasa process; knows nothing of who started it."""

    def __init__(self, url: str = "", timeout_s: float = 4.0) -> None:
        self.url = url
        """Base address; empty while no Rasa is ready."""
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._http: aiohttp.ClientSession | None = None

    async def answer(
        self,
        text: str,
        state: dict[str, Any] | None,
        *,
        channel: str,
        speaker: str,
        answers: Mapping[str, str] | None = None,
    ) -> DialogueAnswer:
        """One turn; raises DialogueError with code not_ready, timeout, unreachable, refused or garbage."""
        if not self.url:
            raise DialogueError("not_ready", "对话引擎还没准备好。")
        body = {
            "text": text,
            "sender": "turn",
            "state": state,
            "metadata": {"channel": channel, "speaker": speaker, "answers": dict(answers or {})},
        }
        return _read(await self._post(body))

    async def _post(self, body: dict[str, Any]) -> Any:
        try:
            async with self._session().post(
                f"{self.url}/webhooks/strict/turn", json=body, timeout=self._timeout
            ) as response:
                if response.status != 200:
                    raise DialogueError("refused", "对话引擎没有答上来。")
                return await response.json()
        except TimeoutError as error:
            raise DialogueError("timeout", "对话引擎太久没有回答。") from error
        except aiohttp.ClientError as error:
            raise DialogueError("unreachable", "对话引擎连不上。") from error
        except (ValueError, RecursionError) as error:
            raise DialogueError("garbage", "对话引擎答得不成样子。") from error

    async def is_well(self, timeout_s: float = 5.0) -> bool:
        """Whether a model is loaded and answers."""
        if not self.url:
            return False
        try:
            async with self._session().get(
                f"{self.url}/webhooks/strict/", timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as response:
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None or self._http.closed:
            self._http = aiohttp.ClientSession()
        return self._http


def _read(answer: Any) -> DialogueAnswer:
    try:
        messages = answer["messages"]
        steps = tuple(step for message in messages if (step := _step(message)))
        state = answer.get("state")
        if not steps or not (state is None or isinstance(state, dict)):
            raise DialogueError("empty", "对话引擎什么也没说。")
        effects = [step for step in steps if isinstance(step, Effect)]
        return DialogueAnswer(
            _need(answer, effects), str(answer["intent"]), float(answer["confidence"]), steps, state
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DialogueError("garbage", "对话引擎答得不成样子。") from error


def _need(answer: dict[str, Any], effects: list[Effect]) -> Need:
    """Words that answer a form's question ("三四天了") mean nothing by themselves: the need is the form's."""
    if answer.get("act") in ("answer", "skip"):
        opened = next((one.fields["need"] for one in effects if one.name in ("open_case", "consult")), None)
        if need := opened or asked_about(answer.get("state")):
            return Need(need)
    return Need(answer["need"])


def _step(message: dict[str, Any]) -> str | Effect | None:
    if fields := message.get("effect"):
        return _effect(fields)
    return str(message["text"]) if message.get("text") else None


def _effect(fields: dict[str, Any]) -> Effect:
    return Effect(str(fields["name"]), {key: value for key, value in fields.items() if key != "name"})
