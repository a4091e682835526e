"""What the platform sends is checked before it is read; wechatpy reads what we answer."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from wechatpy.crypto import WeChatCrypto
from wechatpy.parser import parse_message

from connectors.errors import ConnectorError
from connectors.settings import Settings
from connectors.wechat.envelope import STALE_S, Envelope, Refused, message_key
from handoff.model.clock import Clock

TOKEN, APP_ID = "qingshi", "wx2c2769f8efd9abc2"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
TEXT = (
    "<xml><ToUserName><![CDATA[gh_us]]></ToUserName><FromUserName><![CDATA[o-grandma]]></FromUserName>"
    "<CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[我想买盐]]></Content>"
    "<MsgId>77</MsgId></xml>"
)


def envelope(**more: str) -> Envelope:
    settings = {"wechat_app_id": APP_ID, "wechat_token": TOKEN, "wechat_aes_key": AES_KEY, **more}
    return Envelope(Settings(data=Path("/nowhere"), **settings), Clock())  # type: ignore[arg-type]


def signed(at: float | None = None, token: str = TOKEN, **more: str) -> dict[str, str]:
    stamp, nonce = str(int(time.time() if at is None else at)), "n1"
    signature = hashlib.sha1("".join(sorted([token, stamp, nonce])).encode()).hexdigest()  # noqa: S324
    return {"signature": signature, "timestamp": stamp, "nonce": nonce, **more}


def sealed(text: str, app_id: str = APP_ID, key: str = AES_KEY) -> tuple[dict[str, str], bytes]:
    query = signed(encrypt_type="aes")
    body = WeChatCrypto(TOKEN, key, app_id).encrypt_message(text, query["nonce"], query["timestamp"])
    query["msg_signature"] = body.split("<MsgSignature><![CDATA[")[1].split("]")[0]
    return query, body.encode()


def test_the_platforms_check_of_our_address_is_echoed() -> None:
    assert envelope().echo(signed(echostr="5577006791947779410")) == "5577006791947779410"


def test_a_plain_message_is_opened_where_no_key_is_set() -> None:
    opened = envelope(wechat_aes_key="").open(signed(), TEXT.encode())
    assert (opened.message.source, opened.message.content, opened.sealed) == ("o-grandma", "我想买盐", False)


def test_a_sealed_message_is_opened_and_answered_sealed() -> None:
    query, body = sealed(TEXT)
    opened = envelope().open(query, body)
    assert opened.message.content == "我想买盐"
    answer = envelope().text(opened, "好，几包？")
    assert "几包" not in answer
    parts = {
        name: answer.split(f"<{name}>")[1].split("</")[0].replace("<![CDATA[", "").replace("]]>", "")
        for name in ("MsgSignature", "TimeStamp", "Nonce")
    }
    read = WeChatCrypto(TOKEN, AES_KEY, APP_ID).decrypt_message(
        answer, parts["MsgSignature"], parts["TimeStamp"], parts["Nonce"]
    )
    assert parse_message(read).content == "好，几包？"


def test_the_platforms_published_example_is_decrypted() -> None:
    """From the platform's own sample of 消息加解密: token, key, AppID and ciphertext are its, not ours."""
    key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
    cipher = (
        "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2LdJF9"
        "FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3yt"
        "+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h"
        "0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE="
    )
    crypto = WeChatCrypto("spamtest", key, "wx2c2769f8efd9abc2")
    signature, stamp, nonce = "5d197aaffba7e9b25a30732f161a50dee96bd5fa", "1409735669", "1320562132"
    body = f"<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName><Encrypt><![CDATA[{cipher}]]></Encrypt></xml>"
    assert parse_message(crypto.decrypt_message(body, signature, stamp, nonce)).type == "text"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (lambda: signed(token="another"), "bad_signature"),
        (lambda: {**signed(), "signature": "é" * 40}, "bad_signature"),
        (lambda: signed(time.time() - STALE_S - 5), "stale"),
        (lambda: signed(time.time() + STALE_S + 30), "stale"),
        (dict, "no_timestamp"),
        (lambda: {"timestamp": "١٢٣"}, "no_timestamp"),
    ],
    ids=["another's token", "not ASCII", "kept", "from the future", "nothing", "other digits"],
)
def test_what_is_not_signed_by_the_platform_now_is_refused(
    query: Callable[[], dict[str, str]], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        envelope().open(query(), TEXT.encode())
    assert refused.value.code == code


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9))
    + "]><xml><MsgType>text</MsgType><FromUserName>&j;</FromUserName></xml>"
)
FILE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><MsgType>text</MsgType><FromUserName>&f;</FromUserName></xml>'


@pytest.mark.parametrize(
    "body",
    [BOMB.encode(), FILE.encode(), b"", b"<xml>", b"\xff\xfe\x00", b"[]", b"<xml></xml>", b"<a>" * 20_000],
    ids=["bomb", "file", "empty", "half", "not text", "no xml", "no type", "deep"],
)
def test_bodies_that_are_no_message_are_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        envelope(wechat_aes_key="").open(signed(), body)
    assert refused.value.code == "malformed"
    with pytest.raises(Refused):
        envelope().open(signed(encrypt_type="aes", msg_signature="0" * 40), body)


def test_a_message_for_another_app_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        envelope().open(*sealed(TEXT, app_id="wx0000000000000000"))
    assert refused.value.code == "wrong_app_id"


def test_a_message_sealed_with_another_key_is_refused() -> None:
    with pytest.raises(Refused):
        envelope().open(*sealed(TEXT, key=AES_KEY[::-1]))


def test_a_sealed_message_without_its_signature_is_refused() -> None:
    query, body = sealed(TEXT)
    for signature in ("0" * 40, "", "é"):
        with pytest.raises(Refused) as refused:
            envelope().open({**query, "msg_signature": signature}, body)
        assert refused.value.code == "bad_signature"


@pytest.mark.parametrize("body", [TEXT, "<xml><Encrypt>x</Encrypt></xml>"], ids=["plain", "unsaid"])
def test_where_a_key_is_set_nothing_is_taken_that_is_not_sealed(body: str) -> None:
    """Who has only overheard the token could else write in anybody's name."""
    with pytest.raises(Refused) as refused:
        envelope().open(signed(), body.encode())
    assert refused.value.code == "not_sealed"


def test_a_compatible_message_is_read_from_its_sealed_part() -> None:
    query, body = sealed(TEXT)
    forged = body.decode().replace("<xml>", "<xml><MsgType>text</MsgType><Content>别的</Content>", 1)
    assert envelope().open(query, forged.encode()).message.content == "我想买盐"


def test_a_key_of_the_wrong_length_is_named_at_the_start() -> None:
    with pytest.raises(ConnectorError, match="XIANGYIN_WECHAT_AES_KEY"):
        envelope(wechat_aes_key="short")


def test_messages_are_the_same_by_their_id_and_events_by_who_and_when() -> None:
    def event(at: int) -> str:
        return (
            TEXT.replace("<MsgId>77</MsgId>", "<Event>CLICK</Event>")
            .replace("<CreateTime>1<", f"<CreateTime>{at}<")
            .replace("[text]", "[event]")
        )

    keys = [message_key(parse_message(text)) for text in (TEXT, TEXT, event(1), event(1), event(2))]
    assert keys[0] == keys[1] and keys[2] == keys[3] and len(set(keys)) == 3
