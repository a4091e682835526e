"""The one family of errors of the domain: every one carries a stable code."""


class HandoffError(Exception):
    """A failure of the domain; `code` is stable and fit for logs, `message` is plain and for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
