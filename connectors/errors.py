"""The one error of the connectors: a stable code for programs, a plain sentence for people."""


class ConnectorError(Exception):
    """Something at the edge can't be done; `message` says in Chinese how to mend it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
