"""What takes pictures out of videos."""

from __future__ import annotations

from twinloop.ports import DetectorPack, FrameTaker, ScanJob
from twinloop.stages.vault.frames.look import FrameWork
from twinloop.wiring.detectors import build_pack, models_report

_MODELS = "models"
_MIN_FACE = 40
_MOST_WORKERS = 4
"""Each holds its own models and a few pictures of a video, and decodes with threads of its own."""
_SECONDS = 120
"""Between two signs of life of a worker."""
_MEGABYTES = 4096
"""Pictures of 8K videos, and those that a decoder refers to, are a hundred megabytes each."""


def build_frame_taker(models_dir: str | None, workers: int | None) -> FrameTaker:
    """Its models are opened when it is entered, in the processes that use them.

    Args:
        models_dir: None = ``models``, where that has detectors; without any, the sharpest frames are taken.
        workers: processes (None = one for each core, 4 at most); 0 = in this one, without protection.

    Raises (on entering): as `build_pack`.
    """
    from twinloop.adapters.cores import usable_cores
    from twinloop.adapters.scanning.supervisor import Limits
    from twinloop.adapters.videos.takers import HereTaker, WorkerTaker

    models = usual_models() if models_dir is None else models_dir
    if workers == 0:
        return HereTaker(lambda: _work(models))
    count = min(_MOST_WORKERS, usable_cores()) if workers is None else workers
    return WorkerTaker("twinloop.wiring:frame_worker", {"models_dir": models}, count, Limits(_SECONDS, _MEGABYTES))


def usual_models() -> str:
    """``models``, where anything in it can be used; "" = no detectors."""
    report = models_report(_MODELS)
    return _MODELS if report is not None and report.found else ""


def frame_worker(models_dir: str) -> tuple[bytes, ScanJob]:
    """What a worker of `build_frame_taker` calls to become ready."""
    from twinloop.adapters.videos.takers import frame_job

    return frame_job(_work(models_dir))


def _work(models_dir: str) -> FrameWork:
    from twinloop.adapters.videos.decoder import CvVideo

    return FrameWork(_pack(models_dir), _MIN_FACE, CvVideo)


def _pack(models_dir: str) -> DetectorPack | None:
    return build_pack(models_dir, scanning=True) if models_dir else None
