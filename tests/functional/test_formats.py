"""docs/formats.md against what the commands write: a field that is not described fails, and so does one that no file
holds.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import ROOT
from tests.functional.formats_files import (
    BY_TESTS,
    COMPARED,
    FAKE,
    MADE,
    TRAIN,
    by_others,
    command,
    make_all,
    marks,
    read,
)
from tests.functional.formats_page import Held, Section, pattern, section_of, sections

PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
FOUND = sections(PAGE)
NEVER_BY_FAKES = {
    "generation_metadata.json: settings.quantization",
    "generation_metadata.json: settings.compile",
    "compare.json: settings.quantization",
    "compare.json: settings.compile",
    "dataset_iterN.json: drawn",
    "dataset_iterN.json: made_elsewhere",
    "gaps.json: not_measured.<facet>",
    "panel_vN.json: no_face",
    "checkpoints_vN.json: checkpoints[].no_face",
    "iteration_history.json: panel[].no_face",
}
"""Fields that need a quantised or compiled model, a character without photos, a detector that is missing, images
without a face.
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command that writes files has run once."""
    home = tmp_path_factory.mktemp("formats")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        make_all(home)
    return home


def written(home: Path) -> Iterator[tuple[str, Section, Any]]:
    """(path, section, content) of every file there that a section of the page is about; of JSON lines each line."""
    others = [re.compile(f"(?:^|/){one.pattern}(?:$|/)") for one in not_for_scripts()]
    for file in sorted(home.rglob("*")):
        path = file.relative_to(home).as_posix()
        if path in BY_TESTS or any(other.search(path) for other in others):
            continue
        if file.suffix == ".json":
            data = read(file)
            also = data.get("export", "") if file.name == "manifest.json" else ""
            yield path, section_of(path, FOUND, also), data
        elif file.suffix == ".jsonl" and file.name != "journal.jsonl":
            for line in file.read_text(encoding="utf-8").splitlines():
                yield path, section_of(path, FOUND), json.loads(line)
        elif file.name.startswith("synthetic_") and file.parent.name == "synthetic_iter1":
            yield path, section_of(path, FOUND), marks(file)


def not_for_scripts() -> Iterator[re.Pattern[str]]:
    """Files that the page names and does not describe."""
    for name in re.findall("`([^`]+)`", PAGE.partition("## Not for scripts")[2]):
        if re.fullmatch(r"[\w<>./]+", name):
            yield pattern(name.rstrip("/"))


@pytest.fixture(scope="module")
def held(home: Path) -> list[Held]:
    """Every section of a file with all of its files held against it."""
    held = {section.names: Held(section) for section in FOUND if any("." in name for name in section.names)}
    for _, section, data in written(home):
        held[section.names].against(data)
    for name, data in by_others(home):
        held[section_of(name, FOUND).names].against(data)
    return list(held.values())


def test_every_field_of_a_file_is_described(held: list[Held]) -> None:
    assert len(held) >= 25
    assert {
        names: problems for names, problems in ((one.section.names, one.problems) for one in held) if problems
    } == {}


def test_every_described_field_is_in_a_file(held: list[Held]) -> None:
    never = {f"{one.section.names[0]}: {path}" for one in held for path in one.never_seen()}
    assert never <= NEVER_BY_FAKES, never - NEVER_BY_FAKES
    assert never == NEVER_BY_FAKES, f"seen after all: {NEVER_BY_FAKES - never}"


def test_private_files_are_the_owners_alone(home: Path) -> None:
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in PAGE.partition("## ")[0].splitlines()
        if line.startswith("| `")
    ]
    private = {name: row[-1] for row in rows for name in re.findall("`([^`]+)`", row[0])}
    assert set(private.values()) == {"yes", "no"}
    files = {name for one in FOUND for name in one.names if "." in name} - {
        "synthetic_<type>_<target>_<nnn>_<date>_<time>.png",
        "lora_vN.safetensors",
    }
    assert set(private) == {*files, "journal.jsonl"}
    checked = 0
    for path, section, _ in written(home):
        (said,) = {private[name] for name in section.names if name in private} or {"no"}
        assert ((home / path).stat().st_mode & 0o077 == 0) is (said == "yes"), path
        checked += said == "yes"
    assert checked == 3


def test_every_unit_of_a_journal_is_described(home: Path) -> None:
    table = PAGE.partition("## `journal.jsonl`")[2].partition("## ")[0]
    known = {
        pattern(name)
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall("`([^`]+)`", line.split("|")[1])
    }
    lines = (home / "out/journal.jsonl").read_text().splitlines()
    units = {json.loads(line[9:])[0] for line in lines}
    assert all(line[:8] == f"{zlib.crc32(line[9:].encode()):08x}" for line in lines)
    assert {unit for unit in units if not any(one.fullmatch(unit) for one in known)} == set()
    assert {one.pattern for one in known if not any(one.fullmatch(unit) for unit in units)} == set()


def test_the_words_of_an_images_parameters_are_described(home: Path) -> None:
    said = PAGE.partition("| `parameters`")[2].partition("\n")[0]
    (image, *_) = sorted((home / "out/synthetic_iter1").glob("synthetic_*.png"))
    last = re.sub('"[^"]*"', "", marks(image)["parameters"].splitlines()[-1])
    words = [part.partition(":")[0] for part in last.split(", ")]
    assert len(words) > 5 and all(f"`{word}`" in said for word in words)


def test_what_commands_print_as_json(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    made, record = read("made/generation_metadata.json"), read("mine.json")
    expected: dict[tuple[object, ...], Any] = {
        ("analyze", "photos", *FAKE): read("gaps.json"),
        ("validate", "made", *FAKE): read("made/verdicts.json"),
        ("run", "--config", "bootstrap_config.json"): read("out/iteration_history.json"),
        ("review", "out"): read("out/review_iter1.json"),
        ("train", "photos", *TRAIN): {name: value for name, value in record.items() if name != "asked"},
        ("generate", "gaps.json", "--config", "hand/bootstrap_config.json", *MADE): {
            "output": "made",
            "images": made["images"],
        },
        ("compare", *COMPARED): read("compared/compare.json"),
        ("export", "did", "--dataset", "alice", "--output", "did", *FAKE): read("did/manifest.json"),
    }
    for argv, data in expected.items():
        assert f"`twinloop {argv[0]}`" in PAGE.partition("## `--json`")[2]
        capsys.readouterr()
        command(*argv, "--json")
        printed = json.loads(capsys.readouterr().out)
        warnings = printed.pop("warnings") if argv[0] == "export" else []
        images = printed.pop("images") if argv[0] == "review" else []
        assert all(set(image) == {"file", "outcome", "by", "quality", "failed"} for image in images)
        assert printed == data, argv
        assert all(isinstance(line, str) for line in warnings)


def test_shots_may_be_changed_before_their_images_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))

    def stop(key: str) -> None:
        if key == "iter1.shots":
            raise KeyboardInterrupt(key)

    chosen = loops.settings(max_iterations=1)
    with pytest.raises(KeyboardInterrupt):
        loops.run(chosen, stop)
    plan = read("out/shots_iter1.json")
    first, *rest = plan["shots"]
    assert rest
    Path("out/shots_iter1.json").write_text(
        json.dumps({**plan, "shots": [{**first, "prompt": "ohwx ana on a horse", "seed": 5}]})
    )
    loops.run(chosen)
    (image,) = read("out/synthetic_iter1/generation_metadata.json")["images"]
    assert (image["key"], image["prompt"], image["seed"]) == (first["key"], "ohwx ana on a horse", 5)
