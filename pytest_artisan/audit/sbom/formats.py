"""What a checkpoint's file says of itself, read without running anything that it holds and without loading its numbers."""

from __future__ import annotations

import math
import zipfile
import zlib
from lzma import LZMAError
from typing import Annotated, BinaryIO

import msgspec

_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # as safetensors' own reader has it
_METADATA = "__metadata__"
# https://github.com/huggingface/safetensors, bits of a number; of other kinds the place alone is looked at.
_BITS = (
    dict.fromkeys(("F4",), 4)
    | dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6)
    | dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8)
    | dict.fromkeys(("U16", "I16", "F16", "BF16"), 16)
    | dict.fromkeys(("U32", "I32", "F32"), 32)
    | dict.fromkeys(("U64", "I64", "F64", "C64"), 64)
)
_ZIP = b"PK"
_NPY_1 = (1, 0)
# What zipfile and numpy raise for content that is none.
_UNREADABLE = (
    ValueError, TypeError, OSError, EOFError, RuntimeError, MemoryError, SyntaxError, OverflowError,
    zipfile.BadZipFile, zlib.error, LZMAError,
)  # fmt: skip

Natural = Annotated[int, msgspec.Meta(ge=0)]


class UnreadableError(Exception):
    """A file that is not of the format which its name promises; its text is one line."""


class _Tensor(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[Natural, ...]
    data_offsets: tuple[Natural, Natural]


def check_safetensors(file: BinaryIO, size: int) -> None:
    """Whether the header is whole, and names every one of the file's `size` bytes once. Raises UnreadableError."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or not 0 < length <= min(_LONGEST_HEADER, size - _LENGTH_BYTES):
        raise UnreadableError("its header has an impossible length")
    try:
        entries = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
        msgspec.json.decode(entries.pop(_METADATA, b"{}"), type=dict[str, str])
        tensors = {name: msgspec.json.decode(entry, type=_Tensor) for name, entry in entries.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"its header can not be read: {error}") from None
    if not tensors:
        raise UnreadableError("it holds no tensor")
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda one: one[1].data_offsets):
        start, stop = tensor.data_offsets
        if start != end or stop < start or not _fits(tensor):
            raise UnreadableError(f"tensor {name!r} does not lie where its header says")
        end = stop
    if end != size - _LENGTH_BYTES - length:
        raise UnreadableError("its header does not tell of all its bytes")


def _fits(tensor: _Tensor) -> bool:
    bits = _BITS.get(tensor.dtype)
    if bits is None:
        return True
    start, stop = tensor.data_offsets
    if 0 in tensor.shape:
        return start == stop
    room = 8 * (stop - start)
    for extent in tensor.shape:
        bits *= extent
        # A long shape of large numbers would otherwise be a number that takes minutes to reckon.
        if bits > room:
            return False
    return bits == room


def check_npz(file: BinaryIO) -> None:
    """Whether all that it holds are arrays of plain numbers, each as long as its header says. Raises UnreadableError."""
    import numpy as np

    # For anything else numpy would load the whole file to find out what it is.
    if file.read(len(_ZIP)) != _ZIP:
        raise UnreadableError("it is no archive of arrays")
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            members = arrays.zip.infolist()
            if not members:
                raise UnreadableError("it holds no array")
            for member in members:
                with arrays.zip.open(member) as array:
                    _check_array(array, member)
    except _UNREADABLE as error:
        raise UnreadableError(f"it can not be read: {error or type(error).__name__}") from None


def _check_array(array: BinaryIO | zipfile.ZipExtFile, member: zipfile.ZipInfo) -> None:
    from numpy.lib import format as npy

    # Versions 2 and 3 differ in the encoding of fields' names alone, which nobody asks for here.
    read = npy.read_array_header_1_0 if npy.read_magic(array) == _NPY_1 else npy.read_array_header_2_0
    shape, _, dtype = read(array)
    if dtype.hasobject:
        raise UnreadableError(f"{member.filename!r} holds objects, which only running code can load")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - array.tell():
        raise UnreadableError(f"{member.filename!r} is not as long as its header says")
