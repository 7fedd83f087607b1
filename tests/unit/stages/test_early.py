"""Images that a preview fails are given up, on record, and counted as rejected."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.things import Recording, shot
from twinloop.adapters.fakes import FakeTruth, fake_image, fake_pack
from twinloop.checks.base import CheckLimits
from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.domain.verdicts import Outcome
from twinloop.errors import NothingToDo, StateError
from twinloop.facets.face_angle import FACET as FACE_ANGLE
from twinloop.ports import EarlyLook, GenerationSettings
from twinloop.stages.early import EarlyJudge, GivenUp, fails
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext
from twinloop.stages.observe import Observer
from twinloop.stages.review import to_look_at
from twinloop.stages.validate import asked_images, given_up, sort_into, tally, verdicts_json
from twinloop.store.atomic import sha256_file
from twinloop.store.journal import Journal
from twinloop.store.run.workspace import GENERATION_METADATA

SHOTS = [shot(n) for n in range(1, 8)]
BAD = (SHOTS[1], SHOTS[2], SHOTS[3], SHOTS[6])
"""Of batches of two: one of the first, all of the second, none of the third, the only one of the last."""


def judge(**changes: Any) -> EarlyJudge:
    return EarlyJudge(
        **{"at": 0.6, "observer": Observer(fake_pack(), (FACE_ANGLE,)), "limits": CheckLimits(), **changes}
    )


def preview(shot: Shot) -> ImageArray:
    return fake_image(FakeTruth(yaw=0.0 if shot in BAD else 75.0), shot.seed)


class Sketcher:
    """A generator of finished pictures and previews that agree; may die after some pictures."""

    fingerprint = "sketcher"
    own_sampler = ""

    def __init__(self, lives: int = 1000) -> None:
        self.lives = lives

    def load_lora(self, path: Path | None) -> None: ...

    def check(self, settings: GenerationSettings) -> None: ...

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None: ...

    def generate(
        self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook | None = None, told: Any = None
    ) -> Iterator[tuple[Shot, ImageArray]]:
        kept = [one for one in shots if look is None or look.worth_finishing(one, preview(one))]
        for one in kept:
            self.lives -= 1
            if self.lives < 0:
                raise KeyboardInterrupt
            yield one, preview(one)

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        yield from pictures


class Fixed:
    def stamp(self) -> str:
        return "20241226_143022"


def made(home: Path, early: EarlyJudge | None, sketcher: Sketcher | None = None, boundary: Any = None) -> list[str]:
    settings = GenerationSettings(steps=10, guidance=7.5, width=64, height=64, batch_size=2)
    context = GenerationContext(
        prefix="iter1", folder=home / "synthetic", base_model="nano", lora=None, settings=settings, early=early
    )
    journal = Journal(home / "journal.jsonl", boundary)
    return [
        image.shot.key
        for image in generate(SHOTS, context, lambda: sketcher or Sketcher(), journal, Fixed(), Recording())
    ]


def test_a_clear_miss_fails_and_a_doubt_does_not() -> None:
    profile = shot()
    assert fails(judge().results(profile, preview(BAD[0])))
    assert not fails(judge().results(profile, preview(SHOTS[0])))
    nearly = judge().results(profile, fake_image(FakeTruth(yaw=47.0), 1))
    assert [r.outcome for r in nearly if r.name == "on_target"] == [Outcome.UNSURE] and not fails(nearly)
    blank = judge().results(profile, preview(SHOTS[0]) * 0)
    assert next(r.reason for r in blank if r.outcome is Outcome.REJECTED) == "no face found"


def test_a_face_that_is_still_soft_passes_and_a_smear_does_not() -> None:
    """An image that is on its way has half the limit of a finished one."""
    strict = judge(limits=CheckLimits(min_face_quality=0.6))
    soft, smeared = (fake_image(FakeTruth(yaw=75.0, quality=quality), 1) for quality in (6, 3))
    assert not fails(strict.results(shot(), soft))
    (why,) = [result for result in strict.results(shot(), smeared) if result.outcome is Outcome.REJECTED]
    assert (why.name, why.limit, why.value) == ("face_quality", ">= 0.3", 0.2)


def test_a_facet_that_cannot_be_measured_gives_nothing_up() -> None:
    blind = Observer(replace(fake_pack(), pose=None), (FACE_ANGLE,))
    assert not fails(judge(observer=blind).results(shot(), preview(BAD[0])))


def test_the_others_are_made_and_the_record_says_why(tmp_path: Path) -> None:
    keys = made(tmp_path, judge())
    assert keys == [one.key for one in SHOTS if one not in BAD]
    data = json.loads((tmp_path / "synthetic" / GENERATION_METADATA).read_text())
    assert [item["key"] for item in data["images"]] == keys
    assert [item["key"] for item in data["rejected_early"]] == [one.key for one in BAD]
    first = data["rejected_early"][0]
    assert (
        first["file"] == f"synthetic_{BAD[0].key}_20241226_143022.png"
        and first["at"] == 0.6
        and first["seed"] == BAD[0].seed
    )
    assert first["reason"] == "asked for profile, got front"
    assert GivenUp.from_json(first).to_json() == first


def test_without_a_judge_nothing_is_written_about_it(tmp_path: Path) -> None:
    assert len(made(tmp_path, None)) == len(SHOTS)
    assert "rejected_early" not in json.loads((tmp_path / "synthetic" / GENERATION_METADATA).read_text())


def tree(home: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("lives", range(3))
def test_stopped_after_any_picture_the_result_is_the_same(tmp_path: Path, lives: int) -> None:
    made(tmp_path / "whole", judge())
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "broken", judge(), Sketcher(lives))
    made(tmp_path / "broken", judge())
    assert tree(tmp_path / "broken") == tree(tmp_path / "whole")


def test_stopped_at_any_record_the_result_is_the_same(tmp_path: Path) -> None:
    keys: list[str] = []
    made(tmp_path / "whole", judge(), boundary=keys.append)
    assert sum(".given_up." in key for key in keys) == len(BAD)
    for wanted in keys:

        def boundary(key: str, wanted: str = wanted) -> None:
            if key == wanted:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / wanted, judge(), boundary=boundary)
        made(tmp_path / wanted, judge())
        assert tree(tmp_path / wanted) == tree(tmp_path / "whole"), wanted


def test_a_finished_folder_needs_no_generator(tmp_path: Path) -> None:
    first = made(tmp_path, judge())
    assert made(tmp_path, judge(), Sketcher(lives=0)) == first


def test_they_count_as_rejected_and_have_nothing_to_copy(tmp_path: Path) -> None:
    made(tmp_path, judge())
    found = given_up(tmp_path / "synthetic")
    counts = tally([item.verdict for item in found])
    assert (counts.approved, counts.rejected, counts.early) == (0, len(BAD), len(BAD))
    assert all(item.seen is None and item.verdict.outcome is Outcome.REJECTED for item in found)
    files = [(f"synthetic_{one.key}_20241226_143022.png", "") for one in BAD]
    assert [(item.verdict.image, item.verdict.sha256) for item in found] == files, "a name and no content"
    sort_into(found, {outcome: tmp_path / str(outcome) for outcome in Outcome})
    assert not (tmp_path / "rejected").exists()  # made only for an image that goes in


def test_the_record_of_verdicts_counts_them_and_no_person_is_asked(tmp_path: Path) -> None:
    made(tmp_path, judge())
    data = verdicts_json([item.verdict for item in given_up(tmp_path / "synthetic")], CheckLimits(), "x")
    assert data["rejected_early"] == data["rejected"] == len(BAD) and data["approval_rate"]["value"] == 0.0
    assert {item["rejected_early"] for item in data["verdicts"]} == {0.6}
    assert to_look_at([*data["verdicts"], {"image": "a.png"}]) == [{"image": "a.png"}]


def test_a_folder_in_which_all_were_given_up_can_be_validated(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        (tmp_path / "none").mkdir()
        asked_images(tmp_path / "none", (FACE_ANGLE,))
    entry = GivenUp(shot(), "a.png", 0.6, judge().results(shot(), preview(BAD[0]))).to_json()
    (tmp_path / GENERATION_METADATA).write_text(json.dumps({"images": [], "rejected_early": [entry]}))
    assert asked_images(tmp_path, (FACE_ANGLE,)) == [] and len(given_up(tmp_path)) == 1


def test_a_damaged_record_is_explained(tmp_path: Path) -> None:
    (tmp_path / GENERATION_METADATA).write_text(json.dumps({"images": [], "rejected_early": [{"file": "a.png"}]}))
    with pytest.raises(StateError, match=r"generation_metadata\.json does not hold what"):
        given_up(tmp_path)
