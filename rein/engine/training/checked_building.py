"""mmengine's Runner, whose failures to build a part of the config name the part."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from mmengine.runner import Runner
from torch import nn

from rein.errors import UserError, building, one_line


def _naming(part: str, method: Callable) -> Callable:
    """Wrap a method of the runner so that its errors name a part of the config."""
    @wraps(method)
    def build(self, *args, **kwargs) -> Any:
        with building(part):
            return method(self, *args, **kwargs)

    return build


class CheckedBuilding(Runner):
    """A runner that reports each part of the config that cannot be built in one line."""

    setup_env = _naming("env_cfg", Runner.setup_env)
    set_randomness = _naming("randomness", Runner.set_randomness)
    build_log_processor = _naming("log_processor", Runner.build_log_processor)
    build_visualizer = _naming("visualizer", Runner.build_visualizer)
    build_model = _naming("model", Runner.build_model)
    build_optim_wrapper = _naming("optim_wrapper", Runner.build_optim_wrapper)
    build_param_scheduler = _naming("param_scheduler", Runner.build_param_scheduler)
    build_evaluator = _naming("the evaluator", Runner.build_evaluator)
    build_train_loop = _naming("train_cfg or train_dataloader", Runner.build_train_loop)
    build_val_loop = _naming("val_cfg or val_dataloader", Runner.build_val_loop)
    build_test_loop = _naming("test_cfg or test_dataloader", Runner.build_test_loop)
    register_hooks = _naming("default_hooks or custom_hooks", Runner.register_hooks)

    _steps = 0  # finished iterations of training, validation and testing

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """Call all hooks, and count the iterations."""
        super().call_hook(fn_name, **kwargs)
        self._steps += fn_name.startswith("after_") and fn_name.endswith("_iter")

    def train(self) -> nn.Module:
        """Train; a failure before the end of the first iteration is reported in one line."""
        with self._first_iteration("training"):
            return super().train()

    def test(self) -> dict:
        """Test; a failure before the end of the first iteration is reported in one line."""
        with self._first_iteration("testing"):
            return super().test()

    @contextmanager
    def _first_iteration(self, what: str) -> Iterator[None]:
        """Report what fails at once: parts of a config that do not fit each other or the data."""
        try:
            yield
        except (UserError, OSError):
            raise
        except Exception as error:
            if self._steps:
                raise
            raise UserError(
                f"{what} fails in its first iteration: {one_line(error)}. Check that the parts of "
                "the config fit each other and the data; with REIN_TRACEBACK=1 in the environment, "
                "the command shows where.") from error
