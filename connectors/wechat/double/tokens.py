"""The platform's tokens: they end, are invalidated by others, and a forced new one is rare."""

import itertools
import re

from connectors.wechat.double.errors import Answer, error
from connectors.wechat.double.rules import Rules

_FORCED_A_DAY, _FORCED_APART_S, _OLD_LIVES_S = 20, 30.0, 300.0
_EARLY = 0.25  # of a short life: a test's tokens live for seconds
_SHAPE = re.compile(r"token-\d+-[0-9a-f]{8}")


class Tokens:
    """Gives out and checks tokens of one account: the stable ones, and the classic ones beside them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._numbers = itertools.count(1)
        self._until: dict[str, float] = {}
        self._stable = ""
        self._classic = ""
        self._forced: list[float] = []
        self.given = 0
        """How often anybody asked for one."""

    def stable(self, *, force: bool) -> Answer:
        """The answer of stable_token: the same one until shortly before its end, a new one by force now and then."""
        now = self._rules.clock()
        self.given += 1
        if force and (fault := self._too_often(now)):
            return error(fault)
        early = min(_OLD_LIVES_S, self._rules.token_life_s * _EARLY)
        if force or self._until.get(self._stable, 0.0) - early <= now:
            self._stable = self._instead_of(self._stable)
        return {"access_token": self._stable, "expires_in": max(1, round(self._until[self._stable] - now))}

    def classic(self) -> Answer:
        """The answer of token: always a new one; the one before ends soon. The stable one does not mind."""
        self.given += 1
        self._classic = self._instead_of(self._classic)
        return {"access_token": self._classic, "expires_in": max(1, round(self._rules.token_life_s))}

    def fault_of(self, token: str) -> int:
        """0 for a good one, else the errcode."""
        if not token:
            return 41001
        if not _SHAPE.fullmatch(token):
            return 40014
        if token not in self._until:
            return 40001
        return 0 if self._until[token] > self._rules.clock() else 42001

    def invalidate(self) -> None:
        """Another program of the same account has taken a new one by force: ours ends at once."""
        self._until.clear()
        self._stable = self._classic = ""

    def _too_often(self, now: float) -> int:
        recent = [at for at in self._forced if now - at < 86400]
        if len(recent) >= _FORCED_A_DAY:
            return 45009
        if recent and now - recent[-1] < _FORCED_APART_S:
            return 45011
        self._forced = [*recent, now]
        return 0

    def _instead_of(self, old: str) -> str:
        now = self._rules.clock()
        if old in self._until:
            self._until[old] = min(self._until[old], now + _OLD_LIVES_S)
        token = f"token-{next(self._numbers)}-{self._rules.dice.randrange(16**8):08x}"
        self._until[token] = now + self._rules.token_life_s
        return token
