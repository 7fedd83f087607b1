"""Finding a base model on this machine: a diffusers folder, a single file, or a hub id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.file_sizes import check_configuration, check_kind, reference_of
from twinloop.adapters.diffusion.hub_cache import hub_folder, in_cache, lacking_parts, reference_folder
from twinloop.adapters.diffusion.hub_files import BORROWED, CONDITIONER, TEXTS
from twinloop.adapters.diffusion.model_folder import check_encoders, check_folder, check_tokenizers, without_weights
from twinloop.adapters.diffusion.part_files import Parts, check_kinds, check_parts, whole_parts
from twinloop.adapters.diffusion.weight_files import check_gguf, pickled, whole_header
from twinloop.errors import InputError, MissingModel, ModelFileError
from twinloop.families.base import Family
from twinloop.families.gguf_files import SUFFIX
from twinloop.families.recognise import index_of, kind_of_folder
from twinloop.families.scaled_weights import is_scaled_file
from twinloop.store.remembered_hash import remembered_sha256

_SAMPLE = 1 << 20


@dataclass(frozen=True)
class BaseFiles:
    """A base model on disk.

    Attributes:
        path: a diffusers folder, one ``.safetensors`` file, or a denoiser as ``.gguf``.
        config: for a single file, the diffusers folder that holds its configuration and tokenizers.
        borrows: the single file is a denoiser alone, and ``config`` also gives its text encoders and autoencoder.
        parts: text encoders and autoencoder that come from files of their own instead.
    """

    path: Path
    config: Path | None = None
    borrows: bool = False
    parts: Parts = ()

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    @property
    def is_gguf(self) -> bool:
        return not self.is_folder and self.path.suffix == SUFFIX

    @property
    def is_scaled(self) -> bool:
        """Whether it is one file whose weights have 8 bits and factors beside them."""
        return not self.is_folder and not self.is_gguf and is_scaled_file(self.path)

    @property
    def home(self) -> Path:
        """The diffusers folder with configuration, tokenizers and processors."""
        return self.path if self.config is None else self.config

    @property
    def kind(self) -> str:
        """The pipeline that the folder names; "" = none that can be read."""
        return kind_of_folder(self.home)

    def fingerprint(self) -> str:
        """16 hex digits: of size, first and last MiB of each file that the model is made of, and of all of those that
        hold one part.
        """
        digest = hashlib.sha256()
        for name, path in self.parts:
            digest.update(f"base_parts.{name}\0{remembered_sha256(path)}".encode())
        for name, path in self._parts():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(_ends(path))
        return digest.hexdigest()[:16]

    def _parts(self) -> Iterator[tuple[str, Path]]:
        """The files that the model is made of, each with its name in its folder; those of a hub's folder that nobody
        reads are none.
        """
        if self.is_folder:
            wanted = (*TEXTS, "*.safetensors", f"*{SUFFIX}")
        else:
            yield self.path.name, self.path
            wanted = (*TEXTS, *((*BORROWED, CONDITIONER) if self.borrows else ()))
        replaced = {name for name, _ in self.parts}
        for path in sorted({path for pattern in wanted for path in self.home.rglob(pattern) if path.is_file()}):
            name = path.relative_to(self.home)
            if path.suffix != ".safetensors" or name.parts[0] not in replaced:
                yield name.as_posix(), path


def _ends(path: Path) -> bytes:
    with open(path, "rb") as file:
        first = file.read(_SAMPLE)
        file.seek(max(0, path.stat().st_size - _SAMPLE))
        return first + file.read(_SAMPLE)


def find_base(choice: BaseChoice, family: Family) -> BaseFiles:
    """Where a base model lies.

    Raises:
        MissingModel: not here, and downloading is not allowed or failed.
        InputError: a pipeline of another kind than the family's; a single file of another family, or one whose
            configuration is not known; a file of a part that does not belong to it.
        ModelFileError: not a diffusers folder, weights that are pickles only, or a text encoder is missing.
    """
    parts = whole_parts(choice.parts)
    path = Path(choice.base).expanduser()
    if path.is_file():
        found = _single_file(path, family, choice)
    else:
        if not path.is_dir():
            path = hub_folder(choice, family)
        check_folder(path, choice.base, family, choice.part_names, half=choice.half)
        found = BaseFiles(path)
    check_parts(parts, found.home, family)
    check_tokenizers(found.home, choice.base, family, choice.part_names)
    return replace(found, parts=parts)


def check_given(choice: BaseChoice, family: Family) -> None:
    """Whether the files of parts are whole, and what the base's configuration asks for as far as that is here. The base
    itself is not looked at.

    Raises:
        MissingModel, InputError, ModelFileError: as `find_base`.
    """
    parts = whole_parts(choice.parts)
    folder = _configuration_here(choice, family) if parts else None
    if folder is None:
        check_kinds(parts)
    else:
        check_parts(parts, folder, family)


def _configuration_here(choice: BaseChoice, family: Family) -> Path | None:
    """A diffusers folder with the base's configuration; None = there is none here."""
    path = Path(choice.base).expanduser()
    folder: Path | None = path
    if path.is_file():
        folder = path.with_suffix("")
        if not index_of(folder).is_file():
            try:
                folder = in_cache(reference_of(path, whole_header(path), family))
            except (InputError, ModelFileError):  # of a format or size that only the other program knows
                return None
    elif not path.is_dir():
        folder = in_cache(choice.base)
    return folder if folder is not None and index_of(folder).is_file() else None


def _single_file(path: Path, family: Family, choice: BaseChoice) -> BaseFiles:
    """A single file with its configuration: a folder of the same name beside it, or that of the model of the family
    which it is.

    The configuration is looked for here, because diffusers downloads a missing one without being asked.
    """
    if path.suffix == SUFFIX:
        check_gguf(path, family)
    elif path.suffix != ".safetensors":
        raise pickled(path)
    header = whole_header(path)
    check_kind(path, header, family)
    beside, borrows = path.with_suffix(""), not family.single_file.whole
    carried = family.single_file.carried(header.shapes)
    lacking = lacking_parts(family, choice, carried)
    if index_of(beside).is_file():
        if borrows:
            check_encoders(beside, str(beside), family, choice.part_names)
        check_configuration(path, header, family, beside)
        _check_weights(path, beside, lacking)
        return BaseFiles(path, beside, borrows)
    reference = reference_of(path, header, family)
    try:
        folder = reference_folder(family, reference, choice, carried)
    except MissingModel as error:
        raise type(error)(
            f"base_model: {path.name} is a single file; {_rest(choice, lacking)} from {reference} or from a diffusers"
            f" folder at {beside}. {error}"
        ) from error
    check_configuration(path, header, family, folder)
    return BaseFiles(path, folder, borrows)


def _check_weights(path: Path, beside: Path, borrowed: tuple[str, ...]) -> None:
    """Raises MissingModel where a folder beside a denoiser lacks weights of the parts that come from it."""
    if lacking := without_weights(beside, borrowed):
        fields = " and ".join(f"base_parts.{name}" for name in lacking)
        raise MissingModel(
            f"base_model: {path.name} is a denoiser alone, and {beside} beside it holds no weights (.safetensors) of"
            f" {' and '.join(lacking)}. Put them there, or name their files: {fields}."
        )


def _rest(choice: BaseChoice, lacking: tuple[str, ...]) -> str:
    """What comes from elsewhere, with its verb."""
    if not lacking:
        return "its configuration and tokenizers come"
    weights = ", ".join(lacking) if choice.parts else "text encoders, autoencoder"
    return f"{weights} and configuration come"
