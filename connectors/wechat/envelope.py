"""What travels between the platform and us: signed, in safe mode encrypted. Checked before anything is read."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xmltodict
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.parser import parse_message
from wechatpy.replies import TextReply

from connectors.errors import ConnectorError
from connectors.settings import Settings
from handoff.model.clock import Clock

STALE_S = 300
"""The platform signs each try anew; a signature that is older was kept by somebody."""
MAX_BODY = 64 * 1024  # bytes; the longest text is 2,048 bytes, a body with everything in it far under this


class Refused(Exception):
    """Not from the platform, or not for us; the answer says nothing more."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Opened:
    """A message as wechatpy parsed it, and whether the answer must be encrypted."""

    message: Any
    sealed: bool


class Envelope:
    """Opens what comes and closes what goes, for one account."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Raises ConnectorError bad_wechat where token or key can't be."""
        self._app_id = settings.wechat_app_id
        self._token = settings.wechat_token
        self._clock = clock
        self._crypto = None
        if settings.wechat_aes_key:
            try:
                self._crypto = WeChatCrypto(self._token, settings.wechat_aes_key, self._app_id)
            except (ValueError, AssertionError) as error:
                raise ConnectorError(
                    "bad_wechat", "XIANGYIN_WECHAT_AES_KEY 不对：须是公众平台给的 43 个字符。"
                ) from error
        if not self._token:
            raise ConnectorError("bad_wechat", "还没有设 XIANGYIN_WECHAT_TOKEN，收不了微信的消息。")

    def check(self, query: Mapping[str, str]) -> None:
        """Raises Refused where the signature is wrong or stale."""
        signature, nonce = query.get("signature", ""), query.get("nonce", "")
        self._check_time(query)
        if not _is(self._signed(query.get("timestamp", ""), nonce), signature):
            raise Refused("bad_signature")

    def open(self, query: Mapping[str, str], body: bytes) -> Opened:
        """The message of a POST; raises Refused."""
        self.check(query)
        sealed = query.get("encrypt_type", "raw") == "aes"
        try:
            text = body.decode("utf-8")
            if sealed:
                text = self._decrypt(query, text)
            elif self._crypto is not None:
                # Who has only seen the token could else write in anybody's name.
                raise Refused("not_sealed")
            message = parse_message(text)
        except Refused:
            raise
        except InvalidAppIdException:
            raise Refused("wrong_app_id") from None
        except InvalidSignatureException:
            raise Refused("bad_signature") from None
        except Exception:  # XML with entities, half a document, a cipher that does not open: all bare kinds
            raise Refused("malformed") from None
        if message is None or not message.source:
            raise Refused("malformed")
        return Opened(message, sealed)

    def echo(self, query: Mapping[str, str]) -> str:
        """The answer to the platform's check of our address; raises Refused."""
        self.check(query)
        return query.get("echostr", "")

    def text(self, opened: Opened, words: str) -> str:
        """A passive reply."""
        reply = TextReply(content=words, message=opened.message).render()
        if not opened.sealed or self._crypto is None:
            return str(reply)
        now = str(int(self._clock.now().timestamp()))
        return str(self._crypto.encrypt_message(reply, secrets.token_hex(8), now))

    def _decrypt(self, query: Mapping[str, str], text: str) -> str:
        if self._crypto is None:
            raise Refused("no_key")
        signature, stamp, nonce = (
            query.get("msg_signature", ""),
            query.get("timestamp", ""),
            query.get("nonce", ""),
        )
        # Before wechatpy looks, which compares letter by letter.
        if not _is(self._signed(stamp, nonce, str(xmltodict.parse(text)["xml"]["Encrypt"])), signature):
            raise Refused("bad_signature")
        return str(self._crypto.decrypt_message(text, signature, stamp, nonce))

    def _signed(self, *parts: str) -> str:
        joined = "".join(sorted([self._token, *parts]))
        return hashlib.sha1(joined.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()

    def _check_time(self, query: Mapping[str, str]) -> None:
        stamp = query.get("timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise Refused("no_timestamp")
        if abs(self._clock.now().timestamp() - int(stamp)) > STALE_S:
            raise Refused("stale")


def _is(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))


def message_key(message: Any) -> str:
    """What makes it the same message when it comes again: its id, for events who and when."""
    if message.id:
        return f"m{message.id}"
    return f"e{message.source}{message.time}{getattr(message, 'event', '')}"
