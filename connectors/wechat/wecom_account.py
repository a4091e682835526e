"""WeCom put together: what tells the workers and what hears their taps."""

import structlog

from connectors.settings import Settings
from connectors.wechat.wecom import Wecom, WecomWay
from connectors.wechat.wecom_callback import WecomTaps
from handoff.model.clock import Clock
from handoff.service.casework import Casework
from handoff.service.dispatch import Dispatch
from handoff.service.seen import Seen
from handoff.store.database import Store

log = structlog.get_logger("connectors.wechat")


class WecomAccount:
    """One for a process, made in its loop, before the durable engine starts: no notice is tried without a way."""

    def __init__(self, settings: Settings, store: Store, dispatch: Dispatch, clock: Clock) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._wecom = Wecom(settings, store, clock)
        self._hears_taps = bool(settings.wecom_token or settings.wecom_aes_key)
        if not settings.public_url:
            log.warning("wecom.no_link", code="no_public_url")
        if not self._hears_taps:
            log.warning("wecom.no_taps", code="no_wecom_token")
        dispatch.worker_ways["wecom"] = WecomWay(
            self._wecom, store, public_url=settings.public_url, hears_taps=self._hears_taps
        )

    def taps(self, casework: Casework) -> WecomTaps | None:
        """What receives; None where its settings are not there. Raises ConnectorError bad_wecom where they can't be."""
        if not self._hears_taps:
            return None
        return WecomTaps(self._settings, Seen(self._store, casework), self._clock)

    async def close(self) -> None:
        """Call WeCom no more."""
        await self._wecom.close()
