"""A county whose villagers write by WeChat: the real service, the platform's double at the far end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from county import County, Pages, county, pages

from connectors.settings import Settings
from connectors.voices import Voices
from connectors.wechat.account import Account
from connectors.wechat.double import Double
from connectors.wechat.inbox import Inbox
from handoff.model.clock import Clock
from handoff.service.dispatch import Dispatch
from handoff.store.database import Store

APP_ID, SECRET, TOKEN = "wx2c2769f8efd9abc2", "a-secret-of-tests", "qingshi"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


@dataclass
class WeChat:
    """A county, its pages and the platform."""

    county: County
    pages: Pages
    far: Double
    voices: Voices
    inbox: Inbox


@asynccontextmanager
async def wechat_county(settings: Settings, far: Double, **client: Any) -> AsyncIterator[WeChat]:
    """`settings` name the double as the platform; it calls the pages back."""
    voices, accounts = Voices(settings), list[Account]()

    async def connect(store: Store, dispatch: Dispatch, clock: Clock) -> None:
        accounts.append(Account(settings, voices, store, dispatch, clock))
        await accounts[0].take_up()

    async with county(settings, connect, **client) as here:
        inbox = accounts[0].inbox(here.domain.turns, here.domain.understander.screen)
        inbox.start()
        try:
            async with pages(here, voices, inbox) as web:
                yield WeChat(here, web, far, voices, inbox)
        finally:
            await inbox.close()
            accounts[0].close()
