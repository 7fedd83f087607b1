"""LoRAs as they were on the way of their training: which steps have a file, and where it lies."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from twinloop.errors import StateError
from twinloop.ports import TrainingSettings
from twinloop.store.models.lora_file import kohya_path

_NAME = re.compile(r".+-step\d{8}(_kohya)?\.safetensors")


def step_path(lora: Path, step: int) -> Path:
    """The LoRA as it was after ``step``: ``<stem>-step00000750.safetensors`` beside it, as sd-scripts names it."""
    return lora.with_name(f"{lora.stem}-step{step:08d}{lora.suffix}")


def is_step_save(path: Path) -> bool:
    """Whether a file has such a name, or that of its kohya copy."""
    return _NAME.fullmatch(path.name) is not None


@dataclass(frozen=True)
class StepSaves:
    """Those of one training.

    Attributes:
        lora: the file beside which they lie. every: steps between two of them, 0 = there are none.
        kept: so many of the newest stay, 0 = all. steps: of the training; the last has a file too where it is due.
    """

    lora: Path
    every: int
    kept: int
    steps: int

    @classmethod
    def of(cls, settings: TrainingSettings, output: Path) -> StepSaves:
        """What the settings ask for, beside ``output`` where they name no other file."""
        lora = Path(settings.saves_beside) if settings.saves_beside else output
        return cls(lora, settings.save_every, settings.max_step_saves_to_keep, settings.steps)

    @property
    def count(self) -> int:
        """How many files there are in the end."""
        made = self.steps // self.every if self.every else 0
        return min(made, self.kept) if self.kept else made

    def at(self, step: int) -> Path | None:
        """The file of a step; None = it has none."""
        return step_path(self.lora, step) if self.every and step % self.every == 0 else None

    def drop_old(self, step: int) -> None:
        """Delete those that the file of ``step`` is one too many for."""
        if not self.kept:
            return
        for old in range(step - self.kept * self.every, 0, -self.every):
            for path in (step_path(self.lora, old), kohya_path(step_path(self.lora, old))):
                path.unlink(missing_ok=True)

    def there(self) -> list[Path]:
        """Those that lie there, of whatever step: a longer training may have left some behind the last of this one."""
        beside = self.lora.parent.glob(f"{glob.escape(self.lora.stem)}-step*{self.lora.suffix}")
        return sorted(path for path in beside if is_step_save(path))

    def check_free(self) -> None:
        """Whether a new training would write over LoRAs of steps of another one, or among them.

        Raises:
            StateError: it would.
        """
        found = self.there() if self.every else []
        if found:
            raise StateError(
                f"{found[0]} is there already, of another training, and this one would write over such files or among"
                f" them; nothing was changed. Move the files {self.lora.stem}-step*.safetensors away, or name another"
                " output."
            )
