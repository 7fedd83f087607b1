"""`bootstrap_config.json` <-> typed, frozen settings. Every mistake is reported at once, by field."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twinloop.domain.quantised import Quantization
from twinloop.errors import ConfigError, InputError

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(gt=0)]


class _Mistakes(ValueError):
    """Several settings that do not fit together; pydantic takes one error from a validator."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AnalysisSettings(_Section):
    """What to look at and what share of each value is wanted."""

    facets: tuple[str, ...] | None = Field(None, description="facets to analyse; null = all that are registered")
    shares: dict[str, dict[str, Share]] = Field(
        default_factory=dict, description="facet -> value -> wanted share, over the facet's defaults"
    )
    plugins: tuple[str, ...] = Field((), description="Python files that register facets of your own")
    keep_all: bool = Field(
        False, description="count every readable image, also blurred ones, duplicates and other people"
    )


class ExtraLora(_Section):
    """A LoRA that is worn beside the loop's own, for style or detail."""

    path: Annotated[str, Field(min_length=1)]
    scale: Annotated[float, Field(ge=-4.0, le=4.0)] = 1.0


class GenerationConfig(_Section):
    """How images are made. A null means: the default of the base model's family."""

    num_per_gap: Positive = 5
    num_inference_steps: Positive | None = None
    guidance_scale: Annotated[float, Field(ge=0.0, le=50.0)] | None = None
    width: Annotated[int, Field(ge=64, le=4096)] | None = None
    height: Annotated[int, Field(ge=64, le=4096)] | None = None
    batch_size: Positive | None = None
    lora_scale: Annotated[float, Field(ge=0.0, le=4.0)] = 1.0
    negative_prompt: str | None = None
    prompt_style: Literal["prose", "tags", "pony", "full"] | None = Field(
        None,
        description="pony = tags after its score words; full = prose whose captions also say what is as usual ('eyes open'); null = the preset's",
    )
    from_photos: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0,
        description="share of the shots that start from a real photo (image-to-image, or editing where the model edits)",
    )
    strength: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    references: Annotated[int, Field(ge=1, le=10)] | None = Field(
        None,
        description="real photos that an editing model looks at for one image, where it takes several; null = the preset's",
    )
    extra_loras: tuple[ExtraLora, ...] = Field(
        (), description="LoRAs worn beside the loop's own, each with path and scale"
    )
    scheduler: str | None = Field(
        None, description="sampler, by the family's names (euler, dpmpp_2m...); null = the base model's own"
    )
    offload: Literal["none", "model", "sequential"] = Field(
        "none", description="with a GPU: which parts wait in main memory; saves memory, costs time"
    )
    vae_tiling: bool | None = Field(None, description="decode in tiles; null = where images are large or the GPU small")
    early_reject: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None,
        description="share of the steps after which images whose preview fails its target are given up, 0.6 for example; null = all are finished",
    )


class ValidationConfig(_Section):
    """The limits of the checks."""

    auto_filter: bool = Field(True, description="sort into approved / rejected / unsure; false = judge only")
    sharpness: Literal["face", "image"] = Field(
        "face",
        description="face = crop measure, limit learned from the real photos; image = Laplacian variance of the whole image",
    )
    sharpness_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.3,
        description="least face sharpness, as a share of the real photos' median; lower it for a base that draws softly",
    )
    blur_threshold: Annotated[float, Field(ge=0.0)] = 100.0
    min_brightness: Annotated[float, Field(ge=0.0, le=255.0)] = 30.0
    max_brightness: Annotated[float, Field(ge=0.0, le=255.0)] = 225.0
    min_face_confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    min_face_quality: Annotated[float, Field(ge=0.0, le=1.0)] = 0.4
    identity: bool = Field(True, description="compare with the frozen real photos; needs an embedder")
    identity_tolerance: Annotated[float, Field(gt=0.0)] = Field(
        2.5,
        description="standard deviations below the real photos' own similarity; or above that of strangers, where this is less",
    )
    novelty_distance: Annotated[int, Field(ge=0, le=64)] = Field(
        6, description="perceptual-hash bits; as close or closer is a copy"
    )

    @model_validator(mode="after")
    def _brightness_in_order(self) -> ValidationConfig:
        if self.min_brightness >= self.max_brightness:
            raise ValueError("min_brightness must be below max_brightness")
        return self


