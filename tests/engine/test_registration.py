"""One call registers all our types, whatever was imported before."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT, tiny_model_config
from mmengine.config import Config

import rein
from rein.engine.configs.building import build_model

USE = """
import {first}
import rein
from mmengine.config import Config
rein.register_all_modules()
from mmseg.registry import MODELS
model = MODELS.build(Config.fromfile({path!r}).model)
assert type(model).__module__.startswith("rein."), type(model)
import sys
print(*sys.modules)
"""


@pytest.mark.parametrize("first", ["sys", *(
    pytest.param(first, marks=pytest.mark.faults)
    for first in ("mmseg.registry", "rein.compat, mmseg.models"))])
def test_one_call_registers_all_that_a_user_builds(tmp_path, first):
    path = tmp_path / "tiny.py"
    Config(dict(model=tiny_model_config())).dump(path)
    done = subprocess.run([sys.executable, "-c", USE.format(first=first, path=str(path))],
                          cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    known = {*registered_modules()}
    assert len(known) > 8 and known <= {*done.stdout.split()}


def registered_modules():
    """Search our source files for modules that register something."""
    for path in (ROOT / "rein").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and any(
                    "register_module" in ast.unparse(part) for part in node.decorator_list):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_building_needs_no_default_scope():
    rein.register_all_modules(init_default_scope=False)
    assert type(build_model(tiny_model_config())).__module__.startswith("rein.models")


def test_warnings_are_visible_after_a_model_is_built(tmp_path):
    path = tmp_path / "tiny.py"
    Config(dict(model=tiny_model_config())).dump(path)
    code = ("import logging\nfrom rein.engine.configs.reading import read_config\n"
            f"cfg = read_config({str(path)!r})\n"
            "from rein.engine.configs.building import build_model\n"
            "from rein.engine.registration import register_all_modules\n"
            "build_model(cfg.model)\nregister_all_modules()\n"
            "from mmengine.logging import print_log\n"
            "print_log('seen', 'current', logging.WARNING)\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          timeout=120)
    assert done.stdout.endswith("seen\n"), done.stdout + done.stderr[-3000:]
