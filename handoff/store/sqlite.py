"""SQLite on the loop itself: what takes microseconds is done at once; only what may wait goes to a thread."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import aiosqlite

_MAY_WAIT = ("BEGIN IMMEDIATE", "PRAGMA")
"""Statements that wait for another writer, the change to a log that is written ahead among them."""
_GIVES_WAY_S = 0.004
_FETCHED_AT_ONCE = 64

_last_gave_way = 0.0


class NearConnection(aiosqlite.Connection):
    """An aiosqlite connection without a thread's round trip for each step of each statement.

    A statement takes four of them, at a quarter of a millisecond of the loop each: at ten messages a second they were most
    of what the service did. Committing waits for the disk, beginning to write waits for another writer: both still go to
    the thread.
    """

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        name = getattr(fn, "__name__", "")
        if name in ("commit", "close") or (name == "execute" and str(args[0]).startswith(_MAY_WAIT)):
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # it has no types
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        await _give_way()
        return fn(*args, **kwargs)


async def _give_way() -> None:
    """Many statements in a row must not keep a call's sound waiting."""
    global _last_gave_way
    if time.monotonic() - _last_gave_way > _GIVES_WAY_S:
        await asyncio.sleep(0)
        _last_gave_way = time.monotonic()


def near(path: str) -> NearConnection:
    """A connection to the file that SQLAlchemy opens by awaiting it; used by one task at a time."""
    connection = NearConnection(lambda: sqlite3.connect(path, check_same_thread=False), _FETCHED_AT_ONCE)
    connection._thread.daemon = True
    return connection
