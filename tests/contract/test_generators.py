"""What every generator must do, the fake and the real ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.contract.makers import GENERATION, NAMES, SIZE, TRAINING, Makers, make, shots
from twinloop.adapters.fakes import fake_pack
from twinloop.checks.base import CheckLimits
from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.domain.shots import Shot
from twinloop.families.base import FLOW_SCHEDULERS, SCHEDULERS
from twinloop.ports import EarlyLook, Generator, SilentReporter
from twinloop.stages.face_detail import FaceDetail
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext
from twinloop.stages.observe import Observer
from twinloop.store.clock import SystemClock
from twinloop.store.journal import Journal
from twinloop.store.pictures.images import decode


@pytest.fixture(scope="module", params=NAMES)
def makers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Makers:
    fixture = {"diffusers-tiny-vae": "tiny_base", "diffusers-full-vae": "full_base"}.get(request.param)
    return make(request.param, request.getfixturevalue(fixture) if fixture else None, tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def lora(makers: Makers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("lora")
    makers.trainer().train(makers.samples, TRAINING, home / "lora.safetensors", home / "work", {}, lambda *_: None)
    return home / "lora.safetensors"


def images(generator: Generator, wanted: list[Shot]) -> list[ImageArray]:
    return [image for _, image in generator.generate(wanted, GENERATION)]


def same(first: list[ImageArray], second: list[ImageArray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_one_rgb_image_per_shot_in_order(makers: Makers) -> None:
    made = list(makers.generator().generate(shots(), GENERATION))
    assert [shot.key for shot, _ in made] == [shot.key for shot in shots()]
    for _, image in made:
        assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8


def test_nothing_asked_nothing_made(makers: Makers) -> None:
    assert list(makers.generator().generate([], GENERATION)) == []


def test_the_way_is_told_and_changes_no_image(makers: Makers) -> None:
    """Ever more, but never that all is made while something is left to do; through an early look, too."""
    generator, wanted = makers.generator(), shots()
    settings = replace(GENERATION, steps=4)
    without = [image for _, image in generator.generate(wanted, settings)]
    for look in (None, EarlyLook(0.5, lambda *_: True)):
        told: list[tuple[float, int, int]] = []
        made = generator.generate(wanted, settings, look, lambda *way, told=told: told.append(way))
        images = [image for _, image in made]
        if look is None:
            assert same(without, images)
        shares = [images for images, _, _ in told]
        assert shares == sorted(set(shares)) and shares[0] > 0 and shares[-1] < len(wanted)
        assert shares[-1] > len(wanted) - settings.batch_size
        assert all(1 <= step <= steps for _, step, steps in told) and told[-1][1] == told[-1][2]
    told.clear()
    assert same(without, [image for _, image in generator.generate(wanted, settings)]) and not told


def test_what_is_expected_changes_no_image(makers: Makers) -> None:
    """Neither where just that is asked for, nor where it is something else."""
    whole = images(makers.generator(), shots())
    for announced in (shots(), [replace(shot, prompt=f"{shot.prompt} at night") for shot in shots()[::-1]]):
        generator = makers.generator()
        generator.expect(announced, GENERATION)
        assert same(whole, images(generator, shots()))


def test_images_are_streamed(makers: Makers) -> None:
    stream = makers.generator().generate(shots(), GENERATION)
    first, _ = next(stream)
    assert first.key == shots()[0].key
    assert len(list(stream)) == len(shots()) - 1


def test_the_seed_decides(makers: Makers) -> None:
    generator = makers.generator()
    first = images(generator, shots())
    assert same(first, images(generator, shots()))
    assert not same(first, images(generator, shots(first_seed=900)))
    assert not np.array_equal(first[0], first[1])


def test_neighbours_do_not_matter(makers: Makers) -> None:
    generator = makers.generator()
    together = images(generator, shots())
    turned = images(generator, shots()[::-1])[::-1]
    for a, b in zip(together, turned, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2  # other places in a batch may round differently


def redrawn(generator: Generator, wanted: list[Shot], strength: float = 0.6) -> list[ImageArray]:
    settings = replace(GENERATION, steps=4, strength=strength)
    pictures = [(shot, image) for shot, image in zip(wanted, first_pictures(wanted), strict=True)]
    made = list(generator.redraw(pictures, settings))
    assert [shot.key for shot, _ in made] == [shot.key for shot in wanted]
    return [image for _, image in made]


def first_pictures(wanted: list[Shot]) -> list[ImageArray]:
    """Smooth pictures, by seed."""
    slopes = [np.random.default_rng(shot.seed).uniform(-1, 1, (2, 3)) for shot in wanted]
    down, across = np.mgrid[:SIZE, :SIZE][..., None] / SIZE
    return [np.asarray(128 + 60 * (down * slope[0] + across * slope[1]), np.uint8) for slope in slopes]


def test_pictures_are_drawn_over_more_or_less(makers: Makers) -> None:
    generator = makers.generator()
    wanted = shots()
    made = redrawn(generator, wanted)
    assert all(image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8 for image in made)
    assert same(made, redrawn(generator, wanted))
    assert not same(made, redrawn(generator, [replace(shot, seed=shot.seed + 1) for shot in wanted]))
    assert not same(made, redrawn(generator, wanted, strength=0.3))
    started = [replace(shot, source="nowhere.png") for shot in wanted]
    assert same(made, redrawn(generator, started)), "what a shot started from counts for nothing"
    assert list(generator.redraw([], GENERATION)) == []


def test_neighbours_do_not_matter_where_pictures_are_drawn_over(makers: Makers) -> None:
    generator = makers.generator()
    together, turned = redrawn(generator, shots()), redrawn(generator, shots()[::-1])[::-1]
    for a, b in zip(together, turned, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2


class OneFaceFound:
    """Finds one small face in the middle of every picture."""

    fingerprint = "one-face"

    def detect(self, image: ImageArray) -> list[Face]:
        middle = image.shape[0] / 2
        return [Face(Box(middle - 9, middle - 12, middle + 9, middle + 12), 0.9)]


def test_faces_are_redrawn_and_what_is_lost_is_made_again_the_same(makers: Makers, tmp_path: Path) -> None:
    """A batch that is made again as a whole gives the same files to the last bit, or the journal would refuse them."""
    pack = replace(fake_pack(), faces=OneFaceFound())
    detail = FaceDetail(0.6, 0.5, Observer(pack, ()), CheckLimits(min_face_quality=None))
    settings = replace(GENERATION, batch_size=2)
    plain = GenerationContext(
        prefix="plain", folder=tmp_path / "plain", base_model="base", lora=None, settings=settings, stamped=False
    )
    context = replace(plain, prefix="iter1", folder=tmp_path / "images", detail=detail)
    wanted = [replace(shot, face_prompt="close-up portrait of ohwx ana") for shot in shots()]

    def made(how: GenerationContext) -> list[bytes]:
        journal = Journal(tmp_path / "journal.jsonl")
        images = generate(wanted, how, makers.generator, journal, SystemClock(), SilentReporter())
        assert [image.face_detail is not None for image in images] == [how.detail is not None] * len(wanted)
        return [image.path.read_bytes() for image in images]

    first = made(context)
    for lost in (1, 2):
        (context.folder / f"{wanted[lost].key}.png").unlink()
    assert made(context) == first
    for before, after in zip(made(plain), first, strict=True):
        old, new = decode(before), decode(after)
        changed = (old != new).any(axis=2)
        assert changed.any() and not changed[:8].any() and not changed[-8:].any() and not changed[:, :8].any()


def test_a_lora_changes_the_images_and_comes_off_without_trace(makers: Makers, lora: Path) -> None:
    generator = makers.generator()
    wanted = shots(8)
    bare = images(generator, wanted)
    generator.load_lora(lora)
    worn = images(generator, wanted)
    assert not same(bare, worn)
    generator.load_lora(None)
    assert same(bare, images(generator, wanted))
    generator.load_lora(lora)
    assert same(worn, images(generator, wanted))


def test_the_bases_own_sampler_is_one_that_can_be_asked_for(makers: Makers) -> None:
    assert makers.generator().own_sampler in ("", *SCHEDULERS, *FLOW_SCHEDULERS)


def test_fingerprint(makers: Makers) -> None:
    assert makers.generator().fingerprint == makers.generator().fingerprint
    assert "/" not in makers.generator().fingerprint
