"""What takes pictures out of videos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twinloop.domain.video import VideoTask
from twinloop.ports import DetectorPack, FrameTaker, ScanJob
from twinloop.stages.vault.frames.look import FrameWork
from twinloop.wiring.detectors import build_pack, models_report
from twinloop.wiring.workers import MIN_FACE, MODELS, worker_count

_MOST_WORKERS = 4
"""Each holds its own models and a few pictures of a video, and decodes with threads of its own."""
_SECONDS = 120
"""Between two signs of life of a worker."""
_MEGABYTES = 4096
"""Pictures of 8K videos, and those that a decoder refers to, are a hundred megabytes each."""


@contextmanager
def build_frame_taker(models_dir: str | None, workers: int | None) -> Iterator[FrameTaker]:
    """Its models are opened when it is entered, in the processes that use them; leaving it ends those.

    Args:
        models_dir: None = ``models``, where that has detectors; without any, the sharpest frames are taken.
        workers: processes (None = one for each core, 4 at most); 0 = in this one, without protection.

    Raises (on entering): as `build_pack`. StateError: no worker can start.
    """
    from twinloop.adapters.scanning.supervisor import Limits, Supervisor
    from twinloop.adapters.videos.takers import HereTaker, WorkerTaker

    models = usual_models() if models_dir is None else models_dir
    count = worker_count(workers, _MOST_WORKERS)
    if count == 0:
        yield HereTaker(_work(models))
        return
    arguments, limits = {"models_dir": models}, Limits(_SECONDS, _MEGABYTES)
    with Supervisor[VideoTask]("twinloop.wiring.frames:frame_worker", arguments, count, limits) as supervisor:
        yield WorkerTaker(supervisor)


def usual_models() -> str:
    """``models``, where anything in it can be used; "" = no detectors."""
    report = models_report(MODELS)
    return MODELS if report is not None and report.found else ""


def frame_worker(models_dir: str) -> tuple[bytes, ScanJob]:
    """What a worker of `build_frame_taker` calls to become ready."""
    from twinloop.adapters.videos.takers import frame_job

    return frame_job(_work(models_dir))


def _work(models_dir: str) -> FrameWork:
    from twinloop.adapters.videos.decoder import CvVideo

    return FrameWork(_pack(models_dir), MIN_FACE, CvVideo)


def _pack(models_dir: str) -> DetectorPack | None:
    return build_pack(models_dir, scanning=True) if models_dir else None
