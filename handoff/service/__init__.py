"""What the domain does: turns, triage, cases, the queue, telling people, clocks."""
