"""`rein NAME` runs the tools under one name, and speaks of itself by that name."""

import contextlib
import io
import json
import re
import resource
import subprocess
import sys

import pytest
from commands import run_command
from conftest import ROOT

from rein import __version__
from rein.commands import main, overview
from rein.completion import command_tree
from rein.tool_names import TOOLS, as_commands, converters, tools

NOT_COMMANDS = {  # need the repository
    "benchmark.py", "make_toy_streets.py", "pretrain_toy_vit.py", "quickstart.py"}


def rein(monkeypatch, *words):
    """Run the command here; return its exit code, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "argv", ["rein", *map(str, words)])
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def test_every_tool_of_the_package_is_a_command():
    found = {path.name for path in (ROOT / "tools").glob("*.py")}
    assert found - NOT_COMMANDS <= set(TOOLS.values())
    assert {path.name for path in tools().values()} == found - NOT_COMMANDS
    assert {"gta", "mapillary", "backbone", "dinov2"} <= set(converters())


def test_help_lists_the_commands_at_once():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_command("-X", "importtime", "-m", "rein", "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert not {"torch", "numpy", "mmengine"} & set(re.findall(r"\| +(\w+)$", done.stderr, re.M))
    for name in (*tools(), "convert", "completion"):
        assert re.search(rf"^  {name} +\S.+\.$", done.stdout, re.M), name
    assert max(map(len, overview().splitlines())) <= 100
    assert run_command("-m", "rein", "--version").stdout == f"rein {__version__}\n"


@pytest.mark.parametrize("words, message", [
    (("trian",), "rein trian: no such command. Did you mean `rein train`?"),
    (("convert", "gat"), "rein convert gat: no such command. Did you mean `rein convert gta`?"),
    (("xyz",), "rein xyz: no such command. See `rein --help`."),
])
def test_an_unknown_command_names_the_nearest(monkeypatch, words, message):
    assert rein(monkeypatch, *words) == (1, "", f"error: {message}\n")


def test_help_is_in_the_words_that_the_user_types(monkeypatch):
    code, out, _ = rein(monkeypatch, "train", "--help")
    assert code == 0 and out.startswith("usage: rein train ")
    assert "rein train configs/dinov2/" in out and "python tools/" not in out
    assert rein(monkeypatch, "help", "train") == (0, out, "")
    assert rein(monkeypatch, "help") == rein(monkeypatch, "--help")
    code, out, _ = rein(monkeypatch, "convert", "mapillary", "--help")
    assert code == 0 and out.startswith("usage: rein convert mapillary ")
    code, out, _ = rein(monkeypatch, "convert")
    assert code == 0 and re.search("^  backbone +Convert", out, re.M)


def test_texts_name_commands():
    assert as_commands("Run `python tools/convert_models/convert_dinov2.py A`, see "
                       "tools/list_backbones.py or python tools/quickstart.py.") == (
        "Run `rein convert dinov2 A`, see rein backbones or python tools/quickstart.py.")


def test_a_mistake_gets_the_tools_own_line_and_code(monkeypatch, tmp_path):
    code, _, err = rein(monkeypatch, "compare", tmp_path, "--draws", 0)
    assert (code, err) == (1, "error: --draws must be at least 1.\n")
    code, _, err = rein(monkeypatch, "check", "--data", tmp_path / "nowhere", "--workers", 1)
    assert code == 1 and "nowhere" in err and err.count("\n") == 1
    code, _, err = rein(monkeypatch, "train")
    assert code == 2 and "the following arguments are required: config" in err


def test_a_command_also_runs_as_a_module():
    done = run_command("-m", "rein", "compare", "nowhere", "--draws", 0, check=False)
    assert (done.returncode, done.stderr) == (1, "error: --draws must be at least 1.\n")


@pytest.mark.parametrize("name", ["train", "train.py"])
def test_several_processes_run_the_tool_itself(monkeypatch, name):
    started = []
    monkeypatch.setattr(
        "rein.engine.training.launching.launch", lambda *words: started.append(words) or 0)
    assert rein(monkeypatch, "launch", name, 2, "c.py", "--amp")[0] == 0
    assert started == [(str(ROOT / "tools/train.py"), 2, ["c.py", "--amp"])]


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Return the bash script in a file."""
    import shtab

    path = tmp_path_factory.mktemp("completion") / "rein.sh"
    path.write_text(shtab.complete(command_tree(), shell="bash"))
    return path


@pytest.mark.parametrize("words, expected", [
    (["rein", "tr"], {"train"}),
    (["rein", "convert", "backb"], {"backbone"}),
    (["rein", "train", "--work"], {"--work-dir"}),
    (["rein", "test", "--mode", ""], {"slide", "whole"}),
    (["rein", "train", "rein_dinov3"], {"rein_dinov3-L_mask2former_512x512_bs1x4"}),
    (["rein", "train", "README"], {"README.md"}),
    (["rein", "predict", "--out", "READ"], {"README.md"}),
])
def test_bash_completes_commands_options_files_and_configs(script, words, expected):
    code = (f"source {script}; COMP_WORDS=({' '.join(map(json.dumps, words))}); "
            f"COMP_CWORD={len(words) - 1}; _shtab_rein; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    done = subprocess.run(["bash", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert set(done.stdout.split()) == expected, done.stderr


def test_zsh_and_bash_scripts_are_printed(monkeypatch):
    code, out, _ = rein(monkeypatch, "completion", "zsh")
    assert code == 0 and out.startswith("#compdef rein") and "_rein_config_or_file()" in out
    code, out, _ = rein(monkeypatch, "completion", "bash")
    assert code == 0 and "complete -o bashdefault -F _shtab_rein rein" in out
    assert rein(monkeypatch, "completion")[0] == 2
