"""Names of files with as much of their path as tells them apart."""

from __future__ import annotations

from twinloop.stages.vault.copies.short_names import ShortNames


def test_as_many_folders_as_tell_a_name_from_the_others() -> None:
    paths = ["/x/2024/a.jpg", "/y/2024/a.jpg", "/y/2023/a.jpg", "/x/b.jpg", "/a.jpg"]
    names = ShortNames(paths)
    assert [names.of(path) for path in paths] == ["x/2024/a.jpg", "y/2024/a.jpg", "2023/a.jpg", "b.jpg", "/a.jpg"]


def test_a_name_that_stands_alone_or_is_named_twice_is_short() -> None:
    assert ShortNames(["/x/a.jpg", "/x/a.jpg"]).of("/x/a.jpg") == "a.jpg"
