"""The identity network: crops of heads, the CosFace loss over the people of the renders, and what is known about their
looks.

The looks (hair, skin, shape of the face...) are asked for as well: with them the network learns from each picture much
more than which of a thousand people it shows. Only the identity vector is shipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from twinloop.adapters.detectors import nano_layout as layout
from twinloop.adapters.detectors.nano_crops import cut_square, head_square
from twinloop.nano.world import params
from workshop.detectors.augment import photographed
from workshop.detectors.nets import IdentityNet
from workshop.detectors.pool import Pixels, Pool, Shown, flipped

MARGIN, SCALE = 0.2, 16.0
LOOKS: dict[str, tuple[str, ...]] = {
    "person": ("woman", "man"),
    "skin": params.SKINS,
    "hair_style": params.HAIR_STYLES,
    "hair_color": params.HAIR_COLORS,
    "eye_color": params.EYE_COLORS,
    "glasses": params.GLASSES,
    "beard": params.BEARDS,
    "marks": params.MARKS,
}
_VALUES = sum(len(values) for values in LOOKS.values()) + len(params.FACE_FLOATS)


class PeopleNet(nn.Module):
    """The network, one direction for each person (Wang et al. 2018, "CosFace"), and a linear reading of the looks."""

    def __init__(self, people: int) -> None:
        super().__init__()
        self.net = IdentityNet()
        self.people_outer = nn.Parameter(torch.randn(people, layout.EMBEDDING) * 0.1)
        self.looks_outer = nn.Linear(layout.EMBEDDING, _VALUES)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, HEAD_SIZE, HEAD_SIZE) -> cosines (n, people), looks (n, values)."""
        vectors = self.net(crops).float()
        return F.linear(F.normalize(vectors), F.normalize(self.people_outer)), self.looks_outer(vectors)


def crop_of(shown: Shown, rng: np.random.Generator) -> Pixels:
    """The head, cut as the product cuts it but for small errors of the face detector."""
    left, top, side = head_square(*shown.truth["face_box"])
    grown = side * float(np.exp(rng.normal(0, 0.05)))
    dx, dy = rng.normal(0, 0.03 * side, 2)
    return cut_square(
        shown.image, left + dx + (side - grown) / 2, top + dy + (side - grown) / 2, grown, layout.HEAD_SIZE
    )


def looks_loss(made: Tensor, identities: list[dict[str, Any]]) -> Tensor:
    """Mean cross entropy of the named looks, and mean error of the shapes, which lie in -1..1."""
    place, losses = 0, []
    for name, values in LOOKS.items():
        wanted = torch.tensor([values.index(identity[name]) for identity in identities])
        losses.append(F.cross_entropy(made[:, place : place + len(values)], wanted))
        place += len(values)
    shapes = torch.tensor([[identity[name] for name in params.FACE_FLOATS] for identity in identities])
    return torch.stack(losses).mean() + F.smooth_l1_loss(made[:, place:], shapes, beta=0.2)


def loss_of(net: PeopleNet, pool: Pool, rng: np.random.Generator, count: int) -> tuple[Tensor, dict[str, float]]:
    """Loss of one fresh batch, its parts, and the share of people told right."""
    crops, people, identities = [], [], []
    for _ in range(count):
        shown = pool.draw(rng)
        shown = flipped(shown) if rng.random() < 0.5 else shown
        crops.append(photographed(crop_of(shown, rng), rng))
        people.append(shown.person)
        identities.append(shown.truth["identity"])
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        cosines, looks = net(images)
    cosines, wanted = cosines.float(), torch.tensor(people)
    right = float((cosines.argmax(1) == wanted).float().mean())
    margin = MARGIN * F.one_hot(wanted, cosines.shape[1])
    person = F.cross_entropy(SCALE * (cosines - margin), wanted)
    known = looks_loss(looks.float(), identities)
    return 0.5 * person + 3 * known, {
        "person": float(person.detach()),
        "looks": float(known.detach()),
        "people_right": right,
    }
