"""A trainer's whole state as bytes that hold arrays and nothing that could run."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from typing import Any

import numpy as np

State = dict[str, np.ndarray[Any, np.dtype[Any]]]

_MAGIC = b"artisan-checkpoint-1\n"
_DIGEST = hashlib.sha256().digest_size
# What numpy and zipfile raise for content that fits its digest, and is not what `pack` writes.
_UNREADABLE = (ValueError, TypeError, OSError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or another trainer's."""


def pack(state: State) -> bytes:
    """The state as one file's content, with a digest; equal states give equal bytes."""
    content = io.BytesIO()
    np.savez(content, **state)  # type: ignore[arg-type]
    return _MAGIC + hashlib.sha256(content.getvalue()).digest() + content.getvalue()


def unpack(checkpoint: bytes) -> State:
    """What `pack` was given; raises CheckpointError for anything else."""
    start = len(_MAGIC) + _DIGEST
    digest, content = checkpoint[len(_MAGIC) : start], checkpoint[start:]
    if not checkpoint.startswith(_MAGIC) or hashlib.sha256(content).digest() != digest:
        raise CheckpointError("the checkpoint is damaged: its digest does not fit its content")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            state = dict(arrays)
        # A member that is no array comes as bytes.
        if not all(isinstance(array, np.ndarray) for array in state.values()):
            raise ValueError("it holds more than arrays")
        return state
    except _UNREADABLE as error:
        raise CheckpointError(f"the checkpoint can not be read: {error}") from None


def check_alike(state: State, own: State) -> None:
    """Raise CheckpointError where `state` is not one of a trainer like that of `own`, or holds what is not finite."""
    if state.keys() != own.keys():
        raise CheckpointError(f"the checkpoint holds {', '.join(sorted(state))}, not {', '.join(sorted(own))}")
    if not np.array_equal(state["algorithm"], own["algorithm"]):
        raise CheckpointError(f"the checkpoint is one of {state['algorithm']}, not of {own['algorithm']}")
    for name, array in own.items():
        if name not in ("algorithm", "generator") and (
            state[name].shape != array.shape or state[name].dtype != array.dtype
        ):
            raise CheckpointError(
                f"{name} is {state[name].dtype}{state[name].shape}, and {array.dtype}{array.shape} is wanted"
            )
        if array.dtype.kind == "f" and not np.isfinite(state[name]).all():
            raise CheckpointError(f"{name} holds numbers that are not finite")


def generator_state(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[Any]]:
    """A bit generator's state as an array of bytes (JSON)."""
    text = json.dumps(rng.bit_generator.state, default=lambda array: [int(number) for number in array], sort_keys=True)
    return np.frombuffer(text.encode(), dtype=np.uint8)


def restore_generator(rng: np.random.Generator, state: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Raises CheckpointError for another kind's state."""
    try:
        saved = json.loads(state.tobytes())
        saved["state"] = {
            name: np.array(value, dtype=np.uint64) if isinstance(value, list) else value
            for name, value in saved["state"].items()
        }
        rng.bit_generator.state = saved
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"the generator's state can not be read: {error}") from None
