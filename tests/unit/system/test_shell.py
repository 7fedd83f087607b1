"""Command lines that are shown can be typed where they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.system import shell


@pytest.mark.parametrize(
    ("argument", "posix", "windows"),
    [
        ("alice", "alice", "alice"),
        ("ohwx alice", "'ohwx alice'", '"ohwx alice"'),
        ("", "''", '""'),
        (r"C:\my photos", r"'C:\my photos'", r'"C:\my photos"'),
        (r"C:\photos", r"'C:\photos'", r"C:\photos"),
        ("R&D", "'R&D'", '"R&D"'),
        ("O'Neill", "'O'\"'\"'Neill'", '"O\'Neill"'),
    ],
)
def test_an_argument(monkeypatch: pytest.MonkeyPatch, argument: str, posix: str, windows: str) -> None:
    monkeypatch.setattr(shell, "WINDOWS", False)
    assert shell.quote(argument) == posix
    monkeypatch.setattr(shell, "WINDOWS", True)
    assert shell.quote(argument) == windows
    assert shell.join(["--person", argument]) == f"--person {windows}"


def test_an_argument_in_a_file_for_sh_is_quoted_alike_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for windows in (False, True):
        monkeypatch.setattr(shell, "WINDOWS", windows)
        assert shell.quote_for_sh(r"C:\my $HOME") == r"'C:\my $HOME'"


def test_what_windows_shells_leave_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    for name in ("b.pkl", "a.pkl", "a.txt", "photo[1]x.jpg", "photo1.jpg"):
        (tmp_path / name).touch()
    typed = ["*.pkl", "~/Pictures", "--name", "none*.pt", "really?", "photo[1]?.jpg", "a~b"]
    monkeypatch.setattr(shell, "WINDOWS", True)
    assert shell.expanded(typed) == [
        "a.pkl", "b.pkl", str(tmp_path / "me" / "Pictures"), "--name", "none*.pt", "really?", "photo[1]x.jpg", "a~b",
    ]  # fmt: skip
    monkeypatch.setattr(shell, "WINDOWS", False)
    assert shell.expanded(typed) == typed
