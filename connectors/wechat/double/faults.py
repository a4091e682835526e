"""What stands before every call: it may be slow, fail, break off, or come too often; and it is counted."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web

from connectors.wechat.double.errors import Answer, Refused, error
from connectors.wechat.double.rules import Rules

Call = Callable[[web.Request], Awaitable[Answer | web.Response]]
Work = Callable[[], Awaitable[Answer | web.Response]]


class Faults:
    """Lets the calls of one platform through, or not."""

    def __init__(self, rules: Rules, content_type: str = "text/plain") -> None:
        """`content_type`: what its JSON is said to be; the Official Account's platform calls it text."""
        self._rules = rules
        self._content_type = content_type
        self._today: Counter[tuple[str, int]] = Counter()
        self.calls: list[tuple[str, int | str]] = []
        """What was called, and the errcode or fault it ended in."""

    def clear(self) -> None:
        """Nothing has been called today."""
        self._today.clear()

    async def meet(self, request: web.Request, name: str, work: Work) -> web.StreamResponse:
        """What is set to go wrong goes wrong; else the work is done."""
        fault = self._fault(name)
        await self._wait(fault)
        if fault in ("500", "garbage", "drop"):
            self.calls.append((name, int(fault) if fault == "500" else fault))
            return _spoilt(request, str(fault))
        answer = error(int(fault)) if isinstance(fault, int) else await self._done(name, work)
        if fault == "lost":
            self.calls.append((name, "lost"))
            return _spoilt(request, "drop")
        if isinstance(answer, web.Response):
            self.calls.append((name, 0))
            return answer
        self.calls.append((name, int(answer.get("errcode", 0))))
        return web.Response(text=json.dumps(answer, ensure_ascii=False), content_type=self._content_type)

    async def _done(self, name: str, work: Work) -> Answer | web.Response:
        if name in self._rules.limits:
            today = (name, int(self._rules.clock() // 86400))
            self._today[today] += 1
            if self._today[today] > self._rules.limits[name]:
                return error(45009)
        try:
            return await work()
        except Refused as refused:
            return refused.answer

    def _fault(self, name: str) -> int | str:
        if coming := self._rules.next.get(name):
            return _plain(coming.pop(0))
        shares = (
            ("500", self._rules.errors), ("garbage", self._rules.broken), ("drop", self._rules.dropped), ("lost", self._rules.lost),
        )  # fmt: skip
        for fault, share in shares:
            if share and self._rules.dice.random() < share:
                return fault
        return "ok"

    async def _wait(self, fault: int | str) -> None:
        if fault == "slow":
            await asyncio.sleep(self._rules.hang_s)
        elif self._rules.slow_s and self._rules.dice.random() < self._rules.slow_share:
            await asyncio.sleep(self._rules.slow_s)


def _plain(fault: int | str) -> int | str:
    """An errcode as a number, even where it was set as text; `500` is no errcode."""
    text = str(fault)
    return int(text) if text.lstrip("-").isdigit() and text != "500" else text


def _spoilt(request: web.Request, fault: str) -> web.Response:
    if fault == "drop" and request.transport is not None:
        request.transport.abort()
    if fault == "garbage":
        return web.Response(text="<html>busy</html>", content_type="text/html")
    return web.Response(status=502, text="Bad Gateway")
