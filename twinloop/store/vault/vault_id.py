"""Which vault it is: people's ids are numbers that every vault gives anew, so outside of it they do not say whose."""

from __future__ import annotations

import secrets

from twinloop.store.atomic import read_object, write_json
from twinloop.store.vault.folder import Vault


def vault_id(vault: Vault) -> str:
    """What was written down of a vault when it first prepared a training set outside of it; "" = it has none there."""
    return str(read_object(vault.identity).get("id", ""))


def made_vault_id(vault: Vault) -> str:
    """The same, made up where there is none yet.

    Raises:
        StorageError: it cannot be written down.
    """
    known = vault_id(vault)
    if not known:
        known = secrets.token_hex(8)
        write_json(vault.identity, {"id": known}, private=True)
    return known
