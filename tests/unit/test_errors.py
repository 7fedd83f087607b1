"""Errors that another process told by their names."""

from __future__ import annotations

import pytest

from twinloop import errors
from twinloop.errors import ConfigError, InputError, MissingExtra, NotPermitted, StorageError, TwinLoopError, from_name


def every_error(kind: type[TwinLoopError] = TwinLoopError) -> list[type[TwinLoopError]]:
    here = [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
    return [kind, *(deeper for one in here for deeper in every_error(one))]


@pytest.mark.parametrize("kind", every_error())
def test_an_error_is_made_again_by_its_name(kind: type[TwinLoopError]) -> None:
    error = from_name(kind.__name__, "what happened")
    assert str(error) == "what happened" and issubclass(kind, type(error))
    assert error is not None and error.exit_code == kind.exit_code
    plain = {ConfigError: InputError, MissingExtra: TwinLoopError, NotPermitted: StorageError}.get(kind, kind)
    assert type(error) is plain


@pytest.mark.parametrize("name", ["KeyError", "Exception", "Sequence", "DISK_FULL", "from_name", ""])
def test_other_names_are_no_errors_of_ours(name: str) -> None:
    assert from_name(name, "x") is None
