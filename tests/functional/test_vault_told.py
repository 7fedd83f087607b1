"""What the vault's commands say: sums that add up, who was meant, hints apart from faults, and next steps that can be
pasted.
"""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.functional.console import Said, twinloop
from tests.helpers.fake_photos import fake_photo
from twinloop.adapters.fakes import fake_pack
from twinloop.adapters.scanning.scanners import HereScanner
from twinloop.domain.scanned import ScannedFile
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.store import lock
from twinloop.store.atomic import read_json, sha256_file, write_json
from twinloop.store.lock import VAULT, locked

FAKE = ("--models-dir", "fake", "--workers", "0")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with six photos of one person and three of another, and an empty one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "empty").mkdir()
    for person, count in ((1, 6), (2, 3)):
        for number in range(count):
            fake_photo(
                tmp_path / "photos" / f"{'xab'[person]}{number}.png", seed=10 * person + number, size=256, person=person
            )
    return tmp_path


def vault(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "vault", *argv, "--vault", "my vault")


@pytest.mark.parametrize("argv", [("scan", "empty"), ("run", "empty", "--person", "ana")])
def test_an_empty_folder_is_named_and_nothing_is_made(
    home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    (home / "empty/notes.txt").write_text("no picture")
    said = vault(capsys, *argv, *FAKE)
    assert said.code == 2 and f"No pictures in {home / 'empty'}" in said.err and ".jpg" in said.err
    assert not (home / "my vault").exists()


def test_an_empty_folder_beside_a_full_one_is_a_warning(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # also where the full one is known already
        said = vault(capsys, "scan", "photos", "empty", *FAKE)
        assert said.code == 0 and "9 photos with 9 faces in 9 files" in said.out
    assert vault(capsys, "scan").code == 0


def test_a_folder_of_damaged_files_ends_after_the_scan(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "empty/a.jpg").write_text("no picture")
    said = vault(capsys, "run", "empty", "--person", "ana", *FAKE)
    assert said.code == 2 and "a.jpg: " in said.out and "Cluster" not in said.out
    assert f"No photo of {home / 'empty'} can be read" in said.err


def test_photos_without_faces_are_told_by_their_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "scan", "photos", *FAKE, "--min-face", "2000")
    said = vault(capsys, "cluster")
    assert said.code == 2 and f"No faces were found in the photos of {home / 'photos'} (under 2000 pixels" in said.err
    assert "twinloop vault status --vault 'my vault'" in said.err


def test_who_is_guessed_is_not_said_to_be_on_most_photos_where_a_named_person_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vault(capsys, "run", "photos", "--person", "ana", *FAKE).code == 0
    for number in range(3, 5):
        fake_photo(home / f"photos/b{number}.png", seed=20 + number, size=256, person=2)
    for number in range(3):
        fake_photo(home / f"photos/c{number}.png", seed=70 + number, size=256, person=7)
    said = vault(capsys, "run", "photos", "--person", "bea", *FAKE)
    assert said.code == 0, said.err
    assert "bea was taken to be p002, who is on most photos of those without a name (5); others: p003 (3)" in said.err


def test_who_was_guessed_is_said_last_and_can_be_put_right(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder holds more photos of somebody else; the steps that the messages name lead to the right person."""
    run = ("run", "photos", "--person", "ana", "--consent", "self", *FAKE)
    said = vault(capsys, *run)
    assert said.code == 0 and "ana was taken to be p001, who is on most photos (6); others: p002 (3)" in said.err
    assert "--reference PHOTO" in said.err.splitlines()[-1]
    undo = "2 times: twinloop vault undo --vault 'my vault'"
    assert f"take the name back first ({undo})" in said.err
    refused = vault(capsys, *run, "--reference", "photos/b0.png")
    assert (
        refused.code == 2 and "shows p002, but ana is p001" in refused.err and f"take that back ({undo})" in refused.err
    )
    steps = [shlex.split(line.strip()) for line in refused.err.splitlines() if line.startswith("  twinloop")]
    assert [step[1:3] for step in steps] == [["vault", "name"], ["vault", "label"], ["vault", "prep"]]
    for step in steps:
        argv = [word.replace("OTHER-NAME", "bob") for word in step[1:]]
        assert twinloop(capsys, *argv).code == 0
    right = vault(capsys, *run, "--reference", "photos/b0.png")
    assert right.code == 0 and "was taken to be" not in right.err
    assert {path.stem for path in (home / "my vault/organized/ana").glob("*.png")} == {"b0", "b1", "b2"}
    bob = home / "my vault/organized/bob"
    assert len(list(bob.glob("*.png"))) == 6
    assert all(path.read_text().startswith("ohwx bob") for path in bob.glob("*.txt")), "no trigger for two"
    assert read_json(bob / "person.json")["consent"]["kind"] is None, "the consent was somebody else's"


def test_a_wrong_guess_is_taken_back_as_the_messages_say(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "photos", "--person", "ana", *FAKE)
    vault(capsys, *run)
    for _ in range(2):
        assert vault(capsys, "undo").code == 0
    right = vault(capsys, *run, "--reference", "photos/b0.png")
    assert right.code == 0, right.err
    assert {path.stem for path in (home / "my vault/organized/ana").glob("*.png")} == {"b0", "b1", "b2"}
    assert vault(capsys, "name", "p001", "bob").code == 0
    refused = vault(capsys, "run", "photos", "--person", "bob", "--reference", "photos/b1.png", *FAKE)
    assert "p002" in refused.err and "1 time:" in refused.err
    assert vault(capsys, "hide", "p001").code == 0
    refused = vault(capsys, "run", "photos", "--person", "bob", "--reference", "photos/b1.png", *FAKE)
    assert "vault undo" not in refused.err, "something else was decided since"


def test_between_people_on_as_many_photos_nobody_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((home / "photos").glob("a*"))[:2]:
        path.unlink()
    said = vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    assert said.code == 2 and "Which of these people is ana? Photos of each: p001 (4), p002 (3)." in said.err
    assert vault(capsys, "history").out == "Nothing was decided yet.\n" and not (home / "my vault/organized").exists()
    said = vault(capsys, "run", "photos", "--person", "ana", "--reference", "photos/b0.png", *FAKE)
    assert said.code == 0 and len(list((home / "my vault/organized/ana").glob("*.png"))) == 3


def test_without_an_embedder_run_ends_before_the_scan(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = replace(fake_pack(), embedder=None)
    monkeypatch.setattr("twinloop.wiring.scanning.build_pack", lambda *_, **__: blind)
    monkeypatch.setattr(PhotoMeasurer, "scan", None)
    said = vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    assert said.code == 2 and "The models in fake have no embedder" in said.err and "doctor" in said.err


def test_the_only_person_is_no_guess(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (home / "photos").glob("b*"):
        path.unlink()
    said = vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    assert (
        said.code == 0 and "was taken to be" not in said.err and "is the only one without a name (6 photos)" in said.out
    )


def test_a_missing_consent_names_its_flag(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "scan", "photos", *FAKE)
    vault(capsys, "cluster")
    said = vault(capsys, "label", "p001", "--trigger", "ohwx ana")
    assert "--consent self, written, licence or fictional" in said.err


def test_hints_stand_apart_from_what_lacks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    lines = said.out.splitlines()
    grade, hints = next(n for n, line in enumerate(lines) if line.startswith("Readiness:")), lines.index("Hints:")
    wanted = int(re.findall(r"(\d+) things? to improve", lines[grade])[0])
    assert wanted == hints - grade - 1 > 0, "as many lines as there are things to improve"
    assert lines[hints + 1].startswith("  - ")
    assert "Note on 6 pictures (such as a0.png): smaller than 1024 x 1024, and not enlarged" in lines


def test_the_limits_of_clustering_are_explained(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "scan", "photos", *FAKE)
    said = vault(capsys, "cluster", "--limit", "0.5")
    assert "Faces are one person's from a likeness of 0.50 (cosine, 1 = the same; --limit)." in said.out
    assert "Who is on fewer than 3 photos is a stranger (--min-faces)." in said.out


def test_one_is_not_counted_as_several(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((home / "photos").iterdir())[1:]:
        path.unlink()
    assert "1 photo with 1 face in 1 file\n" in vault(capsys, "scan", "photos", *FAKE).out
    assert "1 file, 1 different photo, 1 kept" in vault(capsys, "dedup").out
    assert vault(capsys, "duplicates").out == "0 groups\n"
    fake_photo(home / "photos/copy.png", seed=10, size=256, person=1)
    vault(capsys, "scan")
    said = vault(capsys, "duplicates")
    assert "1 group\n" in said.out and "twinloop vault keep FILE --vault 'my vault'" in said.out


def test_every_next_step_names_the_vault(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [
        vault(capsys, *argv)
        for argv in (
            ("status",),
            ("scan", "photos", *FAKE),
            ("clusters",),
            ("duplicates",),
            ("status",),
            ("cluster",),
            ("dedup",),
            ("label", "p001", "--trigger", "ohwx ana", "--name", "ana"),
            ("caption", "ana"),
            ("name", "p002", "bea"),
            ("hide", "p002"),
            ("prep", "p002"),
        )
    ]
    steps = [line for item in said for line in (item.out + item.err).splitlines() if "twinloop vault" in line]
    assert len(steps) >= 10
    assert [line for line in steps if "--vault 'my vault'" not in line] == []


def test_the_help_begins_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    text = twinloop(capsys, "vault", "--help").out
    assert "`" not in text and "\nFrom a messy folder of photos to a person's training set.\n" in text


def test_a_vault_in_use_is_not_called_an_output_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(home / "my vault", VAULT):
        said = vault(capsys, "scan", "photos", *FAKE)
    assert said.code == 2 and "my vault is in use by another command" in said.err and "output folder" not in said.err


def test_duplicates_are_listed_while_another_command_works(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("photos/b0.png", "photos/b0_copy.png")
    vault(capsys, "scan", "photos", *FAKE)
    vault(capsys, "dedup")
    with locked(home / "my vault", VAULT):
        listed = vault(capsys, "duplicates", "--json")
        assert listed.code == 0 and len(listed.data) == 1
        assert vault(capsys, "keep", "photos/b0_copy.png").code == 2
    shutil.copy("photos/b0.png", "photos/b0_again.png")
    vault(capsys, "scan", *FAKE)
    with locked(home / "my vault", VAULT):
        said = vault(capsys, "duplicates")
    assert said.code == 2 and "in use by another command" in said.err, "they are to be searched again"
    assert len(vault(capsys, "duplicates", "--json").data[0]["files"]) == 3


def test_a_vault_that_must_not_be_written_is_not_called_an_output_folder(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, flags: int = 0) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(lock, "_opened", refuse)
    said = vault(capsys, "scan", "photos", *FAKE)
    assert said.code == 2 and said.err == (
        "error: No permission to write my vault/.lock. Name another vault (--vault) or change the permissions.\n"
    )


def test_undoing_a_wrong_guess_is_a_way_back(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The training set that the guess made goes to whom it shows, instead of being in the way."""
    vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    for _ in range(2):
        assert vault(capsys, "undo").code == 0
    said = vault(capsys, "run", "photos", "--person", "ana", "--reference", "photos/b0.png", *FAKE)
    organized = home / "my vault/organized"
    assert said.code == 0 and "The training set of p001 that lay here is now in my vault/organized/p001" in said.out
    assert {path.stem for path in (organized / "ana").glob("*.png")} == {"b0", "b1", "b2"}
    assert len(list((organized / "p001").glob("*.png"))) == 6


def test_where_the_folder_cannot_be_had_nothing_is_written_down(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    for _ in range(2):
        vault(capsys, "undo")
    (home / "my vault/organized/p001").mkdir()
    before = (home / "my vault/decisions.jsonl").read_text()
    said = vault(capsys, "run", "photos", "--person", "ana", "--reference", "photos/b0.png", *FAKE)
    assert said.code == 2 and "holds the training set of p001, who has another in" in said.err
    assert (home / "my vault/decisions.jsonl").read_text() == before


def test_only_who_is_on_the_photos_of_this_call_is_meant(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another person, on more photos, was left without a name by an earlier run."""
    (home / "new").mkdir()
    for path in sorted((home / "photos").glob("b*")):
        path.rename(home / "new" / path.name)
    vault(capsys, "scan", "photos", *FAKE)
    said = vault(capsys, "run", "new", "--person", "bea", *FAKE)
    assert said.code == 0 and "bea: p002, who is the only one without a name (3 photos)\n" in said.out
    assert {path.stem for path in (home / "my vault/organized/bea").glob("*.png")} == {"b0", "b1", "b2"}
    assert "scanned earlier" not in said.out


def test_photos_of_earlier_folders_are_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "new").mkdir()
    fake_photo(home / "new/n.png", seed=99, size=256, person=1)
    vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    said = vault(capsys, "run", "new", "--person", "ana", *FAKE)
    assert f"who has this name; with the 6 photos scanned earlier from {home / 'photos'}\n" in said.out


def test_a_folder_may_be_named_by_a_link_later(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "scan", "photos", *FAKE)
    (home / "link").symlink_to(home / "photos")
    said = vault(capsys, "run", "link", "--person", "ana", "--reference", "link/a0.png", "--json", *FAKE)
    assert said.code == 0 and "scanned earlier" not in said.out, said.err
    assert f"{home / 'link'} is {home / 'photos'} under another name: scanned once" in said.err
    assert said.data["account"]["photos"] == 9 and said.data["scan"]["folders"] == [str(home / "photos")]


def test_a_folder_without_the_person_is_an_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "new").mkdir()
    fake_photo(home / "new/n.png", seed=99, size=256, person=7)
    vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    before = (home / "my vault/decisions.jsonl").read_text()
    known = vault(capsys, "run", "new", "--person", "ana", *FAKE)
    assert known.code == 2 and "p001 (ana) is on no photo of new; 6 faces are known from earlier photos" in known.err
    one = vault(capsys, "run", "new", "--person", "cleo", *FAKE)
    assert one.code == 2 and "1 photo of new with a face" in one.err and "--min-faces" not in one.err
    fake_photo(home / "new/m.png", seed=98, size=256, person=7)
    two = vault(capsys, "run", "new", "--person", "cleo", *FAKE)
    assert two.code == 2 and "nobody is on 3 photos. Add photos, or ask for fewer: --min-faces 2" in two.err
    assert (home / "my vault/decisions.jsonl").read_text() == before


def test_a_run_ends_with_the_command_that_goes_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = vault(capsys, "run", "photos", "--person", "ana", "--trigger", "zwx ana", *FAKE)
    last = said.out.splitlines()[-1]
    assert last.startswith(
        "Next: twinloop init --person-name ana --dataset-dir 'my vault/organized/ana' --models-dir fake"
    )
    assert twinloop(capsys, *shlex.split(last)[2:]).code == 0
    written = read_json(home / "bootstrap_config.json")
    assert written["person_trigger"] == "zwx ana person" and written["models_dir"] == "fake"


def test_the_consent_is_said_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without = vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    assert "onsent" not in without.out and without.err.count("no consent is recorded") == 1
    given = vault(capsys, "run", "photos", "--person", "ana", "--consent", "self", *FAKE)
    assert given.out.count("Consent: the person themself") == 1 and "onsent" not in given.err
    assert vault(capsys, "prep", "ana").out.count("Consent: the person themself") == 1


@pytest.mark.parametrize("argv", [("run", "notes.sh", "--person", "ana"), ("scan", "photos", "notes.sh")])
def test_a_file_that_is_no_picture_is_no_folder(
    home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    (home / "notes.sh").write_text("echo")
    vault(capsys, "scan", "photos", *FAKE)
    said = vault(capsys, *argv, *FAKE)
    assert said.code == 2 and "notes.sh is no folder, and as a photo it cannot be used" in said.err
    assert "notes.sh" not in (home / "my vault/scan.json").read_text()


def test_a_picture_without_an_ending_can_be_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "photos/a0.png").rename(home / "picture")
    assert "1 photo with 1 face" in vault(capsys, "scan", "picture", *FAKE).out


def test_a_shared_trigger_is_warned_of(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "run", "photos", "--person", "ana", "--class", "woman", *FAKE)
    said = vault(capsys, "label", "p002", "--trigger", "OHWX ana")
    assert "p001 (ana) has the trigger 'OHWX ana', too" in said.err and "vault prep p002" in said.err
    assert "label p001" not in said.err, "the other's label, with its consent, stays"
    assert "too:" not in vault(capsys, "label", "p002", "--trigger", "zwx bea").err, "as advised: one of its own"


def test_where_there_is_a_configuration_the_run_comes_next(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "photos", "--person", "ana", *FAKE)
    command = re.search(r"Next: twinloop (init .*)", vault(capsys, *run).out)
    assert command is not None and twinloop(capsys, *shlex.split(command[1])).code == 0
    again = vault(capsys, *run).out.splitlines()[-1]
    assert again == "Next: twinloop run --config bootstrap_config.json"
    folder = home / "my vault/organized/ana"
    members = [{"path": str(path), "sha256": sha256_file(path)} for path in folder.glob("*.png")]
    write_json(home / "outputs/bootstrap/dataset_iter0.json", {"members": members})
    assert vault(capsys, *run).out.splitlines()[-1] == again
    fake_photo(home / "photos/new.png", seed=77, size=256, person=1)
    assert vault(capsys, *run).out.splitlines()[-1] == f"{again} --restart"
    other = vault(capsys, "run", "photos", "--person", "bea", "--reference", "photos/b0.png", *FAKE)
    assert other.out.splitlines()[-1].endswith("--output bootstrap_config_bea.json"), "the usual name is taken"


def test_new_photos_that_nobody_was_told_apart_in_are_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Next:" not in vault(capsys, "scan", "photos", *FAKE).out, "nobody was told apart yet"
    vault(capsys, "cluster")
    vault(capsys, "label", "p001", "--trigger", "ohwx ana", "--name", "ana", "--consent", "self")
    assert vault(capsys, "prep", "ana").code == 0
    for number in range(2):
        fake_photo(home / f"photos/new{number}.png", seed=70 + number, size=256, person=1)
    told = "2 faces were found since people were told apart; they are not used yet. Next: twinloop vault cluster"
    for argv in (("scan", "photos", *FAKE), ("status",)):
        assert told in vault(capsys, *argv).out
    assert vault(capsys, "scan", "--json").data["new_faces"] == vault(capsys, "status", "--json").data["new_faces"] == 2
    for argv in (("caption", "ana"), ("prep", "ana")):
        assert told in vault(capsys, *argv).err
    assert vault(capsys, "cluster").code == 0
    said = vault(capsys, "status").out
    assert told not in said
    assert "training set ana: 2 pictures would change by what is known now. Next: twinloop vault prep p001" in said
    assert told not in vault(capsys, "prep", "ana").err and "would change" not in vault(capsys, "status").out


def test_whatever_leaves_wrong_pictures_in_a_training_set_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault(capsys, "run", "photos", "--person", "ana", *FAKE)
    with Image.open(home / "photos/a5.png") as image:
        image.save(home / "photos/a5.jpg", quality=90)
    assert vault(capsys, "run", "photos", "--person", "ana", *FAKE).code == 0
    assert vault(capsys, "status", "--json").data["outdated"] == {}

    def older(pictures: str) -> str:
        return (
            f"The training set ana is older than that ({pictures} would change)."
            " Next: twinloop vault prep p001 --vault 'my vault'"
        )

    assert older("1 picture") in vault(capsys, "reject", "ana", "photos/a0.png").out
    assert older("2 pictures") in vault(capsys, "split", "ana", "photos/a1.png").out
    assert older("5 pictures") in vault(capsys, "merge", "ana", "p002").out
    assert older("6 pictures") in vault(capsys, "distinct", "photos/a5.png", "photos/a5.jpg").out
    assert vault(capsys, "status", "--json").data["outdated"] == {"ana": {"pictures": 6, "label": False}}
    assert older("4 pictures").split(" would")[0] not in vault(capsys, "hide", "p003").out
    assert vault(capsys, "prep", "ana").code == 0
    assert vault(capsys, "status", "--json").data["outdated"] == {}
    assert older("1 picture") in vault(capsys, "assign", "ana", "photos/a0.png").out
    assert "is older" not in vault(capsys, "undo").out
    vault(capsys, "label", "ana", "--trigger", "zwx ana")
    assert "training set ana: the label would change" in vault(capsys, "status").out


def test_after_undoing_a_forget_the_scan_brings_the_person_back(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault(capsys, "scan", "photos", *FAKE)
    vault(capsys, "cluster")
    vault(capsys, "dedup")
    assert vault(capsys, "forget", "p002", "--yes").code == 0
    assert "no thumbnail" not in vault(capsys, "dedup").out
    assert "Next: twinloop vault scan" in vault(capsys, "undo").out
    again = vault(capsys, "scan")
    assert "9 photos with 9 faces" in again.out and "measured 3," in again.out and "3 faces were found" in again.out
    assert vault(capsys, "cluster", "--json").data["people"] == 2


def test_a_folder_that_was_renamed_within_a_scanned_one_leaves_no_ghosts(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the real files would be called copies of those that are gone, and the user told to delete them."""
    (home / "photos/sub").mkdir()
    for path in sorted((home / "photos").glob("a*.png")):
        path.rename(home / "photos/sub" / path.name)
    assert vault(capsys, "scan", "photos/sub", "photos", *FAKE).code == 0
    (home / "photos/sub").rename(home / "photos/moved")
    said = vault(capsys, "scan")
    assert "is not there" not in said.err and "9 photos with 9 faces in 9 files" in said.out
    assert vault(capsys, "dedup").code == 0
    kept = vault(capsys, "duplicates", "--kind", "exact")
    assert kept.code == 0 and "drop" not in kept.out


def test_of_many_files_that_were_named_some_are_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        fake_photo(home / f"photos/c{number}.png", seed=50 + number, size=256, person=1)
    photos = sorted((home / "photos").glob("[ab]*.png"))
    later = sorted((home / "photos").glob("c*.png"))
    assert vault(capsys, "run", *photos, "--person", "ana", *FAKE).code == 0
    said = vault(capsys, "run", *later, "--person", "ana", *FAKE)
    first = ", ".join(map(str, photos[:3]))
    assert f"with the 6 photos scanned earlier from {first} and 3 more\n" in said.out
    told = vault(capsys, "status").out.splitlines()
    assert sum(line.startswith("folder: ") for line in told) == 11
    assert "folder: and 4 more (twinloop vault status --json --vault 'my vault')" in told


def test_an_interrupted_scan_goes_on_as_the_status_says(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the smallest face of the scan that was interrupted, not with that of the one before."""
    vault(capsys, "scan", "photos", *FAKE)
    real = HereScanner.scan

    def interrupted(self: HereScanner, *args: Any) -> Iterator[ScannedFile]:
        yield from itertools.islice(real(self, *args), 4)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HereScanner, "scan", interrupted)
        assert vault(capsys, "scan", "--min-face", "30", "--workers", "0").code == 130
    advice = re.search(r"it goes on with twinloop (.*)", vault(capsys, "status").out)
    assert advice is not None
    said = twinloop(capsys, *shlex.split(advice[1]), "--workers", "0")
    assert "measured 5, known by their content 0, unchanged 4" in said.out
    assert (
        read_json(home / "my vault/scan.json")["min_face"] == 30 and "not finished" not in vault(capsys, "status").out
    )


def test_a_file_that_was_named_is_kept_while_it_is_away(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "one.png").write_bytes((home / "photos/a0.png").read_bytes())
    assert vault(capsys, "scan", "one.png", *FAKE).code == 0
    (home / "one.png").unlink()
    said = vault(capsys, "scan")
    assert "what is known of it is kept" in said.err and "1 photo with 1 face" in said.out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--captioner", "wd14"), "Which wd14 model"),
        (("--captioner", "wd14", "--captioner-model", "empty"), "No model.onnx"),
        (("--facet", "nope.py"), "Plug-in file not found: nope.py"),
        (("--reference", "nofile.jpg"), "there is no such file"),
        (("--reference", "elsewhere.png"), "in none of the scanned folders"),
        (("--output", "elsewhere.png"), "elsewhere.png is no folder. Name a folder."),
        (("--output", "elsewhere.png/below/it"), "elsewhere.png is no folder. Name another folder."),
        (("--output", "photos"), "--output photos is "),
        (("--output", "photos/set"), "--output photos/set lies in "),
        (("--output", "."), "--output . contains "),
        (("--trigger", ""), "the trigger is empty"),
    ],
)
def test_flags_that_cannot_be_are_told_before_the_scan(
    home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
) -> None:
    (home / "elsewhere.png").write_bytes(b"x")
    said = vault(capsys, "run", "photos", "--person", "ana", *argv, *FAKE)
    assert said.code == 2 and words in said.err and "Scan" not in said.out and not (home / "my vault").exists()


def test_keep_and_distinct_take_a_name_that_one_photo_has(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "photos/copy.png").write_bytes((home / "photos/a0.png").read_bytes())
    with Image.open(home / "photos/a0.png") as image:
        image.save(home / "photos/small.jpg", quality=80)
    vault(capsys, "scan", "photos", *FAKE)
    vault(capsys, "dedup")
    assert vault(capsys, "keep", "small.jpg").code == 0
    assert "2 photos are no duplicates" in vault(capsys, "distinct", "small.jpg", "a0.png").out
    same = vault(capsys, "distinct", "copy.png", "a0.png")
    assert same.code == 2 and "have the same bytes" in same.err
