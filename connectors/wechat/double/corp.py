"""WeCom's side of the double: what workers have on their screens, and the taps on their cards."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from wechatpy.enterprise.crypto import WeChatCrypto

from connectors.wechat.double.people import World
from connectors.wechat.double.sealing import new_nonce, opened, sealed, sign, xml_of


@dataclass
class Card:
    """One message that a worker was sent. kind: `text`, `textcard`, `template_card`."""

    at: float
    worker: str
    kind: str
    text: str
    link: str = ""
    task: str = ""
    code: str = ""
    """With which it may be changed, once."""
    changed_to: str = ""
    agent: str = ""
    keys: list[str] = field(default_factory=list)
    """Of the buttons that can be tapped."""
    words: str = ""
    """The text without its buttons, as a page shows it."""


class Corp:
    """The company's members, their messages, and what they do with them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rules = world.rules
        self.cards: list[Card] = []
        self.taps: list[tuple[str, int | str]] = []
        """Each try to tell the connector of a tap: the task, and the status, `slow` or `down`."""

    def of(self, worker: str) -> list[Card]:
        """What this worker has been sent, in its order."""
        return [card for card in self.cards if card.worker.lower() == worker.lower()]

    async def tap(self, card: Card, key: str = "") -> int | str:
        """The worker taps a button: pushed, encrypted, to the callback until it answers.

        The last status; `slow`, `down`, or `garbage` where the answer can't be read.
        """
        card.code = secrets.token_urlsafe(16)
        event = {
            "ToUserName": self._rules.corp_id, "FromUserName": card.worker, "MsgType": "event",
            "Event": "template_card_event", "CreateTime": int(self._rules.clock()),
            "EventKey": key or (card.keys[0] if card.keys else "seen"), "TaskId": card.task,
            "CardType": "button_interaction", "ResponseCode": card.code, "AgentID": card.agent,
        }  # fmt: skip
        xml = xml_of(event)
        outcome: int | str = "down"
        for _ in range(self._rules.tries):
            outcome, body = await self._once(xml, card.agent)
            self.taps.append((card.task, outcome))
            if outcome == 200:
                outcome = 200 if self._read(card, body) else "garbage"
                break
        await self._world.tell()
        return outcome

    async def verify(self) -> bool:
        """As when the address is entered under 接收消息: it must decrypt what it is sent."""
        echo = str(secrets.randbelow(10**18))
        stamp, nonce = str(int(self._rules.clock())), new_nonce()
        cipher, signature = self._echo(echo, stamp, nonce)
        query = {"msg_signature": signature, "timestamp": stamp, "nonce": nonce, "echostr": cipher}
        try:
            async with (
                aiohttp.ClientSession(timeout=self._patience) as http,
                http.get(self._rules.corp_callback, params=query) as answer,
            ):
                return answer.status == 200 and await answer.text() == echo
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def _once(self, xml: str, agent: str) -> tuple[int | str, str]:
        stamp, nonce = str(int(self._rules.clock())), new_nonce()
        cipher, signature = sealed(self._crypto, xml, stamp, nonce)
        query = {"msg_signature": signature, "timestamp": stamp, "nonce": nonce}
        body = xml_of({"ToUserName": self._rules.corp_id, "Encrypt": cipher, "AgentID": agent})
        try:
            async with (
                aiohttp.ClientSession(timeout=self._patience) as http,
                http.post(self._rules.corp_callback, params=query, data=body.encode()) as answer,
            ):
                return answer.status, await answer.text()
        except TimeoutError:
            return "slow", ""
        except (aiohttp.ClientError, UnicodeDecodeError):
            return "down", ""

    def _read(self, card: Card, body: str) -> bool:
        """The answer may change the card; whether it could be read."""
        if body.strip() in ("", "success"):
            return True
        try:
            found = opened(self._crypto, body)
            if found["MsgType"] == "update_button" and found["ToUserName"] == card.worker:
                card.changed_to, card.code = str(found["Button"]["ReplaceName"]), ""
        except Exception:  # a broken cipher has many kinds of error
            return False
        return True

    def _echo(self, echo: str, stamp: str, nonce: str) -> tuple[str, str]:
        """Encrypted, and signed over the cipher."""
        cipher, _ = sealed(self._crypto, echo, stamp, nonce)
        return cipher, sign(self._rules.corp_token, stamp, nonce, cipher)

    @property
    def _patience(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=self._rules.patience_s)

    @property
    def _crypto(self) -> WeChatCrypto:
        return WeChatCrypto(self._rules.corp_token, self._rules.corp_aes_key, self._rules.corp_id)


def words_of(inner: Any) -> str:
    """Everything that can be read in a message."""
    if isinstance(inner, dict):
        return " ".join(
            filter(None, (words_of(value) for name, value in inner.items() if name not in _NOT_READ))
        )
    if isinstance(inner, list):
        return " ".join(filter(None, map(words_of, inner)))
    return str(inner) if isinstance(inner, str) else ""


def link_of(inner: Any) -> str:
    """The first address in a message."""
    found = json.dumps(inner)
    start = found.find("http")
    return found[start : found.find('"', start)] if start >= 0 else ""


_NOT_READ = {"url", "task_id", "key", "card_type", "icon_url"}
