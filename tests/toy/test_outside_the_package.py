"""The toy is a fixture: the package and its wheel do without it."""

import ast
import runpy

import setuptools
from conftest import ROOT

TESTED_TOGETHER = {  # module -> the test file that covers it
    **{f"streets/{name}": "test_streets.py" for name in (
        "buildings", "camera", "canvas", "coaches", "facades", "formats", "ground", "layout",
        "looks", "make", "people", "plan", "scene", "sketch", "street_objects", "traffic",
        "vehicles", "weather")},
}


def imported_modules(path):
    """Names of the modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def test_the_package_never_imports_the_toy():
    files = list((ROOT / "rein").rglob("*.py"))
    assert len(files) > 50
    found = [f"{path.relative_to(ROOT)}: {name}" for path in files
             for name in imported_modules(path) if name.split(".")[0] == "toy"]
    assert not found


def test_the_wheel_has_no_toy(monkeypatch):
    told = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    assert {name.split(".")[0] for name in told["packages"]} == {"rein"}


def test_every_module_of_the_toy_is_tested():
    modules = {path.relative_to(ROOT / "toy").with_suffix("").as_posix()
               for path in (ROOT / "toy").rglob("*.py") if path.name != "__init__.py"}
    assert set(TESTED_TOGETHER) <= modules
    for module in modules:
        test = TESTED_TOGETHER.get(module, f"test_{module.rsplit('/')[-1]}.py")
        assert (ROOT / "tests/toy" / test).is_file(), f"toy/{module}.py has no tests/toy/{test}"
