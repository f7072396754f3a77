import pytest
import torch
from conftest import build, tiny_model_config


@pytest.fixture
def head():
    """Build the tiny model's decode head with seeded weights."""
    torch.manual_seed(0)
    return build(tiny_model_config()).decode_head
