"""What the platform has taken, noted in microseconds: what was not on record yet when a process fell down is not said again.

The store's record of a message that was sent takes a commit, and the wait for one. A line in a file takes neither, and outlives
the process (not the machine: for that, there is the store). It holds numbers and ids, nothing that was said and nobody's name.
"""

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import structlog

log = structlog.get_logger("connectors.wechat")

_EMPTIED_FROM = 64 * 1024  # bytes, as soon as all of it is on record
_ENDING = ".taken"


@dataclass
class Taken:
    """What one process had noted."""

    parts: dict[str, int] = field(default_factory=dict)
    """By the id of a reply, how many of its parts have arrived."""
    given: dict[int, str] = field(default_factory=dict)
    """By the number of a message, when the request came that its answer was written to."""


class Journal:
    """One process's own file, in a folder where those of the others lie. May be used by any thread.

    Nobody closes it: what is being sent when the service stops is noted by the thread that sends it, and the next start
    takes it up.
    """

    def __init__(self, folder: Path) -> None:
        """Raises OSError where there can be no such folder."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._own = folder / f"{uuid4().hex}{_ENDING}"
        # Locked before it has its name: whoever finds it must not think that its process is gone.
        unfinished = self._own.with_suffix(".new")
        self._file = os.open(unfinished, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unfinished.rename(self._own)
        self._open = Taken()
        self._lock = threading.Lock()

    def arrived(self, parts: Mapping[str, int]) -> None:
        """So many parts of these replies (by id) have arrived."""
        with self._lock:
            self._open.parts |= parts
            self._write(*(f"part {reply_id} {count}" for reply_id, count in parts.items()))

    def given(self, arrival_id: int, asked: str) -> None:
        """The answer has been written to the request that came then."""
        with self._lock:
            self._open.given[arrival_id] = asked
            self._write(f"given {arrival_id} {asked}")

    def parts_arrived(self, reply_id: str) -> int:
        """How many parts of a reply have arrived, as far as it was noted here and is not on record."""
        return self._open.parts.get(reply_id, 0)

    def arrived_on_record(self, parts: Mapping[str, int]) -> None:
        """The store knows of these as well."""
        with self._lock:
            for reply_id, count in parts.items():
                if self._open.parts.get(reply_id, count) <= count:
                    self._open.parts.pop(reply_id, None)
            self._empty()

    def given_on_record(self, arrival_id: int, asked: str) -> None:
        """The store knows of it as well."""
        with self._lock:
            if self._open.given.get(arrival_id) == asked:
                del self._open.given[arrival_id]
            self._empty()

    def of_the_gone(self) -> Iterator[Taken]:
        """What processes had noted that are no more; forgotten when the next one is asked for."""
        for path in [*self._folder.glob(f"*{_ENDING}")]:
            if path == self._own:
                continue
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # it lives
                yield _read(file.read().decode("ascii", "replace"))
                path.unlink(missing_ok=True)

    def _write(self, *lines: str) -> None:
        try:
            os.write(self._file, "".join(f"{line}\n" for line in lines).encode("ascii"))
        except OSError as error:  # what was sent is sent; at worst it is said again
            log.warning("wechat.not_noted", fault=type(error).__name__)

    def _empty(self) -> None:
        with suppress(OSError):
            if self._open == Taken() and os.fstat(self._file).st_size >= _EMPTIED_FROM:
                os.ftruncate(self._file, 0)


def _read(text: str) -> Taken:
    """A line that a full disk has broken off says nothing."""
    taken = Taken()
    for line in text.splitlines(keepends=True):
        match line.split(" "):
            case ["part", reply_id, count] if count.strip().isdecimal() and line.endswith("\n"):
                taken.parts[reply_id] = max(int(count), taken.parts.get(reply_id, 0))
            case ["given", arrival_id, asked] if arrival_id.isdecimal() and line.endswith("\n"):
                taken.given[int(arrival_id)] = asked.strip()
    return taken
