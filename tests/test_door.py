"""Imports are light: nothing heavy is imported before it is needed."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

import rein

STACK = {"torch", "mmengine", "mmcv", "mmseg", "mmdet", "timm"}
NEEDS_COMPAT = ("mmseg.datasets", "mmseg.models", "mmdet.models", "mmcv.ops", "timm", "torchvision")


def modules_after(code):
    """Run code in a new process; return the names of the top-level modules it imports."""
    code += "\nimport sys; print('\\n', *{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return set(done.stdout.rpartition("\n ")[2].split())


def run_command(path, *arguments):
    """Return code that runs a command as a user does, and survives its exit."""
    return (f"import runpy, sys; sys.argv = {[path, *arguments]!r}\n"
            f"try: runpy.run_path({path!r}, run_name='__main__')\n"
            "except SystemExit: pass")


def test_the_package_imports_none_of_the_stack_and_lists_its_names():
    found = modules_after("import rein; print(rein.__version__, dir(rein), hasattr(rein, 'no'))")
    assert not found & STACK
    assert set(rein.__all__) <= set(dir(rein))


@pytest.mark.parametrize("name", rein.__all__)
def test_each_public_name_loads(name):
    assert callable(getattr(rein, name))


def test_light_modules_import_none_of_the_stack():
    """Converters, the checker, the comparison and prediction with ONNX use these modules."""
    light = ["rein.cli", "rein.parallel", "rein.atomic_files", "rein.paths",
             "rein.evaluation.comparison_report", "rein.evaluation.latex", "rein.evaluation.page",
             "rein.evaluation.submission",
             "rein.datasets.check", "rein.datasets.domains", "rein.commands",
             "rein.engine.predicting.files", "rein.engine.predicting.models"]
    light += [f"rein.datasets.converters.{path.stem}"
              for path in (ROOT / "rein/datasets/converters").glob("[!_]*.py")]
    assert not modules_after(f"import {', '.join(light)}") & STACK


@pytest.mark.parametrize("path", ["tools/train.py", "tools/test.py"])
def test_a_missing_config_is_reported_before_heavy_imports(path):
    arguments = ["no_such_config.py", *["x.pth"] * (path == "tools/test.py")]
    found = modules_after(run_command(path, *arguments))
    assert "rein" in found and not found & {"torch", "mmcv", "mmseg", "timm"}


def test_help_imports_none_of_the_stack():
    tools = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tools").rglob("*.py"))
    found = modules_after("\n".join(run_command(path, "--help") for path in tools))
    assert not found & STACK


@pytest.mark.parametrize("statement, heavy", [
    ("from rein.models import Reins", {"torch", "timm"}),
    ("from rein.datasets.urban_scene_dataset import UrbanSceneDataset", {"torch", "mmseg"}),
])
def test_a_class_imports_by_itself_and_quietly(statement, heavy):
    done = subprocess.run([sys.executable, "-c", f"{statement}; import sys; "
                           f"print(sorted({heavy!r} - set(sys.modules)))"],
                          cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr[-3000:]


def imports_of(path):
    """List the imports at a file's top level, in order."""
    found = []
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Import):
            found += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            found += [f"{statement.module}.{alias.name}" for alias in statement.names]
    return found


def test_modules_that_need_compat_import_it_first():
    needed = 0
    folders = (ROOT / name for name in ("rein", "toy", "benchmarks"))
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        names = imports_of(path)
        first = next((i for i, name in enumerate(names) if name.startswith(NEEDS_COMPAT)), None)
        if first is None or path.name == "compat.py":
            continue
        packages = [parent / "__init__.py" for parent in path.parents
                    if parent.is_relative_to(ROOT / "rein")]
        before = [name for package in packages for name in imports_of(package)] + names[:first]
        assert any(name.startswith("rein.compat") for name in before), path
        needed += 1
    assert needed > 5
