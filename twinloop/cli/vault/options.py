"""Arguments that the vault's commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.store.vault.folder import DEFAULT

if TYPE_CHECKING:
    from twinloop.domain.vault import Person
    from twinloop.stages.vault.opened import OpenVault


def add_vault(parser: argparse.ArgumentParser) -> None:
    """``--vault DIR``."""
    parser.add_argument(
        "--vault", type=Path, default=DEFAULT, metavar="DIR", help=f"folder of the vault (default: {DEFAULT})"
    )


def add_person(parser: argparse.ArgumentParser) -> None:
    """``PERSON``."""
    parser.add_argument("person", metavar="PERSON", help="id (p001) or name; twinloop vault clusters lists them")


def person_of(opened: OpenVault, text: str) -> Person:
    """Who is meant with ``PERSON``."""
    from twinloop.stages.vault.people.record import find_person, read_people

    return find_person(read_people(opened.vault), text)
