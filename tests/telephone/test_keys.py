"""Keys that are pressed before anybody listens to them."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.sip_line import SipLine


class Call:
    """Of a call of the stack what concerns keys."""

    audio = None

    def __init__(self) -> None:
        self.listeners: list[Callable[[Any], None]] = []

    def on_dtmf(self, listener: Callable[[Any], None]) -> None:
        self.listeners.append(listener)

    def press(self, digit: str) -> None:
        for listener in self.listeners:
            listener(SimpleNamespace(digit=digit))


@pytest.mark.asyncio
@pytest.mark.parametrize(("keeps", "told"), [(True, ["0", "1", "2"]), (False, ["2"])])
async def test_what_was_pressed_early_is_told_once_where_it_answers_nothing(
    keeps: bool, told: list[str]
) -> None:
    call, heard = Call(), list[str]()
    line = SipLine(call, keeps_keys=keeps)
    call.press("0")
    call.press("1")
    line.on_key(heard.append)
    await asyncio.sleep(0)
    call.press("2")
    assert heard == told
