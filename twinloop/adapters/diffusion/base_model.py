"""The base model in memory: loaded once, shared by generator and trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import diffusers
from diffusers import AutoencoderTiny
from torch import nn

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_files import find_base
from twinloop.adapters.diffusion.block_swap import pin, place, staying, swappable, swapping, unpin
from twinloop.adapters.diffusion.compute import Compute, choose_compute
from twinloop.adapters.diffusion.loading import image_pipeline, load_pipeline, set_prediction
from twinloop.adapters.diffusion.loras.slot import LoraSlot
from twinloop.adapters.diffusion.memory import memory_errors, release_memory, release_pinned_memory
from twinloop.adapters.diffusion.messages import DORA_LAYER_BY_LAYER, LOKR_LAYER_BY_LAYER
from twinloop.adapters.diffusion.offloading import check_offload
from twinloop.adapters.diffusion.part_files import check_unchanged
from twinloop.adapters.diffusion.preflight import check_ends_in_noise
from twinloop.adapters.diffusion.prompts import PromptEmbedder, encoders_of
from twinloop.adapters.diffusion.regions import Regions
from twinloop.errors import InputError
from twinloop.families.base import Family, reads_prompts
from twinloop.ports import nobody_listens

SMALL_ADVICE = 'Close other programs, choose a smaller base_model, or set "device": "cpu".'


@dataclass(eq=False)
class BaseModel:
    """A loaded pipeline and what belongs to it.

    Attributes:
        pipeline: text to image. from_image: image to image, with the same components; None where diffusers has none.
        fingerprint: of the files and of how they are computed with. reading: further arguments of `Family.encode`, and
            of the trainable encoders' own.
    """

    family: Family
    pipeline: Any
    from_image: Any | None
    compute: Compute
    fingerprint: str
    prompts: PromptEmbedder
    lora: LoraSlot
    _own_scheduler: Any = None
    reading: Mapping[str, int] = field(default_factory=dict)
    _offload: str = field(default="", init=False)
    """How the parts lie now; "" = all in main memory, where loading left them."""
    _waiting: Sequence[nn.Module] = field(default=(), init=False)
    """The denoiser's blocks that "none" leaves in main memory."""
    _swapped: ExitStack = field(default_factory=ExitStack, init=False)
    """Holds all of its blocks in main memory, with "blocks"."""

    @property
    def vae_scale(self) -> int:
        """Pixels per latent cell, along one side."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def photos_at_once(self) -> int:
        """How many photos one picture can be made from; 0 where none can."""
        if self.family.editing is None:
            return int(self.from_image is not None)
        return self.family.editing.photos[type(self.from_image).__name__]

    @property
    def denoiser(self) -> Any:
        """The component that denoises: a U-Net or a transformer."""
        return getattr(self.pipeline, self.family.denoiser)

    @cached_property
    def regions(self) -> Regions:
        """The denoiser's repeated blocks, which can be compiled."""
        return Regions(self.denoiser)

    @property
    def size_step(self) -> int:
        """Width and height of images are multiples of so many pixels."""
        return math.lcm(self.family.size_multiple, self.vae_scale * self.family.patch)

    @property
    def bucket_step(self) -> int:
        """Sides of training images are multiples of so many pixels: every level of the denoiser halves without
        remainder.
        """
        levels = getattr(self.denoiser.config, "block_out_channels", (0,))
        return math.lcm(self.size_step, self.vae_scale * int(2 ** (len(levels) - 1)))

    @property
    def scheduler_config(self) -> Any:
        """Of the scheduler that came with the model, whatever is in use."""
        return self._own_scheduler.config

    @property
    def own_sampler(self) -> str:
        """The name of the scheduler that came with the model, as `use_sampler` takes it; "" = it has none."""
        return self.family.sampler_of(type(self._own_scheduler).__name__, self._own_scheduler.config)

    def use_sampler(self, name: str, spacing: str | None) -> None:
        """Generate with another sampler from now on; arguments and errors as in `sampler`."""
        chosen = self.sampler(name, spacing)
        for pipeline in self._pipelines():
            pipeline.scheduler = chosen

    def sampler(self, name: str, spacing: str | None) -> Any:
        """A sampler, which diffusers calls a scheduler, with the settings of the model's own; "" = that one.

        Args:
            spacing: as in `Family.scheduler`.

        Raises:
            InputError: one that does not fit the family or the model; lists those that do.
        """
        own = self._own_scheduler
        kind, changes = self.family.scheduler(name, spacing)
        made = getattr(diffusers, kind) if kind else type(own)
        if kind and own.config.get("rescale_betas_zero_snr"):
            check_ends_in_noise(name, made)
        return made.from_config(own.config, **changes) if kind or changes else own

    def offload(self, how: str) -> None:
        """Keep parts in main memory until they are needed: ``none``, ``model`` (whole parts), ``blocks`` (whole
        parts, and the denoiser block by block), ``sequential`` (layer by layer, slow).

        Raises:
            InputError: there is no GPU to save memory on, or a LoKr or DoRA is worn and parts would come layer by
                layer.
        """
        if how == "sequential" and self.lora.holds_products:
            raise InputError(LOKR_LAYER_BY_LAYER)
        if how == "sequential" and self.lora.holds_magnitudes:
            raise InputError(DORA_LAYER_BY_LAYER)
        if how == self._offload:
            return
        check_offload(how, self.compute)
        for pipeline in self._pipelines():
            pipeline.remove_all_hooks()
        self._swapped.close()
        # what fails half-way below, for lack of memory, is begun anew by whoever asks next
        self._offload, self.prompts.hooked = "", False
        if how == "none":
            for encoder in encoders_of(self.pipeline):
                # hooks that are gone may have left one behind; `PromptEmbedder` moves them from now on
                encoder.to("cpu")
            place(self.denoiser, self.compute.device, self._waiting)
            self.pipeline.vae.to(self.compute.device)
            release_pinned_memory()  # that of blocks which went to the device
        elif how == "blocks":
            self._swap_blocks()
        else:
            unpin(swappable(self.denoiser))
        for pipeline in self._pipelines() if how != "none" else ():
            (pipeline.enable_sequential_cpu_offload if how == "sequential" else pipeline.enable_model_cpu_offload)()
        self._offload, self.prompts.hooked = how, how != "none"

    def _swap_blocks(self) -> None:
        """Have all of the denoiser's blocks wait in main memory, until ``_swapped`` is closed."""
        blocks = swappable(self.denoiser)
        self.denoiser.to("cpu")
        pin(blocks)
        self._swapped.enter_context(staying(blocks))
        self._swapped.enter_context(swapping(blocks, self.compute.device))

    @contextmanager
    def swapping(self, count: int) -> Iterator[None]:
        """Inside, ``none`` leaves so many of the denoiser's blocks in main memory, and each is on the GPU only while it
        computes (`block_swap`).
        """
        if not count:
            yield
            return
        self._waiting = swappable(self.denoiser)[:count]
        try:
            if self._offload not in ("", "none"):
                self.offload("none")  # takes the hooks off, which would bring layers by themselves
            self.make_room()
            pin(self._waiting)
            with swapping(self._waiting, self.compute.device):
                yield
        finally:
            self.make_room()
            self._waiting = ()

    def make_room(self) -> None:
        """Leave the GPU to other processes; the next `offload`, or hooks, bring everything back."""
        if self._offload == "none" and self.compute.device.type != "cpu":
            self.denoiser.to("cpu")
            self.pipeline.vae.to("cpu")
            self._offload = ""
        for pipeline in self._pipelines() if self.prompts.hooked else ():
            pipeline.maybe_free_model_hooks()  # the part that computed last stays on the GPU until another one does
        release_memory()

    def wake_autoencoder(self) -> None:
        """Have the autoencoder on the device, and no other part; the next `offload` brings those back."""
        if self._offload not in ("", "none"):
            self.offload("none")  # takes the hooks off, which would bring parts by themselves
        self.make_room()
        self.pipeline.vae.to(self.compute.device)

    @contextmanager
    def without_encoders(self) -> Iterator[None]:
        """A pipeline that is handed embeddings needs no text encoders; those in main memory would confuse its idea of
        its device.
        """
        if self.prompts.hooked:
            yield
            return
        kept = {name: part for name, part in self.pipeline.components.items() if reads_prompts(name)}
        for pipeline in self._pipelines():
            pipeline.register_modules(**dict.fromkeys(kept))
        try:
            yield
        finally:
            for pipeline in self._pipelines():
                pipeline.register_modules(**kept)

    def _pipelines(self) -> list[Any]:
        return [pipeline for pipeline in (self.pipeline, self.from_image) if pipeline is not None]


