"""Make the dependency stack import quietly and fast, even without compiled operators.

Modules of this project that import mmseg.datasets, mmseg.models, mmdet.models, mmcv.ops, timm or
torchvision import this one first; if all modules of a package do, its `__init__` has the line. It
repairs broken imports and leaves working ones alone:

- torchvision built for CUDA beside a CPU-only torch: its C++ library cannot be loaded, and
  `import torchvision` (hence timm) fails on undeclared operators. Declaring their schemas first
  makes the import work; calling the operators still raises.
- mmcv built without compiled operators (the default of `pip install`): `mmcv.ops` cannot be
  imported, and mmdet omits Mask2Former. With a stand-in for `mmcv._ext` both import. Deformable
  attention then uses mmcv's own PyTorch path on every device; any other operator raises an
  ImportError that names the fix.
- mmdet imports matplotlib's pyplot to draw tracking errors. A stand-in loads it on first use.
- mmseg prints its missing optional datasets at every start. It is imported here with its output
  suppressed. mmdet's warning about its missing COCO metric is suppressed, too.
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

warnings.filterwarnings("ignore", message="faster_coco_eval is not installed")

_TORCHVISION_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries = []  # a declaration lasts only as long as its Library object


class MissingOps(types.ModuleType):
    """Stand-in for `mmcv._ext`: has every operator, and raises when one is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)  # mmengine reads it

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise ImportError(
                f"mmcv's operator {name!r} needs compiled mmcv ops: build them with "
                "`pip install --no-build-isolation --no-binary onedl-mmcv onedl-mmcv` "
                "and a compiler that matches your torch.")

        return missing


def has_compiled_ops() -> bool:
    """Tell whether mmcv's compiled operators are available."""
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
    """Declare torchvision's operators if its C++ library cannot be loaded.

    Returns:
        True if anything was declared.
    """
    if _torchvision_ops_load() or hasattr(torch.ops.torchvision, "nms"):
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _TORCHVISION_SCHEMAS:
        library.define(schema)
    _libraries.append(library)
    return True


def stand_in_for_mmcv_ops() -> bool:
    """Install a stand-in for `mmcv._ext` if its compiled operators are missing or broken.

    Returns:
        True if the stand-in is in place.
    """
    try:
        return isinstance(importlib.import_module("mmcv._ext"), MissingOps)
    except ModuleNotFoundError:
        pass
    except ImportError as error:
        warnings.warn(f"mmcv's compiled ops failed to load and are not used: {error}", stacklevel=2)
    sys.modules["mmcv._ext"] = MissingOps("mmcv._ext")
    # mmcv only checks for a GPU; without compiled ops a GPU must take the PyTorch path, too
    importlib.import_module("mmcv.ops.multi_scale_deform_attn").IS_CUDA_AVAILABLE = False
    return True


class LoadedWhenUsed(types.ModuleType):
    """Stand-in for a slow import: loads the module when an attribute is first read.

    Args:
        name: Full name of the submodule.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)

    def __getattr__(self, name):
        if name.startswith("__"):  # the import system reads these; they do not count as use
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def load_when_used(name: str) -> None:
    """Delay the import of a submodule, such as `matplotlib.pyplot`, until its first use.

    Do nothing if it is already imported or its package is not installed.
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
