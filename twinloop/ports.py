"""The seams: what the stages ask of the outside world. Adapters fill them, fakes included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from twinloop.domain.captions import Description
from twinloop.domain.faces import Face, FloatArray, HeadPose, ImageArray, Part
from twinloop.domain.records import LoRA, TrainingSample
from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.domain.shots import Shot


class FaceDetector(Protocol):
    """Finds faces. ``fingerprint`` changes whenever the result could."""

    @property
    def fingerprint(self) -> str: ...

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in pixels of ``image`` (uint8 HxWx3 RGB), any order; [] when there are none."""
        ...


class PoseEstimator(Protocol):
    """Measures the head pose of one face."""

    @property
    def fingerprint(self) -> str: ...

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        """Degrees in the convention of `HeadPose`; None = cannot tell."""
        ...


class PartDetector(Protocol):
    """Finds hands (or other parts)."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def kind(self) -> str: ...

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        """Parts of ``kind`` in pixels of ``image``; faces are given because palms are easily mistaken for them."""
        ...


class Measurer(Protocol):
    """Reads numbers off the image and its subject's face: eyes, expression, setting, lighting, quality."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def covers(self) -> frozenset[str]:
        """What it looks for, as in `Observation.measured`: ``eyes``, ``expression``, ``setting``, ``lighting``, ``face_quality``."""
        ...

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """Names of `Observation.measures` -> numbers; a name it cannot tell is left out."""
        ...


class Embedder(Protocol):
    """Turns a face into an identity vector."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def strangers(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the cosine between different people it was not trained on; None = not known."""
        ...

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        """(D,) float32 of unit norm; None = the face is unusable."""
        ...


