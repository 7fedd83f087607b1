"""``twinloop export`` and its table of targets: packages that other programs take."""

from __future__ import annotations

from twinloop.cli.command import Command
from twinloop.cli.export import lora, pictures, sprites, trainers

SUMMARY = "Packages for other programs: pictures, datasets with configurations, the LoRA."
COMMANDS: tuple[Command, ...] = (*pictures.COMMANDS, *sprites.COMMANDS, *lora.COMMANDS, *trainers.COMMANDS)
