"""Arguments that the vault's commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from twinloop.store.vault.folder import DEFAULT


def add_vault(parser: argparse.ArgumentParser) -> None:
    """``--vault DIR``."""
    parser.add_argument(
        "--vault", type=Path, default=DEFAULT, metavar="DIR", help=f"folder of the vault (default: {DEFAULT})"
    )


def add_person(parser: argparse.ArgumentParser) -> None:
    """``PERSON``."""
    parser.add_argument("person", metavar="PERSON", help="id (p001) or name; twinloop vault clusters lists them")
