"""A base model with a LoRA or LoKr in training on its denoiser, and with a LoRA on its text encoders where that is
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.integrations import dequantize_module_weight
from torch import Tensor, nn

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.loras.lokr_writing import LokrWeights
from twinloop.adapters.diffusion.loras.writing import LoraWeights
from twinloop.adapters.diffusion.prompts import WORDS_NDIM, Joined
from twinloop.adapters.trainers.lora.adapter_plan import ADAPTER, AdapterPlan
from twinloop.adapters.trainers.lora.dropout import Thinning
from twinloop.adapters.trainers.lora.lokr import bound, lokr_weights, starts_at_zero
from twinloop.adapters.trainers.lora.max_norm import limit_norm
from twinloop.adapters.trainers.lora.text_encoders import TextEncoders, adapted_encoders, with_clip_prefix
from twinloop.domain.shots import derive_seed
from twinloop.loras.components import DENOISER

MAGNITUDE = "lora_magnitude_vector"
"""What PEFT calls the lengths of the rows of weights, which a DoRA learns beside their directions."""

AMPLE_GPU = 32 << 30
"""Bytes from which a GPU keeps all activations; a smaller one recomputes them in the backward pass, a third slower."""


def is_small(compute: Compute) -> bool:
    """Whether this is a GPU of less than `AMPLE_GPU`."""
    return compute.device.type == "cuda" and torch.cuda.mem_get_info()[1] < AMPLE_GPU


@contextmanager
def adapted(
    base: BaseModel, plan: AdapterPlan, seed: int, *, checkpointing: bool | None = None
) -> Iterator[AdaptedModel]:
    """The base model with a fresh LoRA, DoRA or LoKr; afterwards the base is as it was.

    Args:
        seed: of the matrices that start at random.
        checkpointing: recompute activations in the backward pass; None = on a GPU of less than `AMPLE_GPU`.

    Raises:
        InputError: the denoiser has none of the target layers, or the family no text encoder that can be trained.
    """
    base.lora.use(None)
    model = base.denoiser
    recompute = is_small(base.compute) if checkpointing is None else checkpointing
    try:
        plan.put_on(model)
        with adapted_encoders(base, plan) if plan.text_encoder else nullcontext() as encoders:
            adapted_model = AdaptedModel(base, plan, seed, encoders)
            adapted_model.recompute(recompute)
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
    """

    def __init__(self, base: BaseModel, plan: AdapterPlan, seed: int, encoders: TextEncoders | None = None) -> None:
        self._base, self._plan, self._encoders = base, plan, encoders
        self._recomputes = False
        self.parameters: dict[str, nn.Parameter] = {}
        for prefix, model in self._models():
            for name, parameter in model.named_parameters():
                if ADAPTER not in name.split("."):
                    parameter.requires_grad_(False)
                    continue
                # PEFT makes it where the layer's weights are, and these may wait in main memory
                parameter.data = parameter.data.to(base.compute.device, torch.float32)
                parameter.requires_grad_(True)
                self.parameters[prefix + name.replace(f".{ADAPTER}.weight", "").replace(f".{ADAPTER}", "")] = parameter
        self._initialise(seed)
        self._thinning = Thinning(plan.dropout, self._downs(), self._of_encoders) if plan.dropout else None

    def _models(self) -> Iterator[tuple[str, Any]]:
        """Each adapted model with what its parameters' names begin with here."""
        yield "", self._base.denoiser
        for name, model in self._encoders.models.items() if self._encoders is not None else ():
            yield f"{name}.", model

    def _layer(self, name: str) -> nn.Module:
        """The layer of that name here."""
        prefix, model = next(
            (prefix, model) for prefix, model in reversed(list(self._models())) if name.startswith(prefix)
        )
        found: nn.Module = model.get_submodule(name.removeprefix(prefix))
        return found

    def _downs(self) -> dict[str, nn.Module]:
        """What makes the numbers between the two matrices of a LoRA, by the layer's name."""
        names = [name.removesuffix(".lora_A") for name in self.parameters if name.endswith(".lora_A")]
        return {name: self._layer(name).get_submodule(f"lora_A.{ADAPTER}") for name in names}

    def _of_encoders(self, name: str) -> bool:
        """Whether a layer or parameter of that name here belongs to a text encoder."""
        return name.startswith(tuple(prefix for prefix, _ in self._models() if prefix))

    @property
    def encoder_parameters(self) -> frozenset[str]:
        """Names of the parameters that belong to text encoders."""
        return frozenset(filter(self._of_encoders, self.parameters))

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
        for name, parameter in self.parameters.items():
            if name.endswith("lora_B") or starts_at_zero(name):
                parameter.zero_()
                continue
            if name.endswith(MAGNITUDE):
                layer = self._layer(name.removesuffix(f".{MAGNITUDE}"))
                parameter.copy_(_row_norms(layer, self._base.compute.device).view_as(parameter))
                continue
            limit = bound(parameter)
            generator = torch.Generator("cpu").manual_seed(derive_seed(seed, "lora", name))
            parameter.copy_(torch.rand(parameter.shape, generator=generator).mul_(2 * limit).sub_(limit))

    def scale_of(self, down: Tensor) -> float:
        """What the product of a pair is multiplied with, by its down matrix."""
        return self._plan.alpha_of(down) / len(down)

    def pairs(self) -> dict[tuple[str, str], tuple[nn.Parameter, nn.Parameter]]:
        """The down and the up matrices of a LoRA, by component (``denoiser``, ``text_encoder``...) and by the layer's
        path as files have it.
        """
        found, of_encoders = {}, self.encoder_parameters
        for name, down in self.parameters.items():
            if not name.endswith(".lora_A"):
                continue
            layer = name.removesuffix(".lora_A")
            encoder, _, path = layer.partition(".")
            place = (encoder, with_clip_prefix(path)) if name in of_encoders else (DENOISER, layer)
            found[place] = (down, self.parameters[f"{layer}.lora_B"])
        return found

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
        for (component, _), (down, up) in self.pairs().items():
            if component == DENOISER or encoders_learn:
                limit_norm(down, up, self.scale_of(down), longest)

    def weights(self, dtype: torch.dtype) -> LoraWeights | LokrWeights:
        """The LoRA or LoKr as it is now, by layer of the bare denoiser and of the bare text encoders."""
        if self._plan.lokr:
            return lokr_weights(self.parameters, self._plan.rank, self._plan.alpha, dtype)
        of_encoders = self.encoder_parameters
        own = {name: parameter for name, parameter in self.parameters.items() if name not in of_encoders}
        encoders = {
            prefix.removesuffix("."): self._weights(
                {
                    with_clip_prefix(name.removeprefix(prefix)): part
                    for name, part in self.parameters.items()
                    if name.startswith(prefix)
                },
                dtype,
            )
            for prefix, _ in self._models()
            if prefix
        }
        return replace(self._weights(own, dtype), encoders=encoders)

    def _weights(self, parameters: Mapping[str, nn.Parameter], dtype: torch.dtype) -> LoraWeights:
        layers, magnitudes = dict[str, tuple[Tensor, Tensor]](), dict[str, Tensor]()
        for name, parameter in parameters.items():
            if name.endswith(".lora_A"):
                layer = name.removesuffix(".lora_A")
                up = parameters[f"{layer}.lora_B"]
                layers[layer] = (parameter.detach().to("cpu", dtype), up.detach().to("cpu", dtype))
            elif name.endswith(f".{MAGNITUDE}"):
                # in full precision: a magnitude scales the whole layer, not a small change of it
                magnitudes[name.removesuffix(f".{MAGNITUDE}")] = parameter.detach().float().cpu()
        alphas = {layer: self._plan.alpha_of(down) for layer, (down, _) in layers.items()}
        own = {layer: alpha for layer, alpha in alphas.items() if alpha != self._plan.alpha}
        return LoraWeights(layers, self._plan.rank, self._plan.alpha, magnitudes, alphas=own)


def _row_norms(layer: Any, device: torch.device) -> Tensor:
    """(out,) Euclidean norm of each output's weights, of the bare layer, summed on the device."""
    weight: Tensor = dequantize_module_weight(layer.get_base_layer()).detach()
    return torch.as_tensor(torch.linalg.vector_norm(weight.to(device).float().flatten(1), dim=1))
