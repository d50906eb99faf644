"""The keys of a shared store: its names are found by fingerprints, and sealed.

The database never has a key. A file has one a line, 64 hexadecimal digits: the first one seals, all
of them open. So keys are rotated: add the new one at the end on every machine, then put it first,
then seal anew what the old one sealed, then take that away (docs/scaling.md).
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from orgguard_mcp import secretfile
from orgguard_mcp.errors import LedgerError

ENVIRONMENT_KEY_FILE = "ORGGUARD_STORE_KEY_FILE"

_KEY = re.compile(r"[0-9a-f]{64}")
_NONCE = 12
_MAX_FILE = 10_000


class Sealed(NamedTuple):
    """A text that nobody reads without the key *by*."""

    by: str
    data: bytes


class _Key:
    def __init__(self, secret: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.id = hmac.digest(secret, b"id", "sha256")[:8].hex()
        self.aead = AESGCM(hmac.digest(secret, b"seal", "sha256"))
        self._finding = hmac.digest(secret, b"find", "sha256")

    def fingerprint(self, text: bytes) -> str:
        return hmac.digest(self._finding, text, "sha256").hex()


class Keyring:
    """The keys of one store. They are shown nowhere, not even by this object's text."""

    __slots__ = ("_keys",)

    def __init__(self, secrets_: Iterable[bytes]) -> None:
        self._keys = {key.id: key for key in map(_Key, secrets_)}

    @property
    def ids(self) -> list[str]:
        """What the database may know of the keys, the sealing one's first."""
        return list(self._keys)

    @property
    def sealing(self) -> str:
        """The id of the key that seals."""
        return self.ids[0]

    def fingerprint(self, *words: object) -> str:
        """What *words* are found by, from now on."""
        return self._keys[self.sealing].fingerprint(_joined(words))

    def fingerprints(self, *words: object) -> list[str]:
        """What *words* may be found by, whichever of the keys was the first."""
        return [key.fingerprint(_joined(words)) for key in self._keys.values()]

    def seal(self, text: bytes, bound: bytes) -> Sealed:
        """*text*, which opens only where it stands: beside the same *bound*."""
        key, nonce = self._keys[self.sealing], secrets.token_bytes(_NONCE)
        return Sealed(key.id, nonce + key.aead.encrypt(nonce, text, bound))

    def open(self, sealed: Sealed, bound: bytes) -> bytes:
        """The text; `LedgerError` without its key, `ValueError` when it is not what was sealed."""
        from cryptography.exceptions import InvalidTag

        if sealed.by not in self._keys:
            raise LedgerError(
                "nothing was granted: the store cannot be read",
                cause="it was sealed with a key that this machine does not have",
                hint=f"add that key to the file that {ENVIRONMENT_KEY_FILE} names",
            )
        try:
            aead = self._keys[sealed.by].aead
            return aead.decrypt(sealed.data[:_NONCE], sealed.data[_NONCE:], bound)
        except InvalidTag:
            raise ValueError("the seal is broken") from None


def _joined(words: Iterable[object]) -> bytes:
    # Hashed one by one, so that no two lists of words are the same bytes.
    return b"".join(sha256(str(word).encode()).digest() for word in words)


def find_keys() -> Keyring:
    """The keys that the environment names. Raises `LedgerError` that says what is wrong."""
    named = os.environ.get(ENVIRONMENT_KEY_FILE)
    if not named:
        raise _unusable(
            "a shared store is sealed, and there is no key",
            "make one for all machines (`openssl rand -hex 32`), and name its file in"
            f" {ENVIRONMENT_KEY_FILE}",
        )
    lines = [line for line in _read(Path(named)).splitlines() if line.strip()]
    if not lines or not all(map(_KEY.fullmatch, lines)):
        raise _unusable(
            "the key file has something else than keys in it",
            "write a key a line, as `openssl rand -hex 32` makes it",
        )
    try:
        return Keyring(map(bytes.fromhex, lines))
    except ImportError as error:
        raise _unusable(
            "the library that opens it is not installed", "pip install 'orgguard-mcp[postgres]'"
        ) from error


def _read(path: Path) -> str:
    try:
        return secretfile.read(path, _MAX_FILE).decode("latin-1")
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "its path is none"
        raise _unusable(
            f"the key file cannot be read: {cause}", f"see what {ENVIRONMENT_KEY_FILE} names"
        ) from error


def _unusable(cause: str, hint: str) -> LedgerError:
    return LedgerError("nothing was granted: the store was not opened", cause=cause, hint=hint)
