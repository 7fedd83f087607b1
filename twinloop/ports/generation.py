"""What makes images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot


@dataclass(frozen=True)
class GenerationSettings:
    """How images are made.

    Attributes:
        steps: denoising steps. guidance: classifier-free guidance scale. width, height: pixels.
        lora_scale: strength of the LoRA, 1.0 = as trained. strength: image-to-image, 0..1 = how much is redrawn;
            0 = the model edits photos and knows no such number.
        extra_loras: other LoRA files with their strengths, worn beside the loop's own.
        scheduler: its name as the family knows it, "" = the base model's own. timestep_spacing: how its times are
            chosen, ``leading``, ``trailing`` or ``linspace``; None = as the base model says.
        offload: ``none``, ``model``, ``blocks`` or ``sequential``: what waits in main memory while a GPU works on
            something else.
        vae_tiling: decode in tiles; None = where a picture is large or the GPU small.
        references: photos that an editing model looks at for one picture; fewer where it takes fewer.
        compile: the denoiser's repeated blocks: ``regional`` or ``off``; None = on a CUDA GPU, where ``planned`` images
            make it pay.
        planned: how many images the caller makes with these settings, those of an earlier start included; 0 = not
            known.
        quantization, precision: of the base model's weights, for the record; None = none. The generator was built with
            them.
        negative: whether the base model reads negative prompts at this ``guidance``, for the record.
        guidance_rescale: how far the guided answer is brought back to the spread of the unguided one, 0..1 (arXiv
            2305.08891); 0 = not at all.
        base_prediction, zero_terminal_snr: of the base model, for the record; None = as its files say. The generator
            was built with them.
        clip_skip: which layer from the end of a CLIP prompts are read from, 1 = the last; for the record. The generator
            was built with it.
        base_parts: (part, sha256) of the files that take the place of parts of the base model, for the record. The
            generator was built with them.
        distilled: ``guidance`` is a number that the base model was trained with, and no classifier-free guidance; for
            the record.
    """

    steps: int
    guidance: float
    width: int
    height: int
    lora_scale: float = 1.0
    strength: float = 0.6
    batch_size: int = 4
    extra_loras: tuple[tuple[str, float], ...] = ()
    scheduler: str = ""
    offload: str = "none"
    vae_tiling: bool | None = None
    references: int = 1
    compile: str | None = None
    planned: int = 0
    quantization: str | None = None
    precision: str = "auto"
    negative: bool = True
    distilled: bool = False
    guidance_rescale: float = 0.0
    base_prediction: str | None = None
    zero_terminal_snr: bool | None = None
    timestep_spacing: str | None = None
    clip_skip: int = 1
    base_parts: tuple[tuple[str, str], ...] = ()

    @property
    def unusual(self) -> dict[str, Any]:
        """Settings that are seldom needed, as records have them: only those that are set."""
        usual = {one.name: one.default for one in fields(self)}
        told = {name: value for name in _SELDOM if (value := getattr(self, name)) != usual[name]}
        return {**told, "base_parts": dict(self.base_parts)} if self.base_parts else told


_SELDOM = ("guidance_rescale", "base_parts", "clip_skip", "base_prediction", "zero_terminal_snr", "timestep_spacing")


def decisive_generation(settings: GenerationSettings, free: Collection[str]) -> dict[str, Any]:
    """The settings that decide images, as a record has them; ``free``: names of those that do not."""
    told = asdict(settings)
    seldom = {*_SELDOM} - settings.unusual.keys()
    return {name: value for name, value in told.items() if name not in free and name not in seldom}


@dataclass(frozen=True)
class EarlyLook:
    """A look at images on their way, so that no more work goes into those that already fail.

    Attributes:
        at: share of the denoising steps after which it is taken, 0..1; where no step would be left then, it is not
            taken.
        worth_finishing: asked once for every shot, with a preview of what its image will come to (uint8 HxWx3 RGB).
    """

    at: float
    worth_finishing: Callable[[Shot, ImageArray], bool]

    def step(self, steps: int) -> int:
        """The step of so many after which it is taken; the last one means: not at all."""
        return max(1, round(self.at * steps))


class Denoising(Protocol):
    """Told how far images are on their way; whoever listens takes no time."""

    def __call__(self, images: float, step: int, steps: int) -> None:
        """``images``: of those asked for, the ones that are made, and those at work by the share of their steps; fewer
        than were asked for. ``step`` of ``steps``: of those at work.
        """
        ...


class Generator(Protocol):
    """Makes images from shots. The base model is loaded once; adapters are swapped."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def own_sampler(self) -> str:
        """What the base model samples with where ``generation.scheduler`` names nothing, in the words of that field;
        "" = it has no name there.
        """
        ...

    def load_lora(self, path: Path | None) -> None:
        """Use this LoRA (None = the bare base model) from now on."""
        ...

    def check(self, settings: GenerationSettings) -> None:
        """Whether images can be made so, as far as that can be told without making one.

        Raises:
            InputError: a size that the base model cannot make, for example.
        """
        ...

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None:
        """These shots will be asked for, batch by batch: what they have in common may be done at once.

        No image depends on it; shots that were announced before and not made are no longer expected.
        """
        ...

    def generate(
        self,
        shots: Sequence[Shot],
        settings: GenerationSettings,
        look: EarlyLook | None = None,
        told: Denoising | None = None,
    ) -> Iterator[tuple[Shot, ImageArray]]:
        """One image per shot, in order, each depending only on its own shot and settings (and on the fixed batch it is
        in).

        Shots that ``look`` says no to are left out; the images of the others are what they are without it, but for
        rounding. ``told`` hears of the steps on the way, and changes nothing.
        """
        ...

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        """Each picture (uint8 HxWx3 RGB of the settings' size) drawn over as its shot says, in order:
        ``settings.strength`` of it anew.

        What a shot starts from (``source``) counts for nothing here.

        Raises:
            InputError: the model draws over no pictures.
        """
        ...
