"""Which names in a pickle are data, which are harmless records, and which would act.

The rule is closed towards Python itself: every module of the standard library (of Python 2 as well) is refused except
the few data classes listed in `names`. Of other packages a *class* becomes an inert record; a *function* that would be
called is refused. What a listed name may be called with is in `arguments`, what may be put into its instances in
`states`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum

from twinloop.pickles.known import KNOWN
from twinloop.pickles.names import (
    ACTING_ATTRIBUTES,
    ACTING_PACKAGES,
    ACTING_PREFIXES,
    BUILDABLE,
    BUILTINS,
    FUNCTIONS,
    LENDERS,
    MAKERS,
    MODEL_PACKAGES,
    NESTED,
    OLD_MODULES,
    PANDAS,
    RECORDS,
)

_LARGEST_MEMBER = 1 << 31
_WITHOUT_ENUMERATIONS = MODEL_PACKAGES | {"torch", "numpy"}
"""Packages whose names are known well enough: what is called there is no enumeration with a name in lower case."""


class Judgement(StrEnum):
    """What is done with a name.

    BUILD: built as a value. INERT: kept as a record without behaviour. ATTRIBUTE: ``getattr``, which older Ultralytics
    checkpoints use to point at a method of one of their own objects; kept as a record in that shape only. NESTED:
    torch's way to put a whole torch file into a pickle; read in turn where a reader for it stands by, refused
    elsewhere. REFUSE: it acts.
    """

    BUILD = "build"
    INERT = "inert"
    ATTRIBUTE = "attribute"
    NESTED = "nested"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Policy:
    """Judges names.

    ``allowed`` (``module.name``) makes unknown names known and lets them be called into records; it lifts no refusal.
    """

    allowed: frozenset[str] = frozenset()

    def judge(self, module: str, name: str) -> Judgement:
        """What to do with ``module.name`` when the pickle asks for it."""
        path, pair = f"{module}.{name}", (module, name)
        if pair in BUILDABLE:
            return Judgement.BUILD
        if module in BUILTINS and name == "getattr":
            return Judgement.ATTRIBUTE
        if pair == NESTED:
            return Judgement.NESTED
        if pair in RECORDS or pair in KNOWN or pair in PANDAS or pair in MAKERS:
            return Judgement.INERT
        root = path.split(".", 1)[0]
        if root in sys.stdlib_module_names or root in OLD_MODULES or root in ACTING_PACKAGES:
            return Judgement.REFUSE
        if any(path == prefix or path.startswith(prefix + ".") for prefix in ACTING_PREFIXES):
            return Judgement.REFUSE
        reaches_out = any(self.reaches_outside(part) for part in path.split(".")[1:])
        # a module of Python's that a package happens to import
        reaches_out = reaches_out or any(part in sys.stdlib_module_names for part in name.split(".")[:-1])
        return Judgement.REFUSE if reaches_out else Judgement.INERT

    def lists(self, module: str, name: str) -> bool:
        """Whether exactly this name is on a list of ours."""
        pair = (module, name)
        return (
            pair in BUILDABLE
            or pair in RECORDS
            or pair in KNOWN
            or pair == NESTED
            or (module in BUILTINS and name == "getattr")
        )

    def knows(self, module: str, name: str) -> bool:
        """Whether exactly this name is on a list: ours, or the user's."""
        return self.lists(module, name) or f"{module}.{name}" in self.allowed

    def reaches_outside(self, attribute: str) -> bool:
        """Whether an attribute of this name leads out of the object it hangs on."""
        return attribute in ACTING_ATTRIBUTES or (attribute.startswith("__") and attribute.endswith("__"))

    def lends_method(self, module: str, name: str, method: str) -> bool:
        """Whether a record may point at this method of an object of the class: fused layers keep ``forward =
        self.forward_fuse``.
        """
        ours = self.lists(module, name)
        if not ours:  # what its class does when it is asked is unknown, as is all else about it
            return method.isidentifier() and not self.reaches_outside(method)
        lends = (module, name) in KNOWN and module.split(".", 1)[0] in LENDERS
        return lends and method.isidentifier() and method.startswith("forward")

    def may_be_handed_on(self, module: str, name: str) -> bool:
        """Whether the name itself may be a value: not a function, nor a class that acts when something calls it with
        the file's data.
        """
        pair = (module, name)
        return pair not in FUNCTIONS and not (pair in KNOWN and module.split(".", 1)[0] in MODEL_PACKAGES)

    def may_be_called(self, module: str, name: str) -> bool:
        """Whether a *call* of a name that is on no list of ours is only the making of a record: classes yes, functions
        no.
        """
        pair = (module, name)
        if self.lists(module, name):
            return False
        return pair in PANDAS or pair in MAKERS or f"{module}.{name}" in self.allowed or looks_like_class(name)

    def may_be_member(self, module: str, name: str, args: tuple[object, ...]) -> bool:
        """Whether a call of an unknown name with one small number may make a member of an enumeration, whose class need
        not have a capital.
        """
        if self.judge(module, name) is not Judgement.INERT or module.split(".", 1)[0] in _WITHOUT_ENUMERATIONS:
            return False
        return len(args) == 1 and type(args[0]) is int and abs(args[0]) < _LARGEST_MEMBER

    def may_hold_name(self, module: str, name: str, inner: str) -> bool:
        """Whether what hangs on it is a name like any other: protocols before 4 spell ``Outer.Inner`` as
        ``getattr(Outer, "Inner")``.
        """
        if self.lists(module, name) or self.judge(module, name) is not Judgement.INERT:
            return False
        return inner.isidentifier() and not self.reaches_outside(inner)


def looks_like_class(name: str) -> bool:
    """Whether it is spelt as classes are."""
    return name.rsplit(".", 1)[-1].lstrip("_")[:1].isupper()


DEFAULT_POLICY = Policy()
