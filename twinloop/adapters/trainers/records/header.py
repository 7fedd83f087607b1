"""The header of a LoRA file: modelspec 1.0.1 and the ``ss_*`` keys that people's tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from twinloop import __version__
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.domain.optimizer_args import Arguments, in_python
from twinloop.domain.optimizers import CLASSES, WEIGHT_DECAY
from twinloop.families.base import Family
from twinloop.families.clip import TOKENS
from twinloop.foreign.kohya_scripts import LYCORIS, network_module
from twinloop.ports import TrainingSettings
from twinloop.store.models.part_hashes import hashes_of_parts, parts_header


def quantization_header(quantization: str | None) -> dict[str, str]:
    """In which bits the base's weights were while the LoRA was trained; nothing where they were as they are."""
    return {} if quantization is None else {"twinloop.quantization": quantization}


def length_header(chunks: int) -> dict[str, str]:
    """How many tokens of a caption were read, in sd-scripts' words; nothing where no caption
    was longer than one chunk.
    """
    return {"ss_max_token_length": str(chunks * TOKENS)} if chunks > 1 else {}


def architecture_header(family: Family, configuration: Mapping[str, Any], base: str) -> dict[str, str]:
    """What the base is called where it is one of a family whose models have several names; nothing where the family's
    own name is its.

    Args:
        configuration: of its denoiser; {} = not known, and the name of the base decides.
    """
    architecture = family.architecture_of(configuration, base)
    return {} if architecture == family.architecture else {"modelspec.architecture": f"{architecture}/lora"}


def base_header(choice: BaseChoice, family: Family, configuration: Mapping[str, Any]) -> dict[str, str]:
    """What is said of the base: how its weights were quantised, which parts came from files of their own, and its name.

    Args:
        configuration: as in `architecture_header`.
    """
    return {
        **quantization_header(choice.quantization),
        **parts_header(hashes_of_parts(choice.parts)),
        **architecture_header(family, configuration, choice.base),
    }


def lora_header(
    settings: TrainingSettings, family: Family, prediction: str, images: int, date: str, given: Mapping[str, str]
) -> dict[str, str]:
    """All header texts but the hash of the tensors.

    ``given`` wins; paths and captions stay out, because they name people.

    Args:
        images: of the subject.
    """
    modelspec = _modelspec(settings, family, prediction, images, date, given.get("ss_output_name", "lora"))
    texts = {f"modelspec.{name}": str(value) for name, value in modelspec.items()}
    texts |= {f"ss_{name}": str(value) for name, value in _kohya(settings, family, images).items()}
    return {**texts, "twinloop.version": __version__, "twinloop.preset": settings.preset, **given}


def _modelspec(
    settings: TrainingSettings, family: Family, prediction: str, images: int, date: str, title: str
) -> dict[str, str]:
    """What Stability AI's ModelSpec has of a LoRA."""
    return {
        "sai_model_spec": "1.0.1",
        "architecture": f"{family.architecture}/lora",
        "implementation": "diffusers",
        "title": title,
        "resolution": f"{settings.resolution}x{settings.resolution}",
        "description": f"Character LoRA, trained on {images} images in {settings.last_step} steps",
        "author": "not given",
        "date": date,
        "prediction_type": "v" if prediction == "v_prediction" else prediction,
    }


