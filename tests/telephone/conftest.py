"""A service with a telephone, as a process of its own, and voices that call it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from county import settings_for, until
from mouths import Mouths, like
from sqlalchemy import select
from strict_double import StrictDouble, answer, effect, strict_double

from connectors.bench.phone import Phone, call, free_port, sip_settings
from connectors.trial import Trial, trial
from handoff.model.clock import Clock
from handoff.service.workers import Workers
from handoff.store.database import Store
from handoff.store.sealed import use_key
from voice.models import ModelStore

Row = TypeVar("Row")
LINES = 3
WORKER = "13900000001"
MODELS = Path(os.environ.get("XIANGYIN_MODELS") or Path.home() / ".cache" / "xiangyin" / "models")


@dataclass
class Exchange:
    """The service under test, what it asked of the dialogue, and what it has stored."""

    trial: Trial
    rasa: StrictDouble
    port: int
    store: Store
    folder: Path
    mouths: Mouths
    worker_port: int
    """Where whoever the service rings up is found."""

    @asynccontextmanager
    async def call(self, number: str = "13812345678") -> AsyncIterator[Phone]:
        """A call to the service."""
        async with call(self.port, self.folder, number) as phone:
            yield phone

    async def hears(self, phone: Phone, meant: str, *, within: float = 60.0) -> str:
        """Listen until this, about, was said to us; however long a busy machine takes."""
        heard, end = "", asyncio.get_running_loop().time() + within
        while like(heard, meant) <= 0.5:
            assert asyncio.get_running_loop().time() < end, f"heard only {heard!r}"
            sound, told = await phone.hear()
            assert not told["over"], "the call has ended"
            heard += await asyncio.to_thread(self.mouths.words, sound)
        return heard

    async def rows(self, table: type[Row], *conditions: Any) -> list[Row]:
        """Rows of the service's own database."""
        async with self.store.read() as session:
            return [*await session.scalars(select(table).where(*conditions))]

    def actions(self, action: str) -> list[dict[str, Any]]:
        """What the service has put in its log under this action."""
        lines = [json.loads(line) for line in self.trial.printed if line.startswith("{")]
        return [line for line in lines if line["action"] == action]

    async def ended(self, calls: int) -> dict[str, Any]:
        """The log line of the end of the so-manieth call."""
        await until(lambda: len(self.actions("telephone.ended")) >= calls)
        return self.actions("telephone.ended")[calls - 1]


@pytest.fixture(scope="session")
def mouths() -> Mouths:
    """Voices of people who call."""
    models = ModelStore(MODELS)
    for name in ("whisper-base", "kokoro-zh", "smart-turn"):
        models.fetch(name, progress=False)
    return Mouths(models, MODELS.parent / "spoken-for-tests")  # kept: rendering takes longer than a test


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_exchange(
    mouths: Mouths, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Exchange]:
    """One service for a file of tests, with its own `SETTINGS` where it has some: models take seconds to load."""
    folder = tmp_path_factory.mktemp("exchange")
    port, worker_port = free_port(), free_port()
    told = sip_settings(port) | {
        "SIP_DIAL": f"sip:{{number}}@127.0.0.1:{worker_port}",
        "SIP_CALLS": str(LINES),
        "QUIET_FROM": "03:00",
        "QUIET_TO": "03:00",
    }
    told |= getattr(request.module, "SETTINGS", {})
    async with (
        strict_double() as double,
        trial(settings_for(folder, models=MODELS), rasa_url=double.url, **told) as one,
    ):
        own = settings_for(one.folder)
        use_key(own.key)
        store = Store(own.store_url)
        exchange = Exchange(one, double, port, store, folder, mouths, worker_port)
        try:
            await until(lambda: exchange.actions("telephone.ready"), within=90)
            yield exchange
        finally:
            await store.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a failed test leaves behind includes what the service logged, which holds nothing that was said."""
    report = yield
    if report.when == "call" and report.failed and "exchange" in getattr(item, "funcargs", {}):
        printed = item.funcargs["exchange"].trial.printed  # type: ignore[attr-defined]
        # Its log alone: what it prints beside that is meant for who starts it, passwords among it.
        lines = [line[:300] for line in printed if line.startswith("{")]
        report.sections.append(("the service's log", "\n".join(lines[-40:])))
    return report


@pytest_asyncio.fixture(loop_scope="session")
async def exchange(shared_exchange: Exchange) -> AsyncIterator[Exchange]:
    """The service, its dialogue as it was at the start."""
    yield shared_exchange
    shared_exchange.rasa.reset()
    await asyncio.sleep(0)


@pytest_asyncio.fixture(loop_scope="session")
async def on_duty(exchange: Exchange) -> AsyncIterator[None]:
    """Lin, and nobody else, can be rung up."""
    workers = Workers(exchange.store, Clock())
    await workers.set_phone("lin", WORKER)
    exchange.rasa.script["找人"] = answer(
        "好，我给您找人。", effect("hand_over", reason="asked"), need="human", intent="human"
    )
    yield
    await workers.set_phone("lin", None)
