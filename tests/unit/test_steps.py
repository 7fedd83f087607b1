"""The steps of the loop: each bound to its artefact, refused for another run, clear about what is missing."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.functional import loops
from tests.helpers.fake_photos import fake_photo
from tests.unit.things import Recording, dataset, gap, member
from twinloop import steps
from twinloop.adapters.fakes import fake_pack
from twinloop.config import Settings
from twinloop.domain.forecast import GIB, Forecast, MemoryPlan
from twinloop.domain.records import Dataset, LoRA, Member
from twinloop.domain.statistics import Estimate
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.loop import run_loop
from twinloop.stages import decide
from twinloop.stages.history import Earlier, RecordedRound
from twinloop.stages.validate import Tally
from twinloop.steps import Run
from twinloop.steps.gaps import Measured, what_was_measured
from twinloop.steps.photos import observations
from twinloop.steps.stage_options import limits_of
from twinloop.store.atomic import write_json
from twinloop.store.journal import Journal
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import GENERATION_METADATA, workspace_of
from twinloop.wiring import build_toolbox


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1735223422")


def begun(**changes: Any) -> Run:
    chosen: Settings = loops.settings(**changes)
    space = workspace_of(chosen)
    run = Run(chosen, build_toolbox(chosen, Recording()), space, Journal(space.journal), Catalog(None))
    steps.begin(run)
    return run


def warnings(run: Run) -> list[str]:
    reporter = run.toolbox.reporter
    assert isinstance(reporter, Recording)
    return reporter.warnings


def test_long_captions_are_told_where_they_take_more_than_was_said() -> None:
    """Once the captions are known; where nothing more is needed, nothing more is said."""
    short, long = (MemoryPlan(2, False, peak) for peak in (8 * GIB, 9 * GIB))
    said, asked = Forecast(short, None, GIB, 60.0, {}), list[tuple[int, int]]()

    def forecast(images: int, captions: Sequence[str] = (), sizes: Sequence[tuple[int, int]] = ()) -> Forecast:
        asked.append((images, len(captions)))
        return replace(said, plan=long if "grey" in captions[0] else short)

    run = begun()
    run = replace(run, toolbox=replace(run.toolbox, makers=replace(run.toolbox.makers, forecast=forecast)))
    reporter = run.toolbox.reporter
    assert isinstance(reporter, Recording)
    for caption, told in (
        ("photo of ohwx ana", said),
        ("blue, " * 80, said),
        ("grey, " * 80, None),
        ("grey, " * 80, said),
    ):
        steps.look_at_captions(run, Dataset((Member("a.png", "", caption, "real", 0, 1.0),)), told)
    assert asked == [(1, 1), (1, 1)]
    assert reporter.lines[-1:] == [f"With captions of more than 75 tokens: {replace(said, plan=long).line}"]
    assert sum("captions of more than" in line for line in reporter.lines) == 1


def test_a_folder_of_another_run_is_refused_by_field() -> None:
    begun()
    with pytest.raises(StateError) as caught:
        begun(seed=3, generation={"num_per_gap": 4})
    assert "settings.seed: 0 -> 3" in str(caught.value)
    assert "settings.generation.num_per_gap: 2 -> 4" in str(caught.value)
    assert "--restart" in str(caught.value)


def test_a_larger_budget_is_the_same_run() -> None:
    begun()
    begun(max_iterations=9, stop={"patience": 2})


def test_wanted_shares_of_nothing_are_refused_before_anything_is_made() -> None:
    with pytest.raises(InputError, match="profil"):
        begun(analysis={"facets": ["face_angle"], "shares": {"face_angle": {"profil": 0.2}}})
    assert not Path("out/run.json").exists()


def test_scraps_of_a_killed_run_are_cleared_away() -> None:
    begun()
    scraps = [
        Path("out") / f".gaps_iter1.json.{2**22 + 7}.tmp",
        Path("out") / "synthetic_iter1" / f".x.png.{2**22 + 7}.tmp",
        Path("loras") / f".l.{2**22 + 7}.tmp",
    ]
    for scrap in scraps:
        scrap.parent.mkdir(exist_ok=True)
        scrap.write_bytes(b"half")
    begun()
    assert not any(scrap.exists() for scrap in scraps)


def test_a_messy_folder_is_used_and_everything_left_out_has_a_reason() -> None:
    loops.write_photos(Path("photos"), 12)
    (Path("photos") / "copy.png").write_bytes((Path("photos") / "IMG_0003.png").read_bytes())
    (Path("photos") / "torn.png").write_bytes(b"\x89PNG")
    fake_photo(Path("photos") / "stranger.png", seed=77, person=5)
    run = begun()
    first = steps.collect(run)
    left_out = {
        Path(item["path"]).name: item["reason"] for item in json.loads(run.workspace.dataset(0).read_text())["left_out"]
    }
    assert len(first.members) + len(left_out) == 15
    assert {"copy.png", "torn.png", "stranger.png"} <= set(left_out)
    assert left_out["copy.png"] == "same file as IMG_0003.png"
    assert "another person" in left_out["stranger.png"]
    assert any("torn.png" in line for line in warnings(run))


def test_keep_all_counts_every_readable_image() -> None:
    loops.write_photos(Path("photos"), 6)
    (Path("photos") / "copy.png").write_bytes((Path("photos") / "IMG_0003.png").read_bytes())
    run = begun(analysis={"keep_all": True})
    assert len(steps.collect(run).members) == 7


def test_no_photos_and_no_usable_photos_are_told_apart() -> None:
    Path("photos").mkdir()
    with pytest.raises(NothingToDo, match=r"No images in photos\. Put photos of the person there"):
        steps.collect(begun())
    (Path("photos") / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(NothingToDo, match=r"The only image in photos cannot be used:\n  - torn\.png: "):
        steps.collect(begun())


def test_the_dataset_is_frozen_by_its_artefact() -> None:
    loops.write_photos(Path("photos"), 8)
    first = steps.collect(begun())
    fake_photo(Path("photos") / "late.png", seed=500)
    assert steps.collect(begun()) == first


def test_a_photo_that_changed_under_a_run_is_named() -> None:
    loops.write_photos(Path("photos"), 8)
    run = begun()
    data = steps.collect(run)
    fake_photo(Path("photos") / "IMG_0002.png", seed=999)
    with pytest.raises(StateError, match=r"IMG_0002\.png is gone or was changed"):
        observations(run, data)
    (Path("photos") / "IMG_0002.png").unlink()
    with pytest.raises(StateError, match=r"IMG_0002\.png is gone or was changed"):
        observations(run, data)


def test_the_face_prints_are_for_the_owner_only_and_never_change() -> None:
    loops.write_photos(Path("photos"), 8)
    run = begun()
    steps.collect(run)
    reference = steps.freeze(run)
    assert reference is not None
    path = run.workspace.identity
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert steps.freeze(begun()) is not None
    assert path.read_bytes() == before


def test_a_first_dataset_that_is_anothers_is_named_with_the_next_step() -> None:
    loops.write_photos(Path("photos"), 8)
    run = begun()
    steps.collect(run)
    run.workspace.dataset(0).write_text("{}")
    with pytest.raises(StateError, match=r"dataset_iter0\.json does not hold .* run the step that writes it again"):
        steps.freeze(run)
    with pytest.raises(StateError, match=r"dataset_iter0\.json is not what this run wrote.*delete it and run the same"):
        steps.collect(run)


def test_without_an_identity_check_nothing_is_learned() -> None:
    loops.write_photos(Path("photos"), 8)
    run = begun(validation={"identity": False})
    steps.collect(run)
    assert steps.freeze(run) is None


def test_a_gaps_file_spoilt_by_hand_is_explained() -> None:
    loops.write_photos(Path("photos"), 8)
    run = begun()
    data = steps.collect(run)
    steps.find_gaps(run, data, 1)
    spoilt = json.loads(run.workspace.gaps(1).read_text())
    spoilt["recommendations"][0]["count"] = "some"
    run.workspace.gaps(1).write_text(json.dumps(spoilt))
    with pytest.raises(
        StateError, match=r"gaps_iter1\.json: recommendation 1 needs.*delete it and run the same command again"
    ):
        steps.find_gaps(run, data, 1)


def first_lora(run: Run) -> LoRA:
    if not Path("photos").exists():
        loops.write_photos(Path("photos"), 8)
    return steps.train(run, steps.collect(run), 1)


def test_a_shot_list_that_cannot_be_planned_names_the_gaps() -> None:
    run = begun()
    with pytest.raises(StateError, match="weather/rain"):
        steps.generate(run, [gap("weather", "rain")], first_lora(run), 1)


def test_gaps_that_are_corrected_after_a_typo_are_planned() -> None:
    run = begun()
    with pytest.raises(StateError, match=r"face_angle/profil\. Correct out/gaps_iter1\.json"):
        steps.generate(run, [gap("face_angle", "profil")], first_lora(run), 1)
    assert not run.workspace.shots(1).exists()
    steps.generate(run, [gap()], first_lora(run), 1)
    assert len(json.loads(run.workspace.shots(1).read_text())["shots"]) == 2


def test_a_gap_that_nobody_knows_is_named_and_left_out() -> None:
    run = begun()
    steps.generate(run, [gap(), gap("weather", "rain")], first_lora(run), 1)
    assert len(list(run.workspace.synthetic(1).glob("*.png"))) == 2
    (said,) = (line for line in warnings(run) if "weather" in line)
    assert said.startswith("weather/rain is no facet value known here")


@pytest.mark.parametrize("wrong", [{"images": 3}, {"images": [3], "rejected_early": "a"}, {"images": {"a": 1}}])
def test_a_judged_round_with_a_record_of_another_shape_goes_on(wrong: dict[str, Any]) -> None:
    run = begun()
    lora = first_lora(run)
    steps.generate(run, [gap()], lora, 1)
    write_json(run.workspace.verdicts(1), {})
    record = run.workspace.synthetic(1) / GENERATION_METADATA
    for content, made in ((json.loads(record.read_text()), 2), (wrong, 0)):
        write_json(record, content)
        steps.generate(run, [gap()], lora, 1)
        reporter = run.toolbox.reporter
        assert isinstance(reporter, Recording) and f"Generated: {made} images" in reporter.lines[-1]


def analysed(lacking: dict[str, str], measured: int) -> Run:
    """A run whose first analysis measured so many facets, and could not measure others."""
    run = begun()
    wanted = {"values": {"a": {"target": 0.3}}}
    facets = {f"facet{number}": {**wanted, "measured": 9} for number in range(measured)}
    facets |= {name: {**wanted, "measured": 0} for name in lacking}
    write_json(run.workspace.gaps(1), {"facets": facets, "not_measured": lacking})
    return run


def test_no_gaps_stop_the_run_before_any_rule() -> None:
    run = analysed({}, 6)
    assert steps.decide_on(run, [], dataset(), []) is decide.NO_GAPS
    assert steps.decide_on(run, [], dataset(), [gap()]) is None
    ended = replace(run, earlier=Earlier(stop=decide.NO_GAPS))
    assert steps.decide_on(ended, [], dataset(), [gap()]) is None, "a gap was added by hand since"


def test_not_even_the_first_round_is_begun_whose_images_could_not_join() -> None:
    stop = steps.decide_on(analysed({}, 6), [], dataset(4, made=[0, 0, 0, 0]), [gap()])
    assert stop is not None and (stop.rule, stop.converged) == ("full", False)
    assert "so those of a round could not join" in stop.reason


def test_rounds_on_record_are_gone_through_whatever_the_rules_say_today() -> None:
    done = RecordedRound(1, 0, (), Tally(0, 0, 0, 0.0), Estimate(0.0, 0.0, 0.0, 0), 0, 1, 1, None, (), False)
    run = replace(analysed({}, 6), earlier=Earlier((done,)))
    assert steps.decide_on(run, [], dataset(), []) is None


def test_fewer_gaps_than_before_are_told() -> None:
    run = begun()
    before = [SimpleNamespace(facts=SimpleNamespace(gaps=2))]
    for gaps, rounds in (([gap()], []), ([gap()], before), ([gap(), gap("setting", "outdoor")], before)):
        steps.say_gaps(run, gaps, rounds)  # type: ignore[arg-type]
    reporter = run.toolbox.reporter
    assert isinstance(reporter, Recording) and reporter.lines[-6:] == [
        "\nIteration 1:", "  ✓ Gap Analysis: 1 gap found",
        "\nIteration 2:", "  ✓ Gap Analysis: 1 gap found (improving!)",
        "\nIteration 2:", "  ✓ Gap Analysis: 2 gaps found",
    ]  # fmt: skip


def test_what_could_not_be_measured_is_no_success() -> None:
    """ "Not measured" never reads as "no gap": it is named, and where most of what is wanted was not measured the run
    has not converged.
    """
    lacking = {"expression": "no detector for: expression", "setting": "no detector for: setting"}
    some = steps.decide_on(analysed(lacking, 4), [], dataset(), [])
    assert some is not None and (some.rule, some.converged) == ("no_gaps", True)
    assert "in what was measured; not measured: expression (no detector for: expression); setting" in some.reason
    blind = steps.decide_on(analysed(lacking, 1), [], dataset(), [])
    assert blind is not None and not blind.converged


def test_what_is_wanted_and_not_measured_is_read_off_the_analysis() -> None:
    run = begun(analysis={"shares": {"lighting": {"normal": 0, "high_key": 0, "low_key": 0}}})
    values = {"a": {"target": 0.3}, "b": {"target": 0.0}}
    facets = {
        "expression": {"values": values, "measured": 0},
        "lighting": {"values": {"normal": {"target": 0}}, "measured": 0},
        "composition": {"values": values, "measured": 9},
    }
    lacking = {
        "expression": "why",
        "lighting": "why",
        "composition: a": "why",
        "composition: b": "why",
        "hair": "by hand",
    }
    write_json(run.workspace.gaps(1), {"facets": facets, "not_measured": lacking})
    assert what_was_measured(run.workspace, 1) == Measured({"expression": "why", "composition: a": "why"}, 1)
    write_json(run.workspace.gaps(1), {"recommendations": []})
    assert what_was_measured(run.workspace, 1) == Measured({}, 0), "a file written by hand has no more"


def test_a_balanced_folder_ends_after_the_first_lora() -> None:
    """The loop read from top to bottom: v1, its panel, no gaps, the reason, the LoRA to use."""
    loops.write_photos(Path("photos"), 8)
    chosen = loops.settings(
        analysis={"facets": ["face_angle"], "shares": {"face_angle": {"front": 0, "three_quarter": 0, "profile": 0}}}
    )
    reporter = Recording()
    outcome = run_loop(chosen, build_toolbox(chosen, reporter), workspace_of(chosen))
    assert outcome.stop is decide.NO_GAPS and outcome.best == 1 and outcome.rounds == ()
    assert Path("loras/lora.safetensors").read_bytes() == Path("loras/lora_v1.safetensors").read_bytes()
    assert "\n✓ Convergence Achieved!" in reporter.lines
    assert not Path("out/gaps_iter2.json").exists()


def test_a_second_run_does_not_take_the_first_ones_loras() -> None:
    loops.write_photos(Path("photos"), 8)
    shares = {"face_angle": {"front": 0, "three_quarter": 0, "profile": 0}}
    chosen = loops.settings(analysis={"facets": ["face_angle"], "shares": shares})
    run_loop(chosen, build_toolbox(chosen, Recording()), workspace_of(chosen))
    fake_photo(Path("photos") / "new.png", seed=500, yaw=30.0)
    other = loops.settings(analysis={"facets": ["face_angle"], "shares": shares}, output_dir="out2")
    for says in ("loras holds the LoRAs of the run in out,", "LoRAs of another run"):  # found by what they learned from
        with pytest.raises(StateError, match=says):
            run_loop(other, build_toolbox(other, Recording()), workspace_of(other))
        Path("out/run.json").unlink(missing_ok=True)


def test_detectors_that_measure_differently_are_said_to_be_it() -> None:
    run = begun()
    record = json.loads(run.workspace.run_record.read_text())
    run.workspace.run_record.write_text(json.dumps({**record, "observer": "older"}))
    with pytest.raises(StateError, match="detectors measure differently") as caught:
        begun()
    assert "-> " not in str(caught.value), "fingerprints say nothing to people"


def test_faces_are_redrawn_by_what_the_real_photos_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the detectors know no limit of their own: the same limits as those of the checks afterwards."""
    from twinloop.steps.images import _face_detail

    unknown = replace(fake_pack(), least_face_quality=None)
    monkeypatch.setattr("twinloop.wiring.measuring.build_pack", lambda *_: unknown)
    loops.write_photos(Path("photos"), 12)
    run = begun(generation={"num_per_gap": 2, "face_detail": 0.4, "face_detail_below": 0.5})
    steps.collect(run)
    reference = steps.freeze(run)
    found = _face_detail(run)
    assert found is not None and found.limits.real_face_quality
    assert found.limits == limits_of(run.settings, run.toolbox.observer, reference)


