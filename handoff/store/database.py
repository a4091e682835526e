"""Engines and transactions. One writer at a time on SQLite; PostgreSQL by setting one URL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, cast

from sqlalchemy import CursorResult, Executable, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from handoff.model.errors import HandoffError
from handoff.store.sqlite import near
from handoff.store.tables import Turn
from handoff.store.writers import Writers, WritersBusy


class StoreError(HandoffError):
    """The store can't be read or written; the message says how to mend it."""


def _async_url(url: str) -> str:
    parsed = make_url(url)
    driver = "sqlite+aiosqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


def sync_url(url: str) -> str:
    """The same database for tools that don't await (Alembic)."""
    parsed = make_url(url)
    driver = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


def _prepare_sqlite(engine: AsyncEngine, begin: str) -> None:
    """WAL with a sync at each commit: what was accepted survives a power cut, not only a crash."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)


def _sqlite_engine(url: str, connections: int) -> AsyncEngine:
    return create_async_engine(
        _async_url(url), async_creator=lambda: near(make_url(url).database or ""),
        poolclass=AsyncAdaptedQueuePool, pool_size=connections, max_overflow=0, pool_timeout=30, hide_parameters=True,
    )  # fmt: skip


class Store:
    """The one way to the database: `write()` and `read()` transactions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._writers = Writers()
        if self.is_sqlite:
            # SQLite takes one writer at a time: they queue here, where it is known who may not wait.
            self._writer, self._reader = _sqlite_engine(url, 1), _sqlite_engine(url, 4)
            _prepare_sqlite(self._writer, "BEGIN IMMEDIATE")
            _prepare_sqlite(self._reader, "BEGIN")
        else:
            self._writer = self._reader = create_async_engine(
                _async_url(url), pool_size=10, max_overflow=5, pool_pre_ping=True, hide_parameters=True
            )
        self._write = async_sessionmaker(self._writer, expire_on_commit=False)
        self._read = async_sessionmaker(self._reader, expire_on_commit=False)

    @asynccontextmanager
    async def write(self, *, first: bool = False) -> AsyncIterator[AsyncSession]:
        """A transaction that commits at the end, or rolls back where an error is raised.

        first: before all that wait, for what would be said again if we fell down before it is on record.
        """
        turn = self._writers.turn(first=first) if self.is_sqlite else nullcontext()
        try:
            async with turn, self._write() as session, session.begin():
                yield session
        except WritersBusy as error:
            raise _busy() from error
        except DatabaseError as error:
            raise plain_error(error) if is_fault(error) else error from error.orig

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A consistent view; nothing is written."""
        try:
            async with self._read() as session:
                yield session
        except DatabaseError as error:
            raise plain_error(error) if is_fault(error) else error from error.orig

    async def check_key(self) -> None:
        """Open one sealed field; raises SealError, before anything is sealed with a key that does not fit the rest."""
        async with self.read() as session:
            await session.scalar(select(Turn.text).limit(1))

    async def close(self) -> None:
        """Let go of all connections."""
        await self._writer.dispose()
        await self._reader.dispose()


def is_fault(error: DatabaseError) -> bool:
    """Whether the store failed, rather than refused what it was asked to do."""
    return not isinstance(error, (DataError, IntegrityError, ProgrammingError))


def _busy() -> StoreError:
    return StoreError("busy", "数据库正忙，请稍后再试。")


def plain_error(error: DatabaseError) -> StoreError:
    """The database's error without statement or values, which hold what people said."""
    reason = str(error.orig).lower()
    if "full" in reason or "no space" in reason:
        return StoreError("disk_full", "磁盘满了，写不进去。请清理磁盘后再试。")
    if "readonly" in reason or "read-only" in reason:
        return StoreError("read_only", "数据目录只能读、不能写。请检查磁盘和目录权限。")
    if "not a database" in reason or "malformed" in reason:
        return StoreError("damaged", "数据库文件坏了。请用备份替换，坏的文件先留着。")
    if "locked" in reason:
        return _busy()
    return StoreError("store_down", "数据库现在不能用。请检查它是否在运行、地址是否正确。")


async def rows_changed(session: AsyncSession, statement: Executable) -> int:
    """Run a conditional change and say how many rows it found: the way to let exactly one win."""
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount
