"""Every block of README.md, CONTRIBUTING.md and docs/ runs, or has a stand-in with its reason.

Python blocks run in the tests of `PYTHON`. Bash blocks run here, with `STAND_INS` for what takes
hours, a network or a cluster: loops, quotes and redirections are bash's own, and each tool's own
parser takes its words. `RUN_BY` names the tests in which the tools do their work.
"""

import ast
import functools
import re
import runpy
import shutil
import subprocess
from collections import Counter

import pytest
from doc_blocks import PAGES, ROOT, blocks, fences

from rein.completion import SHELLS
from rein.tool_names import converters, tools

ALL_PAGES = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

PYTHON = {
    "README.md": (1, "docs/test_readme.py"),
    "adapters.md": (2, "docs/test_adapters.py"),
    "confidence.md": (2, "docs/test_confidence.py"),
    "extending.md": (4, "docs/test_extending.py"),
    "extending_adapter.md": (2, "docs/test_extending.py"),
    "extending_dataset.md": (4, "datasets/test_adding_a_dataset.py"),
    "onnx.md": (1, "export/test_exporting.py"),
    "python.md": (6, "docs/test_python.py"),
    "sharing.md": (1, "docs/test_demo_and_sharing.py"),
}
"""Page -> how many Python blocks it has, and the test that runs all of them."""

OTHERS = {
    "": "folder trees",
    "bibtex": "the citation",
    "text": "commands of other programs; their page says that they were not run",
}
"""Languages of blocks that nothing can run -> their content."""

STAND_INS = {
    "python": "tools parse their words here, and work in the tests of RUN_BY",
    "rein": "the same tools under one name",
    "bash": "starts a process per GPU, or a Slurm job; faults/test_launching.py runs the scripts",
    "make": "sets up an environment; toy/test_quickstart.py runs the quickstart in small",
    "hf": "signs in to the Hugging Face Hub",
    "pip": "downloads; test_wheel.py installs the wheel",
}
"""Programs that blocks call -> why they do not run here, and where they do."""

RUN_BY = {
    "tools/benchmark.py": "tools/test_parsing.py",
    "tools/cache_dataset.py": "datasets/test_cache.py",
    "tools/check_datasets.py": "datasets/test_check.py",
    "tools/compare.py": "evaluation/test_latex.py",
    "tools/convert_datasets/camvid.py": "datasets/converters/test_camvid.py",
    "tools/convert_datasets/cityscapes.py": "tools/test_convert_datasets.py",
    "tools/convert_datasets/gta.py": "tools/test_commands.py",
    "tools/convert_datasets/mapillary2cityscape.py": "tools/test_convert_datasets.py",
    "tools/convert_datasets/mapillary_resize.py": "tools/test_convert_datasets.py",
    "tools/convert_datasets/synthia.py": "tools/test_convert_datasets.py",
    "tools/convert_datasets/urbansyn.py": "tools/test_convert_datasets.py",
    "tools/convert_models/convert_backbone.py": "tools/test_every_family.py",
    "tools/convert_models/convert_dinov2.py": "tools/test_commands.py",
    "tools/convert_models/convert_dinov2_large_1024x1024.py": "tools/test_commands.py",
    "tools/convert_models/convert_dinov2_large_512x512.py": "tools/test_commands.py",
    "tools/demo.py": "docs/test_demo_and_sharing.py",
    "tools/dist_test.sh": "faults/test_launching.py",
    "tools/dist_train.sh": "tools/test_commands.py",
    "tools/export.py": "export/test_exporting.py",
    "tools/generate_full_weights.py": "tools/test_commands.py",
    "tools/inspect_checkpoint.py": "tools/test_commands.py",
    "tools/launch.py": "faults/test_launching.py",
    "tools/list_backbones.py": "engine/weights/test_backbone_table.py",
    "tools/make_submission.py": "evaluation/test_submission.py",
    "tools/make_toy_streets.py": "toy/test_streets.py",
    "tools/predict.py": "tools/test_predict.py",
    "tools/push.py": "docs/test_demo_and_sharing.py",
    "tools/quickstart.py": "toy/test_quickstart.py",
    "tools/slurm_test.sh": "faults/test_launching.py",
    "tools/slurm_train.sh": "faults/test_launching.py",
    "tools/split_weights.py": "tools/test_commands.py",
    "tools/test.py": "tools/test_commands.py",
    "tools/train.py": "tools/test_commands.py",
}
"""Tool -> the test that runs it on small inputs."""

NOT_RUN = {
    "tools/pretrain_toy_vit.py": "half an hour, with a downloaded teacher; toy/ tests its parts",
    "benchmarks/gpu.sh": "needs a GPU; it runs the tests and tools/benchmark.py",
}
"""Tools that no test runs as a whole -> why."""

RECORDER = """
record() {{ printf '%s\\0' "$@" >&3; printf '\\n\\0' >&3; echo output; }}
{functions}
"""


def run_with_stand_ins(script, folder):
    """Run a script in bash; return the words of each call of a stand-in, in order."""
    home = folder / ".local/share/bash-completion/completions"  # as bash-completion makes it
    home.mkdir(parents=True, exist_ok=True)
    functions = "\n".join(f'{name}() {{ record {name} "$@"; }}' for name in STAND_INS)
    done = subprocess.run(
        [shutil.which("bash"), "--noprofile", "--norc", "-euo", "pipefail", "-c",
         f"exec 3>calls\n{RECORDER.format(functions=functions)}\n{script}"],
        cwd=folder, env=dict(PATH="", HOME=str(folder)), capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}\nof:\n{script}"
    calls = (folder / "calls").read_text().split("\n\0")
    return [call.split("\0")[:-1] for call in calls if call]


@functools.cache
def parser_of(tool):
    """Build a tool's parser."""
    return runpy.run_path(str(ROOT / tool), run_name="a_tool")["build_parser"]()


def check_tool(tool, words):
    """Raise unless a tool takes these words and is run by a test."""
    parser_of(tool).parse_args(words)
    check_run(tool)


def check_run(tool):
    """Raise unless a test runs a tool."""
    if tool not in NOT_RUN:
        assert tool in RUN_BY, f"{tool}: note the test that runs it in RUN_BY"
        text = (ROOT / "tests" / RUN_BY[tool]).read_text()
        assert tool.rpartition("/")[2].partition(".")[0] in text, f"{RUN_BY[tool]}: lacks {tool}"


def check_python(words):
    """Check `python TOOL ...` or `python -c CODE`."""
    if words[0] == "-c":
        ast.parse(words[1])
    else:
        check_tool(words[0], words[1:])


def check_rein(words):
    """Check `rein COMMAND ...`."""
    name, *rest = words
    if name == "completion":
        assert rest[0] in SHELLS and len(rest) == 1
        return
    path = converters()[rest.pop(0)] if name == "convert" else tools()[name]
    check_tool(path.relative_to(ROOT).as_posix(), rest)


def check_bash(words):
    """Check `bash SCRIPT ...`; launchers take words of their own beside those of their tool."""
    script, *rest = words
    assert (ROOT / script).is_file(), script
    check_run(script)
    launcher = re.fullmatch(r"tools/(dist|slurm)_(train|test)\.sh", script)
    if not launcher:
        return
    if launcher[1] == "slurm":
        del rest[:2]  # partition and job
    else:
        int(rest.pop(1 if launcher[2] == "train" else 2))  # processes
    check_tool(f"tools/{launcher[2]}.py", rest)


def check_make(words):
    """Check `make TARGET`."""
    target, = words
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def check_pip(words):
    """Check `pip install ...`: files exist, and so do the extras of this project."""
    assert words[0] == "install"
    extras = set(re.findall(r'^        "(\w+)": \[', (ROOT / "setup.py").read_text(), re.M))
    for before, word in zip(words, words[1:], strict=False):
        if before == "-r":
            assert (ROOT / word).is_file(), word
        named = re.fullmatch(r"(?:rein-dgss|\.)\[(.+)\]", word)
        assert not named or set(named[1].split(",")) <= extras, word


CHECKS = dict(python=check_python, rein=check_rein, bash=check_bash, make=check_make,
              pip=check_pip, hf=lambda words: None)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_commands_run_as_printed(page, tmp_path, capsys):
    for script in blocks(page, "bash"):
        for program, *words in run_with_stand_ins(script, tmp_path):
            try:
                CHECKS[program](words)
            except SystemExit:
                pytest.fail(f"{program} {' '.join(words)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_every_block_is_run_by_a_test(page):
    found = Counter(fences(page))
    count, test = PYTHON.get(page.name, (0, None))
    assert found.pop("python", 0) == count, f"{page}: run its Python, and note it in PYTHON"
    assert not test or page.name in (ROOT / "tests" / test).read_text()
    assert found.pop("bash", 0) == len(blocks(page, "bash"))
    assert set(found) <= set(OTHERS), f"{page}: say in OTHERS why these do not run"


def test_a_program_without_a_stand_in_fails(tmp_path):
    with pytest.raises(AssertionError, match="curl"):
        run_with_stand_ins("curl https://example.org", tmp_path)


@pytest.mark.parametrize("tool", sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "tools").rglob("*.py")))
def test_examples_in_a_tools_help_are_accepted(tool, tmp_path):
    doc = ast.get_docstring(ast.parse((ROOT / tool).read_text()), clean=True)
    example = re.compile(r"^    ((?:python|rein) (?:.*\\\n)*.*)$", re.MULTILINE)
    script = "\n".join(example.findall(doc))
    for program, *words in run_with_stand_ins(script, tmp_path):
        CHECKS[program]([word for word in words if not word.startswith("[")])
