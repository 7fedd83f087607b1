"""What speaks against a model file, as parts of sentences: the shelf and the doctor say the same of the same file."""

from __future__ import annotations

from pathlib import Path

from twinloop.errors import GET_ANOTHER
from twinloop.pickles import Policy
from twinloop.pickles.inspection import Safety
from twinloop.stages.model_files.inspect import ENDINGS, inspect_file
from twinloop.store.models.folder import problem_of

_TOLD = 3
"""Findings of one file, at most."""


def is_pickled(path: Path) -> bool:
    """Whether files of that ending are pickles, or hold some."""
    return path.suffix.lower() in ENDINGS


def complaint(path: Path) -> str:
    """Why a file is not what its ending says, and what to do; "" when it may be. Of pickles `verdict` knows more, but
    for ``.pt``: a web page or a pointer under that name is told as what it is.
    """
    return "" if path.suffix.lower() in ENDINGS - {".pt"} else problem_of(path) or ""


def verdict(path: Path, policy: Policy) -> tuple[Safety, str]:
    """Whether it is safe to load a pickled file, and what speaks against it; where loading it would act, what to do."""
    found = inspect_file(path, policy)
    why = "; ".join(finding.text.rstrip(".") for finding in found.findings[:_TOLD])
    return found.verdict, f"{why}. {GET_ANOTHER}" if found.verdict is Safety.DANGEROUS else why


def danger(path: Path) -> str:
    """Why nobody should load a pickled file, and what to do; "" when there is nothing against it."""
    safety, why = verdict(path, Policy())
    return why if safety is Safety.DANGEROUS else ""
