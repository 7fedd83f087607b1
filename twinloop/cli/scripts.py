"""The scripts in the root folder and the commands they are."""

from __future__ import annotations

from collections.abc import Mapping

from twinloop.cli import analyze, generate, inspect_models, menu, run, validate
from twinloop.cli.command import Command
from twinloop.cli.export import pictures

SCRIPTS: Mapping[str, Command] = {
    "gap_analysis.py": analyze.COMMAND,
    "generate_synthetic.py": generate.COMMAND,
    "validate_synthetic.py": validate.COMMAND,
    "bootstrap_loop.py": run.COMMAND,
    "beaver.py": menu.COMMAND,
    "inspect_pkl.py": inspect_models.COMMAND,
    "export_for_did.py": pictures.DID,
    "export_facesheet.py": pictures.FACESHEET,
    "export_expressions.py": pictures.EXPRESSION_SET,
}
