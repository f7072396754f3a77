"""Commands show their docstring as help, report a mistake in one line, and exit with a code."""

import argparse
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from rein.cli import command_parser, converter_parser, run_cli, run_command, run_converter
from rein.errors import UserError


def ending(run, *arguments) -> int:
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    return end.value.code


def test_help_shows_the_docstring_verbatim(capsys):
    text = "Do this.\n\n    python tools/this.py \\\n        folder"
    assert ending(command_parser(text).parse_args, ["--help"]) == 0
    assert text in capsys.readouterr().out


def test_converters_share_their_options():
    args = converter_parser("").parse_args(["--workers", "3", "--overwrite"])
    assert (args.workers, args.overwrite) == (3, True)
    args = converter_parser("").parse_args([])
    assert (args.workers, args.overwrite) == (None, False)


@pytest.mark.parametrize("failed, code", [((), 0), ((("a.png", "broken"),), 1)])
def test_a_converter_prints_its_summary_and_exits_with_1_if_a_file_failed(
        monkeypatch, capsys, failed, code):
    from rein.datasets.converters.jobs import Report

    monkeypatch.setattr("sys.argv", ["convert", "--workers", "2"])
    seen = []

    def convert(args: argparse.Namespace):
        seen.append(args.workers)
        return Report(1, 2, failed), "out/*.png"

    assert ending(run_converter, converter_parser(""), convert) == code
    assert seen == [2]
    assert capsys.readouterr().out.startswith(f"1 converted, 2 skipped, {len(failed)} failed")


@pytest.mark.parametrize("error, line, code", [
    (UserError("a.png: broken. Copy it again."), "error: a.png: broken. Copy it again.\n", 1),
    (KeyboardInterrupt(), "error: interrupted\n", 130)])
def test_a_mistake_becomes_one_line_and_an_exit_code(capsys, error, line, code):
    def main():
        raise error

    assert ending(run_cli, main) == code
    assert capsys.readouterr().err == line


def test_a_command_exits_with_its_return_value(monkeypatch):
    monkeypatch.setattr("sys.argv", ["command"])
    assert ending(run_command, command_parser(""), lambda args: None) == 0
    assert ending(run_command, command_parser(""), lambda args: 3) == 3


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("code, closed, returncode", [
    ("run_command(command_parser('help'), print)", "stdout", (0, 141)),  # argparse may ignore it
    ("run_cli(lambda: print('unread'))", "stdout", (141,)),
    ("run_cli(lambda: print('unread', file=sys.stderr))", "stderr", (141,))])
def test_a_command_whose_output_nobody_reads_ends_silently(code, closed, returncode, unbuffered):
    read, write = os.pipe()
    os.close(read)
    program = f"import sys; from rein.cli import *; sys.argv[1:] = ['--help']; {code}"
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE) | {closed: write}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, **streams,
                          env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    os.close(write)
    assert done.returncode in returncode and not done.stdout and not done.stderr


def test_a_pipe_that_breaks_between_processes_is_an_error():
    def main():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_cli(main)


@pytest.mark.parametrize("error", [
    PermissionError(13, "Permission denied", "out/a.png"),
    NotADirectoryError(20, "Not a directory", "out/a.png")])
def test_an_error_of_the_file_system_becomes_one_line_with_its_path(capsys, error):
    def main():
        raise error

    assert ending(run_cli, main) == 1
    assert capsys.readouterr().err.startswith(f"error: out/a.png: {error.strerror}. ")


def test_the_traceback_of_a_mistake_is_printed_on_request(capsys, monkeypatch):
    monkeypatch.setenv("REIN_TRACEBACK", "1")

    def main():
        raise UserError("broken")

    assert ending(run_cli, main) == 1
    assert "Traceback" in capsys.readouterr().err
