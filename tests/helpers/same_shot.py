"""SameShot whose content changed between scans, as the vault notes them."""

from __future__ import annotations

from pathlib import Path

from twinloop.store.journal import Journal


def note_same_shot(shots: Path, *contents: str) -> None:
    """Note in a vault's ``same_shot.jsonl`` that these photos (sha256) are of one shot."""
    journal = Journal(shots)
    for content in contents:
        journal.record(str(len(journal) + 1), [f"/photos/{contents[0]}.CR2", 1, 1, content])
