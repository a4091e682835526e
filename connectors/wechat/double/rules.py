"""How the double behaves: the account it plays, its patience, and what is to go wrong."""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Rules:
    """Everything that a test or a person may set, at any time."""

    app_id: str = "wx2c2769f8efd9abc2"
    secret: str = "a-secret-for-trying"  # noqa: S105  # of a platform that does not exist
    token: str = "xiangyin"  # noqa: S105
    aes_key: str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
    callback: str = ""
    """Where messages are pushed to."""
    mode: str = "safe"
    """`plain`, `compatible` (in clear and encrypted) or `safe` (encrypted)."""
    verified: bool = True
    listed: bool = True
    """Whether the caller's address is on the white list."""
    token_life_s: float = 7200.0
    patience_s: float = 5.0
    """So long a pushed message waits for its answer before it is sent again."""
    tries: int = 3
    menu_name_bytes: int = 16
    """Of an entry of the first level; the platform's page on the menu says 16."""
    page_host: str = ""
    """网页授权域名: the only host that web authorisation leads back to; empty for any."""
    templates: set[str] = field(default_factory=set)
    """Ids of the account's templates; empty for any."""

    duplicates: float = 0.0
    """Share of the messages that are pushed twice at once."""
    answers_lost: int = 0
    """So many of the next answers in words to what is pushed are lost on the way; it is sent again when the patience is over."""
    errors: float = 0.0
    """Share of the calls that end in a 5xx."""
    broken: float = 0.0
    """Share of the calls that are answered with something that is not JSON."""
    dropped: float = 0.0
    """Share of the calls whose connection ends without an answer, nothing done."""
    lost: float = 0.0
    """Share of the calls that are done, and whose connection ends without an answer."""
    slow_s: float = 0.0
    """So long a slow call takes."""
    slow_share: float = 1.0
    """Share of the calls that are slow."""
    hang_s: float = 60.0
    """So long a call takes that is to hang."""
    limits: dict[str, int] = field(default_factory=dict)
    """By the name of a call: how often a day; 45009 beyond."""

    corp_id: str = "ww-xiangyin"
    corp_secret: str = "a-secret-of-wecom"  # noqa: S105
    corp_token: str = "xiangyin-wecom"  # noqa: S105
    corp_aes_key: str = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba"
    corp_callback: str = ""
    corp_agent_id: int = 0
    """The application's; 0 for any."""
    corp_members: set[str] = field(default_factory=set)
    """Accounts of the company, in any letters; empty for any."""
    corp_listed: bool = True
    """Whether the caller's address is among the application's trusted ones."""

    clock: Callable[[], float] = time.time
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311  # the same every time
    next: dict[str, list[int | str]] = field(default_factory=lambda: defaultdict(list))
    """By the name of a call (`message/custom/send`, `token`, `sns`, `wecom/message/send`): errcodes that its next times
    end in, or `500`, `garbage`, `drop` (nothing done), `lost` (done, no answer), `slow` (hang_s); `ok` goes well."""
