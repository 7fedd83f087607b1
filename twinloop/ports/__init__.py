"""The seams: what the stages ask of the outside world. Adapters fill them, fakes included."""

from twinloop.ports.detectors import (
    MEASURED,
    Captioner,
    DetectorPack,
    Embedder,
    FaceDetector,
    FilledPort,
    Measurer,
    PartDetector,
    PoseEstimator,
)
from twinloop.ports.generation import Denoising, EarlyLook, GenerationSettings, Generator, decisive_generation
from twinloop.ports.reporting import Clock, Reporter, SilentReporter, nobody_listens
from twinloop.ports.scanning import Greeting, NeighbourSearch, ScanJob, Scanner, Wanted
from twinloop.ports.training import (
    FREE_SETTINGS,
    Progress,
    Trained,
    Trainer,
    TrainingSettings,
    decisive_samples,
    decisive_settings,
)
from twinloop.ports.videos import FrameDesk, FrameTaker, Video

__all__ = [
    "FREE_SETTINGS",
    "MEASURED",
    "Captioner",
    "Clock",
    "Denoising",
    "DetectorPack",
    "EarlyLook",
    "Embedder",
    "FaceDetector",
    "FilledPort",
    "FrameDesk",
    "FrameTaker",
    "GenerationSettings",
    "Generator",
    "Greeting",
    "Measurer",
    "NeighbourSearch",
    "PartDetector",
    "PoseEstimator",
    "Progress",
    "Reporter",
    "ScanJob",
    "Scanner",
    "SilentReporter",
    "Trained",
    "Trainer",
    "TrainingSettings",
    "Video",
    "Wanted",
    "decisive_generation",
    "decisive_samples",
    "decisive_settings",
    "nobody_listens",
]
