"""Fields that are encrypted at rest, and times that are always UTC."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import DateTime, Dialect, LargeBinary, TypeDecorator

from handoff.model.errors import HandoffError


class SealError(HandoffError):
    """A sealed field can't be opened with the key that is set."""


_default: list[Fernet] = []
_digest_key: list[bytes] = []


def use_key(key: bytes) -> None:
    """Seal and open with this key (32 bytes, urlsafe base64) from now on, in the whole process."""
    try:
        _default[:] = [Fernet(key)]
        _digest_key[:] = [hashlib.sha256(b"address" + key).digest()]
    except ValueError as error:
        raise SealError(
            "bad_key", "密钥不对：须是 32 字节的 urlsafe base64。请检查 XIANGYIN_SECRET_KEY 或密钥文件。"
        ) from error


def digest(value: str) -> str:
    """64 hex digits to find a sealed value by; without the key nobody can try values out."""
    if not _digest_key:
        raise SealError("no_key", "没有密钥，不能读写敏感内容。")
    return hmac.new(_digest_key[0], value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _fernet() -> Fernet:
    if not _default:
        raise SealError("no_key", "没有密钥，不能读写敏感内容。")
    return _default[0]


class Sealed(TypeDecorator[Any]):
    """Any JSON value, encrypted (Fernet: AES-128-CBC with HMAC) before it reaches the database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Seal."""
        return (
            None
            if value is None
            else _fernet().encrypt(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        )

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Open."""
        if value is None:
            return None
        try:
            return json.loads(_fernet().decrypt(bytes(value)).decode("utf-8", "surrogatepass"))
        except InvalidToken as error:
            raise _wrong_key() from error


class SealedBytes(TypeDecorator[bytes]):
    """Bytes, encrypted as `Sealed` is."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Seal."""
        return None if value is None else _fernet().encrypt(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Open."""
        try:
            return None if value is None else _fernet().decrypt(bytes(value))
        except InvalidToken as error:
            raise _wrong_key() from error


def _wrong_key() -> SealError:
    return SealError("wrong_key", "密钥与数据不符：请放回建库时的密钥文件。")


class Utc(TypeDecorator[datetime]):
    """An aware UTC time, on databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware in, UTC to the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite forgets the zone; it is UTC."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value
