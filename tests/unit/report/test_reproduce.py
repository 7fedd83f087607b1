"""Provenance, histograms and nearest photos: the page says what the artefacts hold."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import twinloop
from twinloop.domain.verdicts import CheckResult, Outcome
from twinloop.report import histograms, likeness, notes, reproduce
from twinloop.report.page import write_report
from twinloop.report.reading import read_run
from twinloop.report.thumbnails import Pictures
from twinloop.report.words import number
from twinloop.store.atomic import write_json
from twinloop.store.run.workspace import Workspace, workspace_of

CHANGES: dict[str, Any] = {"generation": {"num_per_gap": 2, "num_inference_steps": 3}}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    home = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(home / "photos")
        loops.run(loops.settings(**CHANGES))
        relative = workspace_of(loops.settings())
    return Workspace(home / relative.root, home / relative.lora_dir)


def test_every_synthetic_image_that_stayed_is_listed_with_what_made_it(space: Workspace) -> None:
    rows = reproduce.made_rows(read_run(space), space)
    dataset = json.loads((space.root / "dataset_iter2.json").read_text())
    stayed = [Path(m["path"]).name for m in dataset["members"] if m["origin"] != "real"]
    assert [row.name for row in rows] == stayed != []
    made = {
        (n, item["file"]): item
        for n in (1, 2)
        for item in json.loads((space.synthetic(n) / "generation_metadata.json").read_text())["images"]
    }
    assert all(row.seed == str(made[row.round, row.name]["seed"]) and row.made_by.startswith("v") for row in rows)


def test_of_a_round_that_is_not_finished_the_record_of_its_images_names_the_lora(space: Workspace) -> None:
    run = read_run(space)
    finished = reproduce.made_rows(run, space)
    assert {row.round for row in finished} == {1, 2}
    under_way = dataclasses.replace(run, rounds=run.rounds[:1])
    assert reproduce.made_rows(under_way, space) == finished
    nobody = reproduce.made_rows(dataclasses.replace(under_way, loras=()), space)
    assert [row.made_by == reproduce.NOT_RECORDED for row in nobody] == [row.round == 2 for row in nobody]


def test_the_commands_name_what_the_run_used(space: Workspace) -> None:
    lines = reproduce.commands(read_run(space), space)
    assert lines[0].startswith("twinloop run --config") and len(lines) == 3
    assert "out/gaps_iter2.json" in lines[2] and "--iteration 2" in lines[2]
    assert not re.search("--(base-model|person|seed|num-per-gap)", "".join(lines)), "left to the configuration"
    assert dict(reproduce.versions(space))["python"].count(".") == 2


def test_a_round_by_hand_makes_what_the_loop_made(
    space: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(space.root.parent)
    write_json(Path("bootstrap_config.json"), loops.settings(**CHANGES).model_dump(mode="json"))
    argv = shlex.split(reproduce.commands(read_run(space), space)[1])
    assert argv[:2] == ["python", "generate_synthetic.py"]
    assert twinloop(capsys, "generate", *argv[2:]).code == 0
    by_hand, looped = (
        json.loads((folder / "generation_metadata.json").read_text())
        for folder in (Path("synthetic_1"), space.synthetic(1))
    )
    assert by_hand["settings"] == looped["settings"] and by_hand["settings"]["num_inference_steps"] == 3
    same = ("key", "prompt", "negative_prompt", "seed")
    assert [[item[name] for name in same] for item in by_hand["images"]] == [
        [item[name] for name in same] for item in looped["images"]
    ]


def test_the_commands_run_in_the_folder_that_the_run_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run and LoRAs lie at different depths; nothing of the page depends on where it is written from."""
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    chosen = loops.settings(output_dir="outputs/a b/run", lora_output_dir="outputs/loras", max_iterations=1)
    loops.run(chosen)
    made = Workspace(tmp_path / "outputs/a b/run", tmp_path / "outputs/loras")
    run = read_run(made)
    nothing_merged = dataclasses.replace(run, datasets=())
    monkeypatch.chdir("/")
    for record in (run, nothing_merged):
        argv = shlex.split(reproduce.commands(record, made)[1])
        assert argv[2] == "outputs/a b/run/gaps_iter1.json" and (tmp_path / argv[2]).is_file()
        assert argv[4] == "outputs/loras/lora_v1.safetensors" and (tmp_path / argv[4]).is_file()


