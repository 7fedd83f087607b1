"""Faces that came since people were told apart: nobody has them until the next `cluster`."""

from __future__ import annotations

from twinloop.stages.vault.people.key_index import KeyIndex
from twinloop.stages.vault.people.record import Found, read_found
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.faces import embedded_faces
from twinloop.store.vault.folder import Vault


def faces_to_tell_apart(vault: Vault, catalog: VaultCatalog, fingerprint: str) -> int:
    """How many faces with an embedding were found since people were told apart; 0 where nobody was yet."""
    found = read_found(vault)
    return 0 if found is None or not found.groups else not_in(found, catalog, fingerprint)


def not_in(found: Found | None, catalog: VaultCatalog, fingerprint: str) -> int:
    """How many faces with an embedding a clustering does not know."""
    known = KeyIndex(
        () if found is None else (key for keys in (*found.groups.values(), found.strangers) for key in keys)
    )
    return sum(known.find(key) is None for key in embedded_faces(catalog, fingerprint))
