"""`python -m tests.benchmarks.images cifar10.npz grey.npz --shuffled`: images in grey and smaller, to search on.

The file read has x_train, y_train, x_test and y_test (the keys of the usual mnist.npz), images as (count, height,
width) or (count, height, width, colours), in bytes. Grey is the mean of the colours by their luminance (ITU-R 601),
`--colour` keeps them, a smaller image is the mean of its pixels. `--shuffled` puts the pixels in another order, the
same for all images, as the table `shuffled` of `tests.benchmarks.trained` has it: so a search can show that it needs
nobody's word on the order. `--classes 0 1 2 3 4` keeps the images of some classes alone, so that a mask that was found
on these can be trained on the others.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from evaluators.rng import generator

LUMINANCE = (0.299, 0.587, 0.114)


def smaller(images: NDArray[np.uint8], side: int, is_coloured: bool = False) -> NDArray[np.uint8]:
    """Images of ``side`` x ``side`` pixels in bytes, grey (count, side, side) or with their colours last."""
    if is_coloured:
        return np.stack([smaller(images[..., colour], side) for colour in range(images.shape[-1])], axis=-1)
    grey = images @ np.array(LUMINANCE, np.float32) if images.ndim == 4 else images.astype(np.float32)
    pooled = functional.adaptive_avg_pool2d(torch.from_numpy(grey)[:, None], side)[:, 0]
    return pooled.round().to(torch.uint8).numpy()  # type: ignore[no-any-return]


def shuffled(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels of images in another order, (count, pixels)."""
    flat = images.reshape(len(images), -1)
    return flat[:, generator(0, "pixels").permutation(flat.shape[1])]


def main() -> None:
    """Read, make and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.images", description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--colour", action="store_true")
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--classes", type=int, nargs="+", help="by default all")
    given = parser.parse_args()
    with np.load(given.source, allow_pickle=False) as file:
        arrays = {name: file[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    for name in ("x_train", "x_test"):
        images = smaller(arrays[name], given.side, given.colour)
        arrays[name] = shuffled(images) if given.shuffled else images
    if given.classes:
        for part in ("train", "test"):
            there = np.isin(arrays[f"y_{part}"].ravel(), given.classes)
            arrays |= {f"{name}_{part}": arrays[f"{name}_{part}"][there] for name in "xy"}
    np.savez_compressed(given.target, **arrays)


if __name__ == "__main__":
    main()
