"""The code of docs/python.md runs in order, and a user of it meets no mmengine."""

import re
from types import SimpleNamespace

import torch
from doc_blocks import ROOT, blocks

import rein
from rein.datasets.label_maps import CLASSES

PAGE = ROOT / "docs/python.md"


def add_moved_adapter(*args, **options):
    """Add an adapter whose weights have moved from the start, as by training."""
    adapter = rein.add_adapter(*args, **options)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return adapter


def test_the_pages_code_runs_in_order(street, capsys):
    *code, folding = blocks(PAGE, "python")
    assert len(code) == 5 and not re.search(r"\bmm\w+", PAGE.read_text())
    names = {}
    for block in code:
        exec(block, names)
    assert [file.name for file in sorted(street.glob("*.p*"))] == [
        "adapter.pth", "classes.png", "colors.png", "overlay.png"]
    assert tuple(names["result"].shares()) == CLASSES
    assert len(names["results"]) == 2
    printed = capsys.readouterr().out
    losses = [float(line.split()[-1]) for line in printed.splitlines() if line[:4] == "step"]
    assert len(losses) == 5 and losses[-1] < losses[0]
    saved = torch.load("adapter.pth", weights_only=True)
    own = names["adapter"].state_dict()
    assert all(torch.equal(own[name], value) for name, value in saved.items())
    trained, total = (sum(p.numel() for p in names["network"].parameters() if only(p))
                      for only in (lambda p: p.requires_grad, lambda p: True))
    assert f"{trained / 1e6:.1f} M of {total / 1e6:.0f} M" in code[3], (trained, total)
    names["rein"] = SimpleNamespace(add_adapter=add_moved_adapter)
    exec(folding, names)
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(names["folded"](image), names["network"](image))
