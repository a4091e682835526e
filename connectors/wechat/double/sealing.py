"""What both platforms do to what they push: XML, signed, in safe mode encrypted; and how they read the answer."""

import hashlib
import secrets
from typing import Any

import xmltodict


def sign(*parts: str) -> str:
    """The platform's signature: SHA-1 over the sorted parts."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def xml_of(fields: dict[str, Any]) -> str:
    """The fields as a document; nested ones as they are."""
    return str(xmltodict.unparse({"xml": _texts(fields)}, full_document=False))


def sealed(crypto: Any, xml: str, stamp: str, nonce: str) -> tuple[str, str]:
    """Encrypted by a crypto of wechatpy: the cipher and its signature."""
    found = xmltodict.parse(crypto.encrypt_message(xml, nonce, stamp))["xml"]
    return str(found["Encrypt"]), str(found["MsgSignature"])


def opened(crypto: Any, body: str) -> dict[str, Any]:
    """The fields of an encrypted answer, its signature checked; raises whatever is wrong with it."""
    found = xmltodict.parse(body)["xml"]
    plain = crypto.decrypt_message(body, found["MsgSignature"], found["TimeStamp"], found["Nonce"])
    return dict(xmltodict.parse(plain)["xml"])


def new_nonce() -> str:
    """Ten digits, as the platforms have them."""
    return str(secrets.randbelow(9 * 10**9) + 10**9)


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _texts(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return str(value)