BUILTIN_ONLY = ("keep_checkpoints", "early_stop", "face_weight", "memory", "processes", "wandb")
"""Settings of the training that no other program's trainer is told."""


LARGEST_RANK = 1024
"""Of a LoRA. A LoKr takes any: from half of a large matrix's side on it is whole."""


class TrainingConfig(_Section):
    """How LoRAs are trained. A null means: the preset's default."""

    preset: str | None = Field(
        None, description="sdxl, animagine (alias zit), flux, zimage... (docs/families.md); null = by the base model"
    )
    epochs: Positive | None = Field(
        None, description="passes over the dataset; steps = epochs x images / batch size, unless steps is given"
    )
    steps: Positive | None = None
    rank: Annotated[int, Field(ge=1, le=10**10)] | None = Field(
        None, description="at most 1024; with adapter lokr more means whole matrices, such as 10000"
    )
    alpha: Annotated[float, Field(gt=0.0)] | None = None
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    batch_size: Positive | None = None
    resolution: Annotated[int, Field(ge=64, le=4096)] | None = None
    checkpoint_every: Positive | None = None
    initial_lora: str | None = Field(None, description="an existing LoRA to start round 1 with, instead of training v1")
    trainer: Literal["builtin", "kohya", "ai-toolkit"] = Field(
        "builtin",
        description="who trains: this program, or kohya's sd-scripts or ai-toolkit on this machine (docs/trainers.md)",
    )
    trainer_path: str | None = Field(None, description="folder of sd-scripts or ai-toolkit")
    trainer_python: str | None = Field(
        None, description="its Python; null = the environment in that folder (venv, .venv)"
    )
    extra_args: tuple[str, ...] = Field(
        (), description="further arguments for sd-scripts, as --ae=FILE; they win over those written for it"
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
    noise_offset: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    caption_dropout: Share | None = Field(None, description="share of draws that see no caption")
    keep_trigger: bool | None = Field(None, description="a dropped caption leaves the trigger words; false = nothing")
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
    flip: bool = Field(False, description="also train on mirror images; off, because faces are not symmetric")
    keep_checkpoints: Annotated[int, Field(ge=0, le=50)] = Field(
        0,
        description="measure so many checkpoints of the last half on a small panel and take the best; 0 = take the last",
    )
    checkpoint_panel: Annotated[int, Field(ge=2, le=1000)] = Field(8, description="images per measured checkpoint")
    early_stop: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after so many measured checkpoints in a row that are no better than the best; 0 = never"
    )
    tensorboard: bool = Field(
        True, description="write TensorBoard files beside the LoRA, where tensorboardX is installed"
    )
    wandb: str | None = Field(None, description="Weights & Biases project to report to; sends figures over the network")

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingConfig:
        found = [*self._beyond_trainer(), *self._about_adapter(), *self._about_text_encoder()]
        if self.early_stop and self.keep_checkpoints < 2:
            found.append("early_stop needs keep_checkpoints of 2 or more")
        if found:
            raise _Mistakes(found)
        return self

    def _beyond_trainer(self) -> Iterator[str]:
        asked = [name for name in BUILTIN_ONLY if getattr(self, name) != type(self).model_fields[name].default]
        if self.trainer != "builtin" and asked:
            yield f"only the built-in trainer knows {', '.join(asked)}"

    def _about_adapter(self) -> Iterator[str]:
        if self.adapter == "lokr":
            if self.lokr_factor in (0, 1):
                yield "lokr_factor must be 2 or more, or -1 for automatic: 0 and 1 divide nothing"
            if self.text_encoder:
                yield 'text_encoder goes with "adapter": "lora" or "dora"; a LoKr adapts the denoiser alone'
            return
        if self.lokr_factor != -1:
            yield f'lokr_factor is for "adapter": "lokr", not "{self.adapter}"'
        if (self.rank or 0) > LARGEST_RANK:
            yield f'rank {self.rank} is more than {LARGEST_RANK}; only "adapter": "lokr" takes more, as whole matrices'

    def _about_text_encoder(self) -> Iterator[str]:
        rate = self.text_encoder_learning_rate
        if not self.text_encoder and (rate is not None or self.text_encoder_share < 1.0):
            yield "text_encoder_learning_rate and text_encoder_share say nothing without text_encoder: true"
        if self.optimizer == "prodigy" and rate is not None:
            yield "prodigy finds one rate for all that it trains; leave text_encoder_learning_rate out"


