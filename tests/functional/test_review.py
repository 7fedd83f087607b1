"""A round that waits for a person: decisions are recorded beside the checks' verdicts, and win."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop
from twinloop.errors import StorageError
from twinloop.store.atomic import sha256_file
from twinloop.store.journal import Journal

WAITING = 3


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def by_outcome(iteration: int = 1) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"approved": [], "rejected": [], "unsure": []}
    for item in read(f"out/verdicts_iter{iteration}.json")["verdicts"]:
        found[item["outcome"]].append(item["image"])
    return found


def test_the_first_round_waits_and_the_persons_word_wins(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, review="first_round")
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == WAITING and "waits for your review" in said.out and "error" not in said.err
    assert twinloop(capsys, "run", "--config", config).code == WAITING, "nothing was said yet"
    automatic = by_outcome()
    down, up = automatic["approved"][0], (automatic["rejected"] + automatic["unsure"])[0]
    waiting = twinloop(capsys, "review", "out", "--json").data["images"]
    assert {image["file"]: image["outcome"] for image in waiting} == {
        name: outcome for outcome, names in automatic.items() for name in names
    }
    assert {image["by"] for image in waiting} == {"checks"} and all(0 <= image["quality"] <= 1 for image in waiting)
    assert all(bool(image["failed"]) is (image["outcome"] != "approved") for image in waiting)
    decided = twinloop(
        capsys, "review", "out", "--reject", f"out/synthetic_iter1/{down}", "--approve", up, "--finish", "--json"
    )
    assert decided.code == 0 and decided.data["finished"] and set(decided.data["decisions"]) == {down, up}
    said_of = {image["file"]: (image["outcome"], image["by"]) for image in decided.data["images"]}
    assert said_of[down] == ("rejected", "you") and said_of[up] == ("approved", "you")
    assert "images" not in read("out/review_iter1.json")
    assert twinloop(capsys, "run", "--config", config).code == 0, "round 2 does not wait"
    members = {Path(item["path"]).name for item in read("out/dataset_iter1.json")["members"]}
    assert down not in members
    assert (home / "out/approved_iter1" / up).exists() and (home / "out/rejected_iter1" / down).exists()
    assert not (home / "out/approved_iter1" / down).exists()
    assert by_outcome() == automatic, "the automatic verdicts stay on record"


def test_what_is_printed_of_a_round_that_waits_can_be_typed_and_is_right_for_one_image(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_gap = {"facets": ["lighting"], "shares": {"lighting": {"low_key": 0}}}
    settings = {"validation": {"faces": False}, "generation": {"num_per_gap": 1}, "analysis": one_gap}
    config = configuration(home, review="always", output_dir="my run", max_iterations=1, **settings)
    out = twinloop(capsys, "run", "--config", config).out
    assert len(list(Path("my run/synthetic_iter1").glob("*.png"))) == 1
    assert "review: 1 image in my run/synthetic_iter1." in out
    assert "twinloop ui --run 'my run'\n" in out and "twinloop review 'my run' --help" in out


def reviewed_otherwise(capsys: pytest.CaptureFixture[str]) -> str:
    """The round is reviewed anew, as after a mistake; returns the image that is approved now."""
    Path("out/review_iter1.json").unlink()
    automatic = by_outcome()
    name = (automatic["rejected"] + automatic["unsure"])[0]
    said = twinloop(
        capsys, "review", "out", "--iteration", "1", "--approve", name, "--reject", *automatic["approved"], "--finish"
    )
    assert said.code == 0
    return name


def test_a_review_that_is_changed_before_anything_was_trained_counts(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(home, review="first_round", max_iterations=1)
    twinloop(capsys, "run", "--config", config)
    twinloop(capsys, "review", "out", "--finish")

    def full(*_: Any) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr("twinloop.stages.train._trained", full)
        assert "The disk is full." in twinloop(capsys, "run", "--config", config).err
    first = read("out/dataset_iter1.json")["id"]
    name = reviewed_otherwise(capsys)
    assert twinloop(capsys, "run", "--config", config).code == 0
    made = [Path(item["path"]).name for item in read("out/dataset_iter1.json")["members"] if item["round"] == 1]
    assert made == [name] and read("out/dataset_iter1.json")["id"] != first
    journal = Journal(Path("out/journal.jsonl"), mend=False)
    for key, file in (("iter1.review", "review_iter1.json"), ("iter1.dataset", "dataset_iter1.json")):
        assert journal.get(key) == sha256_file(Path("out") / file)
    before = loops.tree("out", "loras")
    assert twinloop(capsys, "run", "--config", config).code == 0 and loops.tree("out", "loras") == before


def test_a_review_that_the_run_has_gone_on_with_is_not_exchanged(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, review="first_round")
    twinloop(capsys, "run", "--config", config)
    twinloop(capsys, "review", "out", "--finish")
    assert twinloop(capsys, "run", "--config", config).code == 0
    used, before = Path("out/review_iter1.json").read_bytes(), loops.tree("out", "loras")
    reviewed_otherwise(capsys)
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and "out/review_iter1.json is not the review that round 1 went on with" in said.err
    assert "Put the old review back from a copy, or start anew with --restart" in said.err
    Path("out/review_iter1.json").unlink()
    assert "is not the review that round 1 went on with" in twinloop(capsys, "run", "--config", config).err
    Path("out/review_iter1.json").write_bytes(used)
    assert twinloop(capsys, "run", "--config", config).code == 0 and loops.tree("out", "loras") == before


def test_a_finished_review_cannot_be_changed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, review="always")
    twinloop(capsys, "run", "--config", config)
    name = by_outcome()["approved"][0]
    assert twinloop(capsys, "review", "out", "--unsure", name).code == 0
    assert twinloop(capsys, "review", "out", "--forget", name, "--json").data["decisions"] == {}
    twinloop(capsys, "review", "out", "--finish")
    before = Path("out/review_iter1.json").read_bytes()
    late = twinloop(capsys, "review", "out", "--reject", name)
    assert late.code == 2 and "is finished" in late.err and Path("out/review_iter1.json").read_bytes() == before
    assert twinloop(capsys, "run", "--config", config).code == WAITING, "round 2 waits, too"


def test_a_review_that_changes_nothing_gives_the_run_without_one(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    plain = configuration(home)
    assert twinloop(capsys, "run", "--config", plain).code == 0
    datasets = [read("out/dataset_iter1.json"), read("out/dataset_iter2.json")]
    loras = {path.name: path.read_bytes() for path in Path("loras").glob("*.safetensors")}
    config = configuration(home, review="always", output_dir="out2", lora_output_dir="loras2")
    for iteration in (1, 2):
        assert twinloop(capsys, "run", "--config", config).code == WAITING
        assert twinloop(capsys, "review", "out2", "--iteration", iteration, "--finish").code == 0
    assert twinloop(capsys, "run", "--config", config).code == 0
    for number, expected in enumerate(datasets, 1):
        found = read(f"out2/dataset_iter{number}.json")
        assert found["id"] == expected["id"]
    assert {path.name: path.read_bytes() for path in Path("loras2").glob("*.safetensors")} == loras


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("review", "nowhere"), "holds no validated round"),
        (("review", "out", "--approve", "x.png"), "No such image in round 1: x.png"),
        (("review", "out", "--iteration", "7"), "has no verdicts yet"),
    ],
)
def test_wrong_reviews(home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str) -> None:
    twinloop(capsys, "run", "--config", configuration(home, review="always"))
    said = twinloop(capsys, *argv)
    assert said.code == 2 and words in said.err


def test_one_image_two_decisions(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twinloop(capsys, "run", "--config", configuration(home, review="always"))
    name = by_outcome()["approved"][0]
    said = twinloop(capsys, "review", "out", "--approve", name, "--reject", name)
    assert said.code == 2 and "two different decisions" in said.err


def test_the_list_says_why_and_a_decision_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, review="always")
    twinloop(capsys, "run", "--config", config)
    listed = twinloop(capsys, "review", "out").out.splitlines()
    verdicts = read("out/verdicts_iter1.json")["verdicts"]
    rows = {line.split()[3]: line for line in listed[1 : 1 + len(verdicts)]}
    for item in verdicts:
        failed = [check for check in item["checks"] if check["outcome"] != "approved"]
        row = rows[item["image"]].split(maxsplit=4)
        assert row[:3] == [item["outcome"], "checks", f"{item['quality']:.2f}"] and bool(row[4:]) == bool(failed)
        if any(check["check"] == "on_target" and check["outcome"] == "rejected" for check in failed):
            assert "off target" in row[4]
    name = verdicts[0]["image"]
    said = twinloop(capsys, "review", "--config", config, "--approve", name)
    assert said.out.splitlines() == [
        f"Round 1: 1 of {len(verdicts)} images decided by you; review open; --finish lets the run go on."
    ]
    (last,) = [line for line in twinloop(capsys, "review", "out").out.splitlines() if name in line]
    assert last.split()[:2] == ["approved", "you"]


def test_a_run_that_did_not_wait_says_that_the_word_comes_too_late(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, max_iterations=1)
    twinloop(capsys, "run", "--config", config)
    said = twinloop(capsys, "review", "out", "--approve", by_outcome()["rejected"][0])
    assert said.code == 0 and "lets the run go on" not in said.out
    assert "this round is over and did not wait for a review: what you say is kept, and not used" in said.out
    assert '"review": "always"' in said.out and "--restart" in said.out
