"""A family: all that differs between base models, as frozen data and small functions.

Nothing here imports torch. The functions of a family only call methods of the objects they are given (``tensor.view``,
``pipeline.encode_prompt``), so that a family is one file and the trainer and the generator know no model by name.

Latents are (n, c, h, w) everywhere outside of a family; what a denoiser wants packed, its family packs. Times are those of the
base model's scheduler, 0..1000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from twinloop.errors import InputError
from twinloop.families.lora_names import LoraNames
from twinloop.families.losses import DiffusionLoss, FlowLoss
from twinloop.ports import GenerationSettings, TrainingSettings

Tensor = Any
"""A torch tensor; the type lives in another layer."""
Words = Mapping[str, Any]
"""Embedded texts under the names of the pipeline's own arguments: tensors, or lists of one tensor per text (`Family.joining`)."""


@dataclass(frozen=True)
class Preset:
    """Defaults for one kind of checkpoint of a family.

    Attributes:
        style: of prompts and captions, ``prose``, ``tags`` or ``full`` (prose that also says what is as usual).
        repeats: how often each photo counts in an epoch (kohya's repeats).
        aspect_buckets: train on the photos' own aspect ratios; False = all are cropped square, for a base that knows only squares.
        true_sizes: tell the denoiser each photo's real size and crop; False = always those of a whole picture, for a base that knows only one size.
        hints: words in the names of checkpoints that this preset suits, in lower case with ``-`` for every other sign.
        aliases: other names of the preset -> what the user should know about them.
        notice: what the user should know about the preset.
    """

    generation: GenerationSettings
    training: TrainingSettings
    style: str = "prose"
    repeats: int = 1
    notice: str = ""
    aspect_buckets: bool = True
    true_sizes: bool = True
    hints: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Guidance:
    """How a pipeline is told to follow the prompt.

    Attributes:
        argument: name of the pipeline's argument. negative: whether it takes negative prompts.
        off: up to this value a pipeline ignores the negative prompt.
    """

    argument: str = "guidance_scale"
    negative: bool = True
    off: float = 1.0


@dataclass(frozen=True)
class SingleFile:
    """What a single ``.safetensors`` file of the family is.

    Attributes:
        whole: a checkpoint with text encoders and autoencoder; False = the denoiser alone, the rest comes from a diffusers folder.
        marks: a file is of this family if for one of these groups it holds every tensor; a leading ``!`` means: does not hold.
        model: diffusers class of the denoiser.
    """

    whole: bool
    marks: tuple[tuple[str, ...], ...]
    model: str = ""


SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
"""Of epsilon and v models: name -> diffusers class and what differs from the base model's own scheduler settings."""

FLOW_SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "euler_karras": ("FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler_exponential": ("FlowMatchEulerDiscreteScheduler", {"use_exponential_sigmas": True}),
}
"""Of flow models."""


@dataclass(frozen=True)
class Family:
    """One family of base models.

    Attributes:
        pipeline: diffusers class name, as ``model_index.json`` of a model folder names it.
        image_pipeline: its image-to-image sibling, "" where diffusers has none.
        reference: hub id of a model whose configuration and tokenizers fit every single-file checkpoint of the family.
        download: about how large that model is, for people.
        targets: ends of the names of the denoiser's layers that a LoRA adapts.
        architecture: ``modelspec.architecture`` of the base; a LoRA for it adds ``/lora``. base_version: what kohya's tools call it.
        licence: what users should know about the usual checkpoints' licence.
        encode: (pipeline, text, device) -> one text embedded, each tensor with a first axis of 1.
        denoise: (denoiser, latents, times, words, sizes) -> what the loss compares: (n, c, h, w), or a list of n.
            ``sizes`` is (n, 6): original height and width, top and left of the crop, target height and width.
        to_latents: (autoencoder, what it encoded to) -> latents. to_raw: (pipeline, what it returned for ``output_type="latent"``,
            height, width) -> what the autoencoder decodes.
        denoiser: name of the pipeline's component. patch: cells of `to_latents` that the denoiser takes as one, along a side.
        joining: texts of one batch are concatenated (``cat``), listed (``list``), or filled up with zeros and concatenated (``pad``).
        edits: the image pipeline changes a photo as the prompt says, instead of drawing over a noisy copy of it: no strength.
        frames: the autoencoder is one of videos and wants a time axis.
        prompts: names under which `encode` gives its tensors.
        size_multiple: width and height must be multiples of so many pixels.
        lora_names: names of LoRA layers in the copy that other programs read.
    """

    name: str
    pipeline: str
    image_pipeline: str
    reference: str
    targets: tuple[str, ...]
    architecture: str
    base_version: str
    licence: str
    presets: Mapping[str, Preset]
    encode: Callable[[Any, str, Any], dict[str, Tensor]]
    denoise: Callable[[Any, Tensor, Tensor, Words, Tensor], Any]
    to_latents: Callable[[Any, Tensor], Tensor]
    to_raw: Callable[[Any, Tensor, int, int], Tensor]
    single_file: SingleFile
    loss: DiffusionLoss | FlowLoss
    denoiser: str = "transformer"
    patch: int = 2
    size_multiple: int = 16
    guidance: Guidance = Guidance()
    joining: Literal["cat", "list", "pad"] = "cat"
    frames: bool = False
    edits: bool = False
    lora_names: LoraNames = field(default_factory=LoraNames)
    schedulers: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=lambda: FLOW_SCHEDULERS)
    download: str = ""

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            InputError: unknown; the message lists the known ones.
        """
        try:
            return self.presets[name]
        except KeyError:
            raise InputError(f"training.preset: unknown preset '{name}'. Known for {self.name}: {', '.join(self.presets)}.") from None

    def generation(self, preset: str) -> GenerationSettings:
        return self.preset(preset).generation

    def training(self, preset: str) -> TrainingSettings:
        return self.preset(preset).training

    def repeats(self, preset: str) -> int:
        return self.preset(preset).repeats

    def prompt_style(self, preset: str) -> str:
        return self.preset(preset).style

    def scheduler(self, name: str) -> tuple[str, Mapping[str, Any]]:
        """diffusers class and changes of a scheduler; ("", {}) for "", the model's own.

        Raises:
            InputError: it does not fit the family; lists those that do.
        """
        if name and name not in self.schedulers:
            raise InputError(
                f"generation.scheduler: '{name}' is not known for {self.name}. Known: {', '.join(self.schedulers)}; leave it out for the model's own."
            )
        return self.schedulers[name] if name else ("", {})

    @property
    def flow(self) -> bool:
        """Whether it is a flow model, for which min-SNR and noise offset have no meaning."""
        return isinstance(self.loss, FlowLoss)
