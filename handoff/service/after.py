"""What must happen after a commit: start deliveries, tell the open consoles. Lost in a crash, it is found again by the engine."""

from dataclasses import dataclass, field

from handoff.service.hub import CONSOLES, Hub, of_conversation
from handoff.store.tables import Case, Notice


@dataclass
class Changes:
    """Collected inside a transaction, announced after it."""

    notices: list[Notice] = field(default_factory=list)
    cases: dict[int, dict[str, object]] = field(default_factory=dict)
    conversations: set[int] = field(default_factory=set)

    def case(self, case: Case, *, new: bool = False) -> None:
        """A case is new or has changed."""
        before = self.cases.get(case.id, {})
        self.cases[case.id] = {
            "case": case.id,
            "number": case.number,
            "risk": case.risk,
            "new": new or bool(before.get("new")),
        }

    def publish(self, hub: Hub) -> None:
        """Tell the open consoles and pages."""
        for event in self.cases.values():
            hub.publish(CONSOLES, {"event": "changed", **event})
        for conversation_id in self.conversations:
            hub.publish(of_conversation(conversation_id), {"event": "state"})