class NeighbourSearch(Protocol):
    """Finds the most alike among very many vectors, nearly always all of them. The same vectors give the same result."""

    def nearest(self, rows: FloatArray, count: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """For each row (n, D) its ``count`` best by inner product, itself among them: rows (n, count), -1 where there are fewer, and scores."""
        ...


class Captioner(Protocol):
    """Says in words what a picture shows: a sentence, or tags."""

    @property
    def fingerprint(self) -> str: ...

    def caption(self, image: ImageArray) -> Description:
        """What is in the picture (uint8 HxWx3 RGB); an empty one when nothing was recognised."""
        ...


@dataclass(frozen=True)
class Choice:
    """What fills one port of a pack.

    Attributes:
        port: what it measures, one of `MEASURED`. what: the kind of model. files: none where no file is needed.
    """

    port: str
    what: str
    files: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{self.port} from {self.source}"

    @property
    def source(self) -> str:
        """Names and kind of what fills it."""
        names = " + ".join(path.name for path in self.files)
        return f"{names} ({self.what})" if names else self.what


MEASURED = ("faces", "head pose", "hands", "eyes", "expression", "identity")
"""What a pack of detectors can measure, as people call it."""


@dataclass(frozen=True)
class DetectorPack:
    """A named set of detectors. A port that is None is "not measured", never "nothing found".

    Attributes:
        missing: human lines, each naming what is missing, where to get it and what stays unmeasured.
        choices: which file was chosen for what, where a choice was made.
    """

    name: str
    faces: FaceDetector | None = None
    pose: PoseEstimator | None = None
    parts: tuple[PartDetector, ...] = ()
    measurers: tuple[Measurer, ...] = ()
    embedder: Embedder | None = None
    missing: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()

    @property
    def spoken(self) -> str:
        """The choice in one line: what comes from which file, and what is not measured; "" where nothing was chosen."""
        if not self.choices:
            return ""
        filled: dict[str, list[str]] = {}
        for choice in self.choices:
            filled.setdefault(choice.source, []).append(choice.port)
        said = ", ".join(f"{' and '.join(ports)} from {source}" for source, ports in filled.items())
        absent = [name for name in MEASURED if not any(name in ports for ports in filled.values())]
        return f"Detectors ({self.name}): {said}{'; not measured: ' if absent else ''}{', '.join(absent)}."

    @property
    def fingerprint(self) -> str:
        """Of the pack as a whole: the joined fingerprints of its members."""
        members = [self.faces, self.pose, *self.parts, *self.measurers, self.embedder]
        return "+".join([self.name, *(m.fingerprint if m is not None else "-" for m in members)])


Wanted = Callable[[str], bool]
"""Whether content with this sha256 is to be measured; False where that was done already."""


@dataclass(frozen=True)
class Greeting:
    """What a scanner says when it is ready.

    Attributes:
        fingerprint: of all that measures. notes: human lines about models that are missing or broken.
        strangers: as the embedder's; None without one.
    """

    fingerprint: str
    notes: tuple[str, ...] = ()
    strangers: tuple[float, float] | None = None


ScanJob = Callable[[bytes, Callable[[bytes], bytes]], bytes]
"""One file for a worker process: task in, result out; it may ask its supervisor a question meanwhile."""


class Scanner(Protocol):
    """Looks at many files, each once and completely, here or in other processes. A context: leaving it ends them."""

    greeting: Greeting

    def __enter__(self) -> Scanner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def scan(self, files: Iterable[ListedFile], count: int, wanted: Wanted) -> Iterator[ScannedFile]:
        """Every file once, in any order. ``count``: how many there are. One that cannot be read has a ``problem``; it stops nothing."""
        ...


@dataclass(frozen=True)
class GenerationSettings:
    """How images are made.

    Attributes:
        steps: denoising steps. guidance: classifier-free guidance scale. width, height: pixels.
        lora_scale: strength of the LoRA, 1.0 = as trained. strength: image-to-image, 0..1 = how much is redrawn;
            0 = the model edits photos and knows no such number.
        extra_loras: other LoRA files with their strengths, worn beside the loop's own.
        scheduler: its name as the family knows it, "" = the base model's own.
        offload: ``none``, ``model`` or ``sequential``: what waits in main memory while a GPU works on something else.
        vae_tiling: decode in tiles; None = where a picture is large or the GPU small.
        references: photos that an editing model looks at for one picture; fewer where it takes fewer.
        compile: the denoiser's repeated blocks: ``regional`` or ``off``; None = on a CUDA GPU, where ``planned`` images make it pay.
        planned: how many images the caller makes with these settings, those of an earlier start included; 0 = not known.
        quantization: of the base model's weights, for the record; None = none. The generator was built with it.
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


@dataclass(frozen=True)
class EarlyLook:
    """A look at images on their way, so that no more work goes into those that already fail.

    Attributes:
        at: share of the denoising steps after which it is taken, 0..1; where no step would be left then, it is not taken.
        worth_finishing: asked once for every shot, with a preview of what its image will come to (uint8 HxWx3 RGB).
    """

    at: float
    worth_finishing: Callable[[Shot, ImageArray], bool]

    def step(self, steps: int) -> int:
        """The step of so many after which it is taken; the last one means: not at all."""
        return max(1, round(self.at * steps))


class Generator(Protocol):
    """Makes images from shots. The base model is loaded once; adapters are swapped."""

    @property
    def fingerprint(self) -> str: ...

    def load_lora(self, path: Path | None) -> None:
        """Use this LoRA (None = the bare base model) from now on."""
        ...

    def generate(
        self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook | None = None
    ) -> Iterator[tuple[Shot, ImageArray]]:
        """One image per shot, in order, each depending only on its own shot and settings (and on the fixed batch it is in).

        Shots that ``look`` says no to are left out; the images of the others are what they are without it, but for rounding.
        """
        ...


@dataclass(frozen=True)
class TrainingSettings:
    """How a LoRA is trained. All sizes in pixels, rates per optimizer step. docs/training.md says when which option makes sense.

    Attributes:
        batch_size, gradient_accumulation: a step sees their product of pictures, ``batch_size`` of them at once.
        optimizer: ``adamw``, ``adamw8bit``, ``prodigy`` or ``adafactor``.
        schedule: of the learning rate after the warm-up: ``cosine``, ``constant``, ``linear`` or ``cosine_restarts`` (``restarts`` times).
        clip_norm: longest gradient, 0 = any.
        min_snr_gamma: limit of the loss weight by signal-to-noise ratio (arXiv 2303.09556); 0 = all time steps count the same.
        noise_offset: share of noise that is one value per channel, for darker darks; only for bases without zero terminal SNR.
        caption_dropout: share of draws that see no caption, or the trigger alone (``keep_trigger``).
        trigger, class_word: the subject's words, and what it is one of ("person").
        output_preservation: weight of the loss that holds the base's own answer for ``class_word`` in the place of ``trigger``.
        prior_weight: weight of the loss on the samples that are marked as prior.
        face_weight: weight of the loss inside of a sample's face box against outside of it; 1 = the same everywhere.
        ema_decay: of the average over the weights that is written instead of the last ones; 0 = none.
        gradient_checkpointing: compute activations again on the way back, to save memory; None = where memory is tight.
        memory: GiB that the training may use, 0 = what the GPU has; where it is short, batches go through in portions.
        flip: also train on mirror images, which loses what is asymmetric in a face.
        adapter: ``lora``, ``dora`` (arXiv 2402.09353) or ``lokr`` (arXiv 2309.14859).
        lokr_factor: by how much a LoKr divides a layer's widths, -1 = near their square roots.
        text_encoder: the LoRA adapts the family's CLIP text encoders too, at ``text_encoder_learning_rate`` (0 = `text_encoder_rate`)
            and for the first ``text_encoder_share`` of the steps.
        compile: the denoiser's repeated blocks: ``regional`` or ``off``; None = on a CUDA GPU, where the steps make it pay.
        checkpoint_every: steps; at most so many are trained again after a kill.
        stop_at: write the LoRA as it is after this step and leave the checkpoints for more; 0 = at the end. Decides no other step.
        tensorboard: write event files where the library is there. wandb: project to report to, "" = nothing leaves this machine.
    """

    preset: str
    steps: int
    rank: int
    alpha: float
    learning_rate: float
    batch_size: int
    resolution: int
    seed: int
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    schedule: str = "cosine"
    warmup_steps: int = 10
    restarts: int = 1
    gradient_accumulation: int = 1
    gradient_checkpointing: bool | None = None
    memory: int = 0
    ema_decay: float = 0.0
    min_snr_gamma: float = 5.0
    noise_offset: float = 0.0
    caption_dropout: float = 0.05
    keep_trigger: bool = True
    trigger: str = ""
    class_word: str = "person"
    output_preservation: float = 0.0
    prior_weight: float = 1.0
    face_weight: float = 1.0
    flip: bool = False
    adapter: str = "lora"
    lokr_factor: int = -1
    text_encoder: bool = False
    text_encoder_learning_rate: float = 0.0
    text_encoder_share: float = 1.0
    compile: str | None = None
    checkpoint_every: int = 50
    stop_at: int = 0
    tensorboard: bool = True
    wandb: str = ""

    @property
    def effective_batch(self) -> int:
        """Pictures of one optimizer step."""
        return self.batch_size * self.gradient_accumulation

    @property
    def lokr(self) -> int:
        """The factor of the LoKr that is trained, -1 = automatic; 0 = none is."""
        return self.lokr_factor if self.adapter == "lokr" else 0

    @property
    def text_encoder_rate(self) -> float:
        """Peak rate of the text encoders: as given, else half of the denoiser's; Prodigy knows one rate for all."""
        return self.text_encoder_learning_rate or self.learning_rate * (1.0 if self.optimizer == "prodigy" else 0.5)

    @property
    def text_encoder_steps(self) -> int:
        """After so many steps the text encoders stay as they are; 0 where they are not trained."""
        return max(1, round(self.steps * self.text_encoder_share)) if self.text_encoder else 0

    @property
    def last_step(self) -> int:
        """The step whose weights are written."""
        return min(self.stop_at or self.steps, self.steps)


class Trainer(Protocol):
    """Trains one LoRA from a base model. Killed and called again with the same arguments it goes on from its checkpoint, bit for bit."""

    @property
    def fingerprint(self) -> str: ...

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Callable[[int, int, float], None],
    ) -> LoRA:
        """Write ``output`` (safetensors) as a whole or not at all.

        Args:
            work: folder for checkpoints and caches of this training; may be deleted when it is done.
            metadata: strings for the safetensors header.
            progress: called with (step, steps, loss).
        """
        ...


class Clock(Protocol):
    """Time, so that tests and reproducible runs can fix it."""

    def stamp(self) -> str:
        """Local time as ``YYYYmmdd_HHMMSS``."""
        ...


class Reporter(Protocol):
    """Where the stages say what they do: the terminal, a log, nothing."""

    def line(self, text: str) -> None:
        """One finished statement."""
        ...

    def warn(self, text: str) -> None:
        """Something the user should know."""
        ...

    def progress(self, label: str, done: int, total: int) -> None:
        """``done`` of ``total`` units; the reporter works out rate and time left."""
        ...
