"""Opening a vault: to work in it, after what was promised in it is kept; or only to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twinloop.errors import Locked, StorageError
from twinloop.stages.vault.forget.promise import Kept, Promise, keep_promises, unkept
from twinloop.stages.vault.opened import OpenVault, ScanRecord
from twinloop.store.atomic import denied_within, remove_leftovers
from twinloop.store.lock import VAULT, locked
from twinloop.store.progress import progress_cleared
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault


@contextmanager
def open_vault(root: Path, told: Callable[[Kept], object] | None = None) -> Iterator[OpenVault]:
    """Open a vault that was scanned, for this process alone.

    What a killed process had promised to forget is removed first.

    Args:
        told: is given each such promise, and what was still removed for it.

    Raises:
        NothingToDo: nothing was scanned yet. Locked: another process works in it. OtherVersion: of this program made
            the catalogue. StorageError: what is to be forgotten cannot be removed.
    """
    vault = Vault(root)
    record = ScanRecord.read(vault)
    with (
        denied_within(vault.root, VAULT.instead),
        locked(vault.root, VAULT),
        progress_cleared(vault.root),
        VaultCatalog(vault.catalog) as catalog,
    ):
        remove_leftovers(vault.root)  # what a killed process was just writing
        decisions = DecisionLog(vault.decisions)
        for kept in keep_promises(vault, catalog, decisions):
            if told is not None:
                told(kept)
        yield OpenVault(vault, catalog, decisions, record)


@contextmanager
def looked_into(root: Path, told: Callable[[str], object] | None = None) -> Iterator[OpenVault]:
    """Open a vault that was scanned only to read in it: also while another process works there, and where nothing can
    be written.

    What a killed process had promised to forget is removed first, where that can be done now.

    Args:
        told: is given a line on each promise that is not kept now, with the reason: what is read may hold the person.

    Raises:
        NothingToDo: nothing was scanned yet. OtherVersion: of this program made the catalogue.
    """
    vault = Vault(root)
    record = ScanRecord.read(vault)
    decisions = _kept_if_possible(vault, told)
    with denied_within(vault.root, VAULT.instead), VaultCatalog(vault.catalog, reading=True) as catalog:
        yield OpenVault(vault, catalog, decisions, record)


def _kept_if_possible(vault: Vault, told: Callable[[str], object] | None) -> DecisionLog:
    """The decisions, read again only where a promise among them was kept just now."""
    decisions = DecisionLog(vault.decisions, reading=True)
    promised = unkept(decisions)
    if not promised:
        return decisions
    try:
        with open_vault(vault.root):
            pass
    except (Locked, StorageError) as error:
        for made in promised:
            if told is not None:
                called = Promise.of(made, decisions).person.called
                told(f"{called} is to be forgotten, and may still be in what is shown: {error}")
        return decisions
    return DecisionLog(vault.decisions, reading=True)
