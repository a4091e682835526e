"""Who follows the account, what they may still be sent, and what has reached them."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from connectors.wechat.double.errors import Refused
from connectors.wechat.double.rules import Rules

_TWO_DAYS_S = 48 * 3600.0
WINDOWS = {"message": (_TWO_DAYS_S, 5), "follow": (60.0, 3), "scan": (60.0, 3), "tap": (60.0, 3)}


@dataclass
class Reached:
    """One thing that a villager has on their screen. how: `passive` or `custom`.

    kind: `text`, `voice`, `image`, `music`, `news`, `msgmenu`, `template`, `subscription`; `fault` where the platform says
    that the account is out of order.
    """

    at: float
    how: str
    kind: str
    text: str = ""
    media: bytes = b""
    answers: str = ""
    """MsgId of the message that a passive reply answers."""
    link: str = ""


@dataclass
class Line:
    """One line of a villager's chat, as a page draws it. who: `mine`, `theirs`, or `note` for what is no message."""

    who: str
    kind: str
    text: str = ""
    link: str = ""
    n: int = 0
    """Where the whole of it stands: in `said`, or in `reached`."""


@dataclass
class Villager:
    """One follower of the account."""

    openid: str
    follows: bool = True
    reached: list[Reached] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    subscribed: int = 0
    """So many subscription messages they have agreed to."""
    refuses: bool = False
    """Whether they have turned subscription messages off: the platform takes one, and says so afterwards."""
    chat: list[Line] = field(default_factory=list)
    scene: str = ""
    """Of the code by which they followed."""
    windows: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By kind: until when, and how many messages are left."""

    def did(self, kind: str, now: float) -> None:
        """Something that lets the account write."""
        lasts, allowed = WINDOWS[kind]
        self.windows[kind] = (now + lasts, allowed)

    def may_be_sent(self, now: float) -> int:
        """0, and one message is counted; else the errcode."""
        if not self.follows:
            return 43004
        standing = sorted((until, kind, left) for kind, (until, left) in self.windows.items() if until > now)
        for until, kind, left in standing:
            if left > 0:
                self.windows[kind] = (until, left - 1)
                return 0
        return 45047 if standing else 45015

    def wrote_within(self, seconds: float, now: float) -> bool:
        """Whether their last message is no older."""
        until, _ = self.windows.get("message", (0.0, 0))
        return until - _TWO_DAYS_S >= now - seconds


@dataclass
class World:
    """What all parts of the double share."""

    rules: Rules
    villagers: dict[str, Villager] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    """Notified whenever something has reached somebody."""
    codes: dict[str, str] = field(default_factory=dict)
    """Who opened a page, by the code that the page was given; empty once it was used."""

    def known(self, openid: object) -> Villager:
        """The villager of this openid; raises Refused."""
        if str(openid) not in self.villagers:
            raise Refused(40003)
        return self.villagers[str(openid)]

    async def reach(self, villager: Villager, reached: Reached) -> None:
        """Put it on their screen."""
        villager.reached.append(reached)
        line = Line("theirs", reached.kind, reached.text, reached.link, len(villager.reached) - 1)
        await self.draw(villager, line)

    async def draw(self, villager: Villager, line: Line) -> None:
        """Add to the chat."""
        villager.chat.append(line)
        await self.tell()

    async def tell(self) -> None:
        """Wake whoever waits for something."""
        async with self.changed:
            self.changed.notify_all()
