"""Files of a base model -> a diffusers pipeline that is ready to compute."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import GGUFQuantizationConfig
from diffusers.loaders.single_file_utils import SingleFileComponentError
from diffusers.models.attention_processor import AttnProcessor
from transformers import dynamic_module_utils

from twinloop.adapters.diffusion.base_files import BaseFiles
from twinloop.adapters.diffusion.carried_parts import taken_apart
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.messages import first_line
from twinloop.adapters.diffusion.mixed_precision import compute_mixed
from twinloop.adapters.diffusion.model_folder import absent, variant_of
from twinloop.adapters.diffusion.part_loading import load_parts
from twinloop.adapters.diffusion.pipelines import pipeline_class
from twinloop.adapters.diffusion.prompts import encoders_of
from twinloop.adapters.diffusion.quantised.model import large_parts, quantise, take_over
from twinloop.adapters.diffusion.repeatability import thread_count
from twinloop.adapters.diffusion.seeing import place_pictures, seeing_processor
from twinloop.adapters.diffusion.unscaling import unscaled
from twinloop.errors import ModelFileError
from twinloop.families.base import WHOLE, Family
from twinloop.families.predictions import NOT_ASKED, Asked, Prediction, check_asked, marked
from twinloop.families.single_files import tensor_names

SMALL_GRID = 32
"""Latent cells a side up to which plain attention beats the fused kernel on a CPU; beyond, its matrices grow too
large."""
_FAILURES = (SingleFileComponentError, OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError)


def load_pipeline(files: BaseFiles, family: Family, compute: Compute) -> Any:
    """The text-to-image pipeline, without gradients, in main memory (`BaseModel.offload` moves its parts,
    `PromptEmbedder` its text encoders).

    Raises:
        ModelFileError: the files do not hold a model of the family.
    """
    torch.set_num_threads(thread_count())
    _hush()
    _refuse_code()
    parts = load_parts(files.parts, files.home, compute.dtype)
    made = _from_folder if files.is_folder else _from_file
    pipeline = made(files, family, compute, parts)
    pipeline.set_progress_bar_config(disable=True)
    denoiser = getattr(pipeline, family.denoiser)
    for part in (denoiser, pipeline.vae, *encoders_of(pipeline)):
        part.requires_grad_(False).eval()
    if compute.quantization is not None:
        for part in large_parts(pipeline, family):
            if part is not denoiser or not files.is_gguf:
                quantise(part, compute.quantization, compute.device)
    if compute.device.type == "cpu" and not compute.exact:
        _suit_cpu(denoiser, pipeline.vae)
    compute_mixed(denoiser, compute)
    return pipeline


def image_pipeline(pipeline: Any, family: Family, files: BaseFiles) -> Any | None:
    """The pipeline that starts from photos, with the same parts and options, or None where diffusers has none.

    Raises:
        ModelFileError: the folder lacks what reads pictures for the text encoder.
    """
    name = family.from_photo(files.kind)
    if not name:
        return None
    kind = pipeline_class(name)
    known = inspect.signature(kind.__init__).parameters
    options = {
        name: value for name, value in pipeline.config.items() if name in known and name not in pipeline.components
    }
    parts = {name: part for name, part in pipeline.components.items() if name in known}
    if "processor" in known:
        parts["processor"] = seeing_processor(files.home, pipeline.tokenizer)
        place_pictures(pipeline.text_encoder)
    made = kind(**{**parts, **options, **_options(kind)})
    made.set_progress_bar_config(disable=True)
    return made


def _suit_cpu(denoiser: Any, vae: Any) -> None:
    if type(vae).__name__ in ("AutoencoderKL", "AutoencoderTiny"):
        vae.to(memory_format=torch.channels_last)  # a sixth faster
    size = getattr(denoiser.config, "sample_size", None)
    if hasattr(denoiser, "mid_block") and int(size or SMALL_GRID + 1) <= SMALL_GRID:
        denoiser.set_attn_processor(AttnProcessor())


def _hush() -> None:
    """No bars and no notes while loading: the run's reporter is what users read, and failures arrive as exceptions."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # a norm with float32 weights inside of bfloat16 products: meant so, and only slower
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    # several LoRAs at once, as asked
    warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
    # diffusers' own Chroma uses it
    warnings.filterwarnings("ignore", message="`FluxPosEmbed` is deprecated")
    # to merge with; LoRAs stay apart here
    warnings.filterwarnings("ignore", message="TorchaoLoraLinear was instantiated without")


def _refuse_code() -> None:
    """Have code that lies in a model's folder be an error.

    A tokenizer that the folder calls a processor is put together by transformers itself, which diffusers does not tell
    whether to trust: it would ask at the terminal, and only for so many seconds.
    """
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0


