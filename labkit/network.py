"""The demonstration network, a perceptron whose layers are crossbar arrays, and real images to judge it by.

A layer is one array of shape ``(inputs + 1, outputs)``: rows are word lines, columns are outputs, and the
last row is the bias (a word line that is always driven). Hidden layers end in a ReLU, the last one in a
softmax. The shipped network is the 784-250-10 perceptron of device-physics §7.3, 198,760 weights; its making,
its accuracy and the origin of the images are told in ``labkit/data/PROVENANCE.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import WeightsError
from labkit.weights import check_layers, read_arrays

__all__ = ["Perceptron", "load_demo_images", "load_demo_network"]

_NETWORK = "mnist_mlp.npz"
_IMAGES = "mnist_test.npz"


class Perceptron:
    """A fully connected network, dense layers with bias, ReLU between them, softmax at the end; immutable.

    Parameters
    ----------
    layers : mapping of str to array_like, shape (inputs + 1, outputs)
        The first layer first, copied as float32. Each layer has one row per output of the layer before it, and
        the bias last.

    Raises
    ------
    WeightsError
        A layer is not a two-dimensional array of finite numbers, or two layers do not fit each other.
    """

    def __init__(self, layers: Mapping[str, ArrayLike]) -> None:
        checked = check_layers(layers)
        for name, weights in checked.items():
            if weights.shape[0] < 2:
                raise WeightsError(
                    f"{name} has shape {weights.shape}; a layer is (inputs + 1, outputs), the last row the bias",
                    layer=name,
                )
        for (before, left), (after, right) in pairwise(checked.items()):
            if right.shape[0] != left.shape[1] + 1:
                raise WeightsError(
                    f"{after} has {right.shape[0]} rows, but {before} has {left.shape[1]} outputs, so "
                    f"{left.shape[1] + 1} are needed (the last row is the bias); give the layers in order",
                    layer=after,
                )
        self._layers = checked

    def layers(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of the weights: float32, shape (inputs + 1, outputs) per layer, the bias last."""
        return {name: weights.copy() for name, weights in self._layers.items()}

    @property
    def inputs(self) -> int:
        """Number of inputs, the bias not counted."""
        return int(next(iter(self._layers.values())).shape[0]) - 1

    @property
    def parameters(self) -> int:
        """Number of weights and biases of all layers."""
        return sum(int(weights.size) for weights in self._layers.values())

    def scores(self, images: ArrayLike) -> NDArray[np.float32]:
        """Compute what the last layer gives out before the softmax.

        Parameters
        ----------
        images : array_like, shape (n, inputs)
            Ink of each pixel, 0 to 1.

        Returns
        -------
        ndarray of float32, shape (n, outputs)

        Raises
        ------
        WeightsError
            The images do not have as many pixels as the network has inputs.
        """
        signal = np.asarray(images, dtype=np.float32)
        if signal.ndim != 2 or signal.shape[1] != self.inputs:
            raise WeightsError(
                f"the network takes images of shape (n, {self.inputs}), not {signal.shape}; "
                "flatten each image to one row, or use the weights of a network made for this size"
            )
        for index, weights in enumerate(self._layers.values()):
            if index:
                np.maximum(signal, 0.0, out=signal)
            signal = signal @ weights[:-1]
            signal += weights[-1]
        return signal

    def probabilities(self, images: ArrayLike) -> NDArray[np.float32]:
        """Softmax of `scores`: float32, shape (n, outputs), every row adds up to 1."""
        scores = self.scores(images)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores

    def predict(self, images: ArrayLike) -> NDArray[np.intp]:
        """Most probable class of each image: shape (n,), 0 to outputs - 1; errors as for `scores`."""
        predicted: NDArray[np.intp] = self.scores(images).argmax(axis=1)
        return predicted

    def accuracy(self, images: ArrayLike, labels: ArrayLike) -> float:
        """Fraction of the images whose class is predicted right.

        Parameters
        ----------
        images : array_like, shape (n, inputs)
            Ink of each pixel, 0 to 1.
        labels : array_like of int, shape (n,)
            True class of each image.

        Returns
        -------
        float
            0 to 1.

        Raises
        ------
        WeightsError
            The images do not fit the network.
        ValueError
            No images, or not one label per image.
        """
        predicted = self.predict(images)
        truth = np.asarray(labels)
        if truth.shape != predicted.shape or not truth.size:
            raise ValueError(
                f"{predicted.size} images need one label each, not labels of shape {truth.shape}"
            )
        return float(np.count_nonzero(predicted == truth)) / truth.size


def load_demo_network() -> Perceptron:
    """Trained 784-250-10 perceptron that ships with labkit: layer1 (785, 250) and layer2 (251, 10).

    Returns
    -------
    Perceptron

    Raises
    ------
    WeightsError
        The shipped file is missing or damaged.
    """
    stored = _shipped(_NETWORK, ("layer1", "layer2"))
    return Perceptron(stored)


def load_demo_images() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """All 10,000 test images of MNIST, none of which the shipped network was trained on.

    Returns
    -------
    images : ndarray of float32, shape (10000, 784)
        Ink of each pixel, 0 (paper) to 1, row by row.
    labels : ndarray of uint8, shape (10000,)
        The digit, 0 to 9.

    Raises
    ------
    WeightsError
        The shipped file is missing or damaged.
    """
    stored = _shipped(_IMAGES, ("images", "labels"))
    images = stored["images"].reshape(len(stored["labels"]), -1).astype(np.float32)
    images /= np.float32(255)
    return images, stored["labels"]


def _shipped(name: str, arrays: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    with as_file(files("labkit.data") / name) as path:
        try:
            stored = read_arrays(path)
            return {array: stored[array] for array in arrays}
        except (WeightsError, KeyError) as problem:
            raise WeightsError(
                f"{path} is missing or damaged ({problem}); install pcm-labkit again", path=path
            ) from problem
