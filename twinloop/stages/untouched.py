"""Whether the LoRA of a version is still the file that was trained: all that was measured was measured on that one."""

from __future__ import annotations

from twinloop.errors import StateError
from twinloop.store.atomic import read_object, sha256_file
from twinloop.store.run.workspace import Workspace


def check_untouched(space: Workspace, version: int) -> None:
    """Compare the file of a version with its record, where both are there.

    Raises:
        StateError: the file was damaged or exchanged; says what to do.
    """
    lora, record = space.lora(version), space.lora_record(version)
    recorded = read_object(record).get("sha256") if lora.is_file() else None
    if recorded is not None and sha256_file(lora) != recorded:
        raise StateError(
            f"{lora} is not the file that {record.name} tells of: it was damaged or exchanged. Put the right file back"
            f" from a copy; without one, move both files away, and the same command makes v{version} again."
        )
