"""Shared by the models' tests."""

import pytest
from mmengine.logging import MessageHub


@pytest.fixture
def progress():
    """Return a function that sets the progress of training, a fraction."""
    hub = MessageHub.get_current_instance()
    before = dict(hub.runtime_info)

    def set_progress(fraction):
        hub.update_info("iter", round(fraction * 1000))
        hub.update_info("max_iters", 1000)

    yield set_progress
    hub.runtime_info.clear()
    hub.runtime_info.update(before)
