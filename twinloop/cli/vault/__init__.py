"""``twinloop vault`` and its table of commands."""

from __future__ import annotations

from twinloop.cli.command import Command
from twinloop.cli.vault import (
    by_hand,
    caption,
    cluster,
    clusters,
    dedup,
    duplicates,
    forget,
    frames,
    label,
    people,
    prep,
    run,
    scan,
    status,
)

SUMMARY = "From a messy folder of photos to a person's training set."
COMMANDS: tuple[Command, ...] = (
    run.COMMAND,
    frames.COMMAND,
    scan.COMMAND,
    cluster.COMMAND,
    clusters.COMMAND,
    *people.COMMANDS,
    dedup.COMMAND,
    duplicates.DUPLICATES,
    duplicates.KEEP,
    duplicates.DISTINCT,
    label.COMMAND,
    caption.COMMAND,
    prep.COMMAND,
    by_hand.EXCLUDE,
    by_hand.INCLUDE,
    status.COMMAND,
    forget.COMMAND,
)
