"""The pretraining's command: what it refuses."""

import pytest

from rein.errors import UserError
from toy.pretraining.run import run_pretraining, state_of


def test_another_file_is_not_replaced_unasked(tmp_path):
    out = tmp_path / "a.pth"
    out.write_text("")
    with pytest.raises(UserError, match="a.pth: exists.*--force"):
        run_pretraining(tmp_path, out, 1)


def test_the_state_lies_beside_the_weights(tmp_path):
    assert state_of(tmp_path / "a.pth") == tmp_path / "a_state.pth"
