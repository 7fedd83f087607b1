"""Which files of a model on the hub are needed, and the command that fetches them and no others.

Repositories hold far more: single-file copies, other number types, pickles, ONNX, flax; of SDXL tens of gigabytes for
seven.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from twinloop.families.base import Family
from twinloop.system import shell

TEXTS = ("*.json", "*.txt")
"""Configuration and vocabularies."""
TOKENIZERS = "tokenizer*/*"
"""Some hold files with other ends, templates of chats for example."""
BORROWED = ("text_encoder/*.safetensors", "text_encoder_?/*.safetensors", "vae/*.safetensors")
"""What a denoiser alone lacks."""
CONDITIONER = "text_conditioner/*.safetensors"
"""What stands between text encoder and denoiser in some models; single files may hold it."""
HALF_WEIGHTS = "*/*.fp16.safetensors"
HALF = (*TEXTS, HALF_WEIGHTS)
"""A whole model whose weights are all there in half precision."""
WHOLE = (*TEXTS, TOKENIZERS, "*/*.safetensors")
"""Of a whole model what lies in its folders, not the single files at the top."""


@dataclass(frozen=True)
class HubFiles:
    """Files of one model, as patterns of the hub's library, in which ``*`` stands for ``/`` too."""

    name: str
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """A line for the shell."""
        asked = [f'--include "{pattern}"' for pattern in self.include]
        unwanted = [f'--exclude "{pattern}"' for pattern in self.exclude]
        return " ".join(["hf download", shell.quote(self.name), *asked, *unwanted])


def whole_model(name: str, family: Family, given: Collection[str], *, half: bool) -> HubFiles:
    """Of a model of the family, without the weights of parts that are given.

    Args:
        half: half-precision copies will do. They are asked for where it is known to have them, and no others.
    """
    twice = family.half_copies and name == family.reference
    if twice and half:
        return half_copies(name, given)
    copies = (HALF_WEIGHTS,) if twice else ()
    return HubFiles(name, (*WHOLE, *_tokenizers(family)), (*family.not_needed, *copies, *_weights(given)))


def half_copies(name: str, given: Collection[str]) -> HubFiles:
    """The half-precision copies of a model's weights, without those of parts that are given."""
    return HubFiles(name, HALF, _weights(given))


def rest_of_single_file(family: Family, reference: str, given: Collection[str]) -> HubFiles:
    """What a single file of the family lacks, of a model like it, but the weights of parts that are given or that the
    file holds.
    """
    if family.single_file.whole:
        return HubFiles(reference, TEXTS)
    rest = (name for name in family.single_file.carries if name not in given)
    wanted = (*TEXTS, TOKENIZERS, *_tokenizers(family), *BORROWED, *_weights(rest))
    replaced = (name for name in given if name not in family.single_file.carries)
    return HubFiles(reference, wanted, (*family.not_needed, *_weights(replaced)))


def _tokenizers(family: Family) -> tuple[str, ...]:
    return tuple(f"{name}/*" for name in family.tokenizers)


def _weights(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{name}/*.safetensors" for name in parts)


def licence_hint(name: str, family: Family) -> str:
    """What to do first where a model's page asks for it; "" where none of the family's pages is known to."""
    return f" {accept(name)}" if family.gated else ""


def accept(name: str) -> str:
    """How the licence of a model is accepted."""
    return (
        f"If its page asks for it, accept the licence there first (https://huggingface.co/{name}) and run `hf auth"
        " login` once."
    )
