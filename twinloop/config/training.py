"""The section ``training``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from twinloop.config.section import Clash, Positive, Section, Share
from twinloop.domain.optimizer_args import mistakes
from twinloop.domain.wording import agree

BUILTIN_ONLY = (
    "keep_checkpoints",
    "early_stop",
    "sample_every",
    "face_weight",
    "memory",
    "processes",
    "wandb",
    "start_from",
    "warm_start",
)
"""Settings of the training that no other program's trainer is told."""
OTHERS_ONLY = ("trainer_path", "trainer_python", "extra_args")
"""Settings that only another program's trainer is told."""


SAYS_NOTHING_WITHOUT: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "keep_checkpoints": lambda training: training["keep_checkpoints"] < 2,
    "checkpoint_panel": lambda training: training["keep_checkpoints"] < 2,
    "class_word": lambda training: training["prior_images"] is None and not training["output_preservation"],
    "prior_weight": lambda training: training["prior_images"] is None,
    "restarts": lambda training: training["schedule"] != "cosine_restarts",
    "keep_tokens": lambda training: not training["shuffle_captions"],
    "mask_floor": lambda training: training["masks"] is None,
    "conv_alpha": lambda training: not training["conv_rank"],
    "huber_c": lambda training: training["loss"] == "l2",
    "huber_schedule": lambda training: training["loss"] == "l2",
    "extra_args": lambda training: training["trainer"] == "builtin",
}
"""Field -> whether the others of a whole section leave it without a meaning. Two trainings that differ in such a field are the same."""

DROPOUTS = ("network_dropout", "rank_dropout", "module_dropout")
LARGEST_RANK = 1024
"""Of a LoRA. A LoKr takes any: from half of a large matrix's side on it is whole."""


