"""``twinloop vault status``: what is in the vault."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.cli.vault.cluster import new_faces_text, without_face_lines
from twinloop.cli.vault.options import add_vault
from twinloop.cli.vault.scan import SHOWN, count_skipped, skipped_lines
from twinloop.domain.wording import plural
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.stages.vault.status import Status
    from twinloop.store.vault.folder import Vault


def configure(parser: argparse.ArgumentParser) -> None:
    add_vault(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.stages.vault.opening import looked_into
    from twinloop.stages.vault.status import status

    with looked_into(args.vault, terminal.warn) as opened:
        found = status(opened)
    for line in lines_of(found, opened.vault):
        terminal.line(line)
    for note in found.notes:
        terminal.warn(note)
    return found.to_json()


def lines_of(found: Status, vault: Vault) -> list[str]:
    """The state for people."""
    counts = found.counts
    lines = [f"folder: {folder}{_place(folder, found, vault)}" for folder in found.folders[:SHOWN]]
    if len(found.folders) > SHOWN:
        lines.append(f"folder: and {len(found.folders) - SHOWN} more ({vault.command('status --json')})")
    if found.exclude:
        lines.append(f"excluded: {', '.join(found.exclude)} ({vault.command('scan --no-exclude')} forgets it)")
    if found.unfinished:
        lines.append(f"scan: not finished; where it was interrupted, it goes on with {vault.command('scan')}")
    lines.append(f"models: {found.models_dir}")
    lines.append(
        f"photos: {counts.photos}, in {plural(counts.files, 'file')}; skipped:"
        f" {plural(count_skipped(found.skipped), 'file')}"
        + (f"; not there now: {plural(found.files_missing, 'file')}" if found.files_missing else "")
    )
    lines.append(f"faces: {counts.faces}, of which {found.with_embedding} can be told apart")
    lines.append(
        f"people: not clustered yet ({vault.command('cluster')})" if found.people is None else f"people: {found.people}"
    )
    if found.new_faces:
        lines.append(new_faces_text(found.new_faces, vault))
    lines.append(
        f"duplicates: not searched yet ({vault.command('dedup')})"
        if found.duplicate_groups is None
        else f"duplicates: {plural(found.duplicate_groups, 'group')}"
    )
    lines.append(f"your decisions: {found.decisions}" + (f" ({vault.command('history')})" if found.decisions else ""))
    if found.prepared:
        lines.append(f"training sets: {', '.join(found.prepared)}")
    lines += [
        f"training set {name}: {plural(count, 'photo was', 'photos were')} chosen otherwise by hand since it was"
        " prepared; prepare it again"
        for name, count in found.behind.items()
    ]
    lines += [
        f"training set {name}: {other.text} would change by what is known now. Next: {vault.command(other.arguments)}"
        for name, other in found.outdated.items()
        if name not in found.behind
    ]
    lines += without_face_lines(found.without_face, vault)
    return [*lines, *skipped_lines([(os.fspath(path), reason) for path, reason in found.skipped], vault)]


def _place(folder: str, found: Status, vault: Vault) -> str:
    """That a folder is not there now, and what to do if it stays so."""
    if folder not in found.missing:
        return ""
    if folder not in found.renamed:
        return " (not there now)"
    remove = vault.command(f"scan --remove {shell.quote(folder)}")
    return f" (not there now: it seems to have been renamed to {found.renamed[folder]}; then: {remove})"


COMMAND = Command(
    "status",
    "What is in the vault: folders, photos, faces, people, and every skipped file with its reason.",
    configure,
    run,
)
