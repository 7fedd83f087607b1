"""A job for workers that does what broken decoders do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

from twinloop.adapters.fakes import fake_pack, read_truth
from twinloop.adapters.scanning.scanners import scan_job
from twinloop.domain.faces import Face, ImageArray
from twinloop.errors import MissingModel, ModelFileError
from twinloop.stages.vault.measure import PhotoMeasurer

HERE = "tests.unit.adapters.scanning.jobs"


def make(greeting: str = "hello") -> tuple[bytes, Callable[[bytes, Callable[[bytes], bytes]], bytes]]:
    return greeting.encode(), job


def refuse() -> tuple[bytes, Callable[[bytes, Callable[[bytes], bytes]], bytes]]:
    raise MissingModel("no detector here")


def die() -> tuple[bytes, Callable[[bytes, Callable[[bytes], bytes]], bytes]]:
    os._exit(7)


def job(task: bytes, ask: Callable[[bytes], bytes]) -> bytes:
    word, _, rest = task.partition(b" ")
    if task == b"ask and hang":
        ask(rest)
        word = b"hang"
    if word in (b"killed", b"slow"):  # the first so many times; each leaves a byte in a file
        times, _, name = rest.partition(b" ")
        with open(name, "ab") as tries:
            tries.write(b".")
            done = tries.tell()
        if done <= int(times):
            word, rest = (b"signal", b"9") if word == b"killed" else (b"hang", b"")
    if word == b"hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
        time.sleep(600)
    if word == b"signal":
        os.kill(os.getpid(), int(rest))
    if word == b"exit":
        os._exit(int(rest))
    if word == b"memory":
        return str(len(bytearray(int(rest) << 20))).encode()
    if word == b"refuse":
        raise ModelFileError(rest.decode())
    if word == b"raise":
        raise LookupError(rest.decode())
    if word == b"pid":
        return str(os.getpid()).encode()
    if word == b"noise":
        os.write(1, b"noise")
        os.write(2, b"noise")
    if word == b"ask":
        return b"told " + ask(rest)
    if word == b"big":
        return bytes(int(rest))
    return b"done " + rest


class FragileFaces:
    """Crashes on pictures of person 7, hangs on those of person 8."""

    fingerprint = "fragile"

    def detect(self, image: ImageArray) -> list[Face]:
        truth = read_truth(image)
        person = 0 if truth is None else truth.person
        if person == 7:
            os.kill(os.getpid(), signal.SIGSEGV)
        if person == 8:
            time.sleep(600)
        return []


def fragile_scanner() -> tuple[bytes, Callable[[bytes, Callable[[bytes], bytes]], bytes]]:
    return scan_job(PhotoMeasurer(replace(fake_pack(), faces=FragileFaces(), measurers=())))
