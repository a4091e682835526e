"""A subscription message (订阅通知): what may still say that words are waiting once nothing else may be sent."""

import re
from datetime import datetime

from connectors.errors import ConnectorError
from connectors.settings import Settings
from connectors.wechat.platform import Platform

HINTED = "subscription"
_SAYS = {"thing": "您的事有回音了，点开听", "phrase": "有回音了", "const": "有回音了"}
"""By the kind of keyword that the platform's template has; nothing of the matter goes into it."""


class Subscription:
    """Sends the one template that the account has been given for this, to whoever has agreed to it."""

    def __init__(self, settings: Settings, platform: Platform) -> None:
        """Raises ConnectorError where a keyword is of a kind that can't be filled."""
        self._platform = platform
        self._template = settings.wechat_subscription
        self._keys = settings.wechat_subscription_keys.replace(",", " ").split()
        base = settings.public_url.rstrip("/")
        self._page = f"{base}/wechat/page" if base else ""
        unknown = [key for key in self._keys if _kind(key) not in (*_SAYS, "time", "date")]
        if self._template and (unknown or not self._keys):
            raise ConnectorError(
                "bad_wechat",
                f"XIANGYIN_WECHAT_SUBSCRIPTION_KEYS 里的 {'、'.join(unknown) or '（空）'} 填不了。请选只有 thing、time、date、phrase、const 这几种关键词的模板。",
            )

    async def announce(self, openid: str, now: datetime) -> bool:
        """Whether the person has been told that words wait for them; they must have agreed to it before."""
        if not self._template:
            return False
        body = {
            "touser": openid, "template_id": self._template,
            "data": {key: {"value": _value(key, now)} for key in self._keys},
        } | ({"page": self._page} if self._page else {})  # fmt: skip
        try:
            await self._platform.call(
                "announce", lambda client: client.post("message/subscribe/bizsend", data=body)
            )
        except ConnectorError:  # on record in the log by its code; the task for a person is what is left
            return False
        return True


def _kind(key: str) -> str:
    return re.sub(r"\d+$", "", key)


def _value(key: str, now: datetime) -> str:
    """The day and time in the county's own clock."""
    return _SAYS.get(_kind(key)) or now.astimezone().strftime("%Y年%m月%d日 %H:%M")
