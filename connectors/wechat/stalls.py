"""How long this process was held up lately: a request that waited meanwhile is older than it looks."""

import asyncio
from collections import deque

_BEAT_S = 0.05
_LATELY_S = 1.0


class Stalls:
    """Measures by how much a short sleep is overslept."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()
        """When a beat came, and so many seconds late."""

    async def watch(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT_S
            await asyncio.sleep(_BEAT_S)
            self._late.append((loop.time(), loop.time() - due))
            self._forget(loop.time())

    def lately(self) -> float:
        """Seconds of the last one, and of the stall that ended in it, in which nothing was done."""
        self._forget(asyncio.get_running_loop().time())
        return sum(late for _, late in self._late)

    def _forget(self, now: float) -> None:
        while self._late and now - self._late[0][0] > _LATELY_S:
            self._late.popleft()