_held: dict[tuple[str, ...], BaseModel] = {}
"""At most one base model: two do not fit into the memory of most GPUs."""


_told: set[str] = set()
"""What was said once and is not said again when the base is opened once more."""


def open_base(choice: BaseChoice, family: Family, notice: Callable[[str], None] = nobody_listens) -> BaseModel:
    """The base model, from memory if it is the one that was opened last.

    Args:
        notice: told where it is computed with otherwise than "auto" usually does.

    Raises:
        MissingModel, InputError, ModelFileError, StateError, OutOfMemory, MissingExtra: each with what to do.
    """
    family.check_clip_skip(choice.clip_skip)
    files = find_base(choice, family)
    check_unchanged(choice)
    compute = choose_compute(choice.device, choice.precision, choice.quantization, family.overflows_in_float16)
    if choice.precision == "auto" and compute.exact:
        _tell_once(
            f"Models of the family '{family.name}' overflow in float16, and this GPU has no bfloat16: they are computed"
            ' in float32, slower and with twice the memory. "precision": "float16" tries it all the same.',
            notice,
        )
    told = choice.prediction.name
    reading = {} if choice.clip_skip == 1 else {"clip_skip": choice.clip_skip}
    skipped = [f"clip_skip{choice.clip_skip}"] if reading else []
    key = (family.name, files.fingerprint(), compute.name, *([told] if told else []), *skipped)
    if key not in _held or _held[key].family != family:  # a plug-in may bring another family of the same name
        _held.clear()
        with memory_errors(f"The base model {choice.base}", SMALL_ADVICE):
            pipeline = load_pipeline(files, family, compute)
            set_prediction(pipeline, family, choice.prediction)
            from_image = image_pipeline(pipeline, family, files)
            _check_layers(pipeline, choice.clip_skip)
            prompts = PromptEmbedder(pipeline, family, compute.device, from_image, reading)
            _held[key] = BaseModel(
                family, pipeline, from_image, compute, "-".join(key), prompts,
                LoraSlot(pipeline, family, prompts), pipeline.scheduler, reading,
            )  # fmt: skip
    return _held[key]


def _check_layers(pipeline: Any, clip_skip: int) -> None:
    """Whether the text encoder has a layer so far from its end.

    Raises:
        InputError: it has fewer.
    """
    if clip_skip > 1 and clip_skip > (most := int(pipeline.text_encoder.config.num_hidden_layers)):
        raise InputError(f"clip_skip: {clip_skip}, but this model's text encoder has {most} layers. Set it lower.")


def _tell_once(text: str, notice: Callable[[str], None]) -> None:
    if text not in _told and notice is not nobody_listens:
        _told.add(text)
        notice(text)


def make_room() -> None:
    """Leave the GPU to another program."""
    for base in _held.values():
        base.make_room()
    release_memory()


def is_tiny_vae(vae: Any) -> bool:
    """Whether the autoencoder is the small kind, whose tiling only knows 4 channels and 8 pixels a cell."""
    return isinstance(vae, AutoencoderTiny)
