"""The card as a shared library, compiled once for each version of PyTorch and of its source."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("card.cpp")


def built() -> Path:
    """The library; compiled if that was not done yet.

    Raises:
        FileNotFoundError: no C++ compiler, or no PyTorch. subprocess.CalledProcessError: it did not compile.
    """
    # not imported: the library has to be there before PyTorch starts
    found = importlib.util.find_spec("torch")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if found is None or found.origin is None or compiler is None:
        raise FileNotFoundError("the pretend card needs PyTorch and a C++ compiler (g++, or $CXX)")
    torch = Path(found.origin).parent
    version = importlib.metadata.version("torch")
    name = hashlib.sha256(f"{version} {torch}".encode() + SOURCE.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"twinloop_pretend_card_{os.getuid()}" / f"{name}.so"
    if not library.is_file():
        library.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = library.with_suffix(f".{os.getpid()}")
        options = ["-std=c++20", "-O1", "-fPIC", "-shared", "-w", f"-I{torch / 'include'}", f"-L{torch / 'lib'}"]
        linked = ["-ltorch_cpu", "-lc10", f"-Wl,-rpath,{torch / 'lib'}"]
        subprocess.run([compiler, *options, str(SOURCE), "-o", str(fresh), *linked], check=True)
        fresh.replace(library)
    return library
