"""Tiny models with random weights, built once per test process."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("TWINLOOP_TEST_GPU") != "1":
    # before anything imports PyTorch. Some tests fork after a backward pass, which needs a process without the threads
    # that a GPU brings, and "device": "auto" is the CPU. -1 and not "": Windows takes an empty value for none
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

# as `make test` has it: two processes of several threads each strangle each other, and some tests compare bytes with
# those of a process of one thread
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.helpers.tiny_models import build_tiny_sdxl

LONG = (
    "test_seed_commands",
    "test_menu_terminal",
    "test_kill_nano_loop",
    "test_runs_page",
    "trainers/execution/test_compiled",
    "trainers/test_kill",
)
"""Files with one long test each, longest first: they start first, so that no core waits for them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((place for place, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


# a model of a few kilobytes is tens of thousands of objects, and Python's collector looks after each 700 new ones
gc.set_threshold(10_000, 20, 20)

GROWN = 100
"""Modules that have to be new before what was imported is taken out of the collector's sight again."""
_modules = 0


def leave_imports_uncollected() -> None:
    """Python's garbage collector need not look at libraries: over two thirds of the time of tests with tiny models."""
    global _modules
    if len(sys.modules) >= _modules + GROWN:
        gc.collect()
        gc.freeze()
        _modules = len(sys.modules)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Ten thousand tests and the libraries that they import are made, and nearly none of it is garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    leave_imports_uncollected()


def pytest_runtest_logfinish() -> None:
    leave_imports_uncollected()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave nothing in the home of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINLOOP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_sync() -> Iterator[None]:
    """What a killed process has written stays written; only a power cut needs fsync, and the disk is slow.

    Tests of fsync put their own in its place.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SDXL folder built like the embedded base."""
    pytest.importorskip("diffusers", reason="the train extra is not installed")
    return build_tiny_sdxl(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def full_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SDXL folder built like SDXL itself."""
    pytest.importorskip("diffusers", reason="the train extra is not installed")
    return build_tiny_sdxl(tmp_path_factory.mktemp("models") / "full", full_vae=True)
