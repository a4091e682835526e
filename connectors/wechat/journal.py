"""What the platform has taken, noted in microseconds: what was not on record yet when a process fell down is not said again.

The store's record of a message that was sent takes a commit, and the wait for one. A line in a file takes neither, and outlives
the process (not the machine: for that, there is the store). It holds numbers and ids, nothing that was said and nobody's name.
"""

import fcntl
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import structlog

from handoff.service.arriving import Arrived

log = structlog.get_logger("connectors.wechat")

_EMPTIED_FROM = 4096  # bytes, as soon as all of it is on record
_ENDING = ".taken"


@dataclass
class Taken:
    """What one process had noted."""

    arrived: list[Arrived] = field(default_factory=list)
    given: dict[int, str] = field(default_factory=dict)
    """By the number of a message, when the request came that its answer was written to."""
    giving: dict[int, tuple[str, str]] = field(default_factory=dict)
    """The same, where the answer was about to be written, and may have been; and until when the platform asks again."""


class Journal:
    """One process's own file, in a folder where those of the others lie. May be used by any thread.

    Nobody closes it: what is being sent when the service stops is noted by the thread that sends it, and the next start
    takes it up. A line stays true for ever, so that it does no harm where it is on record already.
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
        self._parts: dict[int, int] = {}
        self._given: dict[int, str] = {}
        self._giving: set[int] = set()
        self._passed_over: set[Path] = set()
        self._lock = threading.Lock()

    def arrived(self, arrived: Collection[Arrived]) -> None:
        """These parts of replies have arrived."""
        with self._lock:
            self._parts.update((one.notice_id, one.parts) for one in arrived)
            self._write(*(f"part {one.notice_id} {one.reply_id} {one.parts}" for one in arrived))

    def giving(self, arrival_id: int, asked: str, until: str) -> None:
        """The answer is written next, to the request that came then: the platform may have it before we can note that.

        until: so long it is sure to ask again where it has not got it.
        """
        with self._lock:
            self._giving.add(arrival_id)
            self._write(f"giving {arrival_id} {asked} {until}")

    def not_given(self, arrival_id: int) -> None:
        """It could not be written after all, and will not be to this request."""
        with self._lock:
            self._giving.discard(arrival_id)
            self._write(f"not_given {arrival_id}")

    def given(self, arrival_id: int, asked: str) -> None:
        """The answer has been written to the request that came then."""
        with self._lock:
            self._giving.discard(arrival_id)
            self._given[arrival_id] = asked
            self._write(f"given {arrival_id} {asked}")

    def parts_of(self, notice_id: int) -> int:
        """How many parts this attempt has brought, where that was noted here and is not on record."""
        return self._parts.get(notice_id, 0)

    def all_given(self) -> dict[int, str]:
        """As `Taken.given`, of what was noted here and is not on record."""
        with self._lock:
            return dict(self._given)

    def arrived_on_record(self, arrived: Collection[Arrived]) -> None:
        """The store knows of these as well."""
        with self._lock:
            for one in arrived:
                self._parts.pop(one.notice_id, None)
            self._empty()

    def given_on_record(self, arrival_id: int, asked: str) -> None:
        """The store knows of it as well."""
        with self._lock:
            if self._given.get(arrival_id) == asked:
                del self._given[arrival_id]
            self._empty()

    def of_the_gone(self) -> Iterator[Taken]:
        """What processes had noted that are no more; forgotten when the next one is asked for."""
        for path in {*self._folder.glob(f"*{_ENDING}")} - self._passed_over - {self._own}:
            try:
                with path.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield _read(file.read().decode("ascii", "replace"))
                    path.unlink(missing_ok=True)
            except (BlockingIOError, FileNotFoundError):
                continue  # it lives, or somebody was sooner
            except OSError as error:  # it only helps; at worst something is said again
                self._passed_over.add(path)
                log.warning("wechat.not_taken_up", fault=type(error).__name__)

    def _write(self, *lines: str) -> None:
        try:
            os.write(self._file, "".join(f"{line}\n" for line in lines).encode("ascii"))
        except OSError as error:  # what was sent is sent; at worst it is said again
            log.warning("wechat.not_noted", fault=type(error).__name__)

    def _empty(self) -> None:
        with suppress(OSError):
            nothing_open = not (self._parts or self._given or self._giving)
            if nothing_open and os.fstat(self._file).st_size >= _EMPTIED_FROM:
                os.ftruncate(self._file, 0)


def _read(text: str) -> Taken:
    """A line that a full disk has broken off says nothing."""
    taken = Taken()
    for line in text.splitlines(keepends=True):
        match line.removesuffix("\n").split(" ") if line.endswith("\n") else []:
            case ["part", notice_id, reply_id, count] if notice_id.isdecimal() and count.isdecimal():
                taken.arrived.append(Arrived(int(notice_id), reply_id, int(count)))
            case ["given", arrival_id, asked] if arrival_id.isdecimal():
                taken.given[int(arrival_id)] = asked
                taken.giving.pop(int(arrival_id), None)
            case ["giving", arrival_id, asked, until] if arrival_id.isdecimal():
                taken.giving[int(arrival_id)] = asked, until
            case ["not_given", arrival_id] if arrival_id.isdecimal():
                taken.giving.pop(int(arrival_id), None)
    return taken
