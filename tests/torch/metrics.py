"""The figures of a test set, section 8: exact, every distinct score is a threshold."""
import numpy
from scipy import ndimage

FPR_LIMIT = 0.3  # of PRO
EIGHT = numpy.ones((3, 3))


def counts(scores, labels):
    """Of the pixels or images at or above each distinct score, falling: how many are defective, how many normal."""
    order = numpy.argsort(-scores, kind="stable")
    last = numpy.append(numpy.diff(scores[order]) != 0, True)
    true = numpy.cumsum(labels[order], dtype=numpy.float64)[last]
    return true, numpy.arange(1, len(scores) + 1, dtype=numpy.float64)[last] - true


def auroc(scores, labels):
    true, false = counts(scores, labels)
    return numpy.trapezoid(numpy.append(0, true / true[-1]), numpy.append(0, false / false[-1]))


def average_precision(scores, labels):
    true, false = counts(scores, labels)
    return numpy.sum(numpy.diff(true, prepend=0) / true[-1] * true / (true + false))


def f1_max(scores, labels):
    true, false = counts(scores, labels)
    return numpy.max(2 * true / (true + false + true[-1]))


def pro(maps, masks):
    """MVTec's: one curve over the data set. A defective pixel counts 1 / (pixels of its region x regions)."""
    overlap, normal, regions = numpy.zeros(maps.shape), ~masks, 0
    for i, mask in enumerate(masks):
        region, n = ndimage.label(mask, EIGHT)
        share = 1 / numpy.bincount(region.ravel())[1:] if n else numpy.zeros(0)
        overlap[i] = numpy.append(0, share)[region]
        regions += n
    if not regions:
        return numpy.nan
    order = numpy.argsort(-maps.ravel(), kind="stable")
    last = numpy.append(numpy.diff(maps.ravel()[order]) != 0, True)
    rate = numpy.append(0, numpy.cumsum(normal.ravel()[order], dtype=numpy.float64)[last] / normal.sum())
    curve = numpy.append(0, numpy.cumsum(overlap.ravel()[order])[last] / regions)
    inside = rate <= FPR_LIMIT
    at_limit = numpy.interp(FPR_LIMIT, rate, curve)
    return numpy.trapezoid(numpy.append(curve[inside], at_limit), numpy.append(rate[inside], FPR_LIMIT)) / FPR_LIMIT


def pro_rd4ad(maps, masks):
    """As most papers report it: the mean over defective images, each with 200 thresholds over its own range and its own
    background; the rates below the limit are divided by the largest of them."""
    areas = []
    for score, mask in zip(maps, masks):
        region, n = ndimage.label(mask, EIGHT)
        if not n:
            continue
        low, step = float(score.min()), (float(score.max()) - float(score.min())) / 200
        rate, curve = numpy.zeros(200), numpy.zeros(200)
        for k in range(200):
            above = score > low + k * step
            curve[k] = numpy.mean(ndimage.mean(above, region, numpy.arange(1, n + 1)))
            rate[k] = above[~mask].mean()
        kept = rate < FPR_LIMIT
        rate, curve = rate[kept][::-1], curve[kept][::-1]
        areas.append(numpy.trapezoid(curve, rate / rate[-1]) if rate[-1] else 0.0)
    return numpy.mean(areas) if areas else numpy.nan


def all_metrics(maps, masks, defective):
    """maps {n, h, w}, masks {n, h, w} of bool, defective {n} of bool; a dictionary with the names of `flawgate eval`."""
    image, pixel, truth = maps.max((1, 2)), maps.ravel(), masks.ravel()
    return {"image_auroc": auroc(image, defective), "pixel_auroc": auroc(pixel, truth), "pro": pro(maps, masks),
            "pro_rd4ad": pro_rd4ad(maps, masks), "image_ap": average_precision(image, defective),
            "pixel_ap": average_precision(pixel, truth), "image_f1max": f1_max(image, defective),
            "pixel_f1max": f1_max(pixel, truth)}
