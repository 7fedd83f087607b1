"""A training step of every family against the reference scripts' formulas: the same photos, captions, times and noise
give the same latents, the same call of the denoiser, the same target and the same loss.

docs/parity.md holds what was compared with which script, and where this program differs on purpose.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from diffusers.training_utils import compute_snr  # noqa: E402

from tests.contract.makers import SIZE, TRAINING  # noqa: E402
from tests.contract.references import REFERENCES, Given, Step  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.framing import frame  # noqa: E402
from twinloop.adapters.trainers.data.batches import time_ids  # noqa: E402
from twinloop.adapters.trainers.data.prepare import prepare_batches  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel, adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import (  # noqa: E402
    FlowSchedule,
    NoiseSchedule,
    StepNoise,
    draw_noise,
    schedule_for,
)
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

CAPTIONS = ("photo of ohwx ana smiling indoors", "ohwx ana")
"""Of two lengths, so that padding and masks show."""
OF_ONE_LENGTH = ("photo of ohwx ana", "ohwx ana smiling indoors")
"""For families that answer texts of other lengths one by one."""
GAMMA = 5.0
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Ours:
    """One step of this program, and the denoiser's call in it."""

    latents: Any
    call: Mapping[str, Any]
    loss: float


@pytest.fixture(scope="module", params=sorted(REFERENCES))
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ours, Step, float]:
    """Our step, the reference's, and the reference's loss."""
    name = request.param
    home = tmp_path_factory.mktemp(f"parity-{name}")
    base = open_base(BaseChoice(str(build_tiny(name, home / "base")), "cpu", "float32"), FAMILIES[name])
    settings = replace(TRAINING, batch_size=2, caption_dropout=0.0, min_snr_gamma=GAMMA)
    photos = _photos(home, OF_ONE_LENGTH if base.family.joining == "apart" else CAPTIONS)
    batch = prepare_batches(base, photos, settings, home).step(1)[0]
    schedule = schedule_for(base.family, base.scheduler_config)
    (drawn,) = draw_noise(schedule, [tuple(batch.latents.shape)], 0.0, 3, 1)
    chosen = [photos[number] for number in batch.samples]
    given = Given(
        base.pipeline,
        torch.stack([_pixels(photo.path) for photo in chosen]),
        [photo.caption for photo in chosen],
        drawn.times,
        drawn.noise,
    )
    with torch.inference_mode():
        wanted = REFERENCES[name](given)
    with adapted(base, AdapterPlan(base.family.targets, 4, 4.0), 0) as denoiser, torch.no_grad():
        _move(denoiser)
        with _listening(base) as calls:
            loss = float(sum(Objective(denoiser, schedule, settings).terms(batch, drawn)))
        answer = base.denoiser(**wanted.call, return_dict=False)[0]
        theirs = _loss(base, wanted, wanted.read(answer), drawn)
    return Ours(batch.latents, calls[0], loss), wanted, theirs


def _photos(home: Path, captions: Sequence[str]) -> list[TrainingSample]:
    made = []
    for number, caption in enumerate(captions):
        path = home / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(path)
        made.append(TrainingSample(path, hashlib.sha256(path.read_bytes()).hexdigest(), caption, 1.0))
    return made


def _pixels(path: Path) -> Any:
    """As the scripts' transforms: to 0..1, then mean 0.5 and deviation 0.5."""
    return (torch.from_numpy(np.asarray(Image.open(path), np.float32)).permute(2, 0, 1) / 255 - 0.5) / 0.5


def _move(denoiser: AdaptedModel) -> None:
    """A LoRA that changes something."""
    for name, parameter in denoiser.parameters.items():
        if name.endswith("lora_B"):
            parameter.fill_(0.02)


def _listening(base: BaseModel) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def listen() -> Iterator[list[dict[str, Any]]]:
        calls: list[dict[str, Any]] = []
        known = inspect.signature(base.denoiser.forward)

        def heard(_: Any, positional: Any, named: Any) -> None:
            calls.append(dict(known.bind(*positional, **named).arguments))

        handle = base.denoiser.register_forward_pre_hook(heard, with_kwargs=True)
        try:
            yield calls
        finally:
            handle.remove()

    return listen()


