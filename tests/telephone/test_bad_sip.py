"""What comes from the network may be anything: the telephone goes on, and the next call is answered."""

import socket

import pytest
from conftest import LINES, Exchange

from handoff.store.tables import Conversation

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

INVITE = """INVITE sip:xiangyin@127.0.0.1:{port} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{mine};branch=z9hG4bK-{name};rport
From: <sip:13800000000@127.0.0.1:{mine}>;tag={name}
To: <sip:xiangyin@127.0.0.1:{port}>
Call-ID: {name}@127.0.0.1
CSeq: 1 INVITE
Contact: <sip:13800000000@127.0.0.1:{mine}>
Max-Forwards: 70
{more}Content-Type: application/sdp
Content-Length: {length}

{body}"""
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


def invite(port: int, mine: int, name: str, *, body: str = SDP, length: str = "", more: str = "") -> bytes:
    text = INVITE.format(port=port, mine=mine, name=name, body=body, length=length or len(body), more=more)
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode()


def bad(port: int, mine: int) -> list[bytes]:
    """Each of them something that a broken or a hostile far end sends."""
    whole = invite(port, mine, "whole")
    return [
        b"", b"\x00" * 400, bytes(range(256)) * 4, b"INVITE\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n",
        whole[: len(whole) // 2],
        invite(port, mine, "long", more="X: " + "a" * 30000 + "\r\n"),
        invite(port, mine, "many", more="Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK-x\r\n" * 300),
        invite(port, mine, "length", length="99999999"),
        invite(port, mine, "negative", length="-1"),
        invite(port, mine, "nosound", body=SDP.replace("RTP/AVP 8", "RTP/AVP 99")),
        invite(port, mine, "nothing", body="v=0\r\n"),
        invite(port, mine, "strange", body=SDP.replace("127.0.0.1", "999.1.1.1")),
        invite(port, mine, "port", body=SDP.replace("4000", "0")),
        invite(port, mine, "badport", body=SDP.replace("4000", "999999")),
        invite(port, mine, "from").replace(b"<sip:13800000000", b"<sip:%00%ff;drop table calls--"),
        whole.replace(b"INVITE", b"BYE").replace(b"1 INVITE", b"1 BYE"),
        whole.replace(b"INVITE", b"REFER").replace(b"1 INVITE", b"1 REFER"),
        whole.replace(b"INVITE", b"INFO").replace(b"1 INVITE", b"1 INFO"),
        whole.replace(b"CSeq: 1", b"CSeq: 99999999999999999999"),
    ]  # fmt: skip


async def test_the_next_call_is_answered_whatever_came_before(exchange: Exchange) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        mine = far.getsockname()[1]
        # Calls that ring and never say another word hold no line either.
        silent = [invite(exchange.port, mine, f"silent-{n}") for n in range(2 * LINES)]
        for packet in [*bad(exchange.port, mine), *silent]:
            far.sendto(packet, ("127.0.0.1", exchange.port))
    before = len(await exchange.rows(Conversation))
    async with exchange.call() as phone:
        await exchange.hears(phone, "您好，我是乡音。有什么事，您慢慢跟我说。")
        await phone.hang_up()
    assert exchange.trial.process is not None and exchange.trial.process.returncode is None
    assert len(await exchange.rows(Conversation)) > before
    assert not [line for line in exchange.trial.printed if "Traceback" in line or "13800000000" in line]
