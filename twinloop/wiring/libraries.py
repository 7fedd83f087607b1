"""Which libraries of extras the settings need, and which of them are not installed: told before anything is imported,
measured or loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

from twinloop.config import Settings
from twinloop.domain.choices import FAKE
from twinloop.domain.extras import GGUF_MODULE, OPTIMIZER_MODULES, QUANTIZATION_MODULES
from twinloop.errors import MissingExtra
from twinloop.wiring.extras import missing_of


def missing_libraries(settings: Settings) -> list[MissingExtra]:
    """One error per extra that what the settings ask for needs and that is not there."""
    found = (missing_of(what, extra, modules) for what, extra, modules in _needed(settings))
    return [error for error in found if error is not None]


def check_libraries(settings: Settings) -> None:
    """Raises MissingExtra: one error for all that is not there."""
    if missing := missing_libraries(settings):
        raise MissingExtra.of(missing)


def _needed(settings: Settings) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(what for, extra, modules), as `missing_of` takes them."""
    if settings.base_model == FAKE:
        return
    training = settings.training
    yield "Generating images and training", "train", ()
    if settings.quantization is not None:
        yield f'"quantization": "{settings.quantization}"', "quant", (QUANTIZATION_MODULES[settings.quantization],)
    if settings.base_model.lower().endswith(".gguf"):
        yield f"base_model: {settings.base_model}", "quant", (GGUF_MODULE,)
    if training.trainer != "builtin":
        return
    if training.wandb:
        yield "training.wandb", "wandb", ("wandb",)
    module, extra = OPTIMIZER_MODULES.get(training.optimizer, ("", ""))
    if module and extra != "optimizers-gpu":  # whether there is a card for it is asked first
        yield f"training.optimizer '{training.optimizer}'", extra, (module,)
