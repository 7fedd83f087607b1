"""The one LoRA a pipeline wears: put on, taken off, exchanged, without touching the base weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from twinloop.adapters.diffusion.prompts import PromptEmbedder
from twinloop.errors import ModelFileError

ADAPTER = "twinloop"


class LoraSlot:
    """At most one LoRA file on a pipeline. The LoRA stays apart from the base weights, so that taking it off restores them exactly."""

    def __init__(self, pipeline: Any, prompts: PromptEmbedder) -> None:
        self._pipeline = pipeline
        self._prompts = prompts
        self._path: Path | None = None
        self._state: tuple[int, int] | None = None
        self._scale = 1.0
        self._speaks = False

    def use(self, path: Path | None, scale: float = 1.0) -> None:
        """Wear this file at this strength (None = the bare base).

        Raises:
            ModelFileError: not a LoRA, or one for another kind of base model.
        """
        if path != self._path or (path is not None and _state(path) != self._state):
            self._take_off()
            if path is not None:
                self._put_on(path)
        if path is not None and scale != self._scale:
            self._pipeline.set_adapters([ADAPTER], [scale])
            self._scale = scale
            if self._speaks:
                self._prompts.forget()

    def _take_off(self) -> None:
        if self._path is None:
            return
        self._pipeline.unload_lora_weights()
        if self._speaks:
            self._prompts.forget()
        self._path, self._scale, self._speaks = None, 1.0, False

    def _put_on(self, path: Path) -> None:
        tensors = read_lora(path, self._pipeline)
        self._speaks = any(key.startswith("text_encoder") for key in tensors)
        try:
            self._pipeline.load_lora_weights(
                str(path), adapter_name=ADAPTER, use_safetensors=True, local_files_only=True
            )
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            self._pipeline.unload_lora_weights()
            raise ModelFileError(_wrong_base(path, str(error).strip().splitlines()[0])) from error
        if self._speaks:
            self._prompts.forget()
        self._path, self._scale, self._state = path, 1.0, _state(path)


def _state(path: Path) -> tuple[int, int] | None:
    """Changes when the file does: a path may be written anew between two uses."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def read_lora(path: Path, pipeline: Any) -> dict[str, Any]:
    """The tensors of a LoRA file under diffusers names, checked against the pipeline's denoiser.

    Raises:
        ModelFileError: missing, unreadable, no LoRA, or layers that the denoiser does not have in that size.
    """
    from diffusers.utils import convert_unet_state_dict_to_peft

    if not path.is_file():
        raise ModelFileError(f"No LoRA at {path}. Correct the path.")
    if path.suffix != ".safetensors":
        raise ModelFileError(
            f"{path}: LoRAs are read as .safetensors only, because other formats can run code when loaded."
        )
    try:
        tensors, _ = pipeline.lora_state_dict(
            str(path), unet_config=pipeline.unet.config, use_safetensors=True, local_files_only=True
        )
    except (OSError, SafetensorError) as error:
        raise ModelFileError(
            f"{path} is damaged or not a safetensors file ({error}). Take it from its source again."
        ) from error
    except (ValueError, KeyError, IndexError) as error:
        raise ModelFileError(_wrong_base(path, str(error).strip().splitlines()[0])) from error
    found: dict[str, Any] = dict(tensors)
    if not any("lora" in key for key in found):
        raise ModelFileError(f"{path} holds no LoRA weights. Give a LoRA in diffusers or kohya form.")
    denoiser = {key.removeprefix("unet."): value for key, value in found.items() if key.startswith("unet.")}
    if denoiser and "lora_A" not in next(iter(denoiser)):
        denoiser = convert_unet_state_dict_to_peft(denoiser)
    for key, value in denoiser.items():
        if key.endswith("lora_A.weight"):
            _check_layer(path, key.removesuffix(".lora_A.weight"), value, pipeline.unet)
    return found


def _check_layer(path: Path, name: str, down: Any, unet: Any) -> None:
    try:
        layer = unet.get_submodule(name)
    except AttributeError:
        raise ModelFileError(_wrong_base(path, f"this base has no layer {name}")) from None
    weight = getattr(layer, "base_layer", layer).weight
    if weight.shape[1] != down.shape[1]:
        raise ModelFileError(
            _wrong_base(path, f"{name} takes {weight.shape[1]} channels here, {down.shape[1]} in the file")
        )


def _wrong_base(path: Path, why: str) -> str:
    return (
        f"{path} does not fit this base model: {why}. Use the base model that the LoRA was trained on, or another LoRA."
    )
