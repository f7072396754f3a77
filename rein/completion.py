"""Print a script for the shell that completes `rein`, its commands, options, files and configs.

Source: shtab (https://docs.iterative.ai/shtab), which reads argparse's parsers.
"""

import argparse
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path

from rein.cli import command_parser
from rein.paths import config_names
from rein.tool_names import converters, tools

SHELLS = "bash", "zsh"

_HELP = """Print a script that completes `rein` in a shell.

    rein completion bash > ~/.local/share/bash-completion/completions/rein
    rein completion zsh > ~/.zfunc/_rein       # a folder in $fpath

Print it again after an update: it lists commands, options and configs.
"""

_CONFIGS = {
    "bash": "_rein_config_or_file", "zsh": "_rein_config_or_file",
    "preamble": {
        "bash": '_rein_config_or_file() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}',
        "zsh": '_rein_config_or_file() {{ _alternative "configs:config:({names})" '
               '"files:file:_files"; }}',
    },
}


def print_completion(words: Sequence[str]) -> None:
    """Print the completion script for a shell.

    Args:
        words: The command line: the name of the shell.
    """
    import shtab

    parser = command_parser(_HELP)
    parser.prog = "rein completion"
    parser.add_argument("shell", choices=SHELLS)
    shell = parser.parse_args(words).shell
    print(shtab.complete(command_tree(), shell=shell))


def command_tree() -> argparse.ArgumentParser:
    """Return one parser with a subparser for each command."""
    tree = argparse.ArgumentParser("rein", description="Domain-generalized segmentation")
    commands = tree.add_subparsers()
    _add_all(commands, tools())
    convert = commands.add_parser("convert", help="convert datasets and backbones")
    _add_all(convert.add_subparsers(), converters())
    completion = commands.add_parser("completion", help="print a completion script")
    completion.add_argument("shell", choices=SHELLS)
    return tree


def _add_all(commands, paths: Mapping[str, Path]) -> None:
    """Add a subparser for each tool, with completions of its files."""
    for name, path in paths.items():
        parser = runpy.run_path(str(path), run_name=f"rein_{name}")["build_parser"]()
        for action in parser._actions:
            if action.choices is None and action.nargs != 0 and action.type not in (int, float):
                action.complete = _completer(action)
        commands.add_parser(
            name, parents=[parser], add_help=False, help=parser.description.partition("\n")[0])


def _completer(action: argparse.Action) -> dict:
    import shtab

    if action.dest != "config":
        return shtab.FILE
    stems = [name.rpartition("/")[2] for name in config_names()]
    names = dict.fromkeys([*stems, *(
        name for name, stem in zip(config_names(), stems, strict=True) if stems.count(stem) > 1)])
    preamble = {shell: text.format(names=" ".join(names))
                for shell, text in _CONFIGS["preamble"].items()}
    return dict(_CONFIGS, preamble=preamble)
