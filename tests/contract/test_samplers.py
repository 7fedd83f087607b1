"""Every sampler of SDXL and SD 1.5: the same image each time, whoever its neighbours are, also where it is looked at on
its way or drawn over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.domain.choices import TIMESTEP_SPACINGS  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.base import DISTILLED_SCHEDULERS, SCHEDULERS  # noqa: E402
from twinloop.ports import EarlyLook, GenerationSettings  # noqa: E402

ROUNDING = 2
"""Grey levels that other places in a batch may change a picture by, in float32."""
SETTINGS = replace(GENERATION, steps=4, batch_size=3)
DRAWS_NOISE = ("euler_a", "dpmpp_2m_sde", "dpmpp_2m_sde_karras", "lcm", "tcd")
OWN_TIMES = [name for name, (kind, _) in SCHEDULERS.items() if kind in DISTILLED_SCHEDULERS]


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusersGenerator:
    base = build_tiny(request.param, tmp_path_factory.mktemp(request.param) / "base")
    return DiffusersGenerator(BaseChoice(str(base), "cpu", "float32"), FAMILIES[request.param])


TIMES = 40
"""Of a model that was trained on fewer times than the usual thousand: the limit of its steps is as much nearer."""


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def few_times(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DiffusersGenerator:
    base = build_tiny(request.param, tmp_path_factory.mktemp(request.param) / "base")
    config = base / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_train_timesteps": TIMES}))
    return DiffusersGenerator(BaseChoice(str(base), "cpu", "float32"), FAMILIES[request.param])


@pytest.fixture(params=sorted(SCHEDULERS))
def settings(request: pytest.FixtureRequest) -> GenerationSettings:
    return replace(SETTINGS, scheduler=request.param)


def made(
    generator: DiffusersGenerator, settings: GenerationSettings, wanted: list[Shot], look: EarlyLook | None = None
) -> dict[str, ImageArray]:
    return {shot.key: image for shot, image in generator.generate(wanted, settings, look)}


def apart(first: ImageArray, second: ImageArray) -> int:
    return int(np.abs(first.astype(int) - second).max())


def test_the_same_each_time_and_whoever_its_neighbours_are(
    generator: DiffusersGenerator, settings: GenerationSettings
) -> None:
    wanted = shots(3)
    together = made(generator, settings, wanted)
    again = made(generator, settings, wanted)
    alone: dict[str, ImageArray] = {}
    for shot in reversed(wanted):
        alone |= made(generator, settings, [shot])
    for key, image in together.items():
        assert np.array_equal(image, again[key]) and apart(image, alone[key]) <= ROUNDING
    assert len({image.tobytes() for image in together.values()}) == 3


def test_what_others_fail_changes_nothing(generator: DiffusersGenerator, settings: GenerationSettings) -> None:
    wanted = shots(3)
    whole = made(generator, settings, wanted)
    seen: list[str] = []

    def worth(shot: Shot, preview: ImageArray) -> bool:
        seen.append(shot.key)
        return shot.key != wanted[0].key

    left = made(generator, settings, wanted, EarlyLook(0.5, worth))
    assert seen == [shot.key for shot in wanted] and list(left) == seen[1:]
    assert all(apart(left[key], whole[key]) <= ROUNDING for key in left)


def test_pictures_are_drawn_over_in_each_sampler(generator: DiffusersGenerator, settings: GenerationSettings) -> None:
    before = made(generator, settings, shots(2))
    given = [(shot, before[shot.key]) for shot in shots(2)]
    over = replace(settings, strength=0.6)
    first, again = ([image for _, image in generator.redraw(given, over)] for _ in range(2))
    alone = [image for pair in given for _, image in generator.redraw([pair], over)]
    assert np.array_equal(first, again) and all(apart(a, b) <= ROUNDING for a, b in zip(first, alone, strict=True))
    assert all(not np.array_equal(old, new) for (_, old), new in zip(given, first, strict=True))


@pytest.mark.parametrize("name", DRAWS_NOISE)
def test_noise_on_the_way_is_each_pictures_own(
    name: str, generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from PyTorch's common source, whose state is another in a program that goes on where it was stopped."""
    settings, wanted = replace(SETTINGS, scheduler=name), shots(1)
    torch.manual_seed(1)
    first = made(generator, settings, wanted)
    torch.manual_seed(2)
    assert np.array_equal(*(one[wanted[0].key] for one in (first, made(generator, settings, wanted))))


@pytest.fixture
def schedules(generator: DiffusersGenerator) -> Iterator[Any]:
    yield lambda name, spacing: _times(generator, name, spacing)
    generator._base.use_sampler("", None)


def _times(generator: DiffusersGenerator, name: str, spacing: str | None) -> list[float]:
    generator._base.use_sampler(name, spacing)
    scheduler = generator._base.pipeline.scheduler
    scheduler.set_timesteps(4)
    return [float(time) for time in scheduler.timesteps]


