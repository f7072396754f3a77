"""The predictions of README.md and docs/command_line.md run as printed; every command is listed."""

import re
import sys

import pytest
from doc_blocks import ROOT, commands
from fake_segmentor import FakeSegmentor, write_film, write_image

from rein.commands import main
from rein.tool_names import tools

PAGE = ROOT / "docs/command_line.md"
PREDICTIONS = [words for page in (ROOT / "README.md", PAGE) for words in commands(page)
               if words[:2] == ["rein", "predict"]]


@pytest.mark.parametrize("words", PREDICTIONS, ids=" ".join)
def test_printed_predictions_run(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("rein.engine.predicting.models.load_predictor",
                        lambda *args, **kwargs: FakeSegmentor())
    for name in ("street.jpg", "photos/a/night_1.jpg", "photos/day.jpg"):
        write_image(tmp_path / name)
    write_film(tmp_path / "drive.mp4")
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr().out
    assert end.value.code == 0 and re.search(r"^[1-9] predicted, .* 0 failed", printed, re.M)


def test_every_command_is_listed():
    rows = re.findall(r"^\| (`.+?) \| ", PAGE.read_text(), re.MULTILINE)
    listed = {name.split()[0] for row in rows for name in re.findall("`(.+?)`", row)}
    assert {*tools(), "convert"} <= listed


def test_every_kind_of_output_is_described():
    from rein.engine.predicting.files import KINDS

    text = PAGE.read_text()
    assert all(f"| `{kind}/` |" in text for kind in KINDS)
