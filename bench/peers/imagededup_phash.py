"""imagededup's own near-duplicate search over a folder, for bench/near_duplicates.py; runs in a virtual environment of
its own.

    python imagededup_phash.py FOLDER

Prints JSON: ``encode_s`` and ``search_s`` (processor seconds of one process), ``files``, ``duplicates`` (file ->
files), ``version``. Only its CNN needs torch and torchvision, but its package imports them at the top. Where they are
not installed, the modules that hold the CNN are stood in for by empty ones; its hashing and search run as they are.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import types
from importlib.metadata import version
from pathlib import Path


def stand_in_for_cnn() -> None:
    """Empty modules in the place of those that import torch."""
    names = {
        "imagededup.utils.models": ("CustomModel", "MobilenetV3", "ViT", "EfficientNet"),
        "imagededup.methods.cnn": ("CNN",),
    }
    for name, classes in names.items():
        module = types.ModuleType(name)
        for kind in classes:
            setattr(module, kind, type(kind, (), {}))
        vars(module)["DEFAULT_MODEL_NAME"] = "default_model"
        sys.modules[name] = module


def main(folder: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        stand_in_for_cnn()
    from imagededup.methods import PHash

    hasher = PHash(verbose=False)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hasher.encode_image(image_file=str(files[0]))  # what is loaded at first use does not count
    began = time.process_time()
    encoded = {path.relative_to(folder).as_posix(): hasher.encode_image(image_file=str(path)) for path in files}
    hashed = time.process_time()
    readable = {name: code for name, code in encoded.items() if code}
    found = hasher.find_duplicates(encoding_map=readable, max_distance_threshold=10, num_dist_workers=0)
    done = time.process_time()
    print(
        json.dumps(
            {
                "version": version("imagededup"),
                "files": len(files),
                "readable": len(readable),
                "encode_s": hashed - began,
                "search_s": done - hashed,
                "duplicates": {name: sorted(others) for name, others in found.items()},
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
