"""A family: all that differs between base models, as frozen data and small functions.

Nothing here imports torch. The functions of a family only call methods of the objects they are given (``tensor.view``,
``pipeline.encode_prompt``), so that a family is one file and the trainer and the generator know no model by name.

Latents are (n, c, h, w) everywhere outside of a family; what a denoiser wants packed, its family packs. Times are those
of the base model's scheduler, 0..1000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from twinloop.errors import InputError
from twinloop.families.lora_names import LoraNames
from twinloop.families.losses import DiffusionLoss, FlowLoss
from twinloop.families.sizes import Layout, Size, bare, size_of
from twinloop.ports import GenerationSettings, TrainingSettings

Tensor = Any
"""A torch tensor; the type lives in another layer."""
TEXT_PARTS = ("text_encoder", "text_conditioner")
"""What the names of those parts of a pipeline begin with that only read prompts."""
Words = Mapping[str, Any]
"""Embedded texts under the names of the pipeline's own arguments: tensors, or lists of one tensor per text
(`Family.joining`)."""


def reads_prompts(part: str) -> bool:
    """Whether the part of a pipeline with this name does nothing else than to read prompts."""
    return part.startswith(TEXT_PARTS)


@dataclass(frozen=True)
class Preset:
    """Defaults for one kind of checkpoint of a family.

    Attributes:
        style: of prompts and captions, ``prose``, ``tags``, ``pony`` (tags after score words) or ``full`` (prose that
            also says what is as usual).
        suffix: words at the end of prompts; None = those of the style (`stages.words.QUALITY`). prefix: before all
            others, negative: kept away; None as above (`OPENING`, `NEGATIVE`).
        small_face: height of a face as a share of the picture's, under which faces come out badly; those are redrawn
            where that is wanted.
        repeats: how often each photo counts in an epoch (kohya's repeats).
        aspect_buckets: train on the photos' own aspect ratios; False = all are cropped square, for a base that knows
            only squares.
        true_sizes: tell the denoiser each photo's real size and crop; False = always those of a whole picture, for a
            base that knows only one size.
        hints: words in the names of checkpoints that this preset suits, in lower case with ``-`` for every other sign,
            or in the lower-case name of their pipeline.
        aliases: other names of the preset -> what the user should know about them.
        notice: what the user should know about the preset; of a model that edits photos, where none is given to it.
        distilled: what the user should know of training on a model that was distilled to a few steps, where no training
            adapter is worn.
    """

    generation: GenerationSettings
    training: TrainingSettings
    style: str = "prose"
    suffix: str | None = None
    prefix: str | None = None
    negative: str | None = None
    small_face: float = 0.36
    repeats: int = 1
    notice: str = ""
    distilled: str = ""
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
        off_where: setting of the pipeline's own configuration with which it takes no guidance whatever is asked for, as
            distilled models have it; "" = there is none.
        spoils_where: likewise, with which its models were made to draw without guidance, though it takes any.
    """

    argument: str = "guidance_scale"
    negative: bool = True
    off: float = 1.0
    off_where: str = ""
    spoils_where: str = ""

    def reads_negative(self, scale: float) -> bool:
        """Whether a negative prompt has an effect at this scale."""
        return self.negative and scale > self.off


@dataclass(frozen=True)
class Editing:
    """How the models of a family change photos as a prompt says: they look at them while they draw a new picture, so
    there is no strength.

    Attributes:
        photos: image pipeline, as ``model_index.json`` of a model folder names it -> how many photos it looks at for
            one picture. The first one serves a folder that names none of them.
        scales: the pipeline brings photos to the size it wants; False = they are scaled and cropped to that of the
            picture.
        encode: (image pipeline, text, PIL images, device) -> the text embedded together with the photos it is said of,
            each tensor with a first axis of 1; None = the text encoders see no photo.
    """

    photos: Mapping[str, int]
    scales: bool = True
    encode: Callable[[Any, str, Sequence[Any], Any], dict[str, Tensor]] | None = None


@dataclass(frozen=True)
class SingleFile:
    """What a single ``.safetensors`` file of the family is.

    Attributes:
        whole: a checkpoint with text encoders and autoencoder; False = the denoiser alone, the rest comes from a
            diffusers folder.
        marks: a file is of this family if for one of these groups it holds every tensor; a leading ``!`` means: does
            not hold.
        model: diffusers class of the denoiser.
        layout: how its tensors tell settings of its configuration.
        carries: parts of the pipeline that it may hold beside the denoiser -> what the names of their tensors begin
            with.
    """

    whole: bool
    marks: tuple[tuple[str, ...], ...]
    model: str = ""
    layout: Layout = field(default_factory=Layout)
    carries: Mapping[str, str] = field(default_factory=dict)

    def carried(self, names: Iterable[str]) -> tuple[str, ...]:
        """The parts that a file with tensors of these names holds beside the denoiser."""
        held = [bare(name) for name in names] if self.carries else []
        return tuple(part for part, prefix in self.carries.items() if any(name.startswith(prefix) for name in held))


_SDE = {"algorithm_type": "sde-dpmsolver++"}
WHOLE = {"clip_sample": False}
"""Of DDIM, which otherwise cuts predicted latents off at +-1 where the model's settings do not say whether it should:
that is made for pixels.
"""
SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", WHOLE),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", _SDE),
    "dpmpp_2m_sde_karras": ("DPMSolverMultistepScheduler", {**_SDE, "use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}
"""Of epsilon and v models: name -> diffusers class and what differs from the base model's own scheduler settings."""

FLOW_SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "euler_karras": ("FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler_exponential": ("FlowMatchEulerDiscreteScheduler", {"use_exponential_sigmas": True}),
}
"""Of flow models."""

_SETTLES: Mapping[str, Any] = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "algorithm_type": "dpmsolver++",
}
"""Options of a diffusers scheduler that make it another sampler -> their usual values."""

DISTILLED_SCHEDULERS: Mapping[str, int] = {"LCMScheduler": 50, "TCDScheduler": 50}
"""Classes that step through times of their own, which models were distilled to -> how many there are at most."""


@dataclass(frozen=True)
class TrainableEncoders:
    """The text encoders that a LoRA can adapt beside the denoiser: CLIP's. Language models are left as they are.

    Attributes:
        prefixes: component of the pipeline -> what the names of its layers begin with in the copy that other programs
            read.
        encode: (pipeline, texts, cached, device) -> the embeddings of these texts as one batch. ``cached`` are those
            that were computed before the training: what frozen encoders gave is taken from there, the rest is computed
            anew, with gradients. With ``clip_skip`` as a further argument where the family takes it.
    """

    prefixes: Mapping[str, str]
    encode: Callable[..., dict[str, Tensor]]


@dataclass(frozen=True)
class Family:
    """One family of base models.

    Attributes:
        pipeline: diffusers class that draws from text.
        image_pipeline: its image-to-image sibling, "" where diffusers has none, or where photos are edited instead.
        reference: hub id of a model whose configuration and tokenizers fit single-file checkpoints of the family, but
            for those of `sizes` that name another one.
        sizes: the models that single files of the family are known to be, the usual one first; () = all are like the
            reference.
        download: about how much of that model is fetched, for people.
        half_copies: it has its weights in half precision too, as ``*.fp16.safetensors``; fetched instead of the others.
        not_needed: patterns of what lies in folders of such models on the hub and is read by nobody here.
        gated: the hub gives some of these models only to who accepted their licence.
        targets: ends of the names of the denoiser's layers that a LoRA adapts. blocks: of which parts of it, () = of
            all.
        architecture: ``modelspec.architecture`` of the base; a LoRA for it adds ``/lora``. One of `sizes` may have one
            of its own. base_version: what kohya's tools call it.
        licence: what users should know about the usual checkpoints' licence.
        encode: (pipeline, text, device) -> one text embedded, each tensor with a first axis of 1. The text may have
            weights (`WeightedText`) where `clip_alone`. With ``clip_skip`` as a further argument where
            `takes_clip_skip`.
        for_pipeline: (texts of one batch) -> the pipeline's arguments, where `encode` keeps less of them than it wants;
            None = they are those.
        denoise: (denoiser, latents, times, words, sizes) -> what the loss compares: (n, c, h, w), or a list of n.
            ``sizes`` is (n, 6): original height and width, top and left of the crop, target height and width.
        to_latents: (autoencoder, what it encoded to) -> latents. to_raw: (pipeline, what it returned for
            ``output_type="latent"``, height, width) -> what the autoencoder decodes.
        encoders: names of the text encoders that `encode` cannot do without, and of what else reads prompts
            (`TEXT_PARTS`). clip_alone: all of them are CLIP's, which reads 75 tokens at a time (`families.clip`).
        tokenizers: those that belong to no text encoder of the pipeline.
        denoiser: name of the pipeline's component. patch: cells of `to_latents` that the denoiser takes as one, along a
            side.
        joining: texts of one batch are concatenated (``cat``), listed (``list``), filled up with zeros and concatenated
            (``pad``), the same in training alone while images are drawn together only if their texts are of one length
            (``apart``), or said over again until all are of one length and concatenated (``repeat``).
        editing: how photos are changed as the prompt says, where the model does that instead of drawing over a noisy
            copy of one.
        frames: the autoencoder is one of videos and wants a time axis.
        prompts: names under which `encode` gives its tensors.
        trainable_encoders: the text encoders that a LoRA can adapt, None where none of them can.
        takes_clip_skip: its texts may be read from another layer of CLIP than the last, as A1111's ``clip_skip`` says.
        overflows_in_float16: its models compute numbers beyond float16's largest: pictures come out black.
        size_multiple: width and height must be multiples of so many pixels.
        lora_names: how LoRAs for it are told, and the names of their layers in the copy that other programs read.
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
    encode: Callable[..., dict[str, Tensor]]
    denoise: Callable[[Any, Tensor, Tensor, Words, Tensor], Any]
    to_latents: Callable[[Any, Tensor], Tensor]
    to_raw: Callable[[Any, Tensor, int, int], Tensor]
    single_file: SingleFile
    loss: DiffusionLoss | FlowLoss
    for_pipeline: Callable[[Words], Words] | None = None
    blocks: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ("text_encoder",)
    tokenizers: tuple[str, ...] = ()
    clip_alone: bool = False
    denoiser: str = "transformer"
    patch: int = 2
    size_multiple: int = 16
    guidance: Guidance = Guidance()
    joining: Literal["cat", "list", "pad", "apart", "repeat"] = "cat"
    frames: bool = False
    editing: Editing | None = None
    lora_names: LoraNames = field(default_factory=LoraNames)
    trainable_encoders: TrainableEncoders | None = None
    schedulers: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=lambda: FLOW_SCHEDULERS)
    download: str = ""
    sizes: tuple[Size, ...] = ()
    half_copies: bool = False
    not_needed: tuple[str, ...] = ()
    gated: bool = False
    overflows_in_float16: bool = False
    takes_clip_skip: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The pipelines that ``model_index.json`` of a folder of this family may name."""
        if self.editing is not None:
            return tuple(self.editing.photos)
        return tuple(dict.fromkeys(kind for kind in (self.pipeline, self.image_pipeline) if kind))

    @property
    def weights(self) -> tuple[str, ...]:
        """The components whose weights nothing goes without."""
        return (self.denoiser, "vae", *self.encoders)

    @property
    def architectures(self) -> frozenset[str]:
        """``modelspec.architecture`` of all of its models."""
        return frozenset((self.architecture, *(size.architecture for size in self.sizes if size.architecture)))

    def architecture_of(self, configuration: Mapping[str, Any], name: str) -> str:
        """``modelspec.architecture`` of one of its models, by the denoiser's configuration ({} = not known) and the
        name of the base.
        """
        told = {setting: value for setting, value in configuration.items() if isinstance(value, int)}
        size = size_of(self.sizes, told, name)
        return (size.architecture if size is not None else "") or self.architecture

    def from_photo(self, kind: str) -> str:
        """The pipeline that starts from photos, for a folder that names ``kind``; "" where there is none."""
        if self.editing is None:
            return self.image_pipeline
        return kind if kind in self.editing.photos else next(iter(self.editing.photos))

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            InputError: unknown; the message lists the known ones.
        """
        try:
            return self.presets[name]
        except KeyError:
            raise InputError(
                f"training.preset: unknown preset '{name}'. Known for {self.name}: {', '.join(self.presets)}."
            ) from None

    def scheduler(self, name: str, spacing: str | None = None) -> tuple[str, Mapping[str, Any]]:
        """diffusers class and changes of a scheduler; "" and the spacing alone for "", the model's own.

        Args:
            spacing: of the times, ``leading``, ``trailing`` or ``linspace``; None = the model's own.

        Raises:
            InputError: it does not fit the family; lists those that do. It has no such spacing.
        """
        if name and name not in self.schedulers:
            raise InputError(
                f"generation.scheduler: '{name}' is not known for {self.name}. Known: {', '.join(self.schedulers)};"
                " leave it out for the model's own."
            )
        kind, changes = self.schedulers[name] if name else ("", {})
        if spacing is None:
            return kind, changes
        if self.flow or kind in DISTILLED_SCHEDULERS:
            who = f"models of the family '{self.name}', which are flow models," if self.flow else f"'{name}'"
            raise InputError(
                f"generation.timestep_spacing: {who} {'have' if self.flow else 'has'} times of"
                f" {'their' if self.flow else 'its'} own. Set it to null."
            )
        return kind, {**changes, "timestep_spacing": spacing}

    def sampler_of(self, kind: str, config: Mapping[str, Any]) -> str:
        """The name of a diffusers scheduler (class and configuration), as `scheduler` takes it; "" = it has none."""
        told = {option: config[option] for option, usual in _SETTLES.items() if config.get(option, usual) != usual}
        for name, (known, changes) in self.schedulers.items():
            if known == kind and {option: changes[option] for option in _SETTLES.keys() & changes.keys()} == told:
                return name
        return ""

    def check_clip_skip(self, clip_skip: int) -> None:
        """Whether its texts can be read from that layer of CLIP, counted from the end.

        Raises:
            InputError: they are always read from the same one.
        """
        if clip_skip == 1 or self.takes_clip_skip:
            return
        how = (
            f"prompts for models of the family '{self.name}' are always read from the last layer but one, here as in"
            " sd-scripts and A1111"
            if self.clip_alone
            else f"for models of the family '{self.name}', prompts are always read as its text encoders were trained"
        )
        raise InputError(f"clip_skip: {clip_skip} is for SD 1.5; {how}. Leave it out.")

    def text_encoders(self) -> TrainableEncoders:
        """The text encoders that a LoRA can adapt.

        Raises:
            InputError: there are none.
        """
        if self.trainable_encoders is None:
            raise InputError(
                f"training.text_encoder: models of the family '{self.name}' read prompts with a language model, which"
                " is not trained; CLIP text encoders are. Set training.text_encoder to false."
            )
        return self.trainable_encoders

    @property
    def flow(self) -> bool:
        """Whether it is a flow model, for which min-SNR and noise offset have no meaning."""
        return isinstance(self.loss, FlowLoss)
