"""BLIP and Florence-2 through transformers: models that describe a picture in a sentence.

Weights as safetensors only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from PIL import Image

from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.domain.captions import Description, one_line
from twinloop.domain.faces import ImageArray
from twinloop.errors import MissingModel, ModelFileError, OutOfMemory

PATTERNS = ("*.json", "*.txt", "*.safetensors", "*.model")
_EDGE = 1 << 16
T = TypeVar("T")


@dataclass(frozen=True)
class CaptionerKind:
    """How one kind of model is asked.

    Attributes:
        name: as on the command line. model, processor: classes of transformers. known: a hub id to try.
        prompt: what the processor is given beside the picture. most_tokens: of the answer.
    """

    name: str
    model: str
    processor: str
    known: str
    prompt: Mapping[str, str]
    most_tokens: int


BLIP = CaptionerKind(
    "blip", "BlipForConditionalGeneration", "BlipProcessor", "Salesforce/blip-image-captioning-base", {}, 40
)
FLORENCE2 = CaptionerKind(
    "florence2",
    "Florence2ForConditionalGeneration",
    "Florence2Processor",
    "florence-community/Florence-2-base",
    {"text": "<DETAILED_CAPTION>"},
    120,
)


class SentenceCaptioner:
    """A model of one kind.

    Its files are found at once, loaded with the first picture. Greedy decoding: the same words every time.

    Args:
        model: a folder, or a hub id that is in the cache. allow_download: fetch the hub id when it is not.

    Raises:
        MissingModel: not on this machine. ModelFileError: no weights as safetensors, or (with the first picture)
            another kind of model.
    """

    def __init__(self, kind: CaptionerKind, model: str, allow_download: bool, device: str) -> None:
        self._kind = kind
        self._folder = find_model(kind, model, allow_download)
        self._source = model
        self._device = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        if not list(self._folder.glob("*.safetensors")):
            raise ModelFileError(
                f"{model}: holds no weights as .safetensors, and others are not loaded. Take a conversion of the model,"
                f" such as {kind.known}."
            )

    @cached_property
    def fingerprint(self) -> str:
        """Of the model's files, its tokenizer's among them, and of how it is asked."""
        asked = json.dumps([transformers.__version__, dict(self._kind.prompt), self._kind.most_tokens])
        digest = hashlib.sha256(asked.encode())
        for path in sorted({path for pattern in PATTERNS for path in self._folder.glob(pattern)}):
            digest.update(f"{path.name} {path.stat().st_size} ".encode() + _ends(path))
        return f"{self._kind.name}-2:{digest.hexdigest()[:12]}"

    def caption(self, image: ImageArray) -> Description:
        """The model's sentence, special tokens left out."""
        processor, model = self._loaded

        def say() -> str:
            inputs = processor(images=Image.fromarray(image), return_tensors="pt", **self._kind.prompt).to(self._device)
            with torch.inference_mode():
                tokens = model.generate(**inputs, max_new_tokens=self._kind.most_tokens, do_sample=False, num_beams=1)
            return str(processor.batch_decode(tokens, skip_special_tokens=True)[0])

        told = self._quietly(say, f"{self._source}: fails on a picture; its files do not belong together")
        return Description(text=one_line(told))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        def load() -> tuple[Any, Any]:
            # untold, transformers asks at the terminal whether to run code that lies in the folder
            processor = getattr(transformers, self._kind.processor).from_pretrained(
                self._folder, local_files_only=True, trust_remote_code=False
            )
            model = getattr(transformers, self._kind.model).from_pretrained(
                self._folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
            return processor, model.to(self._device).eval()

        return self._quietly(
            load, f"{self._source}: not a {self._kind.name} model that transformers {transformers.__version__} can load"
        )

    def _quietly(self, work: Callable[[], T], problem: str) -> T:
        """Work without transformers' talk about image back ends and its bars; its complaints become one."""
        before, bars = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            return work()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
            if ran_out_of_memory(error):
                otherwise = "a smaller model" if self._device == "cpu" else "--device cpu or a smaller model"
                raise OutOfMemory(
                    f"{self._source} does not fit into the memory of {self._device}. Close other programs that use it,"
                    f" or caption with {otherwise}."
                ) from error
            raise ModelFileError(
                f"{problem} ({str(error).splitlines()[0][:160] if str(error) else type(error).__name__})"
            ) from error
        finally:
            transformers.logging.set_verbosity(before)
            if bars:
                transformers.logging.enable_progress_bar()


def find_model(kind: CaptionerKind, model: str, allow_download: bool) -> Path:
    """The folder of a model.

    Raises:
        MissingModel: not there, and not fetched.
    """
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, local_files_only=not allow_download, allow_patterns=list(PATTERNS)))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
        if allow_download:
            raise MissingModel(
                f"{model} could not be fetched from the hub ({str(error).splitlines()[0][:160]}). Name a folder with"
                " --captioner-model."
            ) from error
        raise MissingModel(
            f"No {kind.name} model at {model}: it is no folder, and not in the hub's cache. Name a folder with"
            f" --captioner-model, or allow fetching it with --allow-download (for instance {kind.known})."
        ) from error


def _ends(path: Path) -> bytes:
    with open(path, "rb") as file:
        head = file.read(_EDGE)
        file.seek(max(0, path.stat().st_size - _EDGE))
        return hashlib.sha256(head + file.read()).digest()
