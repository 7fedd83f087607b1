"""Photos whose files changed after the user said something of them: decisions hold for a content, not for a path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twinloop.domain.wording import agree, plural, shown, some
from twinloop.stages.vault.people.record import read_people
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.files import VaultFiles
from twinloop.store.vault.folder import Vault

_SHA256 = re.compile("[0-9a-f]{64}")
_OF_A_PERSON = ("name", "label")


def lost_with(vault: Vault, files: VaultFiles, changed: Mapping[str, Path]) -> list[Path]:
    """The files whose former content nothing holds any more, nor another one of its shot, and that the user had said
    something about.

    Args:
        changed: former content (sha256) -> the file that held it.
    """
    shots = DecisionLog(vault.decisions, reading=True).same_shot
    gone = {sha256: path for sha256, path in changed.items() if not any(map(files.holds, shots.of(sha256)))}
    return sorted(gone[sha256] for sha256 in gone.keys() & _decided(vault)) if gone else []


def warning(files: list[Path], vault: Vault) -> str:
    """What is lost, and how it comes back."""
    names = some([shown(path.name) for path in files])
    return (
        f"{plural(len(files), 'photo')} about which you had decided something {agree(len(files), 'has', 'have')}"
        f" changed: {names}. Names, labels with their consent, corrections, captions and exclusions hold for what the"
        " files held, to the byte. If a program only wrote metadata into them, put back the files as they were: all"
        " that you said holds again. Let the program write sidecar files (.xmp) instead. Otherwise look at who is who"
        f" ({vault.command('cluster')}, then {vault.command('clusters')}) and say it again; what you said:"
        f" {vault.command('history')}"
    )


def _decided(vault: Vault) -> set[str]:
    """Every content that decisions speak of, also through the person that it shows."""
    standing = DecisionLog(vault.decisions, reading=True).active()
    decisions = [made for made in standing if made.kind != "forget"]
    found = {sha256 for made in decisions for sha256 in _contents(made.data)}
    told = {str(made.data["person"]) for made in decisions if made.kind in _OF_A_PERSON}
    if told and vault.people.exists():
        people = read_people(vault)
        told |= {people.merged.get(person, person) for person in told}
        found |= {key.sha256 for person in people.persons if person.id in told for key in person.faces}
    return found


def _contents(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        if _SHA256.fullmatch(data):
            yield data
    elif isinstance(data, Mapping):
        for name, value in data.items():
            yield from _contents(name)
            yield from _contents(value)
    elif isinstance(data, list):
        for item in data:
            yield from _contents(item)
