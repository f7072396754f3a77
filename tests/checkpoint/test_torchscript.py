"""OpenAI's TorchScript archives are read as data; nothing in them runs."""

import os
import pickle
import warnings
import zipfile

import pytest
import torch

from rein import checkpoint as ckpt
from rein.errors import UserError


class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 4, 2, bias=False).half()
        self.blocks = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
        self.shape = [1, 2]

    def forward(self, x):
        return self.blocks(x)


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = Inner()
        self.logit_scale = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.visual(x) * self.logit_scale


@pytest.fixture
def archive(tmp_path):
    """Save a compiled module as OpenAI does; return the path and the module's weights."""
    torch.manual_seed(0)
    model, path = Outer(), tmp_path / "ViT-T-14.pt"
    model.visual.blocks[0].weight.data = torch.randn(3, 5).T  # not contiguous
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model), path)
    return path, model.state_dict()


def test_an_archives_weights_are_read(archive):
    path, expected = archive
    found = ckpt.load_file(path)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_malicious_archive_runs_nothing(archive, tmp_path):
    path, _ = archive
    evil, made = tmp_path / "evil.pt", tmp_path / "made"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(evil, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("/data.pkl"):
                content = pickle.dumps(Command(made))
            target.writestr(entry, content)
    with pytest.raises(UserError, match="refused, because it holds objects that could run code"):
        ckpt.load_file(evil)
    assert not made.exists()
    assert pickle.loads(pickle.dumps(Command(made))) is None and made.exists()  # it would have


def test_a_damaged_archive_is_one_clear_line(archive, tmp_path):
    path, _ = archive
    evil = tmp_path / "cut.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(evil, "w") as target:
        for entry in source.infolist():
            if "/data/0" not in entry.filename:
                target.writestr(entry, source.read(entry))
    with pytest.raises(UserError, match="not a checkpoint, or damaged"):
        ckpt.load_file(evil)
