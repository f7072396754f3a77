"""Names of the tools as commands: `rein train` is tools/train.py."""

import re
from pathlib import Path

from rein.paths import REPOSITORY

TOOLS = {
    "predict": "predict.py",
    "demo": "demo.py",
    "train": "train.py",
    "test": "test.py",
    "compare": "compare.py",
    "merge": "generate_full_weights.py",
    "split": "split_weights.py",
    "inspect": "inspect_checkpoint.py",
    "export": "export.py",
    "push": "push.py",
    "check": "check_datasets.py",
    "cache": "cache_dataset.py",
    "submission": "make_submission.py",
    "backbones": "list_backbones.py",
    "launch": "launch.py",
}
"""Command -> tool. `convert` and `completion` have no single tool."""

_CONVERTERS = "convert_datasets", "convert_models"


def tools() -> dict[str, Path]:
    """Return {command: path of its tool} of the tools that this version has."""
    paths = {name: REPOSITORY / "tools" / file for name, file in TOOLS.items()}
    return {name: path for name, path in paths.items() if path.is_file()}


def converters() -> dict[str, Path]:
    """Return {kind: path of its tool} of all converters: `gta`, `backbone` and so on."""
    paths = (path for folder in _CONVERTERS
             for path in sorted((REPOSITORY / "tools" / folder).glob("*.py")))
    return {_kind(path.stem): path for path in paths}


def as_commands(text: str) -> str:
    """Replace `python tools/train.py` and the like in a text by `rein train`."""
    names = {f"tools/{file}": f"rein {name}" for name, file in TOOLS.items()}

    def command(found: re.Match) -> str:
        folder, stem = found["path"].split("/")[-2:]
        if folder in _CONVERTERS:
            return f"rein convert {_kind(stem.removesuffix('.py'))}"
        return names.get(found["path"], found[0])

    return re.sub(r"(python )?(?P<path>tools/(\w+/)?\w+\.py)", command, text)


def _kind(stem: str) -> str:
    """Return the short name of a converter: "gta", "backbone", "mapillary"."""
    return stem.removeprefix("convert_").removesuffix("2cityscape")
