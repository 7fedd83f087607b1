"""The verdict on one file: is it a model, is it whole, and would it act if somebody loaded it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from twinloop.errors import ModelFileError
from twinloop.pickles import safetensors_header
from twinloop.pickles.blob import Blob
from twinloop.pickles.broken import BrokenPickle
from twinloop.pickles.budget import DEFAULT_LIMITS, Limits
from twinloop.pickles.disguise import acts_as_pickle
from twinloop.pickles.kinds import Kind, has_pickle_mark, kind_of
from twinloop.pickles.machine import Refusal
from twinloop.pickles.modelfile import read_value
from twinloop.pickles.npy import NUMPY, read_npy
from twinloop.pickles.policy import DEFAULT_POLICY, Judgement, Policy, looks_like_class
from twinloop.pickles.reader import Reader
from twinloop.pickles.torchlegacy import is_tar
from twinloop.pickles.values import Global, printable
from twinloop.pickles.weights import Weights, weights_of


class Safety(StrEnum):
    """What is said of a file, mildest first.

    SAFE: nothing but data and known classes. UNKNOWN: it names classes that are on no list; loading it elsewhere runs
    their authors' code. NOT_A_MODEL: something else under a model's name. MALFORMED: damaged, cut short, or made to
    look different to different readers. DANGEROUS: loading it would act.
    """

    SAFE = "safe"
    UNKNOWN = "unknown"
    NOT_A_MODEL = "not_a_model"
    MALFORMED = "malformed"
    DANGEROUS = "dangerous"


@dataclass(frozen=True)
class Finding:
    """One reason for a verdict.

    Attributes:
        verdict: what it speaks for. text: a sentence part for people. name: ``module.name``, if it is about one.
        offset: byte of the opcode in the pickle, or None. place: which pickle, in a file of several parts.
    """

    verdict: Safety
    text: str
    name: str | None = None
    offset: int | None = None
    place: str = ""


@dataclass(frozen=True)
class Inspection:
    """What is known of one file.

    Attributes:
        names: every global it asks for, sorted. weights: None where there is nothing to convert. failure: why they
            cannot be told, although loading the file is another matter.
    """

    kind: Kind
    verdict: Safety
    findings: tuple[Finding, ...]
    names: tuple[str, ...]
    weights: Weights | None
    failure: str | None = None


def inspect_blob(blob: Blob, policy: Policy = DEFAULT_POLICY, limits: Limits = DEFAULT_LIMITS) -> Inspection:
    """Look into a file. Never raises for what is in it: that is what the verdict is for.

    Raises:
        ModelFileError: the file cannot be opened.
    """
    kind, words = kind_of(blob)
    reader = Reader(blob.source, policy, limits, tolerant=True)
    disguised = () if kind in _PICKLES else _disguised(blob, reader)
    if kind is Kind.OTHER:
        return _other(blob, words, reader, disguised)
    if kind is not Kind.TORCH_TAR and kind is not Kind.TORCH_ZIP and is_tar(blob.head(_TAR_HEAD)):
        disguised = (
            *disguised,
            Finding(Safety.MALFORMED, "can be read as a tar, too, whose parts torch would unpickle"),
        )
    if kind is Kind.SAFETENSORS:
        return _safetensors(blob, disguised)
    weights, failure = None, None
    damage: list[Finding] = []
    try:
        value = read_value(blob, kind, reader)
    except ModelFileError as error:
        damage.append(_damage(error, kind, blob, reader))
    else:
        weights, failure = _weights(value)
    findings = (*_dangers(reader.refused, policy), *disguised, *damage, *_unknowns(reader.names, policy))
    verdict = _worst(findings)
    names = tuple(sorted({name.path for name in reader.names}))
    if verdict is Safety.NOT_A_MODEL:
        kind = Kind.OTHER
    return Inspection(kind, verdict, findings, names, weights, failure)


def _weights(value: object) -> tuple[Weights | None, str | None]:
    """What would be converted, or why nothing can be: a harmless file need not hold a model."""
    try:
        found = weights_of(value)
    except ModelFileError as error:
        return None, str(error)
    return (found if found.tensors else None), None


_PICKLES = (Kind.PICKLE, Kind.TORCH_LEGACY)
"""Kinds that are pickles from their first byte; all others are none, unless somebody made them so."""
_TAR_HEAD = 512


def _disguised(blob: Blob, reader: Reader) -> tuple[Finding, ...]:
    """What the file would do where somebody's ``pickle.load`` takes it for a pickle, as
    ``torch.load`` does at first.
    """
    with blob.open() as stream:
        found = acts_as_pickle(stream, reader)
    text = "can be read as a pickle, too, further than was followed; no model file can"
    hidden = [] if found.followed else [Finding(Safety.MALFORMED, text)]
    return (*_dangers(found.refused, reader.policy), *hidden, *_unknowns(found.names, reader.policy))


def _other(blob: Blob, words: str, reader: Reader, disguised: tuple[Finding, ...]) -> Inspection:
    """Something else, which may be a pickle beside it or hold one."""
    findings = [Finding(Safety.NOT_A_MODEL, words)]
    if blob.head(len(NUMPY)) == NUMPY:
        try:
            with blob.open() as stream:
                if read_npy(stream, reader, "the array of objects"):
                    text = "it holds objects, which numpy.load unpickles where it is told allow_pickle=True"
                    findings.append(Finding(Safety.NOT_A_MODEL, text))
        except ModelFileError as error:
            findings.append(Finding(Safety.MALFORMED, str(error).removeprefix(f"{blob.source}: ")))
    found = (*_dangers(reader.refused, reader.policy), *disguised, *findings, *_unknowns(reader.names, reader.policy))
    return Inspection(Kind.OTHER, _worst(found), found, tuple(sorted({name.path for name in reader.names})), None)


def _worst(findings: Iterable[Finding]) -> Safety:
    order = list(Safety)
    return max((finding.verdict for finding in findings), key=order.index, default=Safety.SAFE)


def _damage(error: ModelFileError, kind: Kind, blob: Blob, reader: Reader) -> Finding:
    no_pickle = isinstance(error, BrokenPickle) and not reader.names and not has_pickle_mark(blob.head(2))
    if kind is Kind.PICKLE and no_pickle:
        return Finding(Safety.NOT_A_MODEL, "not a pickle, torch, joblib or safetensors file")
    return Finding(Safety.MALFORMED, str(error).removeprefix(f"{blob.source}: "))


def _dangers(refused: Iterable[Refusal], policy: Policy) -> list[Finding]:
    """Each name once, where it is first met; a name that is refused and then called is one finding."""
    first: dict[tuple[str, str], Finding] = {}
    for refusal in refused:
        text = f"would {refusal.reason} {printable(refusal.target)}{_what(refusal, policy)}"
        finding = Finding(Safety.DANGEROUS, text, refusal.target, refusal.offset, refusal.place)
        first.setdefault((refusal.target, refusal.place), finding)
    return list(first.values())


def _what(refusal: Refusal, policy: Policy) -> str:
    """What is called, where nobody here knows it: a class whose name has no capital looks like a function."""
    module, _, name = refusal.target.rpartition(".")
    known = policy.lists(module, name) or policy.judge(module, name) is not Judgement.INERT
    return "" if known or refusal.reason != "call" or not module else ", which is unknown and by its name no class"


def _unknowns(names: Iterable[Global], policy: Policy) -> list[Finding]:
    first: dict[str, Finding] = {}
    for name in names:
        known = policy.knows(name.module, name.name) or policy.judge(name.module, name.name) is Judgement.REFUSE
        if not known and name.path not in first:
            text = _unknown(name)
            first[name.path] = Finding(Safety.UNKNOWN, text, name.path, name.offset)
    return list(first.values())


def _unknown(name: Global) -> str:
    what = "class" if looks_like_class(name.name) else "class or function"
    return f"unknown {what} {printable(name.name)} of module {printable(name.module)}: loading would run its code"


def _safetensors(blob: Blob, disguised: tuple[Finding, ...]) -> Inspection:
    """These hold numbers and texts only; what can be wrong with them is their header."""
    try:
        with blob.open() as stream:
            safetensors_header.parse(stream, blob.size()).check_whole()
    except ValueError as error:
        text = f"not a readable safetensors file ({str(error)[:120]}); download it again"
        disguised = (*disguised, Finding(Safety.MALFORMED, text))
    return Inspection(Kind.SAFETENSORS, _worst(disguised), disguised, (), None)