class TrainingConfig(Section):
    """How LoRAs are trained. A null means: the preset's default."""

    preset: str | None = Field(
        None, description="sdxl, animagine (alias zit), flux, zimage... (docs/families.md); null = by the base model"
    )
    epochs: Positive | None = Field(
        None,
        description="passes over the dataset, in which each image comes as often as the preset repeats it (10 times for sdxl); steps = epochs x repeats x images / images per step, unless steps is given",
    )
    steps: Positive | None = None
    rank: Annotated[int, Field(ge=1, le=10**10)] | None = Field(
        None, description="at most 1024; with adapter lokr more means whole matrices, such as 10000"
    )
    alpha: Annotated[float, Field(gt=0.0)] | None = None
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    batch_size: Positive | None = None
    resolution: Annotated[int, Field(ge=64, le=4096)] | None = None
    smaller_resolutions: tuple[Annotated[int, Field(ge=64, le=4096)], ...] = Field(
        (), description="train each picture at these too, as 512 and 768 beside a resolution of 1024"
    )
    checkpoint_every: Positive | None = None
    initial_lora: str | None = Field(None, description="an existing LoRA to start round 1 with, instead of training v1")
    start_from: str | None = Field(None, description="a LoRA that every training begins from, instead of from nothing")
    warm_start: bool = Field(
        False,
        description="each round's LoRA begins from the best one so far: fewer steps do, but what it learned wrongly stays in it",
    )
    assistant_lora: str | None = Field(
        None,
        description="a LoRA that a distilled base wears while it is trained and only then, so that it stays distilled: ai-toolkit's training adapters",
    )
    trainer: Literal["builtin", "kohya", "ai-toolkit"] = Field(
        "builtin",
        description="who trains: this program, or kohya's sd-scripts or ai-toolkit on this machine (docs/trainers.md)",
    )
    trainer_path: str | None = Field(None, description="folder of sd-scripts or ai-toolkit")
    trainer_python: str | None = Field(
        None, description="its Python; null = the environment in that folder (venv, .venv)"
    )
    extra_args: tuple[str, ...] = Field(
        (), description="further arguments on that program's command line, as --ae=FILE for sd-scripts"
    )
    processes: Positive = Field(
        1, description="GPUs that share the training; the same pictures per step, so the same training"
    )
    adapter: Literal["lora", "dora", "lokr"] = Field(
        "lora", description="kind of adapter: dora also learns lengths, lokr is a Kronecker product (docs/training.md)"
    )
    lokr_factor: Annotated[int, Field(ge=-1)] = Field(
        -1,
        description="by how much a LoKr divides layers, 4 to 16 are usual; -1 = automatic, which is the smallest file",
    )
    conv_rank: Annotated[int, Field(ge=0, le=LARGEST_RANK)] = Field(
        0,
        description="the LoRA adapts the convolutions of SD 1.5 and SDXL too, at this rank (LoCon, kohya's conv_dim); 0 = it does not",
    )
    conv_alpha: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="of the convolutions; null = in the same proportion to their rank as alpha to rank"
    )
    network_dropout: Share = Field(
        0.0,
        description="share of the numbers between a LoRA's two matrices that each step leaves out, against overfitting",
    )
    rank_dropout: Share = Field(0.0, description="share of a LoRA's ranks that each step leaves out, by picture")
    module_dropout: Share = Field(0.0, description="share of a LoRA's layers that each step leaves out")
    text_encoder: bool = Field(
        False, description="the LoRA adapts the CLIP text encoders too (SD 1.5, SDXL, SD 3.5, FLUX.1), as kohya's does"
    )
    text_encoder_learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] | None = Field(
        None, description="of the text encoders; null = half of learning_rate"
    )
    text_encoder_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="share of the steps after which the text encoders stay as they are; 1 = they learn to the end"
    )
    optimizer: Literal["adamw", "adamw8bit", "prodigy", "adafactor"] = Field(
        "adamw", description="prodigy finds the rate by itself; adamw8bit (GPU) and adafactor need less memory"
    )
    optimizer_args: dict[str, Any] = Field(
        default_factory=dict,
        description='further numbers of the optimizer: {"betas": [0.9, 0.99]}, {"d_coef": 2}... (docs/training.md)',
    )
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    clip_norm: Annotated[float, Field(ge=0.0)] | None = Field(None, description="longest gradient; 0 = any")
    schedule: Literal["cosine", "constant", "linear", "cosine_restarts"] | None = None
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    restarts: Positive = Field(1, description="of the schedule cosine_restarts: how often the rate falls from its peak")
    gradient_accumulation: Positive = Field(1, description="batches per optimizer step")
    gradient_checkpointing: bool | None = Field(
        None, description="less memory, a third slower; null = where the memory is tight"
    )
    memory: Literal["auto", 8, 12, 16, 24] = Field(
        "auto",
        description="GiB that the training may use; batches are split to fit, with the same result but for rounding",
    )
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="write an average over the latest weights, 0.99 to 0.999; 0 = the last weights"
    )
    min_snr_gamma: Annotated[float, Field(ge=0.0)] | None = None
    loss: Literal["l2", "huber", "smooth_l1"] = Field(
        "l2", description="what an error costs: its square, or less beyond a threshold, so that odd pictures teach less"
    )
    huber_c: Annotated[float, Field(ge=1e-6, le=1.0)] = Field(
        0.1,
        description="of the losses huber and smooth_l1: the threshold at pure noise; small = more like an absolute error",
    )
    huber_schedule: Literal["constant", "exponential", "snr"] | None = Field(
        None,
        description="how the threshold rises from huber_c to 1 with less noise; null = snr, with flow models exponential",
    )
    noise_offset: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    caption_dropout: Share | None = Field(None, description="share of draws that see no caption")
    keep_trigger: bool | None = Field(None, description="a dropped caption leaves the trigger words; false = nothing")
    shuffle_captions: bool = Field(
        False, description="the parts of captions, between commas, come in changing orders; for bases that read tags"
    )
    keep_tokens: Annotated[int, Field(ge=0)] = Field(
        0, description="so many parts at the beginning stay where they are; 0 = those of the trigger words"
    )
    class_word: Annotated[str, Field(min_length=1)] = Field(
        "person", description="what the subject is one of: woman, man, character..."
    )
    output_preservation: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        0.0,
        description="weight of keeping the base's own picture of the class word; 0 = off; a step takes two and a half times as long",
    )
    prior_images: str | None = Field(
        None, description="folder of pictures of other people of the class (prior preservation)"
    )
    prior_weight: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    face_weight: Annotated[float, Field(ge=1.0, le=100.0)] = Field(
        1.0, description="how much more an error inside the face counts than one outside; 1 = the same"
    )
    masks: str | None = Field(
        None, description="folder of grey pictures named as the photos: white = learned, black = not (docs/training.md)"
    )
    mask_floor: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="how much is learned where a mask is black, against where it is white"
    )
    flip: bool = Field(False, description="also train on mirror images; off, because faces are not symmetric")
    flow_sampling: Literal["logit_normal", "uniform"] | None = Field(
        None,
        description="how much noise the pictures of flow models get, before flow_shift; null = as the family has it",
    )
    flow_shift: Annotated[float, Field(gt=0.0, le=100.0)] | None = Field(
        None,
        description="of flow models, towards noise: 1 = none, which learns more of fine detail; null = the model's own",
    )
    only_layers: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="adapt only layers whose names hold one of these texts, such as single_transformer_blocks.7."
    )
    skip_layers: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="adapt no layer whose name holds one of these texts"
    )
    keep_checkpoints: Annotated[int, Field(ge=0, le=50)] = Field(
        0,
        description="measure so many checkpoints of the last half on a small panel and take the best; 0 = take the last",
    )
    checkpoint_panel: Annotated[int, Field(ge=2, le=1000)] = Field(8, description="images per measured checkpoint")
    early_stop: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after so many measured checkpoints in a row that are no better than the best; 0 = never"
    )
    sample_every: Annotated[int, Field(ge=0)] = Field(
        0, description="draw sample images after every so many steps, always from the same prompts and seeds; 0 = none"
    )
    sample_prompts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="of the sample images, with the trigger words in them; none = four different ones"
    )
    tensorboard: bool = Field(
        True, description="write TensorBoard files beside the LoRA, where tensorboardX is installed"
    )
    wandb: str | None = Field(None, description="Weights & Biases project to report to; sends figures over the network")

    def clashes(self) -> Iterator[Clash]:
        yield from self._beyond_trainer()
        yield from self._about_optimizer()
        yield from self._about_adapter()
        yield from self._about_text_encoder()
        yield from self._about_checkpoints()
        yield from self._said_in_vain()

    def _asked(self, *names: str) -> list[str]:
        """Those of the fields that are not as usual."""
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]

    def _beyond_trainer(self) -> Iterator[Clash]:
        if self.trainer == "builtin":
            # who names the built-in one has chosen it, and may keep what the other needs for another time
            if "trainer" not in self.model_fields_set and (asked := self._asked(*OTHERS_ONLY)):
                yield Clash(
                    ("trainer", *asked),
                    f'the built-in trainer is not told {", ".join(asked)}; set "trainer": "kohya" or "ai-toolkit", or leave it out',
                )
        elif asked := self._asked(*BUILTIN_ONLY):
            yield Clash(("trainer", *asked), f"only the built-in trainer knows {', '.join(asked)}")
        if self.trainer == "kohya" and self.masks and self.prior_images:
            yield Clash(
                ("trainer", "masks", "prior_images"), "sd-scripts takes masks or prior_images, not both; leave one out"
            )

    def _about_checkpoints(self) -> Iterator[Clash]:
        if self.early_stop and self.keep_checkpoints < 2:
            yield Clash(("early_stop", "keep_checkpoints"), "early_stop needs keep_checkpoints of 2 or more")
        elif self.keep_checkpoints == 1:
            yield Clash(
                ("keep_checkpoints",), "keep_checkpoints of 1 leaves no choice: 2 or more, or 0 to take the last one"
            )
        if "keep_checkpoints" not in self.model_fields_set and self._asked("checkpoint_panel"):
            yield Clash(
                ("checkpoint_panel", "keep_checkpoints"),
                "checkpoint_panel says nothing without keep_checkpoints of 2 or more",
            )

    def _said_in_vain(self) -> Iterator[Clash]:
        """Fields that only another one gives a meaning."""
        if self.sample_prompts and not self.sample_every:
            yield Clash(("sample_prompts", "sample_every"), "sample_prompts are drawn every sample_every steps; set it")
        if self._in_vain("restarts"):
            yield Clash(("restarts", "schedule"), 'restarts are those of "schedule": "cosine_restarts"; set it')
        if self._in_vain("keep_tokens"):
            yield Clash(("keep_tokens", "shuffle_captions"), "keep_tokens says nothing without shuffle_captions: true")
        if self._in_vain("conv_alpha"):
            yield Clash(("conv_alpha", "conv_rank"), "conv_alpha says nothing without a conv_rank of 1 or more")
        if self._in_vain("prior_weight"):
            yield Clash(("prior_weight", "prior_images"), "prior_weight says nothing without prior_images")
        if self._in_vain("mask_floor"):
            yield Clash(("mask_floor", "masks"), "mask_floor says nothing without masks")
        if vain := [name for name in ("huber_c", "huber_schedule") if self._in_vain(name)]:
            yield Clash(
                (*vain, "loss"),
                f'{" and ".join(vain)} {agree(len(vain), "says", "say")} nothing without "loss": "huber" or "smooth_l1"',
            )
        if self._in_vain("class_word"):
            yield Clash(
                ("class_word", "prior_images", "output_preservation"),
                "class_word says nothing without prior_images or output_preservation; captions have theirs from the photos' label",
            )

    def _in_vain(self, name: str) -> bool:
        """Whether a field is set that has no meaning beside the others."""
        return bool(self._asked(name)) and SAYS_NOTHING_WITHOUT[name](vars(self))

    def _about_optimizer(self) -> Iterator[Clash]:
        for problem in mistakes(self.optimizer, self.optimizer_args):
            yield Clash(("optimizer_args", "optimizer"), f"optimizer_args: {problem}")
        if "weight_decay" in self.optimizer_args and self.weight_decay is not None:
            yield Clash(
                ("optimizer_args", "weight_decay"),
                "weight_decay is set twice, by itself and among optimizer_args; keep one",
            )

    def _about_adapter(self) -> Iterator[Clash]:
        if self.adapter != "lora" and (asked := self._asked("start_from", "warm_start")):
            yield Clash(
                ("adapter", *asked), f'{" and ".join(asked)} {agree(len(asked), "goes", "go")} with "adapter": "lora"'
            )
        if self.adapter != "lora" and (asked := self._asked(*DROPOUTS)):
            yield Clash(
                ("adapter", *asked),
                f'{" and ".join(asked)} {agree(len(asked), "goes", "go")} with "adapter": "lora": there is no such thing of a {self.adapter}',
            )
        if self.adapter == "lokr":
            if self.conv_rank:
                yield Clash(
                    ("conv_rank", "adapter"),
                    'conv_rank goes with "adapter": "lora" or "dora"; a LoKr leaves convolutions alone',
                )
            if self.lokr_factor in (0, 1):
                yield Clash(
                    ("lokr_factor", "adapter"),
                    "lokr_factor must be 2 or more, or -1 for automatic: 0 and 1 divide nothing",
                )
            if self.text_encoder:
                yield Clash(
                    ("text_encoder", "adapter"),
                    'text_encoder goes with "adapter": "lora" or "dora"; a LoKr adapts the denoiser alone',
                )
            return
        if self.lokr_factor != -1:
            yield Clash(("lokr_factor", "adapter"), f'lokr_factor is for "adapter": "lokr", not "{self.adapter}"')
        if (self.rank or 0) > LARGEST_RANK:
            yield Clash(
                ("rank", "adapter"),
                f'rank {self.rank} is more than {LARGEST_RANK}; only "adapter": "lokr" takes more, as whole matrices',
            )

    def _about_text_encoder(self) -> Iterator[Clash]:
        rate, share = "text_encoder_learning_rate", "text_encoder_share"
        asked = self._asked(rate, share)
        if not self.text_encoder and asked:
            yield Clash(("text_encoder", *asked), f"{rate} and {share} say nothing without text_encoder: true")
        if self.optimizer == "prodigy" and rate in asked:
            yield Clash(("optimizer", rate), f"prodigy finds one rate for all that it trains; leave {rate} out")
