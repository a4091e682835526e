"""Standard input line by line, standard output one JSON object a line. Light: every command may import it."""

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

READ_AHEAD = 64

# JSON lets these stand in a string, but much that reads line by line takes them for the end of a line.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def print_json(fields: dict[str, Any]) -> None:
    """One object on one line, at once."""
    sys.stdout.write(json.dumps(fields, ensure_ascii=False).translate(_LINE_ENDS) + "\n")
    sys.stdout.flush()


async def stdin_lines() -> AsyncIterator[str]:
    """The lines of standard input as they come; raises OSError where it can't be read.

    Read by a daemon thread: a thread of the loop's pool would keep Ctrl-C waiting for the next line.
    """
    loop, room = asyncio.get_running_loop(), threading.Semaphore(READ_AHEAD)
    queue: asyncio.Queue[str | OSError | None] = asyncio.Queue()

    def tell(one: str | OSError | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody listens any more
            loop.call_soon_threadsafe(queue.put_nowait, one)

    def read() -> None:
        try:
            for text in read_lines():
                room.acquire()
                tell(text)
        except OSError as error:
            tell(error)
        tell(None)

    threading.Thread(target=read, daemon=True).start()
    while (text := await queue.get()) is not None:
        if isinstance(text, OSError):
            raise text
        room.release()
        yield text


def read_lines() -> Iterator[str]:
    """Without `sys.stdin`, whose lock a thread that waits for input would still hold at the program's end."""
    for block in read_blocks():
        yield from block


def read_blocks() -> Iterator[list[str]]:
    """The lines of standard input, as many at a time as have come: one by one from a person, many from a file."""
    pieces: list[bytes] = []
    while block := os.read(0, 65536):
        *ended, rest = block.split(b"\n")
        lines = []
        for piece in ended:
            lines.append(_text(b"".join([*pieces, piece])))
            pieces = []
        pieces.append(rest)
        if lines:
            yield lines
    if last := b"".join(pieces):
        yield [_text(last)]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").removesuffix("\r")
