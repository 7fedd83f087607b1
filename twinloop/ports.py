"""The seams: what the stages ask of the outside world. Adapters fill them, fakes included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from twinloop.domain.faces import Face, FloatArray, HeadPose, ImageArray, Part
from twinloop.domain.records import LoRA, TrainingSample
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


@dataclass(frozen=True)
class DetectorPack:
    """A named set of detectors. A port that is None is "not measured", never "nothing found".

    Attributes:
        missing: human lines, each naming what is missing, where to get it and what stays unmeasured.
    """

    name: str
    faces: FaceDetector | None = None
    pose: PoseEstimator | None = None
    parts: tuple[PartDetector, ...] = ()
    measurers: tuple[Measurer, ...] = ()
    embedder: Embedder | None = None
    missing: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of the pack as a whole: the joined fingerprints of its members."""
        members = [self.faces, self.pose, *self.parts, *self.measurers, self.embedder]
        return "+".join([self.name, *(m.fingerprint if m is not None else "-" for m in members)])


@dataclass(frozen=True)
class GenerationSettings:
    """How images are made.

    Attributes:
        steps: denoising steps. guidance: classifier-free guidance scale. width, height: pixels.
        lora_scale: strength of the LoRA, 1.0 = as trained. strength: image-to-image, 0..1 = how much is redrawn.
    """

    steps: int
    guidance: float
    width: int
    height: int
    lora_scale: float = 1.0
    strength: float = 0.6
    batch_size: int = 4


class Generator(Protocol):
    """Makes images from shots. The base model is loaded once; adapters are swapped."""

    @property
    def fingerprint(self) -> str: ...

    def load_lora(self, path: Path | None) -> None:
        """Use this LoRA (None = the bare base model) from now on."""
        ...

    def generate(self, shots: Sequence[Shot], settings: GenerationSettings) -> Iterator[tuple[Shot, ImageArray]]:
        """One image per shot, in order, each depending only on its own shot and settings (and on the fixed batch it is in)."""
        ...


@dataclass(frozen=True)
class TrainingSettings:
    """How a LoRA is trained. All sizes in pixels, rates per optimizer step.

    Attributes:
        schedule: of the learning rate after the warm-up: ``cosine`` (falls to zero) or ``constant``.
        min_snr_gamma: limit of the loss weight by signal-to-noise ratio (arXiv 2303.09556); 0 = all time steps count the same.
        noise_offset: share of noise that is one value per channel, for darker darks; only for bases without zero terminal SNR.
        caption_dropout: share of draws that see the empty prompt.
        flip: also train on mirror images, which loses what is asymmetric in a face.
        checkpoint_every: steps; at most so many are trained again after a kill.
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
    schedule: str = "cosine"
    warmup_steps: int = 10
    min_snr_gamma: float = 5.0
    noise_offset: float = 0.0
    caption_dropout: float = 0.05
    flip: bool = False
    checkpoint_every: int = 50


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
