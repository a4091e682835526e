"""The queue before a database that takes one writer at a time."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class WritersBusy(Exception):
    """It was nobody's turn for too long: whoever is inside does not come out."""


class Writers:
    """Lets one in at a time, in the order in which they came; whoever may not wait goes before the others."""

    def __init__(self, patience_s: float = 30.0) -> None:
        self._patience_s = patience_s
        self._busy = False
        self._first: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, first: bool) -> AsyncIterator[None]:
        """Inside, nobody else writes; raises WritersBusy."""
        await self._enter(self._first if first else self._others)
        try:
            yield
        finally:
            self._next()

    async def _enter(self, queue: deque[asyncio.Future[None]]) -> None:
        if not self._busy:
            self._busy = True
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        try:
            async with asyncio.timeout(self._patience_s):
                await mine
        except (asyncio.CancelledError, TimeoutError) as error:
            if mine.done() and not mine.cancelled():
                self._next()  # it was our turn just then
            if isinstance(error, TimeoutError):
                raise WritersBusy from error
            raise

    def _next(self) -> None:
        for queue in (self._first, self._others):
            while queue:
                waiting = queue.popleft()
                if not waiting.done():
                    waiting.set_result(None)
                    return
        self._busy = False
