"""Let the dependency stack import on builds without compiled operators, quietly and quickly.

A module of ours that imports mmseg.datasets, mmseg.models, mmdet.models, mmcv.ops, timm or
torchvision imports this one first; packages whose modules all do have the line in their
`__init__`. It mends what is broken and leaves the rest alone:

- torchvision built for CUDA beside a CPU-only torch: its C++ library cannot be loaded, and
  `import torchvision` (hence timm) fails because it describes operators that nobody declared.
  Declaring their schemas first lets it import; calling them still raises.
- mmcv built without compiled operators (what `pip install` gives): `mmcv.ops` cannot be imported,
  and mmdet leaves Mask2Former out. A stand-in for `mmcv._ext` lets both import. Deformable
  attention then takes mmcv's own PyTorch path on every device; any other operator raises an
  ImportError that names the fix.
- mmdet imports matplotlib's pyplot to draw tracking errors. A stand-in loads it at its first use.
- mmseg prints at every start which optional datasets it lacks; it is imported once, unheard.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import io
import sys
import types
import warnings
from pathlib import Path

import torch

_TORCHVISION_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries = []  # torch.library forgets a declaration when its Library object is collected


class MissingOps(types.ModuleType):
    """Stand-in for `mmcv._ext`: has every operator's name, and raises when one is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)  # mmengine asks for it

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise ImportError(
                f"mmcv's operator {name!r} needs compiled mmcv ops: build them with "
                "`pip install --no-build-isolation --no-binary onedl-mmcv onedl-mmcv` "
                "and a compiler that fits your torch.")

        return missing


def has_compiled_ops() -> bool:
    """Tell whether mmcv's compiled operators are there."""
    return not isinstance(importlib.import_module("mmcv._ext"), MissingOps)


def _torchvision_ops_load() -> bool:
    """Tell whether torchvision is absent or its C++ library fits this torch."""
    spec = importlib.util.find_spec("torchvision")
    if "torchvision" in sys.modules or spec is None or spec.origin is None:
        return True
    library = next(Path(spec.origin).parent.glob("_C.*"), None)
    try:
        if library is not None:
            torch.ops.load_library(str(library))
        return library is not None
    except OSError:
        return False


def declare_torchvision_ops() -> bool:
    """Declare torchvision's operators where its C++ library cannot be loaded.

    Returns:
        True if something had to be declared.
    """
    if _torchvision_ops_load() or hasattr(torch.ops.torchvision, "nms"):
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _TORCHVISION_SCHEMAS:
        library.define(schema)
    _libraries.append(library)
    return True


def stand_in_for_mmcv_ops() -> bool:
    """Put a stand-in where mmcv has no compiled operators that load.

    Returns:
        True if the stand-in is in place.
    """
    try:
        return isinstance(importlib.import_module("mmcv._ext"), MissingOps)
    except ModuleNotFoundError:
        pass
    except ImportError as error:
        warnings.warn(f"mmcv's compiled ops do not load and are left out: {error}", stacklevel=2)
    sys.modules["mmcv._ext"] = MissingOps("mmcv._ext")
    # mmcv asks only whether the device is a GPU; without compiled ops a GPU, too, must take the
    # PyTorch path
    importlib.import_module("mmcv.ops.multi_scale_deform_attn").IS_CUDA_AVAILABLE = False
    return True


class LoadedWhenUsed(types.ModuleType):
    """Stand-in for a module that takes long to import: loads it when an attribute is asked for.

    Args:
        name: A submodule's full name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)

    def __getattr__(self, name):
        if name.startswith("__"):  # the import system asks for these; they are no use of it
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def load_when_used(name: str) -> None:
    """Put off the import of a submodule, such as `matplotlib.pyplot`, until its first use.

    Does nothing if it is imported already or its package is not installed.
    """
    package, _, attribute = name.rpartition(".")
    if name not in sys.modules and importlib.util.find_spec(package) is not None:
        sys.modules[name] = LoadedWhenUsed(name)
        setattr(importlib.import_module(package), attribute, sys.modules[name])


declare_torchvision_ops()
stand_in_for_mmcv_ops()
load_when_used("matplotlib.pyplot")
with contextlib.redirect_stdout(io.StringIO()):
    importlib.import_module("mmseg.datasets")
