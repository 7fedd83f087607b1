"""How often the learned identity limit takes a stranger for the person, and the person for a stranger, on real photos.

    OMP_NUM_THREADS=1 python bench/identity_limit.py FIXTURES [--tolerance 2.5] [--wrong 1]

Every person of LFW with enough photos in turn: so many of the photos are the reference, the rest are images of the
person, and all other people's photos are images of strangers. With ``--wrong``, so many of the reference's photos show
strangers, one each. The photos are observed once (catalogue in a temporary
folder, or ``--catalog FILE`` to keep it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from fixture_folder import with_fixtures

from twinloop import wiring
from twinloop.domain.observation import Observation
from twinloop.ports import SilentReporter
from twinloop.stages.identity import NEAREST, freeze_reference
from twinloop.stages.observe import observe_files
from twinloop.store.pictures.images import find_images
from twinloop.store.run.catalog import Catalog

SIZES = (1, 2, 3, 4, 5, 10, 20)
DRAWS = 5
"""Random references of each person and size."""


def people_of(
    fixtures: Path, catalog: Catalog
) -> tuple[Mapping[str, Sequence[Observation]], tuple[float, float] | None]:
    """Person -> observations with an embedding, by the folders of LFW; and what the embedder makes of strangers."""
    observer = wiring.build_observer(str(fixtures / "weights"), (), None)
    found: dict[str, list[Observation]] = defaultdict(list)
    for item in observe_files(
        find_images(fixtures / "photos" / "lfw"), observer, catalog, SilentReporter(), "Observing"
    ):
        seen = item.observation
        if seen is not None and seen.face is not None and seen.face.embedding is not None:
            found[item.path.parent.name].append(seen)
    return found, observer.pack.likeness.strangers


def row(
    size: int,
    people: Mapping[str, Sequence[Observation]],
    strangers: tuple[float, float] | None,
    tolerance: float,
    wrong: int = 0,
) -> str:
    """The mean limit with references of so many photos, and both kinds of mistakes in per cent.

    Args:
        wrong: photos of the reference that show strangers, who are left out of the images.
    """
    rng = np.random.default_rng(size)
    limits, accepted, refused = [], [], []
    for name, photos in people.items():
        if len(photos) < size + 3:
            continue
        for _ in range(DRAWS):
            strange = rng.permutation([other for other in people if other != name])[:wrong].tolist()
            others = [listed for other, listed in people.items() if other not in (name, *strange)]
            vectors = np.stack([_vector(one) for listed in others for one in listed])
            order = rng.permutation(len(photos))
            chosen = [photos[i] for i in order[: size - wrong]] + [people[other][0] for other in strange]
            reference = freeze_reference(chosen, "bench", strangers=strangers)
            assert reference is not None
            rest = [photos[i] for i in order[size - wrong :]]
            own = [(reference.similarity(one) or 0.0, reference.lower_limit(one, tolerance)) for one in rest]
            limit = float(np.mean([limit for _, limit in own]))
            nearest = np.sort(reference.embeddings @ vectors.T, axis=0)[-NEAREST:].mean(axis=0)
            limits.append(limit)
            accepted.append(float((nearest >= limit).mean()))
            refused.append(sum(similarity < at for similarity, at in own) / len(own))
    return f"{size:>10}{np.mean(limits):>12.3f}{np.mean(accepted):>22.2%}{np.mean(refused):>22.2%}"


def _vector(seen: Observation) -> np.ndarray:
    assert seen.face is not None and seen.face.embedding is not None
    return seen.face.embedding


def main() -> None:
    parser = with_fixtures(__doc__)
    parser.add_argument("--tolerance", type=float, default=2.5)
    parser.add_argument("--catalog", type=Path, help="keep the observations there")
    parser.add_argument("--wrong", type=int, default=0, help="photos of the reference that show strangers")
    args = parser.parse_args()
    with Catalog(args.catalog) as catalog:
        people, strangers = people_of(args.fixtures, catalog)
    print(f"{'photos':>10}{'mean limit':>12}{'strangers taken in':>22}{'own photos refused':>22}")
    for size in (size for size in SIZES if size >= 2 * args.wrong):
        print(row(size, people, strangers, args.tolerance, args.wrong), flush=True)


if __name__ == "__main__":
    main()
