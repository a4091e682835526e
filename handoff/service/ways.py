"""How people are told by something other than an open page: what a connector gives the durable engine."""

from dataclasses import dataclass
from typing import Protocol

from handoff.store.tables import Case, Notice, Reply, Worker


@dataclass(frozen=True)
class Told:
    """What came of one attempt. code: None when it arrived, else why not; again: whether another try can help.

    way: how it arrived, where that is not the way of the notice; hinted: by what the person has at least been told that
    words are waiting.
    """

    code: str | None = None
    again: bool = True
    way: str | None = None
    hinted: str | None = None


ARRIVED = Told()


class PersonWay(Protocol):
    """A channel that can be spoken into at any time."""

    async def tell(self, notice: Notice, reply: Reply) -> Told:
        """Send what of the reply has not arrived yet; may be called twice for one reply after a crash."""
        ...

    async def was_asked(self, reply: Reply) -> bool:
        """Whether the reply answers what was said by this way: then it is looked for there, whatever page is open."""
        ...


class WorkerWay(Protocol):
    """A way to call a worker who has no console open."""

    async def alert(self, notice: Notice, case: Case, worker: Worker) -> Told:
        """Tell the worker of the case; nothing of what was said goes along."""
        ...
