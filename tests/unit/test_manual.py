"""Orders by hand: a folder belongs to one order."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional import loops
from tests.helpers.fake_makers import GENERATION, fake_makers
from tests.unit.things import Recording, shot
from twinloop.adapters.fakes import FakeGenerator
from twinloop.errors import InputError, StateError
from twinloop.manual import ImageOrder, Studio, make_images, photos_of_run
from twinloop.ports import GenerationSettings
from twinloop.store.atomic import write_json
from twinloop.store.clock import SystemClock
from twinloop.store.run.workspace import workspace_of

SHOTS = [shot(number) for number in range(2)]


def make(folder: Path, settings: GenerationSettings = GENERATION) -> list[str]:
    studio = Studio(fake_makers(generation=settings), (), SystemClock())
    return [made.sha256 for made in make_images(SHOTS, ImageOrder((), 1, folder, None), studio, Recording())]


def test_another_order_is_refused(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert make(tmp_path, replace(GENERATION, offload="model", planned=7)) == first, "that decides no pixel"
    with pytest.raises(StateError, match="settings differ"):
        make(tmp_path, replace(GENERATION, steps=3))
    with pytest.raises(StateError, match="settings differ"):
        make(tmp_path, replace(GENERATION, precision="float16"))


def test_an_extra_lora_that_was_exchanged_is_named(tmp_path: Path) -> None:
    folder, style, other = tmp_path / "made", tmp_path / "style.safetensors", tmp_path / "other.safetensors"
    style.write_bytes(b"one")
    other.write_bytes(b"other")
    settings = replace(GENERATION, extra_loras=((str(style), 0.5), (str(other), 1.0)))
    first = make(folder, settings)
    style.write_bytes(b"two")
    with pytest.raises(StateError, match=rf"\(another file is now at {re.escape(str(style))}, an extra LoRA\)"):
        make(folder, settings)
    style.write_bytes(b"one")
    assert make(folder, settings) == first


def test_an_order_without_hashes_of_extra_loras_goes_on_and_gets_them(tmp_path: Path) -> None:
    folder, style = tmp_path / "made", tmp_path / "style.safetensors"
    style.write_bytes(b"one")
    settings = replace(GENERATION, extra_loras=((str(style), 0.5),))
    first = make(folder, settings)
    record = json.loads((folder / ".record.json").read_text())
    assert record.pop("extra_loras") == [hashlib.sha256(b"one").hexdigest()]
    write_json(folder / ".record.json", record)
    style.write_bytes(b"two")
    assert make(folder, settings) == first
    assert json.loads((folder / ".record.json").read_text())["extra_loras"] == [hashlib.sha256(b"two").hexdigest()]
    style.write_bytes(b"three")
    with pytest.raises(StateError, match="another file is now at"):
        make(folder, settings)


class Interrupted(FakeGenerator):
    """One that is stopped before its first image."""

    def load_lora(self, lora: Path | None) -> None:
        raise KeyboardInterrupt


def test_a_folder_that_holds_no_image_yet_is_begun_anew_with_other_settings(tmp_path: Path) -> None:
    stopped = Studio(fake_makers(generator=Interrupted), (), SystemClock())
    folder, other, reporter = tmp_path / "made", replace(GENERATION, steps=3, batch_size=1), Recording()
    with pytest.raises(KeyboardInterrupt):
        make_images(SHOTS, ImageOrder((), 1, folder, None), stopped, reporter)
    assert (folder / "shots.json").is_file() and (folder / ".journal.jsonl").is_file()
    studio = Studio(fake_makers(generation=other), (), SystemClock())
    shots = [*SHOTS, shot(2)]
    made = make_images(shots, ImageOrder((), 1, folder, None), studio, reporter)
    said = "\n".join(reporter.lines)
    assert len(made) == 3 and "(shots, settings differ) and holds no image yet: begun anew" in said
    assert json.loads((folder / "shots.json").read_text())["count"] == 3
    for image in folder.glob("*.png"):
        image.unlink()
    with pytest.raises(StateError, match="settings differ"):
        make(folder)


class Unusable(FakeGenerator):
    """One that refuses its LoRA."""

    def load_lora(self, lora: Path | None) -> None:
        raise InputError("it holds no LoRA weights")


def test_an_order_that_fails_before_its_first_image_leaves_no_folder(tmp_path: Path) -> None:
    studio = Studio(fake_makers(generator=Unusable), (), SystemClock())
    with pytest.raises(InputError, match="no LoRA weights"):
        make_images(SHOTS, ImageOrder((), 1, tmp_path / "made", None), studio, Recording())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_named_with_a_way_on(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / ".record.json").write_text("[1]")
    with pytest.raises(StateError, match=r"\.record\.json does not hold .* name another --output"):
        make(tmp_path)


def test_a_run_whose_photos_cannot_be_read_is_named_with_a_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = loops.settings()
    space = workspace_of(chosen)
    assert photos_of_run(chosen) == ()
    for path in (space.dataset(0), space.sources):
        write_json(path, {})
        with pytest.raises(StateError, match=rf"{path.name} does not hold .*Move it away"):
            photos_of_run(chosen)
