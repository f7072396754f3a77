"""The stack imports without compiled operators; builds that have them are left alone."""

import subprocess
import sys

import pytest
from conftest import ROOT

FAKE_TORCHVISION_OPS = """
import importlib.util, sys, torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""

FAKE_MMCV_OPS = """
import sys, types
class Compiled(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *a, **k: None
sys.modules["mmcv._ext"] = Compiled("mmcv._ext")
"""


def in_new_process(code):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()


def test_everything_imports_and_deformable_attention_runs():
    out = in_new_process(
        "import rein.compat, timm, mmdet.models, mmseg.models, mmseg.datasets\n"
        "from mmcv.ops import point_sample, MultiScaleDeformableAttention\n"
        "print('ok')")
    assert out == ["ok"]  # and nothing else: a quiet start


@pytest.mark.faults
def test_present_torchvision_ops_are_left_alone():
    out = in_new_process(
        FAKE_TORCHVISION_OPS + "from rein import compat\n"
        "print(compat.declare_torchvision_ops(), len(compat._libraries))")
    assert out[-1] == "False 0"


@pytest.mark.faults
def test_present_mmcv_ops_are_left_alone():
    out = in_new_process(
        FAKE_MMCV_OPS + "import sys\nours = sys.modules['mmcv._ext']\n"
        "from rein import compat\n"
        "print(compat.has_compiled_ops(), sys.modules['mmcv._ext'] is ours)")
    assert out[-1] == "True True"


def test_the_error_for_a_missing_op_says_what_to_install():
    from rein import compat

    with pytest.raises(ImportError, match="'nms' needs compiled mmcv ops.*pip install"):
        compat.MissingOps("mmcv._ext").nms()


@pytest.mark.faults
def test_pyplot_loads_on_first_use():
    out = in_new_process(
        "import sys, rein.compat, mmdet.models\n"
        "import matplotlib.pyplot as plt\n"
        "print('matplotlib.figure' in sys.modules)\n"
        "from matplotlib.pyplot import close\n"
        "import matplotlib\n"
        "print(plt.close is close is matplotlib.pyplot.close is sys.modules[plt.__name__].close)")
    assert out == ["False", "True"]


def test_imported_and_absent_modules_are_left_alone():
    from rein import compat

    before = dict(sys.modules)
    compat.load_when_used("json.decoder")
    compat.load_when_used("no_such_package.part")
    assert sys.modules == before
