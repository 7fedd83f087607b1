"""The names of forgotten people, known only where somebody says them: as hashes of their folded forms."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from twinloop.domain.names import folded
from twinloop.store.vault.decisions import DecisionLog

_ROUNDS = 20_000
"""So many that a list of all usual names takes a while, and the names of a large album still take seconds."""


class ForgottenNames:
    """What photo programs may say of nobody any more."""

    def __init__(self, decisions: DecisionLog) -> None:
        kept = [made.data["names"] for made in decisions.active("forget") if made.data.get("names")]
        # one for the vault, so that a name is hashed once however many people were forgotten
        self._salt = str(kept[0]["salt"]) if kept else os.urandom(16).hex()
        self._hashes = frozenset(str(one) for names in kept for one in names["hashes"])
        self._known = lru_cache(maxsize=4096)(self._has)

    def has(self, name: str) -> bool:
        """Whether a forgotten person was called so."""
        return bool(self._hashes) and self._known(folded(name))

    def to_json(self, names: Iterable[str]) -> dict[str, Any]:
        """As a promise holds the names of one more person, which come folded; nothing where there is none."""
        hashes = sorted(_hashed(name, self._salt) for name in names)
        return {"names": {"salt": self._salt, "hashes": hashes}} if hashes else {}

    def _has(self, name: str) -> bool:
        return _hashed(name, self._salt) in self._hashes


def _hashed(name: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", name.encode("utf-8", "surrogatepass"), bytes.fromhex(salt), _ROUNDS).hex()
