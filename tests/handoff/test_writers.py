"""Who waits to write: in the order in which they came, but for what may not wait."""

import asyncio

import pytest

from handoff.store.writers import Writers


async def _writes(writers: Writers, name: str, done: list[str], *, first: bool = False) -> None:
    async with writers.turn(first=first):
        done.append(name)
        await asyncio.sleep(0)


async def _begun(*tasks: "asyncio.Task[None]") -> None:
    for _ in tasks:
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_one_at_a_time_in_their_order_and_what_may_not_wait_before_them() -> None:
    writers, done = Writers(), list[str]()
    async with writers.turn(first=False):
        tasks = [
            asyncio.create_task(_writes(writers, name, done, first=name.startswith("now")))
            for name in ("a", "b", "now 1", "c", "now 2")
        ]
        await _begun(*tasks)
        assert done == []
    await asyncio.gather(*tasks)
    assert done == ["now 1", "now 2", "a", "b", "c"]


@pytest.mark.asyncio
@pytest.mark.parametrize("just_then", [False, True], ids=["while waiting", "as its turn comes"])
async def test_who_gives_up_waiting_holds_up_nobody(just_then: bool) -> None:
    writers, done = Writers(), list[str]()
    async with writers.turn(first=False):
        gives_up, stays = (asyncio.create_task(_writes(writers, name, done)) for name in ("a", "b"))
        await _begun(gives_up, stays)
        if not just_then:
            gives_up.cancel()
    gives_up.cancel()
    await asyncio.gather(gives_up, stays, return_exceptions=True)
    assert done == ["b"]
    await _writes(writers, "c", done)
    assert done == ["b", "c"]


@pytest.mark.asyncio
async def test_a_fault_inside_lets_the_next_one_in() -> None:
    writers, done = Writers(), list[str]()
    with pytest.raises(ValueError):
        async with writers.turn(first=False):
            raise ValueError
    await _writes(writers, "a", done)
    assert done == ["a"]