class MergeConfig(_Section):
    """How much synthetic there may be."""

    max_synthetic_share: Share = Field(0.5, description="of all images")
    real_to_synthetic_weight: Annotated[float, Field(ge=1.0)] = Field(
        1.3, description="total weight of real photos over total weight of synthetic images, at least"
    )
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.7, description="weight of a synthetic round, per round of age"
    )


class PanelConfig(_Section):
    """The fixed panel that every LoRA is measured on."""

    images: Annotated[int, Field(ge=2, le=1000)] = 24


class StopConfig(_Section):
    """When the loop stops, beside max_iterations and convergence_threshold."""

    approval_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    approval_rounds: Positive = 2
    patience: Positive = Field(1, description="rounds of small improvement before stopping")
    drift_rounds: Positive = Field(2, description="rolled-back rounds in a row before stopping")


class Settings(_Section):
    """One run of the loop."""

    person_name: Annotated[str, Field(min_length=1)]
    person_trigger: Annotated[str, Field(min_length=1)]
    base_model: Annotated[str, Field(min_length=1)] = "stabilityai/stable-diffusion-xl-base-1.0"
    dataset_dir: Annotated[str, Field(min_length=1)]
    models_dir: str = Field(
        "models",
        description="folder of detector files (yolo:FOLDER, onnx:FOLDER or mediapipe:FOLDER for one pack of it), or the word 'nano' for the embedded pack",
    )
    output_dir: str = "outputs/bootstrap"
    lora_output_dir: str | None = None
    max_iterations: Positive = 5
    convergence_threshold: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    seed: Annotated[int, Field(ge=0)] = 0
    review: Literal["never", "first_round", "always"] = Field(
        "never", description="which rounds wait for a person to look at the images (twinloop ui, or twinloop review)"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of the base model; auto = the fastest that the device computes well"
    )
    quantization: Quantization | None = Field(
        None,
        description="weights of the base model in fewer bits: int8 or fp8 halve them, nf4 quarters them (pip install 'twinloop[quant]')",
    )
    compile: Literal["regional", "off"] | None = Field(
        None,
        description="torch.compile for the blocks that the base model repeats, when generating and training; null = on a CUDA GPU, where the work is long enough",
    )
    allow_download: bool = False
    analysis: AnalysisSettings = AnalysisSettings()
    generation: GenerationConfig = GenerationConfig()
    validation: ValidationConfig = ValidationConfig()
    training: TrainingConfig = TrainingConfig()
    merge: MergeConfig = MergeConfig()
    panel: PanelConfig = PanelConfig()
    stop: StopConfig = StopConfig()

    @model_validator(mode="after")
    def _layers_come_whole(self) -> Settings:
        """Offloading layer by layer takes layers apart."""
        whole = {
            '"training": {"adapter": "lokr"}': self.training.adapter == "lokr",
            f'"quantization": "{self.quantization}"': self.quantization is not None,
        }
        found = [
            f'{what} and "generation": {{"offload": "sequential"}} do not go together: choose "model"'
            for what, asked in whole.items()
            if asked
        ]
        if found and self.generation.offload == "sequential":
            raise _Mistakes(found)
        return self

    @property
    def lora_dir(self) -> Path:
        return Path(self.lora_output_dir or os.path.join("outputs", "lora_models", self.person_name))

    def identity_fields(self) -> dict[str, Any]:
        """What decides the results: all fields but the folders, the budget and stop rules, the device, what waits in main memory, where figures go, and the leave to download."""
        free = {
            "output_dir",
            "lora_output_dir",
            "max_iterations",
            "convergence_threshold",
            "stop",
            "device",
            "allow_download",
            "dataset_dir",
            "models_dir",
        }
        return self.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(free, True),
                "generation": {"offload"},
                "training": {"tensorboard", "wandb", "trainer_path", "trainer_python"},
            },
        )


