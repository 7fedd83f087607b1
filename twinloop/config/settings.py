"""The configuration as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from twinloop.config.analysis import AnalysisSettings
from twinloop.config.base_parts import BaseParts
from twinloop.config.generation import GenerationConfig
from twinloop.config.rounds import MergeConfig, PanelConfig, StopConfig
from twinloop.config.section import Clash, Clashes, Name, Place, PlaceAsWritten, Positive, Section, expanded
from twinloop.config.training import TrainingConfig
from twinloop.config.training_clashes import SAYS_NOTHING_WITHOUT
from twinloop.config.validation import ValidationConfig
from twinloop.domain.choices import SDXL, BasePrediction, Compile, Device, Precision, ReviewPolicy, Subject
from twinloop.domain.model_roles import pack_and_folder
from twinloop.domain.quantised import Quantization
from twinloop.ports import FREE_SETTINGS


def _expanded_pack(models_dir: str) -> str:
    """As `expanded`, of the folder behind the name of a pack."""
    _, folder = pack_and_folder(models_dir)
    return models_dir.removesuffix(folder) + expanded(folder)


_TOLD_WHERE_SET = (
    ("", "subject"),
    ("", "clip_skip"),
    ("validation", "faces"),
    ("generation", "guidance_rescale"),
    ("generation", "timestep_spacing"),
)
"""Section and name of fields that a record has only where they differ from their default: they came later, and a run
that knows nothing of them is one without."""


class Settings(Section):
    """One run of the loop."""

    person_name: Name = Field(description="name of the person or character, for folders and reports")
    person_trigger: Name = Field(
        description="words that stand for the person in prompts and captions, with a rare one among them (ohwx alice)"
    )
    base_model: Annotated[PlaceAsWritten, Field(min_length=1)] = Field(
        SDXL, description="hub id, diffusers folder, .safetensors or .gguf file, or 'nano' for the embedded one"
    )
    base_parts: BaseParts = BaseParts()
    dataset_dir: Annotated[Place, Field(min_length=1)] = Field(
        description="folder of the photos, with their captions beside them where there are any; it is only read"
    )
    subject: Subject = Field(
        "person",
        description=(
            "character = drawn: what detectors made for photos cannot read on drawings (expression, eyes) is left out,"
            " and pictures made by other generators are originals"
        ),
    )
    models_dir: Annotated[PlaceAsWritten, AfterValidator(_expanded_pack)] = Field(
        "models",
        description=(
            "folder of detector files (yolo:FOLDER, onnx:FOLDER or mediapipe:FOLDER for one pack of it), or the word"
            " 'nano' for the embedded pack, which knows only the demo's people"
        ),
    )
    output_dir: Annotated[Place, Field(min_length=1)] = Field(
        "outputs/bootstrap", description="folder of the run: gaps, images, verdicts, report; a run of its own each"
    )
    lora_output_dir: Place | None = Field(
        None, description="folder of the LoRAs; null = outputs/lora_models/<person_name>"
    )
    max_iterations: Positive = Field(5, description="most rounds; the stop rules may end the run earlier")
    convergence_threshold: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.05,
        description=(
            "stop where a round improves the overall score by less than this share of it, and the gain cannot be told"
            " from zero"
        ),
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="every random choice of the run follows from it")
    review: ReviewPolicy = Field(
        "never", description="which rounds wait for a person to look at the images (twinloop ui, or twinloop review)"
    )
    device: Device = Field("auto", description="where models run; auto = a GPU where there is one, else the CPU")
    precision: Precision = Field(
        "auto", description="number type of the base model; auto = the fastest that the device computes well"
    )
    quantization: Quantization | None = Field(
        None,
        description=(
            "weights of the base model in fewer bits: int8 or fp8 halve them, nf4 quarters them (needs the extra"
            ' "quant"); null = as they are'
        ),
    )
    base_prediction: BasePrediction | None = Field(
        None,
        description=(
            "what a base model of SDXL or SD 1.5 predicts, where its file does not say so; null = as its folder or"
            " file says, else epsilon"
        ),
    )
    zero_terminal_snr: bool | None = Field(
        None,
        description=(
            "whether the noise of a base model of SDXL or SD 1.5 ends without any signal; null = as its folder or file"
            " says"
        ),
    )
    clip_skip: Annotated[int, Field(ge=1, le=12)] = Field(
        1,
        description=(
            "the layer of SD 1.5's text encoder that prompts and captions are read from, counted from the end as in"
            " A1111: 1 = the last, 2 = the last but one, as of many anime models"
        ),
    )
    compile: Compile | None = Field(
        None,
        description=(
            "torch.compile for the blocks that the base model repeats, when generating and training; null = on a CUDA"
            " GPU, where the work is long enough"
        ),
    )
    allow_download: bool = Field(
        False, description="models that are named by a hub id may be fetched; false = nothing is ever fetched"
    )
    analysis: AnalysisSettings = AnalysisSettings()
    generation: GenerationConfig = GenerationConfig()
    validation: ValidationConfig = ValidationConfig()
    training: TrainingConfig = TrainingConfig()
    merge: MergeConfig = MergeConfig()
    panel: PanelConfig = PanelConfig()
    stop: StopConfig = StopConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if found := list(self.clashes()):
            raise Clashes(found)
        return self

    def clashes(self) -> Iterator[Clash]:
        """Those of every section, by the names of the whole file, and those between sections."""
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, Section):
                for clash in section.clashes():
                    yield Clash(tuple(f"{name}.{field}" for field in clash.fields), clash.problem, name)
        yield from self._layers_come_whole()
        if self.generation.face_detail and not self.validation.faces:
            yield Clash(
                ("generation.face_detail", "validation.faces"),
                "generation.face_detail redraws faces, and with validation.faces false there are none: leave it out",
            )

    def _layers_come_whole(self) -> Iterator[Clash]:
        """Offloading layer by layer takes layers apart."""
        if self.generation.offload != "sequential":
            return
        for field, what, asked in (
            (
                "training.adapter",
                f'"training": {{"adapter": "{self.training.adapter}"}}',
                self.training.adapter != "lora",
            ),
            ("quantization", f'"quantization": "{self.quantization}"', self.quantization is not None),
        ):
            if asked:
                yield Clash(
                    (field, "generation.offload"),
                    f'{what} and "generation": {{"offload": "sequential"}} do not go together: choose "blocks"',
                )

    @property
    def lora_dir(self) -> Path:
        return Path(self.lora_output_dir or os.path.join("outputs", "lora_models", self.person_name))

    def inputs(self) -> Iterator[tuple[str, Path]]:
        """Files and folders that a run reads: (field, path). Some may be no path but another name."""
        for field, place in self.places():
            if field not in ("output_dir", "lora_output_dir"):
                yield field, Path(expanded(pack_and_folder(place)[1] if field == "models_dir" else place))

    def identity_fields(self) -> dict[str, Any]:
        """What decides the results: all fields but the folders, the budget and stop rules, the device, how memory is
        saved, samples on the way, where figures go, and the leave to download.
        """
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
        data = self.model_dump(
            mode="json",
            exclude={
                **dict.fromkeys(free, True),
                "generation": {"offload"},
                "training": {*FREE_SETTINGS, "sample_every", "sample_prompts", "trainer_path", "trainer_python"},
            },
        )
        training = data["training"]
        data["training"] = {
            name: value
            for name, value in training.items()
            if name not in SAYS_NOTHING_WITHOUT or not SAYS_NOTHING_WITHOUT[name](training)
        }
        data["base_parts"] = dict(self.base_parts.given)
        if not data["base_parts"]:
            del data["base_parts"]
        for section, name in _TOLD_WHERE_SET:
            place, kind = (data[section], type(getattr(self, section))) if section else (data, type(self))
            if place[name] == kind.model_fields[name].default:
                del place[name]
        return data
