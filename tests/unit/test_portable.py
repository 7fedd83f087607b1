"""What only POSIX has is used in one package, whatever a run reaches: `tests/functional/test_without_posix.py` tries
what it does reach.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.without_posix.lacking import MODULES, OF_OS, OF_SIGNAL

PACKAGE = Path(__file__).parents[2] / "twinloop"
NAMES = {"os": OF_OS | {"kill", "replace"}, "signal": OF_SIGNAL}
"""Windows has the last two of os, but they do something else there, or fail; `twinloop.system` has what to use."""
ASKED_FOR = {"adapters/cores.py"}
"""Files that look first whether it is there."""


def findings(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES | {"shlex"})
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES | {"shlex"}:
            yield str(node.module)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.attr in NAMES.get(node.value.id, ())
        ):
            yield f"{node.value.id}.{node.attr}"


def test_only_the_package_for_it_knows_operating_systems() -> None:
    files = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    assert len(files) > 500 and files.keys() > ASKED_FOR
    found = {
        name: told
        for name, path in files.items()
        if not name.startswith("system/") and name not in ASKED_FOR and (told := [*findings(path.read_text("utf-8"))])
    }
    assert not found


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import fcntl", "fcntl"),
        ("def f():\n    from resource import setrlimit", "resource"),
        ("import shlex", "shlex"),
        ("os.kill(pid, 0)", "os.kill"),
        ("os.replace(a, b)", "os.replace"),
        ("signal.SIGKILL", "signal.SIGKILL"),
    ],
)
def test_it_is_found(code: str, told: str) -> None:
    assert [*findings(code)] == [told]
