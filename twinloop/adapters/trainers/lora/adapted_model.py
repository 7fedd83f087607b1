"""A base model with a LoRA or LoKr in training on its denoiser, and with a LoRA on its text encoders where that is
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.loras.dora_rows import RowNorms, both_norms, row_norms
from twinloop.adapters.diffusion.loras.lokr_writing import LokrWeights
from twinloop.adapters.diffusion.loras.writing import LoraWeights
from twinloop.adapters.diffusion.prompts import WORDS_NDIM, Joined
from twinloop.adapters.trainers.lora.adapter_plan import ADAPTER, AdapterPlan
from twinloop.adapters.trainers.lora.dropout import Thinning
from twinloop.adapters.trainers.lora.lokr import bound, lokr_weights, starts_at_zero
from twinloop.adapters.trainers.lora.max_norm import limit_norm
from twinloop.adapters.trainers.lora.text_encoders import TextEncoders, adapted_encoders, with_clip_prefix
from twinloop.domain.shots import derive_seed
from twinloop.loras.adapter import Place
from twinloop.loras.components import DENOISER

MAGNITUDE = "lora_magnitude_vector"
"""What PEFT calls the lengths of the rows of weights, which a DoRA learns beside their directions."""


@dataclass(frozen=True, eq=False)
class Pair:
    """What a LoRA learns of one layer.

    Attributes:
        name: of the layer, as in `AdaptedModel.parameters`. layer: PEFT's, which wraps the base's own.
        down: (rank, in), or (rank, in, k, k) of a convolution. up: (out, rank), or (out, rank, 1, 1).
        magnitude: of a DoRA. alpha: the product counts alpha / rank.
    """

    name: str
    layer: LoraLayer
    down: nn.Parameter
    up: nn.Parameter
    magnitude: nn.Parameter | None
    alpha: float

    @property
    def scale(self) -> float:
        """What the product is multiplied with."""
        return self.alpha / len(self.down)


@contextmanager
def adapted(base: BaseModel, plan: AdapterPlan, seed: int, *, checkpointing: bool = False) -> Iterator[AdaptedModel]:
    """The base model with a fresh LoRA, DoRA or LoKr; afterwards the base is as it was.

    Args:
        seed: of the matrices that start at random.
        checkpointing: recompute activations in the backward pass.

    Raises:
        InputError: the denoiser has none of the target layers, or the family no text encoder that can be trained.
    """
    base.lora.use(None)
    model = base.denoiser
    try:
        plan.put_on(model)
        with adapted_encoders(base, plan) if plan.text_encoder else nullcontext() as encoders:
            adapted_model = AdaptedModel(base, plan, seed, encoders)
            adapted_model.recompute(checkpointing)
            yield adapted_model
    finally:
        model.disable_gradient_checkpointing()
        model.unload_lora()
        model.requires_grad_(False)


class AdaptedModel:
    """A base model and the parameters of its LoRA, in float32; called, it is the denoiser.

    The down matrices start from (seed, layer), the up matrices at zero, the magnitudes of a DoRA at the norms of the
    base's own rows, so that the LoRA starts as no change. Of a LoKr the large matrix, or its second half, starts at
    zero.

    Attributes:
        parameters: by the layer's name in the denoiser; those of text encoders with the component's name before it.
        encoder_parameters: names of those of text encoders.
        pairs: of a LoRA or DoRA, by component and by the layer's path as files have it.
    """

    def __init__(self, base: BaseModel, plan: AdapterPlan, seed: int, encoders: TextEncoders | None = None) -> None:
        self._base, self._plan, self._encoders = base, plan, encoders
        self._recomputes = False
        models = {DENOISER: base.denoiser, **({} if encoders is None else encoders.models)}
        trained = {component: self._trained(component, model) for component, model in models.items()}
        self.parameters = {name: parameter for part in trained.values() for name, parameter in part.items()}
        self.encoder_parameters = frozenset(self.parameters) - trained[DENOISER].keys()
        self.pairs = {
            place: pair for component, model in models.items() for place, pair in self._pairs(component, model)
        }
        self._initialise(seed)
        self._thinning = self._thinned() if plan.dropout else None

    def _trained(self, component: str, model: nn.Module) -> dict[str, nn.Parameter]:
        """A model's parameters that are trained, on the training device; all others stay as they are."""
        found = {}
        for name, parameter in model.named_parameters():
            if ADAPTER not in name.split("."):
                parameter.requires_grad_(False)
                continue
            # PEFT makes it where the layer's weights are, and these may wait in main memory
            parameter.data = parameter.data.to(self._base.compute.device, torch.float32)
            parameter.requires_grad_(True)
            found[_named(component, name.replace(f".{ADAPTER}.weight", "").replace(f".{ADAPTER}", ""))] = parameter
        return found

    def _pairs(self, component: str, model: nn.Module) -> Iterator[tuple[Place, Pair]]:
        for path, layer in model.named_modules():
            if isinstance(layer, LoraLayer) and ADAPTER in layer.lora_A:
                lengths = layer.lora_magnitude_vector
                down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
                yield (
                    Place(component, path if component == DENOISER else with_clip_prefix(path)),
                    Pair(
                        _named(component, path),
                        layer,
                        down,
                        up,
                        lengths[ADAPTER].weight if ADAPTER in lengths else None,
                        self._plan.alpha_of(down),
                    ),
                )

    def _thinned(self) -> Thinning:
        downs = {pair.name: pair.layer.lora_A[ADAPTER] for pair in self.pairs.values()}
        of_encoders = {pair.name for place, pair in self.pairs.items() if place.component != DENOISER}
        return Thinning(self._plan.dropout, downs, of_encoders.__contains__)

    def thin(self, seed: int, step: int, places: Sequence[int]) -> None:
        """Which pictures of a step go through next, so that the same is left out of them in whatever micro-batches they
        come.
        """
        if self._thinning is not None:
            self._thinning.at(seed, step, places, self._base.compute.device)

    def whole(self) -> AbstractContextManager[None]:
        """Nothing of the LoRA is left out inside."""
        return nullcontext() if self._thinning is None else self._thinning.resting()

    def train_encoders(self, learning: bool) -> None:
        """Whether gradients reach the text encoders from now on."""
        if self._encoders is not None:
            self._encoders.learning = learning

    def recompute(self, wanted: bool) -> None:
        """Whether activations are computed again on the way back from now on (gradient
        checkpointing), instead of kept.
        """
        if wanted == self._recomputes:
            return
        model, self._recomputes = self._base.denoiser, wanted
        (model.enable_gradient_checkpointing if wanted else model.disable_gradient_checkpointing)()
        if self._encoders is not None:
            self._encoders.checkpointing = wanted

    def encode(self, texts: Sequence[str], cached: Joined) -> Joined:
        """The embeddings of these texts with the LoRA; ``cached``, those without it, where text encoders are not
        trained.
        """
        if self._thinning is not None and self._base.family.clip_alone:
            prompts = self._base.prompts
            words = next(part for part in cached.values() if part.ndim == WORDS_NDIM)
            self._thinning.reads([prompts.chunks(text) for text in texts], words.shape[1] // prompts.chunk_tokens)
        return cached if self._encoders is None else self._encoders.encode(texts, cached)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        lengths = {f"{pair.name}.{MAGNITUDE}": pair for pair in self.pairs.values()}
        for name, parameter in self.parameters.items():
            if name.endswith("lora_B") or starts_at_zero(name):
                parameter.zero_()
            elif name in lengths:
                norms = row_norms(lengths[name].layer, self._base.compute.device)
                parameter.copy_(norms.view_as(parameter))
            else:
                limit = bound(parameter)
                generator = torch.Generator("cpu").manual_seed(derive_seed(seed, "lora", name))
                parameter.copy_(torch.rand(parameter.shape, generator=generator).mul_(2 * limit).sub_(limit))

    def __call__(self, noisy: Tensor, times: Tensor, words: Joined, sizes: Tensor) -> Tensor:
        """(n, c, h, w) noisy latents, (n,) times, embedded texts, (n, 6) sizes -> (n, c, h, w) float32 prediction."""
        with self._base.compute.autocast():
            made: Any = self._base.family.denoise(self._base.denoiser, noisy, times, words, sizes)
        return torch.as_tensor(torch.stack(made) if isinstance(made, list) else made).float()

    @contextmanager
    def without_lora(self) -> Iterator[None]:
        """The denoiser as it is without the LoRA, inside; a training adapter stays where it is (`assistant_lora`)."""
        own = [
            layer
            for layer in self._base.denoiser.modules()
            if isinstance(layer, BaseTunerLayer) and ADAPTER in layer.active_adapters
        ]
        for layer in own:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in own:
                layer.enable_adapters(True)

    def fill_missing_gradients(self) -> None:
        """Zero for parameters that the loss does not reach: the text half of the last block of some transformers leads
        nowhere.

        Those of text encoders that learn no more keep none, so that optimizers leave them as they are.
        """
        frozen = self.encoder_parameters if self._encoders is not None and not self._encoders.learning else frozenset()
        for name, parameter in self.parameters.items():
            if parameter.grad is None and name not in frozen:
                parameter.grad = torch.zeros_like(parameter)

    def limit_norms(self, longest: float) -> None:
        """Shorten each pair of matrices whose product has a longer norm (`max_norm`); those of text encoders that learn
        no more stay as they are.
        """
        encoders_learn = self._encoders is not None and self._encoders.learning
        for place, pair in self.pairs.items():
            if place.component == DENOISER or encoders_learn:
                limit_norm(pair.down, pair.up, pair.scale, longest)

    def weights(self, dtype: torch.dtype) -> LoraWeights | LokrWeights:
        """The LoRA or LoKr as it is now, by layer of the bare denoiser and of the bare text encoders."""
        if self._plan.lokr:
            return lokr_weights(self.parameters, self._plan.rank, self._plan.alpha, dtype)
        encoders = [] if self._encoders is None else self._encoders.models
        own = self._weights(DENOISER, dtype)
        return replace(own, encoders={component: self._weights(component, dtype) for component in encoders})

    def _weights(self, component: str, dtype: torch.dtype) -> LoraWeights:
        pairs = {place.path: pair for place, pair in self.pairs.items() if place.component == component}
        return LoraWeights(
            {
                path: (pair.down.detach().to("cpu", dtype), pair.up.detach().to("cpu", dtype))
                for path, pair in pairs.items()
            },
            self._plan.rank,
            self._plan.alpha,
            # in full precision: a magnitude scales the whole layer, not a small change of it
            {path: pair.magnitude.detach().float().cpu() for path, pair in pairs.items() if pair.magnitude is not None},
            alphas={path: pair.alpha for path, pair in pairs.items() if pair.alpha != self._plan.alpha},
            norms=self._norms(component, pairs, dtype) if self._plan.dora else {},
        )

    def _norms(self, component: str, pairs: Mapping[str, Pair], dtype: torch.dtype) -> dict[str, RowNorms]:
        """As `LoraWeights.norms`, of the numbers as the file will have them."""
        device = self._base.compute.device
        norms = {
            path: both_norms(pair.layer, pair.down.detach().to(dtype), pair.up.detach().to(dtype), pair.scale, device)
            for path, pair in pairs.items()
        }
        groups = self._base.family.lora_names.groups(pairs).values() if component == DENOISER else []
        for partner in {part for parts in groups for part in parts} - pairs.keys():
            bare = row_norms(self._base.denoiser.get_submodule(partner), device).cpu()
            norms[partner] = RowNorms(bare, bare)
        return norms


def _named(component: str, name: str) -> str:
    """What a layer or parameter of a model is called in `AdaptedModel.parameters`."""
    return name if component == DENOISER else f"{component}.{name}"
