"""One token for all processes: fetched once, shared, replaced when it is refused, never asked for without end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from county import County

from connectors.errors import ConnectorError
from connectors.wechat.tokens import SharedToken
from handoff.store.database import Store


class Far:
    """A platform that counts how often it is asked."""

    def __init__(self, life: float = 7200.0) -> None:
        self.asked = 0
        self.life = life
        self.down = False
        self.reached, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def __call__(self, refused: str | None) -> tuple[str, float]:
        self.asked += 1
        self.reached.set()
        await self.gate.wait()
        if self.down:
            raise ConnectorError("no_answer", "平台没有回应。")
        return f"token-{self.asked}", self.life


Processes = Callable[[Far, str, int], list[SharedToken]]


@pytest.fixture
async def processes(county: County) -> AsyncIterator[Processes]:
    """As in so many processes: nothing in common but the database."""
    stores: list[Store] = []

    def begin(far: Far, name: str, many: int) -> list[SharedToken]:
        mine = [Store(county.domain.store.url) for _ in range(many)]
        stores.extend(mine)
        return [SharedToken(store, county.clock, name, far) for store in mine]

    yield begin
    for store in stores:
        await store.close()


async def test_several_processes_fetch_it_once(processes: Processes) -> None:
    far = Far()
    far.gate.clear()
    asking = [asyncio.create_task(one.get()) for one in processes(far, "once", 3) for _ in range(4)]
    await far.reached.wait()
    far.gate.set()
    assert set(await asyncio.gather(*asking)) == {"token-1"}
    assert far.asked == 1


async def test_it_is_fetched_anew_before_it_ends(county: County, processes: Processes) -> None:
    far = Far(life=20)
    (one,) = processes(far, "ends", 1)
    assert await one.get() == "token-1"
    county.clock.offset += timedelta(seconds=17)
    assert await one.get() == "token-1"
    county.clock.offset += timedelta(seconds=2)
    assert await one.get() == "token-2"


async def test_a_refused_one_is_replaced_once_for_all(county: County, processes: Processes) -> None:
    far = Far()
    one, other = processes(far, "refused", 2)
    token = await one.get()
    assert await other.get() == token
    await one.refused(token)
    await other.refused(token)
    assert await one.get() == await other.get() == "token-2"
    await other.refused(token)  # late news of the old one
    assert await one.get() == "token-2"


async def test_a_platform_that_is_down_is_told_and_asked_again_later(
    county: County, processes: Processes
) -> None:
    far = Far()
    far.down = True
    (one,) = processes(far, "down", 1)
    with pytest.raises(ConnectorError):
        await one.get()
    far.down = False
    assert await one.get() == "token-2"


async def test_who_crashed_while_fetching_does_not_keep_the_others_waiting(
    county: County, processes: Processes
) -> None:
    far = Far()
    far.gate.clear()
    one, other = processes(far, "crash", 2)
    crashed = asyncio.create_task(one.get())
    await far.reached.wait()
    county.clock.offset += timedelta(seconds=20)
    far.gate.set()
    assert (await other.get()).startswith("token-")
    await crashed
