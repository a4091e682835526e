"""The Official Account put together: what sends and what receives, over one platform."""

from connectors.settings import Settings
from connectors.voices import Voices
from connectors.wechat.arrivals import Arrivals
from connectors.wechat.envelope import Envelope
from connectors.wechat.inbox import Inbox
from connectors.wechat.journal import Journal
from connectors.wechat.platform import Platform
from connectors.wechat.reading import Reading
from connectors.wechat.sounds import Sounds
from connectors.wechat.subscription import Subscription
from connectors.wechat.way import WeChatWay
from connectors.wechat.windows import Windows
from handoff.model.clock import Clock
from handoff.model.screening import Screening
from handoff.model.words import Channel
from handoff.service.dispatch import Dispatch
from handoff.service.turns import Turns
from handoff.store.database import Store


class Account:
    """One for a process. Made before the durable engine starts, so that no reply is tried without a way."""

    def __init__(
        self, settings: Settings, voices: Voices, store: Store, dispatch: Dispatch, clock: Clock
    ) -> None:
        """Raises ConnectorError bad_wechat where a setting can't be."""
        self.platform = Platform(settings, store, clock)
        self._voices, self._store, self._dispatch, self._clock = voices, store, dispatch, clock
        self._envelope = Envelope(settings, clock)
        self._windows = Windows(store, clock)
        self._sounds = Sounds(self.platform, voices, store, clock)
        self._arrivals = Arrivals(store, self._windows, clock)
        self._journal = Journal(settings.at("wechat"))
        self._way = WeChatWay(
            self.platform, self._sounds, self._windows, self._arrivals, self._journal, store, dispatch,
            Subscription(settings, self.platform), clock, verified=settings.wechat_verified,
        )  # fmt: skip
        dispatch.person_ways[Channel.WECHAT] = self._way

    async def take_up(self) -> None:
        """Call before anything is sent: what a crash had left off the record; raises StoreError."""
        await self._way.take_up()

    def inbox(self, turns: Turns, screen: Screening) -> Inbox:
        """What receives; not started yet."""
        reading = Reading(turns, self._voices, screen, self._sounds, self._store, self._dispatch, self._clock)
        return Inbox(
            self._envelope, self._arrivals, self._journal, reading, self._way, self._dispatch, self._clock
        )

    def close(self) -> None:
        """Call the platform no more."""
        self.platform.close()
