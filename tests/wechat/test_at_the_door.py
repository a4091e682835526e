"""What reaches /wechat from anybody: refused with 403 and not a word more, or answered; the log holds no content."""

import hashlib
import re
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import structlog
from test_messages import talk_of
from wechat_helpers import AES_KEY, APP_ID, TOKEN, WeChat
from wechatpy.crypto import WeChatCrypto

pytestmark = pytest.mark.asyncio(loop_scope="session")
STORES = ("sqlite",)

WORDS, OPENID = "我家的存折在米缸里", "o-at-the-door"
TEXT = (
    "<xml><ToUserName><![CDATA[gh_us]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>"
    "<CreateTime>{written}</CreateTime><MsgType><![CDATA[{kind}]]></MsgType><Content><![CDATA[{words}]]></Content>"
    "<MsgId>{number}</MsgId></xml>"
)
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9))
    + f"]><xml><MsgType>text</MsgType><FromUserName>{OPENID}</FromUserName><Content>&j;</Content></xml>"
)
ENTITY = f'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><MsgType>text</MsgType><FromUserName>{OPENID}</FromUserName><Content>&f;</Content></xml>'


def text(number: int = 1, kind: str = "text", openid: str = OPENID) -> str:
    return TEXT.format(written=int(time.time()), openid=openid, kind=kind, words=WORDS, number=number)


def signed(wx: WeChat, *, token: str = TOKEN, late_s: float = 0.0, **more: str) -> dict[str, str]:
    stamp = str(int(wx.county.clock.now().timestamp() - late_s))
    signature = hashlib.sha1("".join(sorted([token, stamp, "n1"])).encode()).hexdigest()  # noqa: S324
    return {"signature": signature, "timestamp": stamp, "nonce": "n1", **more}


def sealed(wx: WeChat, plain: str, app_id: str = APP_ID, key: str = AES_KEY) -> tuple[dict[str, str], str]:
    query = signed(wx, encrypt_type="aes")
    body = str(WeChatCrypto(TOKEN, key, app_id).encrypt_message(plain, query["nonce"], query["timestamp"]))
    query["msg_signature"] = body.split("<MsgSignature><![CDATA[")[1].split("]")[0]
    return query, body


def unsealed(answer: str) -> str:
    """As wechatpy, the independent reader, opens what came back."""
    signature, stamp, nonce = (
        re.search(f"<{name}>(?:<!\\[CDATA\\[)?([^\\]<]+)", answer)[1]  # type: ignore[index]
        for name in ("MsgSignature", "TimeStamp", "Nonce")
    )
    return str(WeChatCrypto(TOKEN, AES_KEY, APP_ID).decrypt_message(answer, signature, stamp, nonce))


async def knock(wx: WeChat, query: dict[str, str], body: bytes | AsyncIterator[bytes]) -> tuple[int, str]:
    """Status and text of the answer; what was logged meanwhile holds nothing of what was sent."""
    with structlog.testing.capture_logs() as logs:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{wx.pages.base}/wechat", params=query, data=body) as answer,
        ):
            told = answer.status, await answer.text()
    assert not any(secret in str(logs) for secret in (WORDS, OPENID, "gh_us", TOKEN, AES_KEY))
    if told[0] == 403:
        assert [one["event"] for one in logs] == ["wechat.refused"]
    return told


async def _long(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 10_000):
        yield b" " * 10_000


@pytest.mark.parametrize("body", [text().encode(), b""])
async def test_a_wrong_signature_is_refused(wx: WeChat, body: bytes) -> None:
    assert await knock(wx, signed(wx, token="another"), body) == (403, "")
    assert await knock(wx, {}, body) == (403, "")


@pytest.mark.parametrize("late_s", [400.0, -400.0])
async def test_a_stale_one_is_refused(wx: WeChat, late_s: float) -> None:
    assert await knock(wx, signed(wx, late_s=late_s), text().encode()) == (403, "")


async def test_a_replay_does_nothing_twice(wx: WeChat) -> None:
    query, body = sealed(wx, text(number=77))
    first, again = [await knock(wx, query, body.encode()) for _ in range(2)]
    assert first[0] == 200 and "<Encrypt>" in first[1]
    assert again == (200, "success")
    assert len(await wx.county.turns((await talk_of(wx, OPENID)).token)) == 1


@pytest.mark.parametrize("query", [{}, {"encrypt_type": "raw"}, {"encrypt_type": "AES"}])
async def test_where_a_key_is_set_plain_words_are_refused(wx: WeChat, query: dict[str, str]) -> None:
    assert await knock(wx, signed(wx, **query), text(number=99).encode()) == (403, "")


@pytest.mark.parametrize("body", [BOMB, ENTITY], ids=["bomb", "entity"])
@pytest.mark.parametrize("mode", ["plain", "safe"])
async def test_bombs_and_entities_are_refused(
    wx: WeChat, monkeypatch: pytest.MonkeyPatch, body: str, mode: str
) -> None:
    if mode == "plain":
        monkeypatch.setattr(wx.inbox._envelope, "_crypto", None)
    query, sent = sealed(wx, body) if mode == "safe" else (signed(wx), body)
    assert await knock(wx, query, sent.encode()) == (403, "")


async def test_bodies_of_a_megabyte_are_refused_whether_they_say_so_or_not(wx: WeChat) -> None:
    assert await knock(wx, signed(wx), text().encode() + b" " * 1_000_000) == (403, "")
    assert await knock(wx, signed(wx), _long(1_000_000)) == (403, "")


async def test_a_wrong_app_id_or_key_is_refused(wx: WeChat) -> None:
    query, body = sealed(wx, text(), app_id="wx0000000000000000")
    assert await knock(wx, query, body.encode()) == (403, "")
    query, body = sealed(wx, text(), key=AES_KEY[::-1])
    assert await knock(wx, query, body.encode()) == (403, "")


async def test_a_kind_that_nobody_knows_is_answered(wx: WeChat) -> None:
    query, body = sealed(wx, text(number=88, kind="hologram", openid="o-hologram"))
    status, answer = await knock(wx, query, body.encode())
    assert status == 200 and "看不懂" in unsealed(answer)


async def test_a_visitor_with_a_browser_sees_nothing(wx: WeChat) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{wx.pages.base}/wechat") as answer:
        assert (answer.status, await answer.text()) == (403, "")
