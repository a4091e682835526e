"""Live listeners in this process: open pages and consoles. Nothing is kept here that may not be lost."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Event = dict[str, Any]


CLOSING: Event = {"event": "closing"}
"""Handed to every listener when the service ends."""


MOVED: Event = {"event": "moved"}
"""Something about a reply has gone on record."""


class Hub:
    """Passes events to whoever listens now; a slow listener loses live events, never stored ones."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Queue[Event]]] = defaultdict(set)
        self._seen: dict[str, list[asyncio.Future[None]]] = defaultdict(list)

    @contextmanager
    def listen(self, *keys: str) -> Iterator[asyncio.Queue[Event]]:
        """A queue of what is published under any of the keys from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=200)
        for key in keys:
            self._listeners[key].add(queue)
        try:
            yield queue
        finally:
            for key in keys:
                self._listeners[key].discard(queue)
                if not self._listeners[key]:
                    del self._listeners[key]

    def close(self) -> None:
        """Tell every listener that the service ends."""
        for key in [*self._listeners]:
            self.publish(key, CLOSING)

    def publish(self, key: str, event: Event) -> int:
        """Hand the event to all who listen; returns how many took it."""
        taken = 0
        for queue in self._listeners.get(key, ()):
            if not queue.full():
                queue.put_nowait(event)
                taken += 1
        return taken

    async def until_seen(self, reply_id: str, timeout_s: float) -> bool:
        """Whether the page says within the time that it has shown the reply."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen[reply_id].append(waiter)
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._seen[reply_id].remove(waiter)
            if not self._seen[reply_id]:
                del self._seen[reply_id]
        return True

    def seen(self, reply_id: str) -> None:
        """The page has shown the reply."""
        for waiter in self._seen.get(reply_id, ()):
            if not waiter.done():
                waiter.set_result(None)


def of_conversation(conversation_id: int) -> str:
    """Key of the pages that show a conversation."""
    return f"conversation:{conversation_id}"


def of_worker(worker_id: int) -> str:
    """Key of the consoles of one worker."""
    return f"worker:{worker_id}"


def of_reply(reply_id: str) -> str:
    """Key of those who wait for an answer to be on its way, or there: a nudge, what stands is in the store."""
    return f"reply:{reply_id}"


CONSOLES = "consoles"
"""Key of every open console: something in the queue has changed."""
