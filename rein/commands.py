"""The `rein` command: all tools under one name, in a checkout and in an installed wheel.

    rein train rein_dinov2_mask2former_512x512_bs1x4 --data /datasets
    rein predict dinov2_segmentor.pth photos
"""

import difflib
import re
import sys
from pathlib import Path

from rein import __version__
from rein.cli import run_cli
from rein.engine.paths import REPOSITORY
from rein.errors import UserError

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

_CONVERT, _COMPLETION = "convert", "completion"
_CONVERTERS = "convert_datasets", "convert_models"
_TEXTS = {
    _CONVERT: "Convert datasets and backbones.",
    _COMPLETION: "Print a completion script for bash or zsh.",
}


def main() -> None:
    """Run the command in `sys.argv`."""
    name, *words = sys.argv[1:] or ["--help"]
    if name == "help" and words:  # `rein help predict`
        name, *words = *words, "--help"
    if name in ("-h", "--help", "help"):
        run_cli(lambda: print(overview()))
    elif name == "--version":
        run_cli(lambda: print(f"rein {__version__}"))
    elif name == _COMPLETION:
        from rein.completion import print_completion

        run_cli(lambda: print_completion(words))
    elif name == _CONVERT and (not words or words[0] in ("-h", "--help")):
        run_cli(lambda: print(_listing("rein convert KIND", converters())))
    elif name == _CONVERT:
        _run(words[0], converters(), words[1:], "rein convert")
    else:
        _run(name, tools(), words, "rein")


def tools() -> dict[str, Path]:
    """Return {command: path of its tool} of the tools that this version has."""
    paths = {name: REPOSITORY / "tools" / file for name, file in TOOLS.items()}
    return {name: path for name, path in paths.items() if path.is_file()}


def converters() -> dict[str, Path]:
    """Return {kind: path of its tool} of all converters: `gta`, `backbone` and so on."""
    paths = (path for folder in _CONVERTERS
             for path in sorted((REPOSITORY / "tools" / folder).glob("*.py")))
    return {_kind(path.stem): path for path in paths}


def overview() -> str:
    """List all commands, one line each."""
    titles = {name: _title(path) for name, path in tools().items()} | _TEXTS
    return _text("rein COMMAND", titles)


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


def _run(name: str, paths: dict[str, Path], words: list[str], prefix: str) -> None:
    """Run a tool as if its file had been started; it exits with its own code.

    runpy would set `sys.argv[0]` to the file, which the usage would show.
    """
    if name not in paths:
        run_cli(lambda: _refuse(name, [*paths, *_TEXTS] if prefix == "rein" else [*paths], prefix))
    sys.argv = [f"{prefix} {name}", *words]
    path = str(paths[name])
    code = compile(paths[name].read_bytes(), path, "exec")
    exec(code, {"__name__": "__main__", "__file__": path})


def _refuse(name: str, known: list[str], prefix: str) -> None:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean `{prefix} {near[0]}`?" if near else f"See `{prefix} --help`."
    raise UserError(f"{prefix} {name}: no such command. {hint}")


def _listing(usage: str, paths: dict[str, Path]) -> str:
    return _text(usage, {name: _title(path) for name, path in paths.items()})


def _text(usage: str, titles: dict[str, str]) -> str:
    width = max(map(len, titles))
    lines = [f"  {name:<{width}}  {title}" for name, title in titles.items()]
    help_ = re.sub(r" [A-Z]+$", " NAME --help", usage)
    return "\n".join([f"usage: {usage} [arguments]", "", *lines, "",
                      f"`{help_}` explains one of them."])


def _title(path: Path) -> str:
    """Return the first line of a tool's docstring."""
    with path.open(encoding="utf-8") as file:
        line = file.readline().removeprefix("r").removeprefix('"""')
    return as_commands(line).strip()


if __name__ == "__main__":
    main()
