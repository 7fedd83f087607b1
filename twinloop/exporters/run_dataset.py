"""The dataset of a run as what an export starts from."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.records import Dataset, Member
from twinloop.domain.vault import Consent
from twinloop.errors import InputError, StateError
from twinloop.store.atomic import read_as
from twinloop.store.pictures.sidecar import consent_of


def members_of(record: Path) -> tuple[Member, ...]:
    """What a dataset_iterN.json names.

    Raises:
        InputError: it is no such record; says what to name instead.
    """
    try:
        return read_as(record, Dataset.from_json).members
    except StateError as error:
        raise InputError(
            f"{record} is no dataset of a run ({error.__cause__}). Name a folder of photos, or a dataset_iterN.json."
        ) from error


def recorded_consent(dataset: Path) -> Consent:
    """Of a folder, or of the run that a dataset_iterN.json belongs to: its first dataset says it for all."""
    if dataset.suffix != ".json":
        return consent_of(dataset)
    first = dataset.with_name("dataset_iter0.json")
    if not first.is_file():
        return Consent.from_json(None)
    return read_as(first, lambda data: Consent.from_json(data.get("consent")))