def test_what_the_person_looks_like_is_asked_once_a_checkpoint_is_measured() -> None:
    """And only once, as it takes a look at every photo."""
    training = {"preset": "fake", "steps": 16, "keep_checkpoints": 4, "checkpoint_panel": 2}
    run = begun(training=training)
    first_lora(run)
    asked: list[str] = []
    pauses = steps.pauses(
        run, lambda: asked.append("asked"), version=1, images=8, record=run.workspace.checkpoint_choice(1)
    )
    assert pauses.steps == (10, 12, 14, 16) and not asked
    for step in pauses.steps[:2]:
        pauses.enough(step, run.workspace.lora(1))
    assert asked == ["asked"]
    assert "checkpoint_v1_12.score" in run.journal


def test_the_versions_are_those_of_the_beginning() -> None:
    run = begun()
    run.workspace.versions.write_text('{"twinloop": "0.0.1"}')
    assert begun().workspace.versions.read_text() == '{"twinloop": "0.0.1"}'


def test_photos_that_are_held_out_are_counted_apart() -> None:
    assert steps.told_held_out(dataset(3)) == ""
    mixed = Dataset((*dataset(3).members, member("held out", weight=0.0), member("made", "synthetic", 1, 0.3)))
    assert steps.told_held_out(mixed) == " (3 trained on, 1 held out for measuring)"


@pytest.mark.parametrize("damaged", ["shots", "sources", "dataset", "identity"])
def test_an_artefact_of_another_shape_is_named_with_a_way_on(damaged: str) -> None:
    run = begun(generation={"num_per_gap": 1, "from_photos": 1.0, "face_detail": 0.4})
    space = run.workspace
    files = {
        "shots": space.shots(1),
        "sources": space.sources,
        "dataset": space.dataset(0),
        "identity": space.identity,
    }
    write_json(space.sources, {"photos": []})
    if damaged == "dataset":
        space.sources.unlink()
    write_json(files[damaged], {})
    lora = LoRA("lora.safetensors", 1, "", "fake", "", "fake", 1, 0, 0.0)
    with pytest.raises(StateError, match=rf"{files[damaged].name} does not hold .*Move it away and run the step"):
        steps.generate(run, [gap()], lora, 1)


def test_a_first_dataset_of_another_shape_is_no_training_set() -> None:
    run = begun()
    write_json(run.workspace.dataset(0), {"consent": "given"})
    with pytest.raises(StateError, match=r"dataset_iter0\.json does not hold"):
        steps.train(run, dataset(3), 1)