def _loss(base: BaseModel, wanted: Step, answer: Any, drawn: StepNoise) -> float:
    """The squared error, with min-SNR weights for epsilon and v models, as the scripts weigh it; a flow's errors all
    count the same.
    """
    error = (answer.float() - wanted.target.float()).square().mean(dim=[1, 2, 3])
    if base.family.flow:
        return float(error.mean())
    scheduler = diffusers.DDPMScheduler.from_config(base.scheduler_config)
    snr = compute_snr(scheduler, drawn.times)
    divisor = snr + 1 if scheduler.config.prediction_type == "v_prediction" else snr
    return float((error * torch.minimum(snr, torch.full_like(snr, GAMMA)) / divisor).mean())


def _same(ours: Any, theirs: Any, place: str) -> None:
    if isinstance(theirs, Mapping):
        assert ours.keys() == theirs.keys(), place
        for key in theirs:
            _same(ours[key], theirs[key], f"{place}.{key}")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), place
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            _same(one, other, f"{place}[{number}]")
    elif isinstance(theirs, torch.Tensor):
        assert ours.shape == theirs.shape, (place, ours.shape, theirs.shape)
        assert torch.allclose(ours.double(), theirs.double(), rtol=0, atol=TOLERANCE), (
            place,
            (ours.double() - theirs.double()).abs().max(),
        )
    else:
        assert ours == theirs, place


def test_every_family_that_draws_from_text_has_a_reference() -> None:
    assert REFERENCES.keys() <= FAMILIES.keys()
    assert all(FAMILIES[name].editing is not None for name in FAMILIES.keys() - REFERENCES.keys())


def test_latents_are_those_of_the_reference(compared: tuple[Ours, Step, float]) -> None:
    ours, wanted, _ = compared
    _same(ours.latents, wanted.clean, "latents")


def test_the_denoiser_is_called_as_in_the_reference(compared: tuple[Ours, Step, float]) -> None:
    ours, wanted, _ = compared
    asked = {name: value for name, value in ours.call.items() if value is not None and name != "return_dict"}
    _same(asked, {name: value for name, value in wanted.call.items() if value is not None}, "call")


def test_the_loss_is_that_of_the_reference(compared: tuple[Ours, Step, float]) -> None:
    ours, _, theirs = compared
    assert ours.loss == pytest.approx(theirs, abs=TOLERANCE) and ours.loss > 1e-3


BETAS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}


