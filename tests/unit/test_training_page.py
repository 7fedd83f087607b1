"""docs/training.md: its tables of names and of what may change in a run are those of the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twinloop.config import Settings, parse_settings
from twinloop.config.elsewhere import ELSEWHERE
from twinloop.config.training_clashes import SAYS_NOTHING_WITHOUT
from twinloop.domain.choices import BASE_PARTS
from twinloop.domain.flattened import flattened

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
LEAST = {"person_name": "alice", "person_trigger": "ohwx alice", "dataset_dir": "photos"}


def rows(section: str) -> Iterator[list[str]]:
    """The cells of the table in that section, without its head."""
    text = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.split("|")[1:-1]]


def ticked(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


OTHER_NAMES = ("Names in sd-scripts", "Names in ai-toolkit and OneTrainer")
OF_LIBRARIES = {"use_rslora"}
"""What PEFT calls a field, and none of these programs."""


def test_names_of_other_programs_are_what_the_errors_say() -> None:
    training = Settings.model_fields["training"].annotation
    assert training is not None
    own = {*Settings.model_fields, *training.model_fields}
    seen = set()
    for *theirs, here in (row for section in OTHER_NAMES for row in rows(section)):
        for name in ticked(" ".join(theirs).replace("`network_args`", "")):
            ours = ELSEWHERE.get(name, name).rpartition(".")[2]
            assert ours in own, name
            assert here.startswith("the same") or ours in ticked(here) or name == "max_train_steps", name
            seen.add(name)
    told = {name for name, ours in ELSEWHERE.items() if ours.startswith("training.")}
    assert len(seen) > 80 and not told - seen - OF_LIBRARIES, "what the errors say stands in a table"


BY_CONTENT = {"training.start_from", "training.assistant_lora"}
"""Where these files lie may change; what is in them may not."""
OTHER_RUN = {"output_dir", "lora_output_dir", "dataset_dir"}
"""With another folder it is another run, or an error."""


def test_what_may_change_in_a_run_is_listed() -> None:
    settings = parse_settings(LEAST, "x")
    every: dict[str, Any] = flattened(settings.model_dump(mode="json"))
    kept = flattened(settings.identity_fields())
    told_where_set = {f"training.{name}" for name in SAYS_NOTHING_WITHOUT}
    told_where_set |= {"subject", "validation.faces", "generation.guidance_rescale", "generation.timestep_spacing"}
    told_where_set |= {"clip_skip"}
    told_where_set |= {f"base_parts.{name}" for name in BASE_PARTS}
    free = {name for name in every if name not in kept} - told_where_set - BY_CONTENT - OTHER_RUN
    listed = {name for field, _ in rows("Changing a run") for name in ticked(field)}
    assert {"stop" if name.startswith("stop.") else name for name in free} == listed
