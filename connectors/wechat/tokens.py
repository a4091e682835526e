"""One access token for all processes: kept in the store, fetched by one of them at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError

from connectors.errors import ConnectorError
from handoff.model.clock import Clock
from handoff.store.database import Store, rows_changed
from handoff.store.tables import Credential

_EARLY = 0.1  # of a token's life: fetched anew so long before it ends
_FETCHING = timedelta(seconds=15)  # who has not come back with a token by then has crashed
_LOOK_AGAIN_S = 0.1
_PATIENCE_S = 20.0

Fetch = Callable[[str | None], Awaitable[tuple[str, float]]]
"""Asks the platform, given the token that it has just refused: a token and its life in seconds; raises ConnectorError."""


class SharedToken:
    """A platform's token by name. Safe in several processes; what one has fetched all use."""

    def __init__(self, store: Store, clock: Clock, name: str, fetch: Fetch) -> None:
        """`name` says whose token it is (platform and account); `fetch` is called by one process at a time."""
        self._store = store
        self._clock = clock
        self._name = name
        self._fetch = fetch
        self._refused: str | None = None
        self._one_at_a_time = asyncio.Lock()

    async def get(self) -> str:
        """A token that holds for a while; raises ConnectorError where none can be had."""
        try:
            async with asyncio.timeout(_PATIENCE_S), self._one_at_a_time:
                while (token := await self._kept()) is None:
                    if await self._may_fetch():
                        return await self._fetched()
                    await asyncio.sleep(_LOOK_AGAIN_S)  # another process is at it
                return token
        except TimeoutError as error:
            raise ConnectorError("no_token", "等了很久也没有拿到平台的令牌。请检查网络。") from error

    async def refused(self, token: str) -> None:
        """The platform does not take this token: it is forgotten, unless a newer one is there already."""
        self._refused = token
        async with self._store.write() as session:
            row = await session.get(Credential, self._name, with_for_update=True)
            if row is not None and row.value == token:
                row.value, row.expires_at = None, None

    async def _kept(self) -> str | None:
        async with self._store.read() as session:
            row = await session.get(Credential, self._name)
        if row is None or row.value is None or row.expires_at is None:
            return None
        return str(row.value) if row.expires_at > self._clock.now() else None

    async def _may_fetch(self) -> bool:
        """Exactly one process wins, for as long as fetching may take."""
        now = self._clock.now()
        async with self._store.write() as session:
            if await session.get(Credential, self._name) is None:
                with suppress(IntegrityError):  # another process has just put it there
                    async with session.begin_nested():
                        session.add(Credential(name=self._name))
            free = or_(Credential.fetching_until.is_(None), Credential.fetching_until <= now)
            stale = or_(Credential.expires_at.is_(None), Credential.expires_at <= now)
            mine = update(Credential).where(Credential.name == self._name, free, stale)
            return await rows_changed(session, mine.values(fetching_until=now + _FETCHING)) == 1

    async def _fetched(self) -> str:
        try:
            token, life = await self._fetch(self._refused)
        except BaseException:
            await self._put(None)
            raise
        await self._put((token, self._clock.now() + timedelta(seconds=life * (1 - _EARLY))))
        return token

    async def _put(self, fetched: tuple[str, datetime] | None) -> None:
        async with self._store.write() as session:
            row = await session.get_one(Credential, self._name, with_for_update=True)
            row.fetching_until = None
            if fetched is not None:
                row.value, row.expires_at = fetched
