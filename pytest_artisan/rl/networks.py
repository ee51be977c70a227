"""An actor and a critic: two tanh MLPs of one shape, evaluated together, with the backward pass by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[np.floating]

_ACTOR, _CRITIC = 0, 1
# Batches of so many different sizes are made room for at a time.
_SIZES = 4
_GAINS = {_ACTOR: 0.01, _CRITIC: 1.0}


class ActorCritic:
    """Observations (B, `inputs`) to the policy's numbers (B, `outputs`) and values (B,).

    `parameters` (P,) is one vector, which an optimizer changes in place: weights (2, in, out) and biases (2, 1, out)
    layer by layer, then `free` numbers of the policy that depend on no observation. `gradient` (P,) is laid out alike.
    Both networks have `outputs` outputs, so that one product serves both; the critic uses its first.

    Weights start orthogonal (Saxe et al. 2014), scaled by sqrt(2), 0.01 (actor's last layer), 1 (critic's); biases at 0.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        rng: np.random.Generator,
        *,
        free: ArrayLike = (),
        dtype: DTypeLike = np.float32,
    ) -> None:
        sizes = [inputs, *hidden, outputs]
        shapes = [shape for a, b in pairwise(sizes) for shape in ((2, a, b), (2, 1, b))]
        own = np.asarray(free, dtype=dtype)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        self.parameters: Array = np.zeros(ends[-1] + own.size, dtype=dtype)
        self.gradient: Array = np.zeros_like(self.parameters)
        self._layers, self.free = _views(self.parameters, shapes)
        self._slopes, self.free_gradient = _views(self.gradient, shapes)
        self.free[:] = own
        for weights, _ in self._layers:
            last = weights is self._layers[-1][0]
            for which in (_ACTOR, _CRITIC):
                weights[which] = _orthogonal(rng, *weights.shape[1:]) * (_GAINS[which] if last else np.sqrt(2))
        self._seen: list[Array] = []
        self._room: dict[int, tuple[list[Array], ...]] = {}

    def act(self, observations: Array) -> Array:
        """The policy's numbers (B, outputs) alone."""
        *hidden, (weights, biases) = self._layers
        layer = observations
        for inner, bias in hidden:
            layer = layer @ inner[_ACTOR]
            layer += bias[_ACTOR]
            np.tanh(layer, out=layer)
        return np.asarray(layer @ weights[_ACTOR] + biases[_ACTOR])

    def forward(self, observations: Array) -> tuple[Array, Array]:
        """The policy's numbers (B, outputs) and values (B,); remembers what `backward` needs."""
        *hidden, (weights, biases) = self._layers
        layer = observations
        self._seen = [layer]
        for (inner, bias), room in zip(hidden, self._rooms(len(observations))[0], strict=True):
            layer = np.matmul(layer, inner, out=room)
            layer += bias
            np.tanh(layer, out=layer)
            self._seen.append(layer)
        outputs = np.matmul(layer, weights)
        outputs += biases
        return outputs[_ACTOR], outputs[_CRITIC, :, 0]

    def backward(self, by_outputs: Array, by_values: Array, by_free: Array) -> None:
        """Set `gradient` from a loss's derivatives by the last `forward`'s outputs (B, outputs) and values (B,).

        Once for each `forward`: it makes its room out of what that remembered.
        """
        delta = np.zeros((2, *by_outputs.shape), dtype=self.parameters.dtype)
        delta[_ACTOR], delta[_CRITIC, :, 0] = by_outputs, by_values
        self.free_gradient[:] = by_free
        for place in range(len(self._layers) - 1, -1, -1):
            seen, (weights_slope, biases_slope) = self._seen[place], self._slopes[place]
            np.matmul(seen.swapaxes(-1, -2), delta, out=weights_slope)
            np.sum(delta, axis=1, keepdims=True, out=biases_slope)
            if place:
                room = self._rooms(delta.shape[1])[1][place - 1]
                delta = np.matmul(delta, self._layers[place][0].swapaxes(-1, -2), out=room)
                np.multiply(seen, seen, out=seen)
                np.subtract(1, seen, out=seen)
                delta *= seen

    def _rooms(self, count: int) -> tuple[list[Array], ...]:
        """Arrays (2, `count`, hidden) for each hidden layer and its derivatives: new ones would cost page faults."""
        if count not in self._room:
            if len(self._room) == _SIZES:
                self._room.clear()
            sizes = [weights.shape[2] for weights, _ in self._layers[:-1]]
            self._room[count] = tuple(
                [np.empty((2, count, size), dtype=self.parameters.dtype) for size in sizes] for _ in range(2)
            )
        return self._room[count]


def _views(vector: Array, shapes: Sequence[tuple[int, ...]]) -> tuple[list[tuple[Array, Array]], Array]:
    """Weights and biases by layer, and what is left, as views of `vector`."""
    views, start = [], 0
    for shape in shapes:
        end = start + int(np.prod(shape))
        views.append(vector[start:end].reshape(shape))
        start = end
    return list(zip(views[::2], views[1::2], strict=True)), vector[start:]


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    factor, triangle = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    factor = factor * np.sign(np.diag(triangle))
    return factor if rows >= columns else factor.T
