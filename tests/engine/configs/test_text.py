"""A config is formatted once, and again only after a change."""

import copy

from mmengine.config import Config
from yapf.yapflib import yapf_api

from rein.engine.configs.text import FormattedOnce


def test_text_is_mmengines_formatted_once_for_the_same_values(monkeypatch, tmp_path):
    (tmp_path / "a.py").write_text("model = dict(type='A', sizes=(1, 2))\nnames = ['b']\n")
    plain = Config.fromfile(tmp_path / "a.py")
    expected, formatted, calls = plain.pretty_text, yapf_api.FormatCode, []
    monkeypatch.setattr(
        yapf_api, "FormatCode", lambda *a, **k: calls.append(a) or formatted(*a, **k))
    cfg = FormattedOnce.of(plain)
    assert cfg.pretty_text == expected and cfg.filename == plain.filename
    cfg.dump(tmp_path / "dumped.py")
    assert (tmp_path / "dumped.py").read_text() == expected and len(calls) == 1
    assert copy.deepcopy(cfg).pretty_text == expected and len(calls) == 1
    plain.model.type = "B"
    assert cfg.pretty_text == plain.pretty_text != expected
