"""Where things lie in a vault: the folder in which FaceVault keeps what it saw and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.names import as_folder, composed, problem_of
from twinloop.errors import InputError
from twinloop.store.atomic import storage_errors
from twinloop.store.lock import VAULT
from twinloop.system import shell

OUTPUTS = Path("outputs")
"""Where everything is made that no flag puts elsewhere; below the working directory."""
DEFAULT = OUTPUTS / "facevault"
SAME_SHOT = "same_shot.jsonl"
COMMON_CATALOG = OUTPUTS / "catalog.sqlite"
"""What commands outside of a run observed in pictures, also in those that a vault prepared."""


@dataclass(frozen=True)
class Vault:
    """One vault. Photos stay where they are; nothing here is needed to read them.

    ``catalog.sqlite`` is a cache of what was measured; ``decisions.jsonl`` is what the user said, and
    ``same_shot.jsonl`` of which photos that holds alike; the other files follow from these.
    """

    root: Path

    def create(self) -> None:
        """Make the folder, where it is not there yet, for its owner only: faces and captions of people lie in it.

        Raises:
            StorageError: it may not be made.
        """
        with storage_errors(self.root, VAULT.instead):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)

    def command(self, words: str) -> str:
        """``twinloop vault WORDS`` as it is typed for this vault: the usual one needs no flag."""
        return f"twinloop vault {words}{'' if self.root == DEFAULT else f' --vault {shell.quote(str(self.root))}'}"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.sqlite"

    @property
    def decisions(self) -> Path:
        return self.root / "decisions.jsonl"

    @property
    def same_shot(self) -> Path:
        """Which photos are of one shot, so that decisions hold for all of them."""
        return self.root / SAME_SHOT

    @property
    def crops(self) -> Path:
        """What was seen in the pictures cut for training, and what captioners said of them: a cache, too."""
        return self.root / "crops.sqlite"

    @property
    def people(self) -> Path:
        """Who is who, with lasting ids."""
        return self.root / "people.json"

    @property
    def duplicates(self) -> Path:
        return self.root / "duplicates.json"

    @property
    def likeness(self) -> Path:
        """What near-duplicate search reads off the thumbnails: a cache, too."""
        return self.root / "likeness.sqlite"

    @property
    def scan_record(self) -> Path:
        """Which folders were scanned, with which models."""
        return self.root / "scan.json"

    @property
    def identity(self) -> Path:
        """What tells this vault from others, in training sets outside of it."""
        return self.root / "vault.json"

    def person(self, name: str) -> Path:
        """The folder of a person's training set; of one name, however it is composed, and with dots at its end or
        without, it is one folder.

        Raises:
            InputError: a name that cannot be a folder's.
        """
        problem = problem_of(composed(name))
        if problem:
            raise InputError(problem)
        return self.root / "organized" / as_folder(name)

    def person_record(self, name: str) -> Path:
        """Trigger, class word, consent and provenance of a person's training set."""
        from twinloop.store.pictures.sidecar import PERSON  # it brings numpy, and --help needs this module

        return self.person(name) / PERSON

    def captions(self, person_id: str) -> Path:
        """Captions by photo, made before the pictures are cut."""
        return self.root / "captions" / f"{person_id}.json"

    def gaps(self, person_id: str) -> Path:
        """What a person's prepared folder lacks, as the page had it analysed."""
        return self.root / "gaps" / f"{person_id}.json"
