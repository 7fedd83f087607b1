"""What a dry run says of a run that has begun: its own photos, and what starting anew would train on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.functional.console import Said, configuration, twinloop
from tests.helpers.fake_photos import fake_photo
from twinloop.wiring import checking


def begun(home: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> Path:
    """A run of one round that is finished."""
    config = configuration(home, max_iterations=1, **changes)
    assert twinloop(capsys, "run", "--config", config).code == 0
    return config


def previewed(capsys: pytest.CaptureFixture[str], config: Path, *flags: str) -> Said:
    said = twinloop(capsys, "run", "--config", config, "--dry-run", *flags)
    assert said.code == 0, said.err
    return said


def counted(said: Said) -> int:
    """Of how many images the analysis is."""
    return int(said.data["gaps"]["total_images"])


def test_a_dry_run_of_a_begun_run_analyses_the_runs_own_photos(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = begun(home, capsys)
    own = json.loads(Path("out/gaps_iter1.json").read_text())
    for number in range(5):
        fake_photo(Path(f"photos/later_{number}.png"), seed=900 + number, yaw=-60.0)
    said = previewed(capsys, config, "--json")
    assert said.data["gaps"]["recommendations"] == own["recommendations"]
    assert said.data["gaps"]["facets"] == own["facets"]
    anew = previewed(capsys, config, "--restart", "--json")
    assert anew.data["gaps"]["facets"] != own["facets"]
    assert previewed(capsys, config).out == previewed(capsys, config).out and not Path("out.old1").exists()


def test_its_last_line_says_what_starting_anew_would_train_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = begun(home, capsys)
    same = previewed(capsys, config)
    assert "anew would" not in same.out and same.out.rstrip().endswith("--restart begins anew. Nothing was written.")
    for number in range(2):
        fake_photo(Path(f"photos/later_{number}.png"), seed=900 + number)
    last = previewed(capsys, config).out.rstrip().splitlines()[-1]
    assert last.startswith("This run is finished (")
    assert "2 pictures came" in last and "Starting anew (--restart) would train v1 on 14 photos with 3 steps" in last
    assert "loras/lora_v1.safetensors" in last and last.endswith("Nothing was written.")
    assert previewed(capsys, config, "--json").data["anew"]["photos"] == 14


def test_captions_that_were_changed_count_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/IMG_0001.txt").write_text("ohwx ana, at sea")
    config = begun(home, capsys)
    assert "anew would" not in previewed(capsys, config).out
    Path("photos/IMG_0001.txt").write_text("ohwx ana, in town")
    last = previewed(capsys, config).out.rstrip().splitlines()[-1]
    assert "1 caption is different" in last and "Starting anew (--restart) would train v1 on 12 photos" in last


@pytest.mark.parametrize("change", ["gone", "changed", "settings", "folder"])
def test_where_the_run_would_be_refused_the_last_line_speaks_of_starting_anew(
    home: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    config = begun(home, capsys)
    if change == "gone":
        Path("photos/IMG_0003.png").unlink()
    elif change == "changed":
        fake_photo(Path("photos/IMG_0003.png"), seed=900)
    elif change == "settings":
        config = configuration(home, max_iterations=1, training={"steps": 4})
    else:
        Path("photos").rename("others")
        config = configuration(home, max_iterations=1, dataset_dir="others")
    said = previewed(capsys, config)
    assert "Without --dry-run this is refused" in said.err
    last = said.out.rstrip().splitlines()[-1]
    count, steps = 11 if change == "gone" else 12, 4 if change == "settings" else 3
    assert last.startswith(f"Starting anew (--restart) would train v1 on {count} photos with {steps} steps")
    assert "Kept under new names: out and loras." in last and ", as loras/lora_v1.safetensors" in last
    assert twinloop(capsys, "run", "--config", config).code == 2


def test_of_photos_in_a_folder_that_was_renamed_a_dry_run_says_what_the_run_says(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(home, capsys)
    Path("photos").rename("elsewhere")
    config = configuration(home, max_iterations=1, dataset_dir="elsewhere")
    refused = twinloop(capsys, "run", "--config", config)
    (reason,) = [line.removeprefix("error: ") for line in refused.err.splitlines() if line.startswith("error: ")]
    assert "photos of another folder" in reason
    assert f"Without --dry-run this is refused: {reason}" in previewed(capsys, config).err


def test_a_restart_that_is_previewed_says_what_it_keeps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = begun(home, capsys)
    last = previewed(capsys, config, "--restart").out.rstrip().splitlines()[-1]
    assert last.startswith("Would train v1 with 3 steps") and "Kept under new names: out and loras." in last
    fresh = configuration(home, output_dir="new", lora_output_dir="new_loras")
    assert "Kept under" not in previewed(capsys, fresh, "--restart").out
    Path("new_loras").mkdir()
    Path("new_loras/lora_v7.json").write_text("{}")  # of nobody: a plain start leaves it
    assert "Kept under" not in previewed(capsys, fresh).out


@pytest.mark.parametrize(
    "place",
    [
        "out/run.json", "out/gaps_iter1.json", "out/gaps_iter2.json", "out/shots_iter1.json", "out/verdicts_iter1.json",
        "out/review_iter1.json", "out/dataset_iter0.json", "out/dataset_iter1.json", "out/panel.json",
        "out/panel_v1.json", "out/panel_v2.json", "out/iteration_history.json", "out/identity_reference.json",
        "out/report.html", "out/journal.jsonl", "out/catalog.sqlite", "out/versions.json", "out/sources.json",
        "loras/lora_v1.safetensors", "loras/lora_v1.json", "loras/lora.safetensors", "loras/final.json",
        "loras/.run.json",
    ],
)  # fmt: skip
def test_a_folder_in_the_place_of_a_record_is_told_by_the_dry_run_as_by_the_run(
    home: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    config = configuration(home, max_iterations=1)
    Path(place).mkdir(parents=True)
    (Path(place) / "mine.txt").write_text("x")
    for flags in (["--dry-run"], []):
        said = twinloop(capsys, "run", "--config", config, *flags)
        assert said.code == 2 and f"{place} is a folder, and a file belongs there" in said.err, (flags, said.err)
        assert "Move it away" in said.err and said.err.count("error: ") == 1, said.err
    assert (Path(place) / "mine.txt").read_text() == "x"


@pytest.mark.parametrize("place", ["out/synthetic_iter1", "out/approved_iter1", "out/panel_v1"])
def test_a_file_in_the_place_of_a_folder_is_told_likewise(
    home: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    config = configuration(home, max_iterations=1)
    Path("out").mkdir()
    Path(place).write_text("x")
    for flags in (["--dry-run"], []):
        said = twinloop(capsys, "run", "--config", config, *flags)
        assert said.code == 2 and f"{place} is a file, and a folder belongs there" in said.err, (flags, said.err)


def test_of_a_run_that_lies_among_its_photos_nothing_is_trained_anew(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images would be taken for photos, those that were rejected too. It can be looked at."""
    with monkeypatch.context() as earlier:
        earlier.setattr(checking, "_read_around", lambda *_: "")  # as an earlier version
        config = begun(home, capsys, output_dir="photos/out")
    for flags in ([], ["--restart"], ["--restart", "--dry-run"]):
        said = twinloop(capsys, "run", "--config", config, *flags)
        assert said.code == 2 and "output_dir: photos/out lies in the folder of dataset_dir (photos)" in said.err
        assert "Move photos/out, which is there already, out of it as well." in said.err
    assert twinloop(capsys, "report", "photos/out").code == 0
    Path("photos/out").rename("first")
    assert twinloop(capsys, "report", "first").code == 0
    config = configuration(home, max_iterations=1, lora_output_dir="other_loras")
    assert twinloop(capsys, "run", "--config", config).code == 0
    members = json.loads(Path("out/dataset_iter0.json").read_text())["members"]
    assert len(members) == 12 and all(Path(member["path"]).parent == Path("photos") for member in members)


@pytest.mark.parametrize(("mounted", "field"), [("out", "output_dir"), ("loras", "lora_output_dir")])
def test_a_restart_is_refused_before_it_moves_a_mount_point(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mounted: str, field: str
) -> None:
    config = begun(home, capsys)
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == Path(mounted))
    for flags in (["--restart"], ["--restart", "--dry-run"]):
        said = twinloop(capsys, "run", "--config", config, *flags)
        assert said.code == 2 and f"{mounted} under another name: it is a mount point" in said.err, said.err
        assert f"Set {field} to a folder in it." in said.err
    assert not list(Path().glob("*.old1"))
