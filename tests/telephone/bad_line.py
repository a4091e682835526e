"""A bad network between a telephone and the service: packets of sound come late, out of order, or not at all."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Address = tuple[str, int]
_HOST = "127.0.0.1"
_MEDIA = re.compile(rb"(?m)^m=audio (\d+)")
_CONTACT = re.compile(rb"(?m)^(Contact: *<sip:[^>@]*@)[\d.]+:(\d+)")
_LENGTH = re.compile(rb"(?mi)^(Content-Length: *)\d+")


@dataclass
class BadLine:
    """Stands between: the telephone calls `port`; what is said in SIP names our own sockets on both sides."""

    service: Address
    late_s: float
    lost: float
    """Of all packets of sound, the share that never arrives."""
    dice: random.Random
    port: int = 0
    carried: int = 0
    dropped: int = 0
    telephone: Address | None = None
    media: dict[str, Address] = field(default_factory=dict)
    """Where the sound for `telephone` and `service` goes."""
    sockets: dict[str, asyncio.DatagramTransport] = field(default_factory=dict)

    def own(self, name: str) -> int:
        """The port of one of our sockets."""
        return int(self.sockets[name].get_extra_info("sockname")[1])

    def of_telephone(self, data: bytes, source: Address) -> None:
        """SIP on its way to the service."""
        self.telephone = source
        self.sockets["sip with service"].sendto(self._named_anew(data, "telephone", "service"), self.service)

    def of_service(self, data: bytes, _source: Address) -> None:
        """SIP on its way to the telephone."""
        if self.telephone is not None:
            self.sockets["sip with telephone"].sendto(
                self._named_anew(data, "service", "telephone"), self.telephone
            )

    def _named_anew(self, data: bytes, sender: str, receiver: str) -> bytes:
        head, _, body = data.partition(b"\r\n\r\n")
        head = _CONTACT.sub(
            lambda found: found[1] + f"{_HOST}:{self.own(f'sip with {receiver}')}".encode(), head
        )
        if (found := _MEDIA.search(body)) is not None:
            self.media[sender] = _HOST, int(found[1])
            body = _MEDIA.sub(f"m=audio {self.own(f'sound with {receiver}')}".encode(), body)
            head = _LENGTH.sub(lambda old: old[1] + str(len(body)).encode(), head)
        return head + b"\r\n\r\n" + body

    def sound_to(self, receiver: str) -> Callable[[bytes, Address], None]:
        """What carries sound to one of the two, badly."""

        def carry(data: bytes, _source: Address) -> None:
            if receiver not in self.media:
                return
            if self.dice.random() < self.lost:
                self.dropped += 1
                return
            self.carried += 1
            out = self.sockets[
                f"sound with {receiver}"
            ]  # so that it comes from where the receiver sends its own
            late = self.dice.random() * self.late_s
            asyncio.get_running_loop().call_later(late, out.sendto, data, self.media[receiver])

        return carry


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes, Address], None]) -> None:
        self.datagram_received = heard  # type: ignore[method-assign,assignment]


@asynccontextmanager
async def bad_line(service_port: int, *, late_s: float, lost: float) -> AsyncIterator[BadLine]:
    """A line to the service on this machine, each packet of sound late by up to `late_s` seconds, a share of them `lost`."""
    line = BadLine((_HOST, service_port), late_s, lost, random.Random(5))  # noqa: S311  # a bad network needs no secret
    heard = {
        "sip with telephone": line.of_telephone, "sip with service": line.of_service,
        # What comes in at the one goes on to the other.
        "sound with telephone": line.sound_to("service"), "sound with service": line.sound_to("telephone"),
    }  # fmt: skip
    loop = asyncio.get_running_loop()
    try:
        for name, take in heard.items():
            transport, _ = await loop.create_datagram_endpoint(
                lambda take=take: _Socket(take), local_addr=(_HOST, 0)
            )
            line.sockets[name] = transport
        line.port = line.own("sip with telephone")
        yield line
    finally:
        for transport in line.sockets.values():
            transport.close()
