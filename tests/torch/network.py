"""The network of the description in PyTorch, written from its text alone; the numbers are its sections.

What reads and writes files imports what it needs itself: bench.py runs where there is nothing but PyTorch."""

import re

import torch
import torch.nn.functional as F
from torch import nn

# backbone: blocks per stage, B (channels of a block's output over its planes), inner width over planes
BACKBONES = {
    "resnet18": ((2, 2, 2, 2), 1, 1),
    "resnet34": ((3, 4, 6, 3), 1, 1),
    "resnet50": ((3, 4, 6, 3), 4, 1),
    "wide_resnet50_2": ((3, 4, 6, 3), 4, 2),
}
PLANES = (64, 128, 256)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SWITCHES = ("scconv", "simam", "fmm")


class BatchNorm(nn.BatchNorm2d):
    """Batch norm (eps 1e-5, momentum 0.1) whose state has no num_batches_tracked."""

    def __init__(self, channels):
        super().__init__(channels)
        self.num_batches_tracked = None

    _load_from_state_dict = nn.Module._load_from_state_dict  # BatchNorm2d's would ask for the missing count


def conv(inputs, outputs, kernel, stride=1, bias=False, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


class Block(nn.Module):
    """A residual block, basic (expansion 1) or bottleneck; `grow` doubles the side (section 4), `stride` shrinks it."""

    def __init__(self, inputs, planes, expansion, width, stride=1, grow=False):
        super().__init__()
        outputs, inner = planes * expansion, planes * width

        def resampling(inputs, outputs, kernel):
            if grow:
                return nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False)
            return conv(inputs, outputs, kernel, stride)

        if expansion == 1:
            self.conv1, self.bn1 = resampling(inputs, planes, 3), BatchNorm(planes)
            self.conv2, self.bn2 = conv(planes, planes, 3), BatchNorm(planes)
            self.conv3 = self.bn3 = None
        else:
            self.conv1, self.bn1 = conv(inputs, inner, 1), BatchNorm(inner)
            self.conv2, self.bn2 = resampling(inner, inner, 3), BatchNorm(inner)
            self.conv3, self.bn3 = conv(inner, outputs, 1), BatchNorm(outputs)
        self.downsample = None
        if grow or stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(resampling(inputs, outputs, 1), BatchNorm(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.conv3 is not None:
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def stage(inputs, planes, blocks, expansion, width, **first):
    """A stage of residual blocks; the first one takes the options `first`."""
    outputs = planes * expansion
    rest = (Block(outputs, planes, expansion, width) for _ in range(blocks - 1))
    return nn.Sequential(Block(inputs, planes, expansion, width, **first), *rest)


class Teacher(nn.Module):
    """Section 2: x -> F_E^1, F_E^2, F_E^3."""

    def __init__(self, backbone):
        super().__init__()
        blocks, b, width = BACKBONES[backbone]
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), BatchNorm(64)
        self.layer1 = stage(64, 64, blocks[0], b, width)
        self.layer2 = stage(64 * b, 128, blocks[1], b, width, stride=2)
        self.layer3 = stage(128 * b, 256, blocks[2], b, width, stride=2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        f1 = self.layer1(x)
        f2 = self.layer2(f1)
        return f1, f2, self.layer3(f2)


class SCConv(nn.Module):
    """Section 3, SCConv: the spatial (SRU) and the channel (CRU) reconstruction unit."""

    def __init__(self, channels, soft):
        super().__init__()
        self.soft = soft
        half, quarter = channels // 2, channels // 4
        self.gn = nn.GroupNorm(16, channels)
        self.squeeze1, self.squeeze2 = conv(half, quarter, 1), conv(half, quarter, 1)
        self.gwc = conv(quarter, channels, 3, bias=True, groups=2)
        self.pwc1, self.pwc2 = conv(quarter, channels, 1), conv(quarter, channels - quarter, 1)

    def sru(self, x):
        w = self.gn.weight / self.gn.weight.sum()
        logit = w[:, None, None] * self.gn(x)
        info = logit > 0  # sigmoid(logit) > 0.5, without the sigmoid's rounding
        if self.soft:
            r = torch.sigmoid(logit)
            x1, x2 = x * torch.where(info, 1, r), x * torch.where(info, 0, r)
        else:
            x1, x2 = x * info, x * ~info
        (top1, low1), (top2, low2) = x1.chunk(2, 1), x2.chunk(2, 1)
        return torch.cat((top1 + low2, low1 + top2), 1)

    def forward(self, x):
        upper, lower = self.sru(x).chunk(2, 1)
        upper, lower = self.squeeze1(upper), self.squeeze2(lower)
        y = torch.stack((self.gwc(upper) + self.pwc1(upper), torch.cat((self.pwc2(lower), lower), 1)))
        return (y.mean((-2, -1), keepdim=True).softmax(0) * y).sum(0)


def simam(x):
    """Section 3, SimAM, lambda = 1e-4."""
    d = (x - x.mean((-2, -1), keepdim=True)).square()
    v = d.sum((-2, -1), keepdim=True) / (x.shape[-2] * x.shape[-1] - 1)
    return x * torch.sigmoid(d / (4 * (v + 1e-4)) + 0.5)


class Bottleneck(nn.Module):
    """Section 3: F_E of the used levels -> F_B, by MSFF, SCSAtt and OCE."""

    def __init__(self, backbone, levels, scconv, simam, soft):
        super().__init__()
        blocks, b, width = BACKBONES[backbone]
        c1, c2, c3 = (b * planes for planes in PLANES)
        self.levels, self.simam = levels, simam
        if 1 in levels:
            self.down1a, self.bn1a = conv(c1, c2, 3, 2), BatchNorm(c2)
            self.down1b, self.bn1b = conv(c2, c3, 3, 2), BatchNorm(c3)
        if 2 in levels:
            self.down2, self.bn2 = conv(c2, c3, 3, 2), BatchNorm(c3)
        self.fuse, self.bnf = conv(len(levels) * c3, c3, 1), BatchNorm(c3)
        self.scconv = SCConv(c3, soft) if scconv else None
        self.point, self.bnp = conv(c3, c3, 1), BatchNorm(c3)
        self.oce = stage(c3, 512, blocks[3], b, width, stride=2)

    def forward(self, features):
        (f1, f2, f3), parts = features, []
        if 1 in self.levels:
            parts.append(F.relu(self.bn1b(self.down1b(F.relu(self.bn1a(self.down1a(f1)))))))
        if 2 in self.levels:
            parts.append(F.relu(self.bn2(self.down2(f2))))
        if 3 in self.levels:
            parts.append(f3)
        x = F.relu(self.bnf(self.fuse(torch.cat(parts, 1))))
        if self.scconv is not None:
            x = self.scconv(x)
        x = F.relu(self.bnp(self.point(x)))
        return self.oce(simam(x) if self.simam else x)


class Student(nn.Module):
    """Section 4: F_B -> F_D^1, F_D^2, F_D^3."""

    def __init__(self, backbone):
        super().__init__()
        blocks, b, width = BACKBONES[backbone]
        self.layer3 = stage(512 * b, 256, blocks[0], b, width, grow=True)
        self.layer2 = stage(256 * b, 128, blocks[1], b, width, grow=True)
        self.layer1 = stage(128 * b, 64, blocks[2], b, width, grow=True)

    def forward(self, x):
        f3 = self.layer3(x)
        f2 = self.layer2(f3)
        return self.layer1(f2), f2, f3


class FMM(nn.Module):
    """Section 5: F_D^i -> F_G^i; the mask is one value for each position and picture."""

    def __init__(self, channels):
        super().__init__()
        self.align = conv(channels, channels, 1, bias=True)
        self.gen1, self.gen2 = (conv(channels, channels, 3, bias=True) for _ in range(2))

    def forward(self, x, mask_rate):
        x = self.align(x)
        if mask_rate > 0:
            x = x * (torch.rand_like(x[:, :1]) >= mask_rate)
        return self.gen2(F.relu(self.gen1(x)))


def cosine(a, b):
    """Cosine over dimension 1, the norms floored at 1e-8 (section 6)."""
    return (F.normalize(a, dim=1, eps=1e-8) * F.normalize(b, dim=1, eps=1e-8)).sum(1)


class Network(nn.Module):
    """Teacher, bottleneck, student and FMMs; the state's names are the description's."""

    def __init__(self, backbone="resnet18", levels=(1, 2, 3), scconv=True, simam=True, fmm=True, soft=False):
        super().__init__()
        self.levels = tuple(sorted(set(levels)))
        if not self.levels or not set(self.levels) <= {1, 2, 3}:
            raise ValueError(f"levels are of 1, 2 and 3, not {levels}")
        self.teacher = Teacher(backbone).requires_grad_(False)
        self.bottleneck = Bottleneck(backbone, self.levels, scconv, simam, soft)
        self.student = Student(backbone)
        b = BACKBONES[backbone][1]
        self.fmm = nn.ModuleDict({str(i - 1): FMM(b * PLANES[i - 1]) for i in self.levels}) if fmm else None
        for module in self.modules():  # section 7; norms start at 1 and 0
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        self.teacher.eval()
        return self

    def pairs(self, x, mask_rate=0.0):
        """Yields (F_E^i, F_G^i) of each used level."""
        teacher = self.teacher(x)
        student = self.student(self.bottleneck(teacher))
        for level in self.levels:
            f = student[level - 1]
            yield teacher[level - 1], f if self.fmm is None else self.fmm[str(level - 1)](f, mask_rate)

    def level_maps(self, x):
        """M^i of each used level, {N,h,w} (section 6)."""
        return [1 - cosine(*pair) for pair in self.pairs(x)]

    def loss(self, x, mask_rate=0.0, kind="position"):
        """Section 6: the mean over pictures of the distillation loss, "position" (equations 12 and 13) or "global"."""
        shaped = {"position": lambda f: f, "global": lambda f: f.flatten(1)}[kind]
        return sum((1 - cosine(shaped(e), shaped(g))).mean() for e, g in self.pairs(x, mask_rate))


def blur_taps():
    """Section 6: sigma 4, 33 taps, float32."""
    taps = torch.exp(-torch.arange(-16, 17, dtype=torch.float64).square() / (2 * 4**2))
    return (taps / taps.sum()).float()


def anomaly_map(level_maps, height, width, taps=None, product=False):
    """Section 6: the level maps {N,h,w} enlarged, joined and blurred: {N,height,width}. taps: where they are at hand."""
    large = [F.interpolate(m[:, None], (height, width), mode="bilinear", align_corners=True) for m in level_maps]
    total = sum(large)
    if product:
        total = len(large) * torch.stack(large).clamp(min=0).prod(0).pow(1 / len(large))
    taps = blur_taps().to(total) if taps is None else taps
    total = F.conv2d(F.pad(total, (16, 16, 16, 16), mode="reflect"), taps.view(1, 1, 1, 33))
    return F.conv2d(total, taps.view(1, 1, 33, 1))[:, 0]


class Judge(nn.Module):
    """Judges as the program does: bytes {N,H,W,3} -> map, score."""

    def __init__(self, network, dtype):
        super().__init__()
        self.network, self.dtype = network.to(dtype), dtype
        self.register_buffer("mean", 255 * torch.tensor(MEAN, dtype=dtype).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(STD, dtype=dtype).view(3, 1, 1))
        self.register_buffer("taps", blur_taps())

    def forward(self, pixels):
        x = (pixels.permute(0, 3, 1, 2).to(self.dtype) - self.mean) / self.std  # channels last already
        height, width = pixels.shape[1:3]
        total = anomaly_map([m.float() for m in self.network.level_maps(x)], height, width, self.taps)
        return total, total.amax((-2, -1))


def recipe_adam(network, lr=1e-3, l2=1e-5):
    """Section 7. weight_decay is added to the gradient before the moments: that of l2 times the sum of squares."""
    trained = [p for p in network.parameters() if p.requires_grad]
    convolutions = {"params": [p for p in trained if p.dim() == 4], "weight_decay": 2 * l2}
    return torch.optim.Adam([convolutions, {"params": [p for p in trained if p.dim() != 4]}], lr=lr, fused=True)


def picture(path, height, width):
    """Section 1: an image file as the network's input, {1,3,height,width}."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        deep = re.search(";16[BLN]", str(image.tile))  # Pillow cuts such colour to 8 bits itself, by another rule
        image.load()
    if image.mode.startswith("I"):  # 16-bit grey
        image = Image.fromarray(((np.asarray(image).astype(np.int64) + 128) // 257).astype(np.uint8))
    elif deep or image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise ValueError(f"{path}: colour of 16 bits or mode {image.mode} is not supported")
    image = image.convert("RGB")
    image = image.resize((width, image.height), Image.BILINEAR).resize((width, height), Image.BILINEAR)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def load_teacher(network, path):
    """Reads a teacher's weights under torchvision's names; the classifier and layer4 are skipped."""
    from safetensors.torch import load_file

    state = {name: tensor for name, tensor in load_file(path).items()
             if not name.startswith(("layer4.", "fc.")) and not name.endswith("num_batches_tracked")}
    network.teacher.load_state_dict(state)


def load(network, path):
    from safetensors.torch import load_file

    network.load_state_dict(load_file(path))


def save(network, path):
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


def add_switches(parser):
    """The options that choose a network; `switched` makes it."""
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet18")
    parser.add_argument("--gate", choices=("hard", "soft"), default="hard", help="SRU's gate")
    parser.add_argument("--without", default="", help=f"what to leave out, of {','.join(SWITCHES)}")
    parser.add_argument("--levels", default="1,2,3", help="the used levels")


def switched(options):
    without = {name: False for name in options.without.split(",") if name}
    if not set(without) <= set(SWITCHES):
        raise ValueError(f"--without takes {','.join(SWITCHES)}, not {options.without}")
    levels = [int(level) for level in options.levels.split(",")]
    return Network(options.backbone, levels, soft=options.gate == "soft", **without)
