"""A look at unfinished images, over the fake and every family of base models: what it sees, whom it stops, and that the
others are what they would be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, SIZE, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.fakes import FakeGenerator  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import EarlyLook, GenerationSettings, Generator  # noqa: E402

FAKE = "fake"
SETTINGS = replace(GENERATION, steps=5, batch_size=3)
SHOTS = shots(4)
"""A batch of three and one of one."""
ROUNDING = 2
"""Grey levels that a picture may differ by, in float32, when its neighbours are gone: matrix products of fewer rows add
up in another order."""


@pytest.fixture(scope="module", params=[FAKE, *sorted(FAMILIES)])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    if request.param == FAKE:
        return FakeGenerator()
    base = build_tiny(request.param, tmp_path_factory.mktemp(request.param) / "base")
    return DiffusersGenerator(BaseChoice(str(base), "cpu", "float32"), FAMILIES[request.param])


@pytest.fixture(scope="module")
def plain(generator: Generator) -> dict[str, ImageArray]:
    """What comes out where nobody looks."""
    return made(generator)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> DiffusersGenerator:
    base = build_tiny("sdxl", tmp_path_factory.mktemp("sdxl") / "base")
    return DiffusersGenerator(BaseChoice(str(base), "cpu", "float32"), FAMILIES["sdxl"])


class Look:
    """Remembers what it was shown; says no to some."""

    def __init__(self, *refused: Shot, at: float = 0.6) -> None:
        self.refused, self.seen = {shot.key for shot in refused}, {}  # type: ignore[var-annotated]
        self.early = EarlyLook(at, self._worth)

    def _worth(self, shot: Shot, preview: ImageArray) -> bool:
        assert shot.key not in self.seen, "asked twice"
        self.seen[shot.key] = preview
        return shot.key not in self.refused


def made(
    generator: Generator,
    look: Look | None = None,
    wanted: list[Shot] | None = None,
    settings: GenerationSettings = SETTINGS,
) -> dict[str, ImageArray]:
    return {
        shot.key: image
        for shot, image in generator.generate(wanted or SHOTS, settings, None if look is None else look.early)
    }


def apart(first: ImageArray, second: ImageArray) -> int:
    return int(np.abs(first.astype(int) - second).max())


def test_a_look_that_refuses_nothing_changes_nothing(generator: Generator, plain: dict[str, ImageArray]) -> None:
    look = Look()
    with_look = made(generator, look)
    assert list(with_look) == list(plain) == list(look.seen)
    assert all(np.array_equal(with_look[key], plain[key]) for key in plain)
    for preview in look.seen.values():
        assert preview.dtype == np.uint8 and preview.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("refused", [[1], [0, 3]])
def test_what_is_refused_is_left_out_and_the_rest_is_the_same(
    generator: Generator, plain: dict[str, ImageArray], refused: list[int]
) -> None:
    left = made(generator, Look(*(SHOTS[n] for n in refused)))
    assert list(left) == [shot.key for n, shot in enumerate(SHOTS) if n not in refused]
    assert all(apart(left[key], plain[key]) <= ROUNDING for key in left)


def test_nothing_is_left_and_the_next_order_is_as_ever(generator: Generator, plain: dict[str, ImageArray]) -> None:
    assert made(generator, Look(*SHOTS)) == {}
    assert all(np.array_equal(image, plain[key]) for key, image in made(generator).items())


def test_where_no_step_would_be_left_there_is_no_look(generator: Generator) -> None:
    look = Look(*SHOTS, at=1.0)
    assert len(made(generator, look, settings=replace(SETTINGS, steps=2))) == len(SHOTS)
    assert not look.seen


def test_a_single_step_makes_a_picture_or_says_that_it_cannot(generator: Generator) -> None:
    settings = replace(SETTINGS, steps=1)
    stretched = not isinstance(generator, FakeGenerator) and bool(
        generator._base.scheduler_config.get("shift_terminal")  # type: ignore[attr-defined]
    )
    if stretched:
        with pytest.raises(InputError, match="needs two steps at least"):
            generator.check(settings)
    else:
        generator.check(settings)
        look = Look(*SHOTS)
        assert len(made(generator, look, settings=settings)) == len(SHOTS)
        assert not look.seen, "no step would be left"


def test_steps_that_nobody_needs_are_not_made(generator: Generator) -> None:
    if isinstance(generator, FakeGenerator):
        return
    calls: list[int] = []
    base = generator._base  # type: ignore[attr-defined]
    hook = base.denoiser.register_forward_hook(lambda *_: calls.append(1))
    try:
        made(generator, wanted=SHOTS[:2])
        all_steps = len(calls)
        calls.clear()
        made(generator, Look(*SHOTS), SHOTS[:2])
    finally:
        hook.remove()
    steps = base.pipeline.num_timesteps
    assert steps >= SETTINGS.steps and len(calls) * steps == all_steps * EarlyLook(0.6, lambda *_: True).step(steps)


@pytest.mark.parametrize("generator", sorted(FAMILIES), indirect=True)
def test_late_looks_see_more_nearly_what_comes_out(generator: Generator) -> None:
    settings = replace(SETTINGS, steps=10)
    (image,) = made(generator, wanted=SHOTS[:1], settings=settings).values()
    distances = []
    for at in (0.1, 0.9):
        look = Look(at=at)
        made(generator, look, SHOTS[:1], settings)
        (seen,) = look.seen.values()
        distances.append(float(np.abs(image.astype(int) - seen).mean()))
    assert distances[1] < distances[0] / 2


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_in_products_that_do_not_depend_on_the_batch_the_rest_is_equal_to_the_last_bit(
    family: str, tmp_path: Path
) -> None:
    """A denoiser that works row by row: what is left differs from an undisturbed batch by nothing at all."""
    generator = DiffusersGenerator(
        BaseChoice(str(build_tiny(family, tmp_path / "base")), "cpu", "float32"), FAMILIES[family]
    )
    denoiser = generator._base.denoiser
    denoiser.forward = row_by_row(denoiser.forward)
    try:
        plain, left = made(generator), made(generator, Look(SHOTS[1]))
    finally:
        del denoiser.forward
    assert list(left) == [SHOTS[n].key for n in (0, 2, 3)]
    assert all(np.array_equal(left[key], plain[key]) for key in left)


def row_by_row(forward: Callable[..., Any]) -> Callable[..., Any]:
    def one(value: Any, row: int, rows: int) -> Any:
        if isinstance(value, dict):
            return {name: one(inner, row, rows) for name, inner in value.items()}
        has_rows = (
            isinstance(value, torch.Tensor)
            and value.ndim > 0
            and len(value) == rows
            and not (value.ndim == 2 and value.shape[1] == 3)
        )
        return value[row : row + 1] if has_rows else value

    def called(*args: Any, **named: Any) -> Any:
        rows = len(args[0] if args else named["hidden_states"])
        outs = [
            forward(*(one(a, n, rows) for a in args), **{k: one(v, n, rows) for k, v in named.items()})[0]
            for n in range(rows)
        ]
        return (torch.cat(outs),)

    return called


def test_from_photos_too(sdxl: DiffusersGenerator, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(
        tmp_path / "photo.png"
    )
    mixed = [replace(shot, source=str(tmp_path / "photo.png")) if n % 2 else shot for n, shot in enumerate(shots(4))]
    settings = replace(SETTINGS, strength=0.8, batch_size=4)
    plain, look = made(sdxl, wanted=mixed, settings=settings), Look(mixed[0], mixed[3])
    left = made(sdxl, look, mixed, settings)
    assert set(look.seen) == set(plain) and list(left) == [mixed[1].key, mixed[2].key]
    assert all(apart(left[key], plain[key]) <= ROUNDING for key in left)


@pytest.mark.parametrize("scheduler", ["dpmpp_2m", "euler_a", "unipc", "ddim"])
def test_schedulers_keep_their_history_and_their_noise(scheduler: str, sdxl: DiffusersGenerator) -> None:
    settings = replace(SETTINGS, scheduler=scheduler, steps=6)
    plain, left = made(sdxl, settings=settings), made(sdxl, Look(SHOTS[0]), settings=settings)
    assert all(apart(left[key], plain[key]) <= ROUNDING for key in left) and len(left) == 3


def test_the_step_that_is_looked_after() -> None:
    look = EarlyLook(0.6, lambda *_: True)
    assert [look.step(n) for n in (20, 30, 50, 4, 2, 1)] == [12, 18, 30, 2, 1, 1]
