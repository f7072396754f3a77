"""The commands of docs/demo.md and docs/sharing.md run; a stand-in takes the Hub's place."""

import re
import tempfile
import time

import pytest
from commands import run_tool
from doc_blocks import ROOT, blocks, commands
from fake_hub import hub_session
from PIL import Image

from rein.web import inputs

SHARING, DEMO = ROOT / "docs/sharing.md", ROOT / "docs/demo.md"


def test_the_commands_of_sharing_push_and_load(street, monkeypatch):
    login, *pushes = commands(SHARING)
    assert login == ["hf", "auth", "login"] and len(pushes) == 2
    with hub_session(monkeypatch, street) as hub:
        for words in pushes:
            words = [word.replace("OWNER/", "me/") for word in words]
            run_tool(ROOT / words[1], *words[2:], cwd=street)
        code, = blocks(SHARING, "python")
        names = {}
        exec(code.replace("OWNER/", "me/"), names)
        assert len(names["model"].classes) == 19
    assert set(hub.repos["me/NAME"]) == {"model.safetensors", "README.md"}
    assert {path.name for path in (street / "shared").iterdir()} == set(hub.repos["me/NAME"])
    assert "No test report was given." in (street / "shared/README.md").read_text()


def test_the_commands_of_the_demo_serve_a_page_until_they_are_stopped(street, monkeypatch):
    pytest.importorskip("gradio", reason="needs the extra `demo`")
    (street / "photographs/dusk").mkdir(parents=True)
    Image.open("street.jpg").save(street / "photographs/dusk/a.png")
    (street / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(street / "temporary"))
    pages = []

    def interrupt(seconds):
        pages.append(seconds)
        raise KeyboardInterrupt

    for words in commands(DEMO):
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: (
                interrupt(seconds) if seconds == 3600 else sleep(seconds)))
            out = run_tool(ROOT / words[1], *words[2:], cwd=street).stdout
        assert re.fullmatch(r"page: http://127.0.0.1:\d+/ \(Ctrl\+C stops it\)\n"
                            "stopped; uploads are deleted\n", out)
    assert len(pages) == 2 and "7900" in out
    assert not list((street / "temporary").glob("rein_demo_*"))


def test_the_page_states_the_limits_that_hold():
    text = " ".join(DEMO.read_text().split())
    for limit in (f"{inputs.MAX_SIDE} pixels a side", f"files {inputs.MAX_MEGABYTES} MB",
                  f"first {inputs.MAX_SECONDS} seconds at {inputs.FRAME_RATE} frames a second"):
        assert limit in text
