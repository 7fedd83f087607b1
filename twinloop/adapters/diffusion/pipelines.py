"""The class of a pipeline by its name.

Some models diffusers has as blocks only: steps that hand a state on (`ModularPipeline`). Those get the form that all
other pipelines have, on which a `BaseModel` counts: parts that are registered, and hooks that move them; a folder that
is opened; one call from embedded words to latents. The steps themselves are diffusers'.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
from diffusers import DiffusionPipeline, ModularPipeline
from diffusers.modular_pipelines import PipelineState
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from torch import Tensor, nn

from twinloop.adapters.diffusion.without_torchvision import complete
from twinloop.families.base import reads_prompts
from twinloop.families.recognise import index_in

FROM_TEXT, FROM_PHOTO = "text2image", "img2img"
"""diffusers' names of what blocks are put together for."""
_ENCODES, _DECODES = "text_encoder", "decode"


def pipeline_class(name: str) -> Any:
    """diffusers' pipeline of that name; of one that consists of blocks a class in the form of all others."""
    found = getattr(diffusers, name)
    return _with_blocks(found) if issubclass(found, ModularPipeline) else found


def is_of_blocks(name: str) -> bool:
    """Whether diffusers has the pipeline of that name as blocks only."""
    return issubclass(getattr(diffusers, name), ModularPipeline)


class BlockPipeline(DiffusionPipeline):  # type: ignore[misc]
    """A pipeline of blocks in the form of all others. `pipeline_class` makes the classes themselves, each of this one
    and of diffusers' own, from which it has what is particular: LoRAs, sizes.
    """

    guider: Any
    _at: torch.device | None = None
    _interrupt = False
    _num_timesteps = 0

    @classmethod
    def load_config(cls, folder: Any, **_: Any) -> dict[str, Any]:
        """The folder's index. That of blocks also says where each part was fetched from; here it lies in the folder."""
        return index_in(Path(folder))

    @property
    def num_timesteps(self) -> int:
        """Steps of the call that is under way."""
        return self._num_timesteps

    @property
    def _execution_device(self) -> torch.device:
        return self._at or super()._execution_device

    def encode_prompt(self, prompt: str, device: torch.device) -> Tensor:
        """One text as the denoiser takes it: (1, tokens, width)."""
        _, read = self._steps(FROM_TEXT)
        self._at, guided = device, self.guider
        self.guider = guided.new(enabled=False)  # else it has an empty negative prompt encoded, too
        try:
            return torch.as_tensor(self._run(read, {"prompt": prompt}).get("prompt_embeds"))
        finally:
            self._at, self.guider = None, guided

    @torch.no_grad()
    def __call__(
        self,
        image: Sequence[Any] | None = None,
        height: int | None = None,
        width: int | None = None,
        strength: float = 1.0,
        num_inference_steps: int = 50,
        guidance_scale: float = 1.0,
        generator: Any = None,
        output_type: Literal["latent"] = "latent",
        **words: Tensor,
    ) -> ImagePipelineOutput:
        """Latents from embedded words, whose names are those of the blocks' own inputs.

        Args:
            image: photos to start from, one for each text. strength: how much of them is drawn over.
        """
        negative = any(name.startswith("negative_") for name in words)
        self.guider = self.guider.new(guidance_scale=guidance_scale, enabled=negative)
        self._interrupt = False
        given = {
            **words, "height": height, "width": width, "num_inference_steps": num_inference_steps,
            "generator": generator,
        }  # fmt: skip
        from_photo = {} if image is None else {"image": list(image), "strength": strength}
        steps, _ = self._steps(FROM_PHOTO if from_photo else FROM_TEXT)
        state = self._run(steps, {**given, **from_photo})
        self.maybe_free_model_hooks()
        made: Any = state.get("latents")
        return ImagePipelineOutput(images=made)

    def _steps(self, what_for: str) -> tuple[list[Any], list[Any]]:
        """Those from embedded words to latents, and those that embed words: what reads or gives what comes out of the
        text encoder.
        """
        steps = self._blocks.get_workflow(what_for).sub_blocks
        read = {output.name for output in steps[_ENCODES].intermediate_outputs}
        drawing, reading = list[Any](), list[Any]()
        for name, step in steps.items():
            known = {param.name for param in (*step.inputs, *step.intermediate_outputs)}
            if not name.startswith(_DECODES):
                (drawing if read.isdisjoint(known) else reading).append(step)
        return drawing, reading

    def _run(self, steps: Sequence[Any], given: Mapping[str, Any]) -> PipelineState:
        state = PipelineState()
        for param in (param for step in steps for param in step.inputs if param.name):
            if param.name not in state.values:
                state.set(param.name, given.get(param.name, param.default), param.kwargs_type)
        for step in steps:
            if hasattr(step, "loop_step"):
                self._loop(step, state)
            else:
                step(self, state)
        return state

    def _loop(self, loop: Any, state: PipelineState) -> None:
        """As the block's own, which cannot be ended early."""
        inner = loop.get_block_state(state)
        self._num_timesteps = len(inner.timesteps)
        for number, time in enumerate(inner.timesteps):
            if self._interrupt:
                break
            _, inner = loop.loop_step(self, inner, i=number, t=time)
        loop.set_block_state(state, inner)


@cache
def _with_blocks(kind: Any) -> Any:
    specs = getattr(diffusers, kind.default_blocks_name)().expected_components
    loaded = [spec for spec in specs if spec.default_creation_method == "from_pretrained"]
    models = [spec.name for spec in loaded if issubclass(spec.type_hint, nn.Module)]
    for spec in loaded:
        complete(spec.type_hint)
    return type(
        kind.__name__,
        (BlockPipeline, kind),
        {
            "__init__": _constructor(kind, [spec.name for spec in loaded]),
            "model_cpu_offload_seq": "->".join(sorted(models, key=_turn)),
        },
    )


def _turn(name: str) -> int:
    """When a part is used: texts first, pixels last."""
    return 0 if name == _ENCODES else 1 if reads_prompts(name) else 3 if name == "vae" else 2


def _constructor(kind: Any, names: Sequence[str]) -> Callable[..., None]:
    """diffusers reads off a constructor's signature which parts a pipeline has."""

    def init(self: Any, **parts: Any) -> None:
        # not the base classes' own: that of blocks would look for parts itself
        self._blocks = getattr(diffusers, kind.default_blocks_name)()
        self.register_modules(**parts)
        for spec in self._blocks.expected_components:
            if spec.default_creation_method == "from_config":
                setattr(self, spec.name, spec.create())

    parameters = [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names),
    ]
    init.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return init
