"""Read the tensors of a TorchScript archive without running anything in it.

OpenAI publishes CLIP as such archives: zip files with compiled code, a pickle of the module's
attributes and the tensors' bytes. Only the pickle and the bytes are read, with an unpickler that
knows modules, tensors and plain containers, and refuses everything else.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor

_STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Module:
    """Stand-in for any compiled module: takes its attributes, has no behaviour."""


class _RebuildTensor:
    """Stand-in for torch's function; without attributes that a pickle could set."""

    __slots__ = ()

    def __call__(self, storage: Tensor, offset: int, size, stride, *unused) -> Tensor:
        if not isinstance(storage, Tensor):
            raise pickle.UnpicklingError("a tensor without storage is not allowed")
        return torch.as_strided(storage, size, stride, offset)


class _First:
    """Stand-in for functions that only tag their first argument with a type."""

    __slots__ = ()

    def __call__(self, value, *unused):
        return value


_FUNCTIONS = {
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch.jit._pickle", "restore_type_tag"): _First(),
    ("torch.jit._pickle", "build_intlist"): _First(),
    ("torch.jit._pickle", "build_doublelist"): _First(),
    ("torch.jit._pickle", "build_boollist"): _First(),
    ("torch.jit._pickle", "build_tensorlist"): _First(),
    ("collections", "OrderedDict"): OrderedDict,
}


class _Unpickler(pickle.Unpickler):
    """Unpickler of an archive's `data.pkl`.

    Args:
        file: The pickle.
        archive: The zip file.
        root: Folder of all its entries.
    """

    def __init__(self, file, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str):
        """Return the stand-in of a name; refuse all others."""
        if module.startswith("__torch__"):
            return _Module
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        raise pickle.UnpicklingError(f"unsupported global {module}.{name}")

    def persistent_load(self, pid) -> Tensor:
        """Return a storage as a flat tensor."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"unsupported class of persistent id {kind!r}")
        content = bytearray(self.archive.read(f"{self.root}/data/{key}"))
        if not content:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(content, dtype=dtype, count=count)


def is_torchscript(path: Path) -> bool:
    """Tell whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Read the parameters and buffers of an archive.

    Args:
        path: The archive.

    Returns:
        Dotted name -> tensor.

    Raises:
        pickle.UnpicklingError: The archive holds other objects, which could run code.
    """
    with zipfile.ZipFile(path) as archive:
        entry = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(entry) as file:
            module = _Unpickler(file, archive, entry.removesuffix("/data.pkl")).load()
    return dict(_tensors(module, "", set()))


def _tensors(module: _Module, prefix: str, seen: set[int]):
    """List the tensors of a module and of those inside it."""
    if id(module) in seen:
        return
    seen.add(id(module))
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.", seen)