def parse_settings(data: Any, source: str) -> Settings:
    """Settings from parsed JSON.

    Raises:
        ConfigError: all mistakes at once, each with its field and what was expected.
    """
    if not isinstance(data, dict):
        raise ConfigError(source, ["the file must hold one JSON object { ... }"])
    # keys that start with an underscore are comments
    data = {key: value for key, value in data.items() if not str(key).startswith("_")}
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(source, [line for item in error.errors() for line in _problems(item)]) from None


def load_settings(path: Path) -> Settings:
    """Settings from a JSON file; errors as in `read_config` and `parse_settings`."""
    return parse_settings(read_config(path), str(path))


def read_config(path: Path) -> Any:
    """The parsed JSON of a configuration, not yet checked.

    Raises:
        InputError: no such file. ConfigError: not JSON; says where.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"No configuration at {path}. Write one: twinloop init > {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read {path}: {error}") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            str(path), [f"line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"]
        ) from None


def describe_fields() -> dict[str, str]:
    """Field, dots for sections -> what it means, for the fields whose name alone does not say."""
    described: dict[str, str] = {}
    for name, info in Settings.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            for inner, details in section.model_fields.items():
                if details.description:
                    described[f"{name}.{inner}"] = details.description
        elif info.description:
            described[name] = info.description
    return described


def _problems(item: Any) -> list[str]:
    field = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] == "extra_forbidden":
        return [f"{field}: unknown field{_did_you_mean(item['loc'])}"]
    if item["type"] == "missing":
        return [f"{field}: is required"]
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, _Mistakes):
        return [f"{field}: {problem}" for problem in cause.problems]
    message = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = "" if isinstance(given, dict | list) else f" (given: {given!r})"
    return [f"{field}: {message[0].lower() + message[1:]}{shown}"]


ELSEWHERE = {
    "network_dim": "training.rank",
    "network_alpha": "training.alpha",
    "linear": "training.rank",
    "linear_alpha": "training.alpha",
    "lr": "training.learning_rate",
    "unet_lr": "training.learning_rate",
    "text_encoder_lr": "training.text_encoder_learning_rate",
    "max_train_steps": "training.steps",
    "max_train_epochs": "training.epochs",
    "optimizer_type": "training.optimizer",
    "lr_scheduler": "training.schedule",
    "train_batch_size": "training.batch_size",
    "train_text_encoder": "training.text_encoder",
    "network_module": "training.adapter",
    "fp8_base": "quantization",
    "qtype": "quantization",
    "quantize": "quantization",
    "sampler_name": "generation.scheduler",
    "cfg": "generation.guidance_scale",
    "cfg_scale": "generation.guidance_scale",
    "denoise": "generation.strength",
    "denoising_strength": "generation.strength",
}
"""What sd-scripts, ai-toolkit, ComfyUI and A1111 call our fields."""


def _did_you_mean(location: tuple[Any, ...]) -> str:
    import difflib

    if ours := ELSEWHERE.get(str(location[-1])):
        return f"; here it is called {ours}"
    model: Any = Settings
    for part in location[:-1]:
        info = model.model_fields.get(part)
        model = info.annotation if info is not None else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return ""
    near = difflib.get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(model.model_fields)}"
