"""Where names in files of strangers lead, on every system."""

from __future__ import annotations

import pytest

from twinloop.domain.file_names import is_bare, is_inside, is_on_network

BARE = ("front.png", ".hidden", "a..b", "...a", "Ana 12:30.jpg", "Müller.txt", "-rf", "C.png")
BELOW = ("10_ohwx alice woman/IMG_1.png", "a/b/c", "a\\b")
OUTSIDE = (
    "", ".", "./", "..", "../front.png", "a/../../front.png", "a\\..\\..\\front.png", "..\\front.png", ".. /front.png",
    "...\\front.png", "/etc/passwd", "//server/share/x", "\\\\server\\share\\x", "\\front.png", "C:\\front.png",
    "C:front.png", "c:/front.png", "\\\\?\\C:\\x", "a\0b",
)  # fmt: skip


@pytest.mark.parametrize("name", [*BARE, *BELOW])
def test_what_lies_below_its_folder(name: str) -> None:
    assert is_inside(name) and is_bare(name) is (name in BARE)


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_leads_out_of_its_folder(name: str) -> None:
    assert not is_inside(name) and not is_bare(name)


@pytest.mark.parametrize("name", ["./a", "a/", "a\\", "a/b"])
def test_what_is_not_the_name_itself(name: str) -> None:
    assert not is_bare(name)


@pytest.mark.parametrize(
    "name", ["\\\\server\\share\\x", "//server/share", "\\/server/x", "/\\server", "\\\\?\\UNC\\s\\x"]
)
def test_paths_for_which_windows_asks_another_computer(name: str) -> None:
    assert is_on_network(name)
    assert not is_on_network(name[1:]) and not is_on_network(f"C:{name[1:]}") and not is_on_network(f"org{name[1:]}")
