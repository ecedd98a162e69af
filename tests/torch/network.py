"""The network in PyTorch, from its description alone: the independent check of what the program computes, and its peer in
training. The state dict's keys are the public tensor names. "Section" is the description's."""
import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

BACKBONES = {  # blocks of each stage, expansion, inner width of a bottleneck block
    "resnet18": ((2, 2, 2, 2), 1, 1),
    "resnet34": ((3, 4, 6, 3), 1, 1),
    "resnet50": ((3, 4, 6, 3), 4, 1),
    "wide_resnet50_2": ((3, 4, 6, 3), 4, 2),
}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class BatchNorm(nn.Module):
    """nn.BatchNorm2d without its counter of batches, which is no public name."""

    def __init__(self, c):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c))
        self.register_buffer("running_mean", torch.zeros(c))
        self.register_buffer("running_var", torch.ones(c))

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, 1e-5)


def conv(cin, cout, k, stride=1, bias=False, groups=1):
    return nn.Conv2d(cin, cout, k, stride, k // 2, bias=bias, groups=groups)


class Block(nn.Module):
    """A ResNet block; grow makes its strided convolution and its shortcut transposed (section 4)."""

    def __init__(self, cin, planes, expansion, width, stride=1, grow=False):
        super().__init__()
        cout, inner = planes * expansion, planes * width
        up = lambda a, b: nn.ConvTranspose2d(a, b, 2, 2, bias=False)
        if expansion == 1:
            self.conv1 = up(cin, inner) if grow else conv(cin, inner, 3, stride)
            self.conv2 = conv(inner, cout, 3)
        else:
            self.conv1 = conv(cin, inner, 1)
            self.conv2 = up(inner, inner) if grow else conv(inner, inner, 3, stride)
            self.conv3 = conv(inner, cout, 1)
            self.bn3 = BatchNorm(cout)
        self.bn1, self.bn2 = BatchNorm(inner), BatchNorm(inner if expansion == 4 else cout)
        self.downsample = None
        if stride != 1 or grow or cin != cout:
            self.downsample = nn.Sequential(up(cin, cout) if grow else nn.Conv2d(cin, cout, 1, stride, bias=False),
                                            BatchNorm(cout))

    def forward(self, x):
        shortcut = self.downsample(x) if self.downsample else x
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "conv3"):
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + shortcut)


def stage(cin, planes, blocks, expansion, width, stride=1, grow=False):
    first = Block(cin, planes, expansion, width, stride, grow)
    return nn.Sequential(first, *(Block(planes * expansion, planes, expansion, width) for _ in range(blocks - 1)))


