"""Print constraints: what is installed in this environment, one exact version a line (local build tags cut off)."""

from __future__ import annotations

from importlib.metadata import distributions

OWN = {"twinloop", "pip", "setuptools"}

if __name__ == "__main__":
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version.split("+")[0] for dist in distributions()}
    print("# Exact versions the tests ran with. Made by: make lock")
    for name in sorted(found.keys() - OWN):
        print(f"{name}=={found[name]}")
