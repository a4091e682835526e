"""Sounds made on the spot, and a web server that can cut, lie, refuse and hang."""

import io
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import av
import numpy as np

from voice.audio import Sound


def tone(seconds: float, rate: int = 16000) -> Sound:
    return Sound((np.sin(np.arange(int(seconds * rate)) * 0.2) * 0.4).astype(np.float32), rate)


def encoded(sound: Sound, container: str, codec: str, rate: int, *, layout: str = "mono") -> bytes:
    """The sound in another format, as a telephone or a phone's app would send it."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as box:
        stream = box.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            (sound.at(rate).samples * 32767).astype("<i2").reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.format.name, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            box.mux(stream.encode(piece))
        box.mux(stream.encode(None))
    return out.getvalue()


@dataclass
class FarEnd:
    """A web server on loopback that can cut, lie, refuse and hang."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    """path → how many bytes of the body each of the next answers gives before the line is cut"""
    hangs: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range header) of each request"""
    released: threading.Event = field(default_factory=threading.Event)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        far = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # noqa: N802
                far.asked.append((self.path, self.headers.get("Range", "")))
                if self.path in far.hangs:
                    far.released.wait(20)
                    self.close_connection = True
                    return
                if self.path not in far.files:
                    self.send_error(404)
                    return
                self._send(far.files[self.path])

            def _send(self, body: bytes) -> None:
                start = int(self.headers.get("Range", "bytes=0-")[6:-1])
                if start and start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                if self.path.endswith("/"):
                    self.send_header("Content-Type", "text/html")
                self.end_headers()
                cuts = far.cut_after.get(self.path)
                if cuts:
                    self.wfile.write(body[start : start + cuts.pop(0)])
                    self.close_connection = True
                else:
                    self.wfile.write(body[start:])

            def log_message(self, *_: object) -> None:
                return

        return Handler
