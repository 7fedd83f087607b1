"""Checkpoints laid out as the Ultralytics package writes them, made without that package: small networks of plain
torch, with random weights, pickled under that package's module names. Their ``forward`` is the reference: it shares no
code with the product."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Conv(nn.Module):
    def __init__(self, i: int, o: int, k: int = 1, s: int = 1, g: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False)
        self.bn = nn.BatchNorm2d(o, eps=1e-3)
        self.act = nn.SiLU() if act else nn.Identity()

    def forward(self, x):
        y = self.conv(x)
        return self.act(self.bn(y) if hasattr(self, "bn") else y)

    def fuse(self) -> None:
        scale = self.bn.weight / (self.bn.running_var + self.bn.eps).sqrt()
        plain = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, self.conv.kernel_size, self.conv.stride,
                          self.conv.padding, groups=self.conv.groups)  # fmt: skip
        plain.weight.data = self.conv.weight.data * scale.view(-1, 1, 1, 1)
        plain.bias.data = self.bn.bias - self.bn.running_mean * scale
        self.conv = plain
        del self.bn


class DWConv(Conv):
    def __init__(self, i: int, o: int, k: int) -> None:
        super().__init__(i, o, k, g=i)


class Bottleneck(nn.Module):
    def __init__(self, c: int, add: bool = True, k: tuple[int, int] = (3, 3)) -> None:
        super().__init__()
        self.cv1, self.cv2, self.add = Conv(c, c, k[0]), Conv(c, c, k[1]), add

    def forward(self, x):
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class C3k(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        h = c // 2
        self.cv1, self.cv2, self.cv3 = Conv(c, h), Conv(c, h), Conv(2 * h, c)
        self.m = nn.Sequential(Bottleneck(h), Bottleneck(h))

    def forward(self, x):
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


class C2f(nn.Module):
    def __init__(self, i: int, o: int, n: int = 1, add: bool = True) -> None:
        super().__init__()
        self.c = o // 2
        self.cv1, self.cv2 = Conv(i, 2 * self.c), Conv((2 + n) * self.c, o)
        self.m = nn.ModuleList([self.part(self.c, add) for _ in range(n)])

    def part(self, c: int, add: bool) -> nn.Module:
        return Bottleneck(c, add)

    def forward(self, x):
        y = [*self.cv1(x).chunk(2, 1)]
        for m in self.m:
            y.append(m(y[-1]))
        return self.cv2(torch.cat(y, 1))


class C3k2(C2f):
    def part(self, c: int, add: bool) -> nn.Module:
        return C3k(c) if add else Bottleneck(c)


class SPPF(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.cv1, self.cv2, self.m = Conv(i, i // 2), Conv(2 * i, o), nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        y = [self.cv1(x)]
        y += [self.m(y[0]), self.m(self.m(y[0])), self.m(self.m(self.m(y[0])))]
        return self.cv2(torch.cat(y, 1))


class Attention(nn.Module):
    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.key_dim = heads, c // heads, c // heads // 2
        self.scale = self.key_dim**-0.5
        self.qkv = Conv(c, c + 2 * self.key_dim * heads, act=False)
        self.proj, self.pe = Conv(c, c, act=False), Conv(c, c, 3, g=c, act=False)

    def forward(self, x):
        b, c, h, w = x.shape
        sizes = [self.key_dim, self.key_dim, self.head_dim]
        q, k, v = self.qkv(x).view(b, self.num_heads, sum(sizes), h * w).split(sizes, 2)
        weight = (q.transpose(-2, -1) @ k * self.scale).softmax(-1)
        return self.proj((v @ weight.transpose(-2, -1)).view(b, c, h, w) + self.pe(v.reshape(b, c, h, w)))


class PSABlock(nn.Module):
    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        self.attn, self.ffn = Attention(c, heads), nn.Sequential(Conv(c, 2 * c), Conv(2 * c, c, act=False))
        self.add = True

    def forward(self, x):
        x = x + self.attn(x)
        return x + self.ffn(x)


class C2PSA(nn.Module):
    def __init__(self, c: int, n: int = 2, heads: int = 2) -> None:
        super().__init__()
        self.c = c // 2
        self.cv1, self.cv2 = Conv(c, c), Conv(c, c)
        self.m = nn.Sequential(*[PSABlock(self.c, heads) for _ in range(n)])

    def forward(self, x):
        a, b = self.cv1(x).chunk(2, 1)
        return self.cv2(torch.cat([a, self.m(b)], 1))


class PSA(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.cv2, self.attn = Conv(c, c), Conv(c, c), Attention(c // 2, 2)
        self.ffn = nn.Sequential(Conv(c // 2, c), Conv(c, c // 2, act=False))

    def forward(self, x):
        a, b = self.cv1(x).chunk(2, 1)
        b = b + self.attn(b)
        return self.cv2(torch.cat([a, b + self.ffn(b)], 1))


class RepConv(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.act, self.bn = nn.SiLU(), nn.BatchNorm2d(c)
        self.conv1, self.conv2 = Conv(c, c, 3, act=False), Conv(c, c, 1, act=False)

    def forward(self, x):
        return self.act(self.conv1(x) + self.conv2(x) + self.bn(x))


class RepBottleneck(Bottleneck):
    def __init__(self, c: int) -> None:
        super().__init__(c)
        self.cv1 = RepConv(c)


class RepCSP(C3k):
    def __init__(self, c: int) -> None:
        super().__init__(c)
        self.m = nn.Sequential(RepBottleneck(c // 2))


class RepNCSPELAN4(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        h = o // 2
        self.cv1, self.cv4 = Conv(i, o), Conv(o + 2 * h, o)
        self.cv2, self.cv3 = (nn.Sequential(RepCSP(h), Conv(h, h, 3)) for _ in range(2))

    def forward(self, x):
        a, b = self.cv1(x).chunk(2, 1)
        c = self.cv2(b)
        return self.cv4(torch.cat([a, b, c, self.cv3(c)], 1))


class ADown(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(i // 2, o // 2, 3, 2), Conv(i // 2, o // 2)

    def forward(self, x):
        a, b = nn.functional.avg_pool2d(x, 2, 1).chunk(2, 1)
        return torch.cat([self.cv1(a), self.cv2(nn.functional.max_pool2d(b, 3, 2, 1))], 1)


class SPPELAN(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.cv1, self.cv5 = Conv(i, i // 2), Conv(2 * i, o)
        self.cv2, self.cv3, self.cv4 = (nn.MaxPool2d(5, 1, 2) for _ in range(3))

    def forward(self, x):
        a = self.cv1(x)
        b = self.cv2(a)
        return self.cv5(torch.cat([a, b, self.cv3(b), self.cv4(self.cv3(b))], 1))


class SCDown(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(i, o), Conv(o, o, 3, 2, g=o, act=False)

    def forward(self, x):
        return self.cv2(self.cv1(x))


class RepVGGDW(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv, self.conv1, self.act = Conv(c, c, 7, g=c, act=False), Conv(c, c, 3, g=c, act=False), nn.SiLU()

    def forward(self, x):
        return self.act(self.conv(x) + self.conv1(x))


class CIB(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.add = nn.Sequential(Conv(c, c, 3, g=c), Conv(c, 2 * c), RepVGGDW(2 * c), Conv(2 * c, c)), True

    def forward(self, x):
        return x + self.cv1(x)


class C2fCIB(C2f):
    def part(self, c: int, add: bool) -> nn.Module:
        return CIB(c)


class Concat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.d = 1

    def forward(self, xs):
        return torch.cat(xs, self.d)


class DFL(nn.Module):
    def __init__(self, bins: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(bins, 1, 1, bias=False)
        self.conv.weight.data[:] = torch.arange(bins, dtype=torch.float).view(1, bins, 1, 1)
        self.c1 = bins

    def forward(self, x):
        b, _, cells = x.shape
        return self.conv(x.view(b, 4, self.c1, cells).transpose(2, 1).softmax(1)).view(b, 4, cells)


class Detect(nn.Module):
    def __init__(self, nc: int, channels: tuple[int, ...], light: bool, bins: int = 16) -> None:
        super().__init__()
        self.nc, self.nl, self.reg_max, self.no = nc, len(channels), bins, nc + 4 * bins
        self.stride = torch.tensor([8.0, 16.0, 32.0])
        self.cv2 = nn.ModuleList(
            [nn.Sequential(Conv(c, 16, 3), Conv(16, 16, 3), nn.Conv2d(16, 4 * bins, 1)) for c in channels]
        )
        self.cv3 = nn.ModuleList([
            nn.Sequential(nn.Sequential(DWConv(c, c, 3), Conv(c, c)), nn.Conv2d(c, nc, 1)) if light
            else nn.Sequential(Conv(c, c, 3), nn.Conv2d(c, nc, 1)) for c in channels
        ])  # fmt: skip
        self.dfl = DFL(bins) if bins > 1 else nn.Identity()

    def forward(self, xs):
        """(1, 4 + classes, cells): centre and size in pixels, scores."""
        found = []
        for x, box, kind, stride in zip(xs, self.cv2, self.cv3, self.stride, strict=True):
            rows, columns = x.shape[2:]
            y, x0 = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
            at = torch.stack([x0.flatten(), y.flatten()])[None]
            low, high = self.dfl(box(x).flatten(2)).chunk(2, 1)
            low, high = at - low, at + high
            found.append(torch.cat([(low + high) / 2 * stride, (high - low) * stride, kind(x).flatten(2).sigmoid()], 1))
        return torch.cat(found, 2)


class DetectionModel(nn.Module):
    def __init__(self, layers: list[tuple[int | list[int], nn.Module]], names: list[str]) -> None:
        super().__init__()
        self.model = nn.Sequential(*[layer for _, layer in layers])
        for index, (source, layer) in enumerate(layers):
            layer.f, layer.i = source, index
        self.names, self.stride, self.task = dict(enumerate(names)), torch.tensor([8.0, 16.0, 32.0]), "detect"
        self.yaml = {"nc": len(names)}

    def forward(self, x):
        done = []
        for layer in self.model:
            inputs = [
                x if source == -1 else done[source] for source in (layer.f if isinstance(layer.f, list) else [layer.f])
            ]
            x = layer(inputs if isinstance(layer.f, list) else inputs[0])
            done.append(x)
        return x


PACKAGE = {
    "ultralytics": (),
    "ultralytics.nn": (),
    "ultralytics.nn.modules": (),
    "ultralytics.nn.tasks": (DetectionModel,),
    "ultralytics.nn.modules.conv": (Conv, DWConv, Concat, RepConv),
    "ultralytics.nn.modules.head": (Detect,),
    "ultralytics.nn.modules.block": (
        Bottleneck,
        C3k,
        C2f,
        C3k2,
        SPPF,
        Attention,
        PSABlock,
        C2PSA,
        PSA,
        RepBottleneck,
        RepCSP,
        RepNCSPELAN4,
        ADown,
        SPPELAN,
        SCDown,
        RepVGGDW,
        CIB,
        C2fCIB,
        DFL,
    ),
}


def network(layout: str, names: list[str], width: int = 8, seed: int = 0) -> DetectionModel:
    """``8`` and ``11`` as published (fewer repeats), ``9`` and ``10`` with the blocks that only these have."""
    torch.manual_seed(seed)
    w = width
    block = {"8": C2f, "9": RepNCSPELAN4, "10": C2fCIB, "11": C3k2}[layout]
    shrink = {"9": ADown, "10": SCDown}.get(layout, lambda i, o: Conv(i, o, 3, 2))
    last: nn.Module = {"9": SPPELAN}.get(layout, SPPF)(16 * w, 16 * w)
    extra = {"10": PSA, "11": C2PSA}.get(layout, nn.Identity)
    up = lambda: nn.Upsample(None, 2, "nearest")  # noqa: E731
    layers: list[tuple[int | list[int], nn.Module]] = [
        (-1, Conv(3, w, 3, 2)),
        (-1, Conv(w, 2 * w, 3, 2)),
        (-1, block(2 * w, 2 * w)),
        (-1, shrink(2 * w, 4 * w)),
        (-1, block(4 * w, 4 * w)),
        (-1, shrink(4 * w, 8 * w)),
        (-1, block(8 * w, 8 * w)),
        (-1, shrink(8 * w, 16 * w)),
        (-1, last),
        (-1, extra(16 * w) if extra is not nn.Identity else nn.Identity()),
        (-1, up()),
        ([-1, 6], Concat()),
        (-1, block(24 * w, 8 * w)),
        (-1, up()),
        ([-1, 4], Concat()),
        (-1, block(12 * w, 4 * w)),
        (-1, Conv(4 * w, 4 * w, 3, 2)),
        ([-1, 12], Concat()),
        (-1, block(12 * w, 8 * w)),
        (-1, Conv(8 * w, 8 * w, 3, 2)),
        ([-1, 9], Concat()),
        (-1, block(24 * w, 16 * w)),
        ([15, 18, 21], Detect(len(names), (4 * w, 8 * w, 16 * w), light=layout != "8")),
    ]
    return lively(DetectionModel(layers, names))


def lively(net: DetectionModel) -> DetectionModel:
    """Norms learn the statistics of noise, so that no signal dies on its way; scores spread over 0..1."""
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.weight.data.uniform_(0.7, 1.3)
        norm.bias.data.uniform_(-0.2, 0.2)
    for head in net.model[-1].cv3:
        head[-1].weight.data.normal_(0, 2.0)
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 96, 128))
    for norm in norms:
        norm.momentum = 0.03
        norm.running_var.clamp_(min=0.2)  # a channel that hardly moves must not become a magnifying glass of rounding
    return net.eval()


def unseeing(net: DetectionModel) -> DetectionModel:
    """The same network with scores near 0 everywhere: it finds nothing in any picture."""
    for head in net.model[-1].cv3:
        head[-1].weight.data.zero_()
        head[-1].bias.data.fill_(-20.0)
    return net


@contextmanager
def package() -> Iterator[None]:
    """That package's names, for as long as something is pickled."""
    before = {name: sys.modules.get(name) for name in PACKAGE}
    own = {cls: cls.__module__ for classes in PACKAGE.values() for cls in classes}
    for name, classes in PACKAGE.items():
        module = types.ModuleType(name)
        sys.modules[name] = module
        for cls in classes:
            cls.__module__ = name
            setattr(module, cls.__name__, cls)
    try:
        yield
    finally:
        for cls, name in own.items():
            cls.__module__ = name
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def write_checkpoint(path: Path, net: DetectionModel, *, ema: DetectionModel | None = None, half: bool = True) -> None:
    """As that package's trainer does: fp16, the averaged network under ``ema`` when there is one."""

    def stored(model: DetectionModel | None) -> DetectionModel | None:
        return model if model is None or not half else copy.deepcopy(model).half()

    with package():
        torch.save(
            {
                "epoch": -1,
                "model": stored(net),
                "ema": stored(ema),
                "train_args": {"task": "detect"},
                "version": "8.3.0",
            },
            path,
        )


def rounded(net: DetectionModel) -> DetectionModel:
    """The network as it comes back from fp16."""
    return copy.deepcopy(net).half().float().eval()


def reference(net: DetectionModel, image: np.ndarray) -> np.ndarray:
    """(4 + classes, cells) for ``image`` (1, 3, rows, columns) float32."""
    with torch.no_grad():
        return net(torch.from_numpy(image))[0].numpy()
