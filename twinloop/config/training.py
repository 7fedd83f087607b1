"""The section ``training``: its fields. What of them does not go together is in `training_clashes`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from twinloop.config import training_clashes
from twinloop.config.section import Clash, Place, Positive, Section, Share
from twinloop.domain.choices import Adapter, FlowSampling, HuberSchedule, Loss, Optimizer, Schedule
from twinloop.domain.training_rules import LARGEST_RANK


class TrainingConfig(Section):
    """How LoRAs are trained."""

    preset: str | None = Field(
        None, description="sdxl, animagine (alias zit), flux, zimage... (docs/families.md); null = by the base model"
    )
    epochs: Positive | None = Field(
        None,
        description=(
            "passes over the dataset, in which each image comes as often as the preset repeats it (10 times for sdxl);"
            " steps = epochs x repeats x images / images per step, unless steps"
            " is given; null = the preset's number of steps"
        ),
    )
    repeats: Positive | None = Field(
        None, description="how often each image comes in an epoch; null = as the preset has it, 10 times for sdxl"
    )
    max_train_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="at most so many of the steps that epochs ask for; 0 = all of them"
    )
    steps: Positive | None = Field(
        None, description="optimizer steps of each training, whatever epochs says; null = the preset's"
    )
    rank: Annotated[int, Field(ge=1, le=10**10)] | None = Field(
        None,
        description=(
            "rank of the LoRA, at most 1024; with lokr, more (10000) means whole matrices; null = the preset's"
        ),
    )
    alpha: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="the LoRA's change is scaled by alpha / rank; null = the preset's, whatever the rank is"
    )
    rank_stabilized: bool = Field(
        False,
        description=(
            "rsLoRA: the LoRA's change is scaled by alpha / root of rank, so that large ranks learn as fast as small"
            " ones"
        ),
    )
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] | None = Field(
        None,
        description="highest rate of the schedule; null = the preset's, 1.0 with prodigy, a third of it with lion",
    )
    batch_size: Positive | None = Field(
        None, description="images that go through at once, where the memory allows it; null = the preset's"
    )
    resolution: Annotated[int, Field(ge=64, le=4096)] | None = Field(
        None, description="side of a square with the area of the training images, in pixels; null = the preset's"
    )
    smaller_resolutions: tuple[Annotated[int, Field(ge=64, le=4096)], ...] = Field(
        (), description="train each picture at these too, as 512 and 768 beside a resolution of 1024"
    )
    checkpoint_every: Positive | None = Field(
        None, description="steps between checkpoints; a killed training repeats at most this many; null = the preset's"
    )
    initial_lora: Place | None = Field(
        None, description="an existing LoRA to start round 1 with, instead of training v1; null = v1 is trained"
    )
    start_from: Place | None = Field(None, description="a LoRA that every training begins from; null = from nothing")
    warm_start: bool = Field(
        False,
        description=(
            "each round's LoRA begins from the best one so far: fewer steps do, but what it learned wrongly stays in it"
        ),
    )
    assistant_lora: Place | None = Field(
        None,
        description=(
            "a LoRA that is applied to a distilled base during training only, so that it stays distilled:"
            " ai-toolkit's training adapters; null = none"
        ),
    )
    trainer: Literal["builtin", "kohya", "ai-toolkit"] = Field(
        "builtin",
        description="who trains: this program, or kohya's sd-scripts or ai-toolkit on this machine (docs/trainers.md)",
    )
    trainer_path: Place | None = Field(None, description="folder of sd-scripts or ai-toolkit; null = none")
    trainer_python: Place | None = Field(
        None, description="the Python that runs it; null = the environment in that folder (venv, .venv)"
    )
    extra_args: tuple[str, ...] = Field(
        (), description="further arguments for the trainer's command line, as --ae=FILE for sd-scripts"
    )
    processes: Positive = Field(
        1, description="GPUs that share the training; the same pictures per step, so the same training"
    )
    adapter: Adapter = Field(
        "lora",
        description="kind of adapter: dora also learns magnitudes, lokr is a Kronecker product (docs/training.md)",
    )
    lokr_factor: Annotated[int, Field(ge=-1)] = Field(
        -1,
        description="by how much a LoKr divides layers, 4 to 16 are usual; -1 = automatic, which is the smallest file",
    )
    conv_rank: Annotated[int, Field(ge=0, le=LARGEST_RANK)] = Field(
        0,
        description=(
            "the LoRA adapts the convolutions of SD 1.5 and SDXL too, at this rank (LoCon, kohya's conv_dim); 0 = it"
            " does not"
        ),
    )
    conv_alpha: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="alpha of the convolutions; null = in the same proportion to conv_rank as alpha to rank"
    )
    network_dropout: Share = Field(
        0.0,
        description="share of the numbers between a LoRA's two matrices that each step leaves out, against overfitting",
    )
    rank_dropout: Share = Field(0.0, description="share of a LoRA's ranks that each step leaves out, by picture")
    module_dropout: Share = Field(0.0, description="share of a LoRA's layers that each step leaves out")
    loraplus_lr_ratio: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        0.0,
        description="LoRA+: the matrices that start at zero learn so many times faster, 4 to 16; 0 = as all others",
    )
    scale_weight_norms: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        0.0,
        description=(
            "longest change of a layer's weights: a LoRA beyond it is shortened after each step, against overtraining"
            " (1 is usual); 0 = any"
        ),
    )
    text_encoder: bool = Field(
        False, description="the LoRA adapts the CLIP text encoders too (SD 1.5, SDXL, SD 3.5, FLUX.1), as kohya's does"
    )
    text_encoder_learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] | None = Field(
        None, description="learning rate of the text encoders; null = half of learning_rate"
    )
    text_encoder_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="share of the steps after which the text encoders stay as they are; 1 = they learn to the end"
    )
    optimizer: Optimizer = Field(
        "adamw",
        description=(
            "prodigy finds the rate by itself; adamw8bit (GPU), adafactor, lion and came need less memory;"
            " adamw_schedulefree needs no schedule"
        ),
    )
    optimizer_args: dict[str, Any] = Field(
        default_factory=dict,
        description='further numbers of the optimizer: {"betas": [0.9, 0.99]}, {"d_coef": 2}... (docs/training.md)',
    )
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None, description="how strongly weights are pulled towards zero; null = 0.01"
    )
    clip_norm: Annotated[float, Field(ge=0.0)] | None = Field(
        None, description="norm to which gradients are clipped; 0 = no clipping, null = 1.0"
    )
    schedule: Schedule | None = Field(
        None,
        description=(
            "course of the learning rate after the warm-up (docs/training.md); null = cosine, constant with"
            " adamw_schedulefree"
        ),
    )
    warmup_steps: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="steps in which the rate rises to its peak; null = the preset's, at most a tenth of all steps",
    )
    restarts: Positive = Field(1, description="with schedule cosine_restarts: how often the rate falls from its peak")
    gradient_accumulation: Positive = Field(1, description="batches per optimizer step")
    gradient_checkpointing: bool | None = Field(
        None, description="less memory, a third slower; null = where the memory is tight"
    )
    blocks_to_swap: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description=(
            "so many of the model's blocks wait in main memory and come to the GPU only while they compute, which is"
            " slower; null = as many as it takes where the training does not fit otherwise, 0 = never"
        ),
    )
    memory: Literal["auto", 8, 12, 16, 24] = Field(
        "auto",
        description="GiB that the training may use; batches are split to fit, with the same result but for rounding",
    )
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="write an average over the latest weights, 0.99 to 0.999; 0 = the last weights"
    )
    min_snr_gamma: Annotated[float, Field(ge=0.0)] | None = Field(
        None,
        description=(
            "min-SNR weights of the loss, epsilon and v models only; 0 = none; null = the preset's, and 0 for a v model"
            " with zero terminal SNR"
        ),
    )
    loss: Loss = Field(
        "l2", description="what an error costs: its square, or less beyond a threshold, so that odd pictures teach less"
    )
    huber_c: Annotated[float, Field(ge=1e-6, le=1.0)] = Field(
        0.1,
        description=(
            "of the losses huber and smooth_l1: the threshold at pure noise; small = more like an absolute error"
        ),
    )
    huber_schedule: HuberSchedule | None = Field(
        None,
        description=(
            "how the threshold rises from huber_c to 1 with less noise; null = snr, with flow models exponential"
        ),
    )
    noise_offset: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None,
        description=(
            "noise that is the same all over a channel, for darker darks; epsilon and v models only; null = the"
            " preset's, and 0 with zero terminal SNR"
        ),
    )
    debiased_estimation_loss: bool = Field(
        False,
        description=(
            "weights of the loss that count noisy pictures more; epsilon and v models only; a min_snr_gamma of null is"
            " then 0"
        ),
    )
    multires_noise_iterations: Annotated[int, Field(ge=0, le=20)] = Field(
        0,
        description=(
            "number of coarser noises that are added, for larger contrasts (pyramid noise; 6 to 10 are usual); epsilon"
            " and v models only; 0 = none"
        ),
    )
    multires_noise_discount: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.3, description="each coarser noise is this many times as strong as the one before"
    )
    ip_noise_gamma: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0,
        description=(
            "further noise that the model does not know of (input perturbation), 0.1 is usual; epsilon and v models"
            " only; 0 = none"
        ),
    )
    min_timestep: Annotated[int, Field(ge=0, le=999)] = Field(
        0, description="train no noise level below this one, of 1000: 0 = no noise; higher learns less of fine detail"
    )
    max_timestep: Annotated[int, Field(ge=1, le=1000)] = Field(
        1000, description="train no noise level above this one: 1000 = pure noise; lower learns less of the composition"
    )
    caption_dropout: Share | None = Field(None, description="share of draws that see no caption; null = 0.05")
    keep_trigger: bool | None = Field(
        None,
        description=(
            "a dropped caption still leaves the trigger words; false = the trigger is dropped, too; null = the preset's"
        ),
    )
    shuffle_captions: bool | None = Field(
        None,
        description=(
            "the parts of captions, between commas, come in changing orders; null = by the preset: with bases that read"
            " tags they do"
        ),
    )
    keep_tokens: Annotated[int, Field(ge=0)] = Field(
        0,
        description=(
            "so many parts at the beginning stay where they are; 0 = the trigger words and the tags of how many there"
            " are"
        ),
    )
    caption_tag_dropout_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="share of a caption's parts, behind those that stay, that each draw leaves out"
    )
    class_word: Annotated[str, Field(min_length=1)] = Field(
        "person", description="what the subject is one of: woman, man, character..."
    )
    output_preservation: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        0.0,
        description=(
            "weight of keeping the base's own picture of the class word; 0 = off; a step takes two and a half times as"
            " long"
        ),
    )
    prior_images: Place | None = Field(
        None, description="folder of pictures of other people of the class (prior preservation); null = none"
    )
    prior_weight: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        1.0, description="how much an error on prior_images counts against one on the subject's"
    )
    face_weight: Annotated[float, Field(ge=1.0, le=100.0)] = Field(
        1.0, description="how much more an error inside the face counts than one outside; 1 = the same"
    )
    masks: Place | None = Field(
        None, description="folder of grey pictures named as the photos: white = learned, black = not; null = none"
    )
    mask_floor: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="how much is learned where a mask is black, against where it is white"
    )
    flip: bool = Field(False, description="also train on mirror images; off, because faces are not symmetric")
    flow_sampling: FlowSampling | None = Field(
        None,
        description="how much noise the pictures of flow models get, before flow_shift; null = as the family has it",
    )
    flow_shift: Annotated[float, Field(gt=0.0, le=100.0)] | None = Field(
        None,
        description="of flow models, towards noise: 1 = none, which learns more of fine detail; null = the model's own",
    )
    only_layers: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description=(
            "adapt only layers of the denoiser whose names hold one of these texts, such as"
            " single_transformer_blocks.7.; text_encoder adapts text encoders whole all the same"
        ),
    )
    skip_layers: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description=(
            "adapt no layer of the denoiser whose name holds one of these texts; text_encoder adapts text encoders"
            " whole all the same"
        ),
    )
    keep_checkpoints: Annotated[int, Field(ge=0, le=50)] = Field(
        0,
        description=(
            "measure so many checkpoints of the last half on a small panel and take the best; 0 = take the last"
        ),
    )
    checkpoint_panel: Annotated[int, Field(ge=2, le=1000)] = Field(8, description="images per measured checkpoint")
    early_stop: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after so many measured checkpoints in a row that are no better than the best; 0 = never"
    )
    sample_every: Annotated[int, Field(ge=0)] = Field(
        0, description="draw sample images after every so many steps, always from the same prompts and seeds; 0 = none"
    )
    sample_prompts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="prompts of the sample images, with the trigger words in them; none = four different ones"
    )
    save_every: Annotated[int, Field(ge=0)] = Field(
        0,
        description=(
            "also keep the LoRA as it is after every so many steps, as lora_v2-step00000750.safetensors beside it; 0 ="
            " only at the end"
        ),
    )
    max_step_saves_to_keep: Annotated[int, Field(ge=0)] = Field(
        0, description="how many of the files of save_every are kept, the newest ones; 0 = all"
    )
    validate_every: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description=(
            "measure the loss on the held-out photos after every so many steps, with the same noise each time; null ="
            " ten times in a training at most, where photos are held out, on 12 of them at most; 0 = never"
        ),
    )
    validation_times: Annotated[int, Field(ge=1, le=20)] = Field(
        4,
        description=(
            "number of noise levels at which each held-out photo is measured, spread evenly over those used in training"
        ),
    )
    tensorboard: bool = Field(
        True, description="write TensorBoard files beside the LoRA, where tensorboardX is installed"
    )
    wandb: str | None = Field(None, description="Weights & Biases project to report to, over the network; null = none")

    def clashes(self) -> Iterator[Clash]:
        yield from training_clashes.clashes(self)
