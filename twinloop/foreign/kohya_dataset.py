"""kohya-ss/sd-scripts: the TOML of a dataset (the schema in its library/config_util.py)."""

from __future__ import annotations

import math
from typing import Any

from twinloop.errors import InputError
from twinloop.foreign.job import Job
from twinloop.foreign.kohya_scripts import TITLE, script
from twinloop.foreign.pictures import Folder
from twinloop.foreign.toml import dumps

_BUCKET_STEP = 64


def dataset_toml(job: Job) -> str:
    """For ``--dataset_config``: one subset per folder, so that every photo is drawn as often as its weight says.

    Prior images are repeated by sd-scripts itself until they are as many as the subject's pictures with their repeats;
    those beyond that number it would never read, so that the subject's have more repeats where there are fewer of them.

    Raises:
        InputError: a family that it does not train; masks, and pictures for prior preservation, which its datasets of
            pictures with masks do not take.
    """
    settings, cached = job.settings, script(job).caches_texts
    dropout = 0.0 if cached else settings.caption_dropout
    tag_dropout = 0.0 if cached else settings.caption_tag_dropout_rate
    passes = max(1, math.ceil(job.prior_pictures / job.drawn))
    subsets = [
        {
            "image_dir": job.place(folder), "num_repeats": folder.repeats * (1 if folder.prior else passes),
            "caption_dropout_rate": 0.0 if folder.prior else float(dropout), "flip_aug": settings.flip,
            **_kind(job, folder),
        }
        for folder in job.folders
    ]  # fmt: skip
    side = settings.resolution
    dataset: dict[str, Any] = {
        "resolution": side,
        "batch_size": settings.batch_size,
        "enable_bucket": True,
        "bucket_no_upscale": True,
        "bucket_reso_steps": _BUCKET_STEP,
        "min_bucket_reso": _stepped(min(256, side)),
        "max_bucket_reso": _stepped(2 * side),
        "subsets": subsets,
    }
    return dumps(
        {
            "general": {
                "caption_extension": ".txt",
                "shuffle_caption": settings.shuffle_captions and not cached,
                "keep_tokens": job.keep_tokens,
                **({"caption_tag_dropout_rate": tag_dropout} if tag_dropout else {}),
            },
            "datasets": [dataset],
        }
    )


def _kind(job: Job, folder: Folder) -> dict[str, Any]:
    """What a subset of pictures with captions has, or one of pictures with masks, which are those of a ControlNet to
    sd-scripts.
    """
    if not job.masked:
        return {"is_reg": folder.prior, "class_tokens": job.settings.class_word if folder.prior else job.trigger}
    if job.prior_pictures:
        raise InputError(f"{TITLE} takes training.masks or prior_images, not both. Leave one out.")
    return {"conditioning_data_dir": job.place_of_masks(folder)}


def _stepped(side: int) -> int:
    return max(_BUCKET_STEP, side // _BUCKET_STEP * _BUCKET_STEP)