class Teacher(nn.Module):
    def __init__(self, blocks, expansion, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), BatchNorm(64)
        self.layer1 = stage(64, 64, blocks[0], expansion, width)
        self.layer2 = stage(64 * expansion, 128, blocks[1], expansion, width, 2)
        self.layer3 = stage(128 * expansion, 256, blocks[2], expansion, width, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        f1 = self.layer1(x)
        f2 = self.layer2(f1)
        return f1, f2, self.layer3(f2)


class SCConv(nn.Module):
    def __init__(self, c, soft):
        super().__init__()
        self.soft = soft
        self.gn = nn.GroupNorm(16, c)
        self.squeeze1, self.squeeze2 = conv(c // 2, c // 4, 1), conv(c // 2, c // 4, 1)
        self.gwc, self.pwc1 = conv(c // 4, c, 3, bias=True, groups=2), conv(c // 4, c, 1)
        self.pwc2 = conv(c // 4, 3 * c // 4, 1)

    def forward(self, x):
        h = x.shape[1] // 2
        weight = self.gn.weight / self.gn.weight.sum()
        r = torch.sigmoid(weight.view(1, -1, 1, 1) * self.gn(x))
        informative = r > 0.5
        if self.soft:
            x1, x2 = torch.where(informative, 1.0, r) * x, torch.where(informative, 0.0, r) * x
        else:
            x1, x2 = informative * x, ~informative * x
        upper, lower = x1[:, :h] + x2[:, h:], x1[:, h:] + x2[:, :h]
        u, low = self.squeeze1(upper), self.squeeze2(lower)
        y1, y2 = self.gwc(u) + self.pwc1(u), torch.cat((self.pwc2(low), low), 1)
        share = torch.softmax(torch.stack((y1.mean((2, 3), True), y2.mean((2, 3), True))), 0)
        return share[0] * y1 + share[1] * y2


def simam(x):
    d = (x - x.mean((2, 3), True)) ** 2
    v = d.sum((2, 3), True) / (x.shape[2] * x.shape[3] - 1)
    return x * torch.sigmoid(d / (4 * (v + 1e-4)) + 0.5)


class Bottleneck(nn.Module):
    def __init__(self, blocks, expansion, width, levels, scconv, use_simam, soft):
        super().__init__()
        c = 256 * expansion
        self.levels, self.simam = levels, use_simam
        if 1 in levels:
            self.down1a, self.bn1a = conv(c // 4, c // 2, 3, 2), BatchNorm(c // 2)
            self.down1b, self.bn1b = conv(c // 2, c, 3, 2), BatchNorm(c)
        if 2 in levels:
            self.down2, self.bn2 = conv(c // 2, c, 3, 2), BatchNorm(c)
        self.fuse, self.bnf = conv(len(levels) * c, c, 1), BatchNorm(c)
        self.scconv = SCConv(c, soft) if scconv else None
        self.point, self.bnp = conv(c, c, 1), BatchNorm(c)
        self.oce = stage(c, 512, blocks[3], expansion, width, 2)

    def forward(self, f):
        parts = []
        if 1 in self.levels:
            x = F.relu(self.bn1a(self.down1a(f[0])))
            parts.append(F.relu(self.bn1b(self.down1b(x))))
        if 2 in self.levels:
            parts.append(F.relu(self.bn2(self.down2(f[1]))))
        if 3 in self.levels:
            parts.append(f[2])
        x = F.relu(self.bnf(self.fuse(torch.cat(parts, 1))))
        if self.scconv:
            x = self.scconv(x)
        x = F.relu(self.bnp(self.point(x)))
        return self.oce(simam(x) if self.simam else x)


class Student(nn.Module):
    def __init__(self, blocks, expansion, width):
        super().__init__()
        self.layer3 = stage(512 * expansion, 256, blocks[0], expansion, width, grow=True)
        self.layer2 = stage(256 * expansion, 128, blocks[1], expansion, width, grow=True)
        self.layer1 = stage(128 * expansion, 64, blocks[2], expansion, width, grow=True)

    def forward(self, x):
        d3 = self.layer3(x)
        d2 = self.layer2(d3)
        return self.layer1(d2), d2, d3


class FMM(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.align, self.gen1, self.gen2 = conv(c, c, 1, bias=True), conv(c, c, 3, bias=True), conv(c, c, 3, bias=True)

    def forward(self, x, mask_rate):
        x = self.align(x)
        if mask_rate:
            x = x * (torch.rand(x.shape[0], 1, *x.shape[2:], device=x.device) >= mask_rate)
        return self.gen2(F.relu(self.gen1(x)))


class Network(nn.Module):
    def __init__(self, backbone="resnet18", levels=(1, 2, 3), scconv=True, simam=True, fmm=True, soft=False):
        super().__init__()
        blocks, expansion, width = BACKBONES[backbone]
        self.levels = tuple(levels)
        self.teacher = Teacher(blocks, expansion, width).requires_grad_(False)
        self.bottleneck = Bottleneck(blocks, expansion, width, self.levels, scconv, simam, soft)
        self.student = Student(blocks, expansion, width)
        self.fmm = nn.ModuleDict({str(i - 1): FMM((32 << i) * expansion) for i in self.levels}) if fmm else None
        for module in (self.bottleneck, self.student, self.fmm or nn.ModuleList()):
            for m in module.modules():
                if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
                    n0, _, kh, kw = m.weight.shape
                    nn.init.normal_(m.weight, 0, (2 / (n0 * kh * kw)) ** 0.5)
                    if m.bias is not None:
                        nn.init.zeros_(m.bias)

    def train(self, mode=True):
        super().train(mode)
        self.teacher.eval()
        return self

    def pairs(self, x, mask_rate=0.0):
        """F_E^i and F_G^i of each used level."""
        with torch.no_grad():
            e = self.teacher(x)
        d = self.student(self.bottleneck(e))
        for i in self.levels:
            g = self.fmm[str(i - 1)](d[i - 1], mask_rate) if self.fmm is not None else d[i - 1]
            yield e[i - 1], g

    def level_maps(self, x):
        return [distance(e, g) for e, g in self.pairs(x)]

    def loss(self, x, mask_rate=0.0, kind="position"):
        if kind == "position":
            return sum(distance(e, g).mean() for e, g in self.pairs(x, mask_rate))
        return sum(distance(e.flatten(1), g.flatten(1)).mean() for e, g in self.pairs(x, mask_rate))


def distance(e, g):
    dot = (e * g).sum(1)
    return 1 - dot / (e.norm(dim=1).clamp_min(1e-8) * g.norm(dim=1).clamp_min(1e-8))


def anomaly_map(level_maps, height, width):
    total = sum(F.interpolate(m[:, None], (height, width), mode="bilinear", align_corners=True) for m in level_maps)
    t = torch.arange(-16, 17, dtype=total.dtype, device=total.device)
    tap = torch.exp(-t * t / 32)
    tap = tap / tap.sum()
    total = F.conv2d(F.pad(total, (16, 16, 0, 0), "reflect"), tap.view(1, 1, 1, -1))
    return F.conv2d(F.pad(total, (0, 0, 16, 16), "reflect"), tap.view(1, 1, -1, 1))[:, 0]


def picture(path, height, width):
    """A file as the network's input, {1, 3, height, width} (section 1)."""
    image = Image.open(path)
    if image.mode.startswith("I"):  # 16 bit
        image = Image.fromarray(numpy.rint(numpy.asarray(image) / 257).astype(numpy.uint8))
    image = image.convert("RGB")
    for size in (width, image.height), (width, height):  # rows first, as Pillow to 11; 13 takes the cheaper order
        image = image.resize(size, Image.Resampling.BILINEAR)
    x = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)[None].float() / 255
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(DEVIATION).view(1, 3, 1, 1)


def load_teacher(network, path):
    """A teacher file with torchvision's names, in which layer4, classifier and counters are skipped."""
    skipped = lambda name: name.startswith(("layer4.", "fc.")) or name.endswith("num_batches_tracked")
    network.teacher.load_state_dict({k: v for k, v in load_file(path).items() if not skipped(k)})


def load(network, path):
    """A whole network. A name that is missing, extra or wrongly shaped is an error that says so."""
    network.load_state_dict(load_file(path))


def save(network, path):
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)


def add_switches(parser):
    """The options that say which network it is, as flawgate-train has them."""
    parser.add_argument("--backbone", default="resnet18", choices=BACKBONES)
    parser.add_argument("--gate", default="hard", choices=("hard", "soft"))
    parser.add_argument("--without", default="", help="of scconv,simam,fmm")
    parser.add_argument("--levels", default="1,2,3")


def switched(options):
    """The network of these options, with drawn weights."""
    off = options.without.split(",")
    return Network(options.backbone, [int(i) for i in options.levels.split(",")], "scconv" not in off,
                   "simam" not in off, "fmm" not in off, options.gate == "soft")


PAIRS = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1"), ("down1a", "bn1a"), ("down1b", "bn1b"),
         ("down2", "bn2"), ("fuse", "bnf"), ("point", "bnp"))


@torch.no_grad()
def fold(network):
    """Every batch norm goes into the convolution before it, for inference."""
    for parent in list(network.modules()):
        for before, after in PAIRS:
            convolution, norm = getattr(parent, before, None), getattr(parent, after, None)
            if isinstance(norm, BatchNorm) and convolution is not None:
                scale = norm.weight / (norm.running_var + 1e-5).sqrt()
                transposed = isinstance(convolution, nn.ConvTranspose2d)
                convolution.weight *= scale.view(1, -1, 1, 1) if transposed else scale.view(-1, 1, 1, 1)
                convolution.bias = nn.Parameter(norm.bias - norm.running_mean * scale, requires_grad=False)
                setattr(parent, after, nn.Identity())
    return network
