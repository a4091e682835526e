"""A county by WeChat for each file of tests, the platform's double as its far end."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from county import County, settings_for
from wechat_helpers import AES_KEY, APP_ID, SECRET, TOKEN, WeChat, wechat_county

from connectors.wechat.double import Double, Rules

FILE = {"scope": "module", "loop_scope": "session"}


@pytest_asyncio.fixture(**FILE)
async def shared_wechat(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WeChat]:
    """One for the tests of a file."""
    far = Double(Rules(app_id=APP_ID, secret=SECRET, token=TOKEN, aes_key=AES_KEY, patience_s=3.0))
    async with far.running() as address:
        settings = settings_for(
            tmp_path_factory.mktemp("wechat"), store_url, wechat_app_id=APP_ID, wechat_secret=SECRET, wechat_token=TOKEN,
            wechat_aes_key=AES_KEY, wechat_api=address, wechat_open=address, wechat_subscription="tpl-words-wait",
            wechat_subscription_keys="thing1, time2",
        )  # fmt: skip
        async with wechat_county(settings, far, timeout_s=2.0) as one:
            far.rules.clock = lambda: one.county.clock.now().timestamp()
            far.rules.callback = f"{one.pages.base}/wechat"
            yield one


@pytest_asyncio.fixture(loop_scope="session")
async def wx(shared_wechat: WeChat) -> AsyncIterator[WeChat]:
    """With everything as it should be."""
    yield shared_wechat
    rules = shared_wechat.far.rules
    rules.mode, rules.verified, rules.listed, rules.duplicates, rules.errors = "safe", True, True, 0.0, 0.0
    rules.next.clear()
    here: County = shared_wechat.county
    here.rasa.reset()
    here.clock.offset *= 0
