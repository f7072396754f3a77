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
from rein.errors import UserError
from rein.tool_names import as_commands, converters, tools

_CONVERT, _COMPLETION = "convert", "completion"
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


def overview() -> str:
    """List all commands, one line each."""
    titles = {name: _title(path) for name, path in tools().items()} | _TEXTS
    return _text("rein COMMAND", titles)


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
