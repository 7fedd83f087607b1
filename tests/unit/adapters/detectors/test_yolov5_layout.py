"""The layout of ``yolov5l-face.pt`` (stem, C3, SPP, three scales), an eighth as wide, built and pickled by torch
itself.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from twinloop.adapters.detectors.yolov5_face import ANCHORS, YoloV5Face

torch = pytest.importorskip("torch")
nn = torch.nn


class Conv(nn.Module):
    def __init__(self, i: int, o: int, k: int = 1, s: int = 1) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o), nn.SiLU()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class StemBlock(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.stem_1, self.stem_2a, self.stem_2b = Conv(i, o, 3, 2), Conv(o, o // 2), Conv(o // 2, o, 3, 2)
        self.stem_2p, self.stem_3 = nn.MaxPool2d(2, 2, ceil_mode=True), Conv(2 * o, o)

    def forward(self, x):
        x = self.stem_1(x)
        return self.stem_3(torch.cat([self.stem_2b(self.stem_2a(x)), self.stem_2p(x)], 1))


class Bottleneck(nn.Module):
    def __init__(self, c: int, add: bool) -> None:
        super().__init__()
        self.cv1, self.cv2, self.add = Conv(c, c), Conv(c, c, 3), add

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


class C3(nn.Module):
    def __init__(self, i: int, o: int, n: int, add: bool = True) -> None:
        super().__init__()
        self.cv1, self.cv2, self.cv3 = Conv(i, o // 2), Conv(i, o // 2), Conv(o, o)
        self.m = nn.Sequential(*[Bottleneck(o // 2, add) for _ in range(n)])

    def forward(self, x):
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


class SPP(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(c, c // 2), Conv(2 * c, c)
        self.m = nn.ModuleList([nn.MaxPool2d(k, 1, k // 2) for k in (3, 5, 7)])

    def forward(self, x):
        x = self.cv1(x)
        return self.cv2(torch.cat([x, *(pool(x) for pool in self.m)], 1))


class Concat(nn.Module):
    def forward(self, xs):
        return torch.cat(xs, 1)


class Detect(nn.Module):
    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.nc, self.no, self.nl, self.na = 1, 16, 3, 3
        pixels = torch.tensor(ANCHORS)
        self.register_buffer("anchor_grid", pixels.clone().view(3, 1, -1, 1, 1, 2))
        self.register_buffer("anchors", pixels / torch.tensor([8.0, 16.0, 32.0]).view(3, 1, 1))
        self.m = nn.ModuleList([nn.Conv2d(c, 48, 1) for c in channels])

    def forward(self, xs):
        return [m(x) for m, x in zip(self.m, xs, strict=True)]


class Model(nn.Module):
    def __init__(self, w: int) -> None:
        super().__init__()
        up = lambda: nn.Upsample(None, 2, "nearest")  # noqa: E731
        layers = [
            (-1, StemBlock(3, w)),
            (-1, C3(w, 2 * w, 3)),
            (-1, Conv(2 * w, 4 * w, 3, 2)),
            (-1, C3(4 * w, 4 * w, 9)),
            (-1, Conv(4 * w, 8 * w, 3, 2)),
            (-1, C3(8 * w, 8 * w, 9)),
            (-1, Conv(8 * w, 16 * w, 3, 2)),
            (-1, SPP(16 * w)),
            (-1, C3(16 * w, 16 * w, 3, False)),
            (-1, Conv(16 * w, 8 * w)),
            (-1, up()),
            ([-1, 5], Concat()),
            (-1, C3(16 * w, 8 * w, 3, False)),
            (-1, Conv(8 * w, 4 * w)),
            (-1, up()),
            ([-1, 3], Concat()),
            (-1, C3(8 * w, 4 * w, 3, False)),
            (-1, Conv(4 * w, 4 * w, 3, 2)),
            ([-1, 13], Concat()),
            (-1, C3(8 * w, 8 * w, 3, False)),
            (-1, Conv(8 * w, 8 * w, 3, 2)),
            ([-1, 9], Concat()),
            (-1, C3(16 * w, 16 * w, 3, False)),
            ([16, 19, 22], Detect((4 * w, 8 * w, 16 * w))),
        ]
        self.model = nn.Sequential(*[layer for _, layer in layers])
        for index, (source, layer) in enumerate(layers):
            layer.f, layer.i = source, index

    def forward(self, x):
        done = []
        for layer in self.model:
            sources = layer.f if isinstance(layer.f, list) else [layer.f]
            inputs = [x if source == -1 else done[source] for source in sources]
            x = layer(inputs if isinstance(layer.f, list) else inputs[0])
            done.append(x)
        return x


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, object]:
    """The file, pickled under the names of its author's package, and the network itself."""
    for name, classes in {
        "models": (),
        "models.common": (Conv, StemBlock, Bottleneck, C3, SPP, Concat),
        "models.yolo": (Detect, Model),
    }.items():
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        for cls in classes:
            monkeypatch.setattr(cls, "__module__", name)
            setattr(module, cls.__name__, cls)
    torch.manual_seed(0)
    net = Model(8).eval()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.3, 0.3)
            part.running_var.uniform_(0.1, 0.5)
    path = tmp_path / "yolov5l-face.pt"
    torch.save({"epoch": -1, "model": net.half()}, path)
    return path, net.float()


def test_the_large_layout_gives_what_torch_gives(checkpoint: tuple[Path, object]) -> None:
    path, net = checkpoint
    image = np.random.default_rng(0).random((1, 3, 96, 128), dtype=np.float32)
    with torch.no_grad():
        wanted = [head.numpy() for head in net(torch.from_numpy(image))]  # type: ignore[operator]
    for name in ("models", "models.common", "models.yolo"):
        del sys.modules[name]  # the reader must not need them
    detector = YoloV5Face(path)
    found = list(detector._model.run(image).values())
    assert [f.shape for f in found] == [w.shape for w in wanted] == [(1, 48, 12, 16), (1, 48, 6, 8), (1, 48, 3, 4)]
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.ptp(theirs) > 0.05
        assert np.abs(ours - theirs).max() < 1e-4
