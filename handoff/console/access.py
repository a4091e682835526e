"""Who may come in: sessions by cookie, a token against forged forms, a brake on guessing."""

import hmac
import re
from collections import defaultdict, deque
from datetime import datetime, timedelta

from aiohttp import web

from handoff.model.clock import Clock
from handoff.model.errors import HandoffError
from handoff.service.workers import SignedIn, Workers

COOKIE = "xiangyin_session"
_PAGE = re.compile(r"/console/(queue|questions|cases/\d{1,9}(/card)?)", re.ASCII)
TRIES, WITHIN = 8, timedelta(minutes=5)


class Refused(HandoffError):
    """A request to the console that may not be carried out."""


class Brake:
    """After eight wrong passwords for a name or from an address, five minutes' rest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[datetime]] = defaultdict(deque)

    def check(self, *keys: str) -> None:
        """Raises Refused where one of the keys has failed too often."""
        for key in keys:
            tries, now = self._wrong[key], self._clock.now()
            while tries and now - tries[0] > WITHIN:
                tries.popleft()
            if len(tries) >= TRIES:
                raise Refused("too_many_tries", "试得太多了，请过五分钟再来。")

    def tries(self, *keys: str) -> None:
        """One more try, counted before its outcome is known: many at once must not slip by; raises Refused."""
        self.check(*keys)
        for key in keys:
            self._wrong[key].append(self._clock.now())

    def succeeded(self, *keys: str) -> None:
        """The last try was right."""
        for key in keys:
            self._wrong[key].pop()


async def signed_in(request: web.Request, workers: Workers) -> SignedIn:
    """Who asks; sends to the sign-in page where nobody is signed in."""
    who = await workers.who(request.cookies.get(COOKIE, ""))
    if who is None:
        wanted = place_within(request.path) if request.method == "GET" else ""
        raise web.HTTPSeeOther(f"/console/sign-in?next={wanted}" if wanted else "/console/sign-in")
    return who


def place_within(path: str) -> str:
    """The path where it is a page of the console; empty for anything else, so that no link leads elsewhere."""
    return path if _PAGE.fullmatch(path) else ""


def check_csrf(who: SignedIn, token: object) -> None:
    """The form came from our page; raises Refused."""
    if not isinstance(token, str) or not hmac.compare_digest(who.csrf.encode(), token.encode()):
        raise Refused("forged", "页面过期了，请刷新后再试。")


def set_cookie(request: web.Request, response: web.StreamResponse, name: str, value: str) -> None:
    """Not readable by scripts, not sent from other sites, only by TLS where there is TLS."""
    response.set_cookie(name, value, httponly=True, samesite="Strict", secure=request.secure, path="/console")
