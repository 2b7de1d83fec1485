"""Judges: how good a network is with the weights that were read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from labkit.network import Perceptron

__all__ = ["Judge", "NetworkJudge"]


class Judge(Protocol):
    """Says how well a network does its task; must not change the weights it is given."""

    def accuracy(self, weights: Mapping[str, NDArray[np.float32]]) -> float:
        """Return the fraction of the task that is done right, 0 to 1.

        Parameters
        ----------
        weights : mapping of str to ndarray of float32, shape (rows, outputs)
            All layers, by name, in order.
        """


class NetworkJudge:
    """Classifies images with a network made of the weights.

    Parameters
    ----------
    network : callable
        Makes a network of layers: :class:`labkit.network.Perceptron`, or a function that makes one.
    images : array_like, shape (n, inputs)
    labels : array_like of int, shape (n,)
    """

    def __init__(
        self, network: Callable[[Mapping[str, ArrayLike]], Perceptron], images: ArrayLike, labels: ArrayLike
    ) -> None:
        self._network = network
        self._images = np.asarray(images, np.float32)
        self._labels = np.asarray(labels)

    def accuracy(self, weights: Mapping[str, NDArray[np.float32]]) -> float:
        """Return the fraction of images classified right.

        Raises
        ------
        WeightsError
            The layers or the images do not fit the network.
        """
        return self._network(weights).accuracy(self._images, self._labels)
