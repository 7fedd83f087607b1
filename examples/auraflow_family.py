"""A family of base models in one file: AuraFlow 0.3, which this program does not ship.

Name it in the configuration, ``"analysis": {"plugins": ["auraflow_family.py"]}``, and set ``"base_model"`` to the
model's folder: training, generating and all checks know it. A family inside the package is the same, as ``FAMILY`` in a
file of ``twinloop/families/``.
"""

from __future__ import annotations

from typing import Any

from twinloop.families import Family, Preset, parts, register_family
from twinloop.families.base import SingleFile
from twinloop.families.lora_names import LoraNames
from twinloop.families.losses import FlowLoss
from twinloop.ports import GenerationSettings, TrainingSettings


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """One text under the names of the pipeline's own arguments; the first axis of each tensor is 1."""
    words, mask, _, _ = pipeline.encode_prompt(prompt=text, do_classifier_free_guidance=False, device=device)
    return {"prompt_embeds": words, "prompt_attention_mask": mask}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """The denoiser's call as the pipeline makes it in its loop; times come as the scheduler counts them, 0..1000."""
    return model(latents, encoder_hidden_states=words["prompt_embeds"], timestep=times / 1000, return_dict=False)[0]


register_family(
    Family(
        name="auraflow",
        pipeline="AuraFlowPipeline",
        image_pipeline="",
        reference="fal/AuraFlow-v0.3",
        targets=(
            "attn.to_q",
            "attn.to_k",
            "attn.to_v",
            "attn.to_out.0",
            "attn.add_q_proj",
            "attn.add_k_proj",
            "attn.add_v_proj",
            "attn.to_add_out",
        ),
        architecture="auraflow-v0-3",
        base_version="auraflow",
        licence="AuraFlow: Apache-2.0.",
        encode=encode,
        denoise=denoise,
        to_latents=parts.scaled,
        to_raw=parts.raw_of,
        loss=FlowLoss(),
        # kohya's names run the words of a path together; of those with a "_" only this one is AuraFlow's own
        lora_names=LoraNames(words=("joint_transformer_blocks",)),
        single_file=SingleFile(
            whole=False, model="AuraFlowTransformer2DModel", marks=(("double_layers.0.attn.w2q.weight",),)
        ),
        presets={
            "auraflow": Preset(
                GenerationSettings(steps=50, guidance=3.5, width=1024, height=1024, batch_size=1),
                TrainingSettings(
                    preset="auraflow",
                    steps=1500,
                    rank=16,
                    alpha=16.0,
                    learning_rate=1e-4,
                    batch_size=1,
                    resolution=1024,
                    seed=0,
                    warmup_steps=50,
                    min_snr_gamma=0.0,
                ),
                repeats=10,
                hints=("auraflow",),
            ),
        },
    )
)
