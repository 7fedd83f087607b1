"""The seams: what the stages ask of the outside world. Adapters fill them, fakes included."""

from twinloop.ports.detectors import (
    Captioner,
    DetectorPack,
    Embedder,
    FaceDetector,
    FilledPort,
    Masker,
    Measurer,
    PartDetector,
    PoseEstimator,
    SubjectMask,
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
    TrainingSize,
    decisive_samples,
    decisive_settings,
)
from twinloop.ports.videos import FrameDesk, FrameTaker, Video
