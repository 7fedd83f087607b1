"""``beaver.py`` in a real terminal: workflow 1 from a folder of the embedded world to a trained LoRA, interrupted and
continued.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pexpect
import pytest

from tests.functional.console import ROOT, twinloop
from twinloop.nano.world.photos import write_photo_set

CONFIG = {
    "person_name": "mira",
    "person_trigger": "ohwx mira",
    "base_model": "nano",
    "models_dir": "nano",
    "dataset_dir": "outputs/facevault/organized/mira",
    "output_dir": "outputs/bootstrap",
    "lora_output_dir": "outputs/lora_models/mira",
    "training": {"preset": "nano", "steps": 16, "batch_size": 1, "checkpoint_every": 4},
}
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "TERM": "xterm-256color",
    "OMP_NUM_THREADS": "1",
    "SOURCE_DATE_EPOCH": "1700000000",
}
DOWN = "\x1b[B"


class Person:
    """Somebody at a terminal of 120 x 40."""

    def __init__(self, home: Path) -> None:
        self.seen = io.StringIO()
        self.shell = pexpect.spawn(
            sys.executable,
            [str(ROOT / "beaver.py")],
            cwd=str(home),
            env=ENVIRONMENT,
            dimensions=(40, 120),
            encoding="utf-8",
            timeout=180,
        )

        self.shell.logfile_read = self.seen

    def commands(self) -> list[list[str]]:
        """The command lines that the menu printed before it ran them; the one that was interrupted is printed twice."""
        printed = re.findall(r"^  \$ twinloop (.*?)\r?$", self.seen.getvalue(), re.MULTILINE)
        return [shlex.split(line) for line in dict.fromkeys(printed) if not line.startswith("run ")]

    def sees(self, text: str) -> None:
        self.shell.expect(text)

    def answers(self, question: str, keys: str = "") -> None:
        self.shell.expect(re.escape(question))
        self.shell.expect(re.compile(r"\x1b\[\?7h|\x1b\[6n|\x1b\[\d+[ABCDJ]"))
        self.shell.send(keys + "\r")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "photos"
    write_photo_set(folder, seed=7, count=14, size=320)
    return folder


def home_with(photos: Path, home: Path) -> Path:
    """A working directory; the configuration is there already, so that the training is a short one."""
    home.mkdir()
    (home / "photos").symlink_to(photos, target_is_directory=True)
    (home / "bootstrap_config_mira.json").write_text(json.dumps(CONFIG))
    return home


@pytest.mark.slow
def test_workflow_1_in_a_terminal_stopped_and_continued(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_with(photos, tmp_path / "home")
    person = Person(home)
    person.answers("What shall it be?", "1")
    person.answers("Folder with the photos", "photos")
    person.answers("Name of the person", "mira")  # it replaces the name that is offered
    person.answers("Trigger words")
    person.answers("What the person is")
    person.answers("On what ground")
    person.answers("Which detectors?", DOWN)
    person.answers("Which base model?", DOWN + DOWN)
    person.answers("Configuration to write")
    person.sees(r"\$ twinloop train")
    person.sees("Training LoRA")
    person.shell.sendintr()
    person.sees("Stopped. Choose Continue")
    assert not (home / "outputs/lora_models/mira/lora_v1.safetensors").exists()
    person.answers("What shall it be?", "q")
    person.sees(pexpect.EOF)

    again = Person(home)
    again.answers("What shall it be?", "c")
    again.sees("Scan: done before")
    again.sees("LoRA: outputs/lora_models/mira/lora_v1.safetensors")
    again.answers("What shall it be?", "q")
    again.sees(pexpect.EOF)
    lora = home / "outputs/lora_models/mira/lora_v1.safetensors"
    assert lora.stat().st_size > 100_000

    monkeypatch.chdir(home_with(photos, tmp_path / "other"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", ENVIRONMENT["SOURCE_DATE_EPOCH"])
    for argv in (*person.commands(), *again.commands()):
        said = twinloop(capsys, *argv)
        assert said.code == 0, said.out + said.err
    assert lora.relative_to(home).read_bytes() == lora.read_bytes(), "the printed commands give the same LoRA"
