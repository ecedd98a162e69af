"""The engines that bench.py measures judging on a CPU with, all with the same weights, in float32 unless its name says
int8. Each has a process of its own, so that no engine's threads wait beside another's.

usage: engines.py convert ENGINE FOLDER     (makes the engine's files from the folder's network.pt and picture.npy)
       engines.py judge ENGINE FOLDER N     (with N threads: prints {"score": ...}, then for each line with a number of
                                           seconds the milliseconds of each run, a JSON list)

A run takes the picture's bytes to map and score; ncnn's ends with the level maps, because it lacks the map's operators,
and its network writes the gate and the softmax of a pair in other operators with the same values."""
import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy

SIDE = 256
WARM_UP, LEAST_RUNS = 3, 5


def draw_pictures(count):
    return numpy.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), numpy.uint8)


def load_judge(folder):
    import torch

    from network import Judge, Network

    saved = torch.load(folder / "network.pt", weights_only=True)
    network = Network(saved["backbone"])
    network.load_state_dict(saved["weights"])
    return Judge(network.eval().to(memory_format=torch.channels_last), torch.float32).eval()


# ---- PyTorch ----


def open_torch(folder, threads, frozen):
    import torch

    torch.set_num_threads(threads)
    judge, picture = load_judge(folder), torch.from_numpy(numpy.load(folder / "picture.npy"))
    with torch.no_grad():
        if frozen:
            judge = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(judge, picture)))

    def run():
        with torch.inference_mode():
            return judge(picture)[1].item()

    return run


# ---- ONNX Runtime and OpenVINO ----


def export_onnx(folder):
    import torch

    picture = torch.from_numpy(numpy.load(folder / "picture.npy"))
    torch.onnx.export(load_judge(folder), (picture,), folder / "judge.onnx", input_names=["picture"],
                      output_names=["map", "score"], opset_version=17)


def open_onnxruntime(folder, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(folder / "judge.onnx", options, providers=["CPUExecutionProvider"])
    picture = numpy.load(folder / "picture.npy")
    return lambda: float(session.run(None, {"picture": picture})[1][0])


def open_openvino(folder, threads, model):
    import openvino

    compiled = openvino.Core().compile_model(folder / model, "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request, picture = compiled.create_infer_request(), numpy.load(folder / "picture.npy")
    return lambda: float(request.infer([picture])["score"][0])


def quantise_openvino(folder):
    """Random pictures do for the ranges: only the speed is of interest."""
    import nncf
    import openvino

    export_onnx(folder)
    pictures = nncf.Dataset([p[None] for p in draw_pictures(8)])
    quantised = nncf.quantize(openvino.Core().read_model(folder / "judge.onnx"), pictures, subset_size=8)
    openvino.save_model(quantised, folder / "int8.xml", compress_to_fp16=False)


# ---- ncnn ----


def convert_ncnn(folder):
    import os

    import pnnx
    import torch

    import network

    class LevelMaps(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return tuple(self.net.level_maps(x))

    def sru(self, x):
        w = self.gn.weight / self.gn.weight.sum()
        x1 = x * (w[:, None, None] * self.gn(x) * 1e30).clamp(0, 1)
        (top1, low1), (top2, low2) = x1.chunk(2, 1), (x - x1).chunk(2, 1)
        return torch.cat((top1 + low2, low1 + top2), 1)

    def scconv(self, x):
        upper, lower = self.sru(x).chunk(2, 1)
        upper, lower = self.squeeze1(upper), self.squeeze2(lower)
        y1, y2 = self.gwc(upper) + self.pwc1(upper), torch.cat((self.pwc2(lower), lower), 1)
        beta1 = torch.sigmoid(y1.mean((-2, -1), keepdim=True) - y2.mean((-2, -1), keepdim=True))
        return beta1 * y1 + (1 - beta1) * y2

    def cosine(a, b):
        return (a * b).sum(1) / ((a * a).sum(1) * (b * b).sum(1)).clamp(min=1e-32).sqrt()

    network.SCConv.sru, network.SCConv.forward, network.cosine = sru, scconv, cosine
    model = LevelMaps(load_judge(folder).network.to(memory_format=torch.contiguous_format)).eval()
    os.chdir(folder)
    with torch.no_grad():
        pnnx.export(model, "ncnn.pt", (torch.zeros(1, 3, SIDE, SIDE),))


def open_ncnn(folder, threads):
    import ncnn

    from network import MEAN, STD

    net = ncnn.Net()
    net.opt.num_threads = threads
    for name in "use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage":
        setattr(net.opt, name, False)
    if net.load_param(str(folder / "ncnn.ncnn.param")) or net.load_model(str(folder / "ncnn.ncnn.bin")):
        sys.exit("ncnn does not take what pnnx made")
    picture = numpy.load(folder / "picture.npy")[0]
    mean, scale = [255 * m for m in MEAN], [1 / (255 * s) for s in STD]

    def run():
        x = ncnn.Mat.from_pixels(picture, ncnn.Mat.PixelType.PIXEL_RGB, SIDE, SIDE)
        x.substract_mean_normalize(mean, scale)
        extractor = net.create_extractor()
        extractor.input("in0", x)
        for level in range(3):
            status, _ = extractor.extract(f"out{level}")
            if status:
                sys.exit("ncnn could not run the network")
        return None

    return run


# name: the packages that it needs, what makes its files, what opens it with a folder and a number of threads
ENGINES = {
    "PyTorch": (("torch",), None, lambda *a: open_torch(*a, frozen=False)),
    "PyTorch frozen": (("torch",), None, lambda *a: open_torch(*a, frozen=True)),
    "ONNX Runtime": (("onnx", "onnxruntime"), export_onnx, open_onnxruntime),
    "OpenVINO": (("onnx", "openvino"), export_onnx, lambda *a: open_openvino(*a, "judge.onnx")),
    "ncnn": (("ncnn", "pnnx"), convert_ncnn, open_ncnn),
    "OpenVINO int8": (("onnx", "openvino", "nncf"), quantise_openvino, lambda *a: open_openvino(*a, "int8.xml")),
}


def find_missing(engine):
    """The packages of an engine that are not installed."""
    return [package for package in ENGINES[engine][0] if importlib.util.find_spec(package) is None]


def judge(engine, folder, threads):
    run = ENGINES[engine][2](folder, threads)
    for _ in range(WARM_UP):
        score = run()
    print(json.dumps({"score": score}), flush=True)
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(line)
        while len(times) < LEAST_RUNS or time.perf_counter() < end:
            start = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - start))
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    what, engine, folder, *rest = sys.argv[1:]
    if what == "convert":
        ENGINES[engine][1](Path(folder))
    else:
        judge(engine, Path(folder), int(*rest))