def _options(kind: Any) -> dict[str, Any]:
    """Switches that some pipelines have: this program marks its images itself, and judges them itself."""
    known = inspect.signature(kind.__init__).parameters
    wanted = {"add_watermarker": False, "safety_checker": None, "requires_safety_checker": False}
    return {name: value for name, value in wanted.items() if name in known}


def _left_out(kind: Any, folder: Path) -> dict[str, None]:
    """Text encoders that this folder does without, as T5 in many copies of SD 3.5: a pipeline has to be told so.

    Those that a family cannot do without were asked for when the folder was found. What has a default is no part but an
    option, such as the layers of a text encoder that are read.
    """
    known = inspect.signature(kind.__init__).parameters.values()
    parts = [one.name for one in known if one.default is one.empty]
    return dict.fromkeys(absent(folder, [name for name in parts if name.startswith(("text_encoder", "tokenizer"))]))


def _from_folder(files: BaseFiles, family: Family, compute: Compute, parts: Mapping[str, Any]) -> Any:
    kind = pipeline_class(family.pipeline)
    variant = variant_of(files.path, family.denoiser, half=compute.dtype != torch.float32)
    try:
        return kind.from_pretrained(
            files.path,
            variant=variant,
            use_safetensors=True,
            dtype=compute.dtype,
            local_files_only=True,
            **{**_left_out(kind, files.path), **parts},
            **_options(kind),
        )
    except _FAILURES as error:
        raise ModelFileError(
            f"base_model: {files.path} cannot be loaded: {first_line(error)}. Fetch the model again."
        ) from error


def _from_file(files: BaseFiles, family: Family, compute: Compute, parts: Mapping[str, Any]) -> Any:
    kind = pipeline_class(family.pipeline)
    common = {"dtype": compute.dtype, "local_files_only": True}
    try:
        if family.single_file.whole:
            pipeline = kind.from_single_file(
                str(files.path), config=str(files.config), **common, **parts, **_options(kind)
            )
            return _with_prediction(pipeline, files)
        model = getattr(diffusers, family.single_file.model)
        packed = {"quantization_config": GGUFQuantizationConfig(compute_dtype=compute.dtype)} if files.is_gguf else {}
        weights: Any = unscaled(files.path, compute.dtype) if files.is_scaled else str(files.path)
        if family.single_file.carries:
            whole = weights if files.is_scaled else files.path
            weights, carried = taken_apart(whole, family.single_file, files.home, compute.dtype)
            parts = {**carried, **parts}
        denoiser = model.from_single_file(
            weights, config=str(files.config), subfolder=family.denoiser, **common, **packed
        )
        _keep_exact(denoiser)
        if files.is_gguf:
            take_over(denoiser)
        return kind.from_pretrained(
            files.config,
            use_safetensors=True,
            **{family.denoiser: denoiser},
            **common,
            **{**_left_out(kind, files.home), **parts},
            **_options(kind),
        )
    except _FAILURES as error:
        raise ModelFileError(
            f"base_model: {files.path} cannot be loaded as a {family.pipeline}: {first_line(error)}. Take another file,"
            " or a diffusers folder."
        ) from error


def _keep_exact(model: Any) -> None:
    """Have those layers in float32 that the model's class wants so, whatever the rest is; diffusers minds that of
    folders, but not of single files in bfloat16.
    """
    wanted = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not wanted.isdisjoint(name.split(".")):
            parameter.data = parameter.data.float()


def _with_prediction(pipeline: Any, files: BaseFiles) -> Any:
    """Checkpoints that predict v say so by an empty tensor; the configuration of their family does not know."""
    told = marked(tensor_names(files.path) or ())
    if told.velocity:
        pipeline.scheduler = _scheduler(pipeline.scheduler, told)
    return pipeline


def set_prediction(pipeline: Any, family: Family, asked: Asked) -> None:
    """Have the pipeline take its model for what the user says of it.

    Raises:
        InputError: as `check_asked`.
    """
    if asked == NOT_ASKED:
        return
    config = pipeline.scheduler.config
    found = Prediction(str(config.get("prediction_type")), bool(config.get("rescale_betas_zero_snr")))
    check_asked(asked, found, family)
    pipeline.scheduler = _scheduler(pipeline.scheduler, asked.over(found))


def _scheduler(own: Any, told: Prediction) -> Any:
    """A scheduler like the pipeline's own, for a model that predicts so."""
    changes: dict[str, Any] = {"prediction_type": told.kind, "rescale_betas_zero_snr": told.zero_snr}
    kind = type(own)
    if told.zero_snr:
        changes["timestep_spacing"] = "trailing"  # begins at pure noise; the family's own spacing leaves that time out
        if "rescale_betas_zero_snr" not in inspect.signature(kind.__init__).parameters:
            kind = diffusers.DDIMScheduler  # SD 1.5's own cannot end in pure noise
            changes |= WHOLE
    return kind.from_config(own.config, **changes)
