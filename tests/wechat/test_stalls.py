"""A process that was held up knows by how much."""

import asyncio
import time

import pytest

from connectors.wechat.stalls import Stalls

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_held_the_process_up_is_counted() -> None:
    stalls = Stalls()
    watching = asyncio.create_task(stalls.watch())
    await asyncio.sleep(0.06)
    time.sleep(0.4)  # noqa: ASYNC251  # this is what it is about
    await asyncio.sleep(0.06)
    assert stalls.lately() > 0.3
    watching.cancel()
