"""The models folder as a shelf: what is known and there, files brought in offline, files fetched, everything hashed
again.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from twinloop.domain.known_models import KNOWN_MODELS, KnownModel, by_hash, by_name
from twinloop.domain.model_roles import TAGGER_FILES, Role, role_at, role_of
from twinloop.errors import InputError, ModelFileError, TwinLoopError, UnsafeModelFile
from twinloop.pickles import Policy
from twinloop.pickles.inspection import Safety
from twinloop.ports import Reporter
from twinloop.stages.model_files.check import complaint, is_pickled, verdict
from twinloop.stages.model_files.inspect import ENDINGS
from twinloop.store.atomic import sha256_file
from twinloop.store.download import Wanted, download
from twinloop.store.models.folder import model_paths
from twinloop.store.models.shelf import bring, record, recorded


class Condition(StrEnum):
    """KNOWN: the very file.

    OWN: another one that some detector reads, unchanged as far as is recorded. CHANGED: not what it was brought as, or
    not what its name promises. BROKEN, DANGEROUS: not to be used. NAMELESS: no detector goes by its name. MISSING:
    known, not there."""

    KNOWN = "known"
    OWN = "own"
    CHANGED = "changed"
    BROKEN = "broken"
    DANGEROUS = "dangerous"
    NAMELESS = "not recognised"
    MISSING = "missing"


BAD = frozenset({Condition.CHANGED, Condition.BROKEN, Condition.DANGEROUS})


@dataclass(frozen=True)
class Item:
    """One file of the shelf.

    Attributes:
        path: None when it is not there. sha256, size: of what lies there; of what is known when it is missing. A file
            that cannot be known by its size and name is hashed only with the gate; "" otherwise.
        known: what its content is known as. detail: what is wrong and what to do; "" when nothing is.
    """

    name: str
    condition: Condition
    path: Path | None
    sha256: str
    size: int
    known: KnownModel | None = None
    detail: str = ""


@dataclass(frozen=True)
class Brought:
    """What became of one file. target: where it lies now; None when it was refused, ``problem`` says why. fresh: it was
    not there before.
    """

    source: str
    target: Path | None
    known: KnownModel | None = None
    fresh: bool = False
    problem: str = ""


def survey(folder: Path, gate: bool, known: Sequence[KnownModel] = KNOWN_MODELS) -> Iterator[Item]:
    """Every model file of a folder, then the known ones that are not there.

    Args:
        gate: hash every file, and read every pickle for what it would do.

    Raises:
        StateError: the folder's record is damaged.
    """
    there: set[str] = set()
    remembered = recorded(folder)
    for path in model_paths(folder, ENDINGS) if folder.is_dir() else ():
        item = _examine(path, remembered.get(path.name), gate, known)
        there.add(item.known.sha256 if item.known is not None else "")
        yield item
    for model in known:
        if model.sha256 not in there:
            yield Item(model.name, Condition.MISSING, None, model.sha256, model.size, model)


def _examine(path: Path, remembered: str | None, gate: bool, known: Sequence[KnownModel]) -> Item:
    promised = by_name(path.name, known)
    try:
        size = path.stat().st_size
        worth = gate or remembered or promised or any(model.size == size for model in known)  # base models are large
        digest = sha256_file(path) if worth else ""
    except OSError as error:
        return Item(path.name, Condition.BROKEN, path, "", 0, None, f"cannot be read ({error.strerror or error})")
    found = by_hash(digest, known)
    condition, detail = Condition.KNOWN, ""
    if found is None:
        condition, detail = _unknown_content(path, digest, remembered, promised, gate)
    return Item(path.name, condition, path, digest, size, found, detail)


def _unknown_content(
    path: Path, digest: str, remembered: str | None, promised: KnownModel | None, gate: bool
) -> tuple[Condition, str]:
    if problem := complaint(path):
        return Condition.BROKEN, problem
    if gate and is_pickled(path):
        safety, why = verdict(path, Policy())
        if safety is not Safety.SAFE:
            return _OF_PICKLES.get(safety, Condition.BROKEN), why
    if remembered is not None and remembered != digest:
        return Condition.CHANGED, f"was brought as sha256 {remembered[:12]}, is now {digest[:12]}. Bring it again"
    if promised is not None and remembered is None:
        return Condition.CHANGED, f"another file than the known {promised.name} (sha256 {promised.sha256[:12]})"
    return (Condition.OWN if role_at(path) is not None else Condition.NAMELESS), ""


_OF_PICKLES = {Safety.DANGEROUS: Condition.DANGEROUS, Safety.UNKNOWN: Condition.OWN}
"""The others that are not safe are broken."""
TAGGER_HOME = "wd14"
"""Where a tagger and its table go, whose names say nothing."""


def candidates(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are, folders searched for model files.

    Raises:
        InputError: nothing there.
    """
    for path in paths:
        if path.is_dir():
            found = model_paths(path, ENDINGS)
            if not found:
                raise InputError(f"No model files in {path}.")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise InputError(f"{path}: no such file.")