@pytest.mark.parametrize("name", ["", "euler", "euler_a", "ddim", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "heun"])
def test_times_are_spread_as_asked(name: str, schedules: Any) -> None:
    spread = {spacing: schedules(name, spacing) for spacing in TIMESTEP_SPACINGS}
    assert spread["trailing"][0] == 999.0 and spread["leading"][0] < 900.0
    assert len({tuple(times) for times in spread.values()}) == 3 or name in ("ddim", "")
    assert schedules(name, None) in spread.values()


def test_no_sampler_cuts_latents_off(generator: DiffusersGenerator, schedules: Any) -> None:
    """Folders that were made from single files do not say whether DDIM should, and diffusers' own default is that it
    does.
    """
    assert "clip_sample" not in generator._base.scheduler_config
    for name in SCHEDULERS:
        schedules(name, None)
        scheduler = generator._base.pipeline.scheduler
        assert not scheduler.config.get("clip_sample"), name
        assert not scheduler.config.get("thresholding"), name


@pytest.mark.parametrize("name", OWN_TIMES)
def test_models_distilled_to_few_steps_have_times_and_noise_of_their_own(
    name: str, generator: DiffusersGenerator
) -> None:
    assert _times(generator, name, None)[0] == 999.0
    with pytest.raises(InputError, match=rf"generation\.timestep_spacing: '{name}' has times of its own"):
        generator.check(replace(SETTINGS, scheduler=name, timestep_spacing="trailing"))
    with pytest.raises(InputError, match=rf"num_inference_steps: 51, but '{name}' takes 50 steps at most"):
        generator.check(replace(SETTINGS, scheduler=name, steps=51))
    made(generator, replace(SETTINGS, scheduler=name, steps=50), shots(1))


def test_tcd_adds_the_noise_that_is_its_own(generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' pipelines say 0 where nobody does, which would make it another sampler."""
    import diffusers

    told: list[float] = []
    step = diffusers.TCDScheduler.step

    def watched(self: Any, *args: Any, eta: float = 0.3, **named: Any) -> Any:
        told.append(eta)
        return step(self, *args, eta=eta, **named)

    monkeypatch.setattr(diffusers.TCDScheduler, "step", watched)
    made(generator, replace(SETTINGS, scheduler="tcd"), shots(1))
    assert told == [0.3] * 4


def test_flow_models_have_times_of_their_own() -> None:
    with pytest.raises(InputError, match=r"generation\.timestep_spacing: models of the family 'flux', which are flow"):
        FAMILIES["flux"].scheduler("", "trailing")


def test_heun_cannot_begin_at_pure_noise(tmp_path: Path) -> None:
    from twinloop.families.predictions import Asked

    choice = BaseChoice(
        str(build_tiny("sdxl", tmp_path / "base")), "cpu", "float32", prediction=Asked("v_prediction", True)
    )
    generator = DiffusersGenerator(choice, FAMILIES["sdxl"])
    with pytest.raises(InputError, match=r"generation\.scheduler: 'heun' cannot begin at pure noise"):
        made(generator, replace(SETTINGS, scheduler="heun"), shots(1))
    for name in SCHEDULERS.keys() - {"heun"}:
        assert made(generator, replace(SETTINGS, scheduler=name), shots(1))


@pytest.mark.parametrize(
    ("name", "spacing", "bounded"),
    [
        ("", "leading", True),
        ("ddim", None, True),
        ("ddim", "trailing", True),
        ("dpmpp_2m", "leading", True),
        ("dpmpp_2m_sde", None, True),
        ("unipc", None, True),
        ("heun", "leading", True),
        ("euler", "leading", True),
        ("euler", "linspace", False),
        ("euler_a", "linspace", False),
    ],
)
def test_more_steps_than_a_sampler_has_times_are_refused(
    name: str, spacing: str | None, bounded: bool, few_times: DiffusersGenerator
) -> None:
    """As many as the error says work, and one more does not; some take as many as one likes."""
    settings = replace(SETTINGS, scheduler=name, timestep_spacing=spacing, steps=TIMES + 1)
    if not bounded:
        few_times.check(settings)
        return
    sampler = f"'{name}'" if name else "this base model's own sampler"
    with pytest.raises(
        InputError, match=rf"num_inference_steps: {TIMES + 1}, but {sampler} takes \d+ steps at most"
    ) as told:
        next(few_times.generate(shots(1), settings))
    found = re.search(rf"takes (\d+) steps at most .* which was trained on {TIMES} times", str(told.value))
    assert found is not None
    most = int(found[1])
    assert TIMES - 2 <= most <= TIMES
    few_times.check(replace(settings, steps=most))
    with pytest.raises(InputError, match="steps at most"):
        few_times.check(replace(settings, steps=most + 1))


def test_the_usual_times_are_a_thousand(generator: DiffusersGenerator) -> None:
    with pytest.raises(
        InputError, match=r"1001, but 'ddim' takes (999|1000) steps at most .* which was trained on 1000 times"
    ):
        generator.check(replace(SETTINGS, scheduler="ddim", steps=1001))


def test_so_many_steps_do_go_through(few_times: DiffusersGenerator) -> None:
    assert made(few_times, replace(SETTINGS, scheduler="ddim", steps=TIMES - 1), shots(1))
