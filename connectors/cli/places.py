"""Villages and stations, from the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors.root import open_store
from connectors.settings import Settings
from handoff.service.places import Places


@asynccontextmanager
async def _places(settings: Settings) -> AsyncIterator[Places]:
    store = open_store(settings)
    try:
        yield Places(store)
    finally:
        await store.close()


async def add_village(settings: Settings, name: str) -> None:
    """Add a village."""
    async with _places(settings) as places:
        await places.add_village(name)
    print(f"已加村：{name}")


async def add_station(settings: Settings, code: str, name: str, village: str) -> None:
    """Add a station."""
    async with _places(settings) as places:
        await places.add_station(code, name, village)
    print(f"已加站点：{name or code}（{village}）  页面 /station?station={code}")


async def list_places(settings: Settings) -> None:
    """A village a line, its stations after it."""
    async with _places(settings) as places:
        for village, stations in await places.list():
            print(village + "".join(f"\t{name}（{code}）" for code, name in stations))