def add(
    source: Path, folder: Path, policy: Policy, name: str | None = None, known: Sequence[KnownModel] = KNOWN_MODELS
) -> Brought:
    """Bring one file in.

    A known one gets its name; pickles pass the gate first. What is wrong with it is in the answer.
    """
    try:
        digest = sha256_file(source)
        found = by_hash(digest, known)
        if found is None and name is None and role_at(source) is Role.TAGGER:
            return _add_tagger(source, folder, digest)
        target = folder / (name or (found.name if found is not None else source.name))
        if found is None:
            _check(source, target.name, policy, known)
        fresh = bring(source, target, digest)
        record(folder, target.name, digest)
    except OSError as error:
        return Brought(str(source), None, problem=f"cannot be read ({error.strerror or error})")
    except TwinLoopError as error:
        return Brought(str(source), None, problem=str(error))
    return Brought(str(source), target, found, fresh)


def _add_tagger(source: Path, folder: Path, digest: str) -> Brought:
    """The network with its table, in a folder of their own."""
    if problem := complaint(source):
        raise ModelFileError(f"{problem}.")
    model, table = (folder / TAGGER_HOME / name for name in TAGGER_FILES)
    tags = source.with_name(table.name)
    bring(tags, table, sha256_file(tags))
    fresh = bring(source, model, digest)
    record(folder, model.name, digest)
    return Brought(str(source), model, fresh=fresh)


def _check(source: Path, name: str, policy: Policy, known: Sequence[KnownModel]) -> None:
    """Raises what speaks against a file whose content is not known."""
    if problem := complaint(source):
        raise ModelFileError(f"{problem}.")
    if is_pickled(source):
        safety, why = verdict(source, policy)
        if safety is Safety.DANGEROUS:
            raise UnsafeModelFile(f"{why}.")
        if safety is Safety.UNKNOWN:
            raise ModelFileError(f"{why}. If you trust whoever made it, give --allow MODULE.CLASS for each.")
        if safety is not Safety.SAFE:
            raise ModelFileError(f"{why}.")
    if (promised := by_name(name, known)) is not None:
        raise ModelFileError(
            f"called {promised.name}, but not that file (its sha256 differs): damaged, or another version. Download it"
            " again, or give it another name with --as."
        )
    if role_of(name) is None:
        raise InputError(
            "no detector goes by this name. Give it one with --as, such as hand_yolov8n.pt, eyes_yolov8n.pt,"
            " yolov5l-face.pt."
        )


def chosen(names: Sequence[str], known: Sequence[KnownModel] = KNOWN_MODELS) -> list[KnownModel]:
    """Known files by their names, or all of a pack that can be fetched by the pack's name.

    Raises:
        InputError: an unknown name, or a file that has no address; says what to do instead.
    """
    packs = {model.pack for model in known}
    wanted: list[KnownModel] = []
    for name in names:
        model = by_name(name, known)
        if model is None and name not in packs:
            listed = ", ".join(sorted(packs) + [m.name for m in known if m.url])
            raise InputError(f"Unknown model '{name}'. Can be fetched: {listed}.")
        if model is not None and model.url is None:
            raise InputError(
                f"{model.name} has no address to fetch it from. It comes from {model.source}. Then: twinloop models add"
                " FILE"
            )
        wanted += [model] if model is not None else [m for m in known if m.pack == name and m.url]
    return list(dict.fromkeys(wanted))


def host_of(model: KnownModel) -> str:
    """The computer that a known file is fetched from; "" = it has no address."""
    return urllib.parse.urlsplit(model.url or "").hostname or ""


def pull(model: KnownModel, folder: Path, reporter: Reporter) -> Brought:
    """Fetch one known file, going on where an earlier call stopped.

    Raises:
        DownloadError: it cannot be fetched, or is not that file; HostNotReached among them. StateError: another file
            has its name. StorageError: disk full.
    """
    target = folder / model.name
    if target.exists():
        fresh = bring(target, target, model.sha256)
    else:
        assert model.url is not None
        wanted = Wanted(model.url, model.size, model.sha256)
        download(
            wanted, target, lambda done, total: reporter.progress(f"{model.name}, kB", done // 1000, total // 1000)
        )
        fresh = True
    record(folder, model.name, model.sha256)
    return Brought(model.url or model.source, target, model, fresh)