def _kohya(settings: TrainingSettings, family: Family, images: int) -> dict[str, object]:
    """What sd-scripts notes of a training."""
    epochs = max(1, round(settings.last_step * settings.effective_batch / images))
    return {
        "output_name": "lora",
        "network_module": _network_module(settings, family),
        **_network_arguments(settings),
        "network_dim": settings.rank,
        "network_alpha": settings.network_alpha,
        **({"network_dropout": settings.network_dropout} if settings.network_dropout else {}),
        **({"scale_weight_norms": settings.scale_weight_norms} if settings.scale_weight_norms else {}),
        "base_model_version": family.base_version,
        "sd_model_name": "unknown",
        "resolution": f"({settings.resolution}, {settings.resolution})",
        "num_train_images": images,
        "steps": settings.last_step,
        "max_train_steps": settings.steps,
        "epoch": epochs,
        "num_epochs": epochs,
        "total_batch_size": settings.effective_batch,
        "batch_size_per_device": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        # not what the program chose where it may: that depends on free memory, and the file would, too
        **(
            {}
            if settings.gradient_checkpointing is None
            else {"gradient_checkpointing": settings.gradient_checkpointing}
        ),
        "learning_rate": settings.learning_rate,
        **(
            {"unet_lr": settings.learning_rate, "text_encoder_lr": settings.text_encoder_rate}
            if settings.text_encoder
            else {}
        ),
        "lr_scheduler": settings.schedule,
        "lr_warmup_steps": min(settings.warmup_steps, settings.steps),
        "optimizer": _optimizer(settings),
        "seed": settings.seed,
        "min_snr_gamma": settings.min_snr_gamma,
        **_loss(settings, family),
        "noise_offset": settings.noise_offset,
        **_noise(settings),
        "caption_dropout_rate": settings.caption_dropout,
        "caption_tag_dropout_rate": settings.caption_tag_dropout_rate,
        "max_grad_norm": settings.clip_norm,
        "prior_loss_weight": settings.prior_weight,
        "flip_aug": settings.flip,
        "shuffle_caption": settings.shuffle_captions,
        "keep_tokens": settings.keep_tokens,
        "v2": False,
        **({"clip_skip": settings.clip_skip} if settings.clip_skip != 1 else {}),
    }


def _optimizer(settings: TrainingSettings) -> str:
    """Class and arguments, these as far as they are not as usual."""
    decay: Arguments = () if settings.weight_decay == WEIGHT_DECAY else (("weight_decay", settings.weight_decay),)
    arguments = ",".join(in_python((*decay, *settings.optimizer_args)))
    return CLASSES.get(settings.optimizer, settings.optimizer) + (f"({arguments})" if arguments else "")


def _loss(settings: TrainingSettings, family: Family) -> dict[str, object]:
    if settings.loss == "l2":
        return {"loss_type": settings.loss}
    schedule = settings.huber_schedule_of(flow=family.flow)
    return {"loss_type": settings.loss, "huber_schedule": schedule, "huber_c": settings.huber_c}


def _noise(settings: TrainingSettings) -> dict[str, object]:
    """What is seldom asked for, where it is."""
    coarser = {
        "multires_noise_iterations": settings.multires_noise_iterations,
        "multires_noise_discount": settings.multires_noise_discount,
    }
    return {
        **({"debiased_estimation": True} if settings.debiased_estimation_loss else {}),
        **(coarser if settings.multires_noise_iterations else {}),
        **({"ip_noise_gamma": settings.ip_noise_gamma} if settings.ip_noise_gamma else {}),
    }


def _network_module(settings: TrainingSettings, family: Family) -> str:
    """Which of sd-scripts' modules makes such an adapter; LyCORIS' where it has none, and its LoRA where it does not
    train the family.
    """
    return LYCORIS if settings.adapter in ("dora", "lokr") else network_module(family)


def _network_arguments(settings: TrainingSettings) -> dict[str, str]:
    """What kohya's tools were told beside rank and alpha."""
    found: dict[str, str] = {
        "dora": {"algo": "lora", "dora_wd": "True"}, "lokr": {"algo": "lokr", "factor": str(settings.lokr_factor)},
    }.get(settings.adapter, {})  # fmt: skip
    dropouts = {"rank_dropout": settings.rank_dropout, "module_dropout": settings.module_dropout}
    found = {**found, **{name: str(share) for name, share in dropouts.items() if share}}
    if settings.loraplus_lr_ratio:
        found |= {"loraplus_lr_ratio": f"{settings.loraplus_lr_ratio:g}"}
    if settings.rank_stabilized:
        # no sd-scripts argument: ss_network_alpha is already that of alpha / rank
        found |= {"rank_stabilized": "True"}
    if settings.conv_rank:
        found |= {"conv_dim": str(settings.conv_rank), "conv_alpha": f"{settings.convolution_alpha:g}"}
    return {"network_args": json.dumps(found)} if found else {}