@pytest.mark.parametrize(
    "kind",
    [
        {"prediction_type": "epsilon"},
        {"prediction_type": "v_prediction"},
        {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    ],
)
def test_noise_targets_and_weights_are_those_of_diffusers(kind: dict[str, Any]) -> None:
    scheduler, ours = diffusers.DDPMScheduler(**BETAS, **kind), NoiseSchedule({**BETAS, **kind})
    times = torch.tensor([0, 1, 250, 500, 750, 998, 999])
    clean, noise = (torch.randn(7, 4, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    noisy, target = ours.noisy(clean, StepNoise(times, noise))
    v = kind["prediction_type"] == "v_prediction"
    _same(noisy, scheduler.add_noise(clean, noise, times), "noisy")
    _same(target, scheduler.get_velocity(clean, noise, times) if v else noise, "target")
    snr = compute_snr(scheduler, times)
    weights = torch.minimum(snr, torch.full_like(snr, GAMMA)) / (snr + 1 if v else snr)
    assert torch.allclose(ours.weights(times, GAMMA), weights, rtol=1e-4, atol=TOLERANCE)


PUBLISHED: dict[str, dict[str, Any]] = {
    "sd35": {"shift": 3.0},
    "flux": {
        "shift": 3.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
    },
    "chroma": {"shift": 3.0},
    "zimage": {"shift": 6.0},
    "anima": {"shift": 3.0},
    "krea2": {
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 6400,
    },
    "qwen-image": {
        "shift": 1.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 0.9,
        "base_image_seq_len": 256,
        "max_image_seq_len": 8192,
        "shift_terminal": 0.02,
        "time_shift_type": "exponential",
    },
}
"""What differs between the scheduler configurations that the models come with."""
PUBLISHED["flux-kontext"] = PUBLISHED["flux2"] = PUBLISHED["flux2-klein"] = PUBLISHED["flux"]


def _trainers_shift(name: str, height: int, width: int) -> float:
    """sd-scripts' training_shift 3, flux_shift and sigmoid (Anima's, Chroma's); musubi-tuner's flux2_shift, qwen_shift,
    krea2_shift and discrete_flow_shift 2 for Z-Image.
    """
    if name in ("anima", "chroma"):
        return 1.0
    if name in ("sd35", "zimage"):
        return 3.0 if name == "sd35" else 2.0
    tokens = height * width if name.startswith("flux2") else (height // 2) * (width // 2)
    x2, y2 = {"qwen-image": (8192, 0.9), "krea2": (6400, 1.15)}.get(name, (4096, 1.15))
    slope = (y2 - 0.5) / (x2 - 256)
    return math.exp(slope * tokens + 0.5 - slope * 256)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
@pytest.mark.parametrize("side", [512, 1024, 1536])
def test_times_are_drawn_as_trainers_of_these_models_draw_them(name: str, side: int) -> None:
    """A logistic-normal, shifted: a sample z of the normal distribution becomes sigmoid(z), then shift x s / (1 +
    (shift - 1) s).
    """
    family = FAMILIES[name]
    cells = side // (16 if name.startswith("flux2") else 8)
    schedule = schedule_for(family, PUBLISHED[name])
    assert isinstance(schedule, FlowSchedule)
    z = torch.linspace(-3, 3, 13, dtype=torch.float64)
    share, shift = torch.sigmoid(z), _trainers_shift(name, cells, cells)
    wanted = 1000 * share * shift / (1 + (shift - 1) * share)
    made = schedule.times(torch.special.ndtr(z), (13, 16, cells, cells))
    assert torch.allclose(made.double(), wanted, rtol=1e-4)


def test_times_of_sd3_are_those_of_the_schedulers_table() -> None:
    """diffusers draws an index of its 1000 times, noisiest first; this program the time between two of them."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0)
    places = (torch.arange(500, dtype=torch.float64) + 0.5) / 500
    drawn = torch.sigmoid(torch.special.ndtri(places))
    theirs = scheduler.timesteps[(drawn * 1000).long()]
    ours = schedule_for(FAMILIES["sd35"], scheduler.config).times(1 - places, (1, 16, 64, 64))
    assert (ours - theirs).abs().max() <= 3.0  # a step of the table is at most so wide


@pytest.mark.parametrize(("width", "height"), [(200, 100), (90, 160), (64, 64)])
def test_sizes_told_to_sdxl_are_those_of_the_reference(width: int, height: int) -> None:
    """Shorter side to the resolution, crop in the middle: original height and width, top and left of the crop, target
    height and width.
    """
    factor = 64 / min(width, height)
    scaled_height, scaled_width = round(height * factor), round(width * factor)
    top, left = round((scaled_height - 64) / 2), round((scaled_width - 64) / 2)
    framing = frame(width, height, 64, 8, buckets=False)
    assert time_ids(framing, true_sizes=True) == (height, width, top, left, 64, 64)


@pytest.mark.parametrize(("guided", "words"), [(True, 512), (False, 256)])
def test_schnell_reads_half_as_many_words(guided: bool, words: int, tmp_path: Path) -> None:
    base = open_base(BaseChoice(str(build_tiny("flux", tmp_path / "base")), "cpu", "float32"), FAMILIES["flux"])
    transformer = base.pipeline.transformer
    usual = transformer.config.guidance_embeds
    transformer.register_to_config(guidance_embeds=guided)
    try:
        encoded = FAMILIES["flux"].encode(base.pipeline, "photo of ohwx ana", torch.device("cpu"))
    finally:  # the base stays open for the tests after this one
        transformer.register_to_config(guidance_embeds=usual)
    assert encoded["prompt_embeds"].shape[1] == words