def test_images_of_a_rolled_back_round_are_not_in_the_final_dataset(space: Workspace) -> None:
    run = read_run(space)
    first, second = (dataclasses.replace(entry, rolled_back=entry.iteration == 2) for entry in run.rounds)
    rows = reproduce.made_rows(dataclasses.replace(run, rounds=(first, second)), space)
    kept = [Path(m.path).name for m in run.datasets[0].synthetic]
    assert [row.name for row in rows] == kept != []
    assert len(run.datasets[1].synthetic) > len(kept), "round 2 added images"
    table = notes.dataset_rows(dataclasses.replace(run, rounds=(first, second)))
    assert [row.dropped for row in table] == [False, False, True]


def test_limits_are_in_the_order_of_their_numbers(space: Workspace) -> None:
    run = read_run(space)
    result = CheckResult("novelty", Outcome.APPROVED, 12.0, "", "")
    verdicts = tuple(
        dataclasses.replace(run.verdicts[0][0], results=(dataclasses.replace(result, limit=limit),))
        for limit in ("> 10 bits", "> 6 bits", "> 8 bits")
    )
    (told,) = histograms.check_histograms(dataclasses.replace(run, verdicts=(verdicts,)))
    assert told.about == "limits > 6 bits to > 10 bits, by what was asked"


def test_histograms_count_every_measured_check_once(space: Workspace) -> None:
    run = read_run(space)
    for item in histograms.check_histograms(run):
        results = [
            r
            for vs in run.verdicts
            for v in vs
            for r in v.results
            if r.name.replace("_", " ").casefold() == item.title.casefold()
        ]
        measured = [r for r in results if isinstance(r.value, int | float)]
        assert sum(sum(row[2:]) for row in item.rows) == len(measured) > 0
        assert sum(row[4] for row in item.rows) == sum(r.outcome is Outcome.REJECTED for r in measured)
        assert "<svg" in item.chart and "limit" in item.about
        lowest, highest = min(r.value for r in measured), max(r.value for r in measured)
        assert item.rows[0][0] == number(float(lowest))
        assert lowest == highest or item.rows[-1][1] == number(float(highest))
        kinds = (Outcome.APPROVED, Outcome.UNSURE, Outcome.REJECTED)
        first = [r.outcome for r in measured if r.value == lowest]
        assert all(item.rows[0][2 + kinds.index(kind)] >= first.count(kind) > 0 for kind in set(first))


def test_approved_images_stand_beside_their_nearest_photo(space: Workspace) -> None:
    run = read_run(space)
    approved = tuple(v for v in run.verdicts[0] if v.outcome is Outcome.APPROVED)
    found = likeness.nearest_of(run, space, Pictures(space.root), approved)
    assert found.keys() == {v.sha256 for v in approved} and all(item.picture is not None for item in found.values())
    page = write_report(space).read_text()
    assert page.count("the most alike photo, ") == sum(v.outcome is Outcome.APPROVED for vs in run.verdicts for v in vs)


def test_without_the_catalogue_the_page_is_written_without_them(space: Workspace) -> None:
    kept = space.catalog.rename(space.catalog.with_name("aside"))
    try:
        page = write_report(space).read_text()
    finally:
        kept.rename(space.catalog)
    assert "the most alike photo" not in page and re.search("What the checks measured", page)
    assert not space.catalog.with_name("catalog.sqlite-new").exists()
