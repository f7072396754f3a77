"""Hooks of every run: terminal logging, parameter counts, and checkpoint contents."""

import logging
import sys

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS
from torch.optim import Optimizer

from rein.checkpoint import FINGERPRINT
from rein.engine.training.accumulation import GRADIENTS, gradients_of
from rein.engine.weights.loading import frozen_fingerprint
from rein.models.freezing import count_parameters, trained_state_dict


def unwrap(model):
    """Return the model without the wrapper of distributed training."""
    return model.module if is_model_wrapper(model) else model


def optimizers_of(runner) -> list[Optimizer]:
    """List a run's optimizers; most runs have one."""
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else (wrapper,)
    return [one.optimizer for one in wrappers]


def set_terminal_level(logger: logging.Logger, level: int) -> None:
    """Set the minimum level of a logger's terminal output; its file still gets everything.

    In a distributed run only the main process logs to the terminal, the others just errors.
    """
    if not is_main_process():
        return
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(level)


def survive_unwritable_log(logger: logging.Logger) -> None:
    """Warn once, instead of printing a traceback per line, if a log file cannot be written."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _WarnOnce(handler.baseFilename)


class _WarnOnce:
    """Replaces `logging.Handler.handleError`."""

    def __init__(self, path: str):
        self.path, self.warned = path, False

    def __call__(self, record: logging.LogRecord) -> None:
        if not self.warned:
            print(f"warning: {self.path}: the log has gaps ({sys.exc_info()[1]})", file=sys.stderr)
        self.warned = True


@HOOKS.register_module()
class TerminalHook(Hook):
    """Restore terminal logging after set-up, whose environment and config only go to the file."""

    priority = "VERY_HIGH"

    def before_run(self, runner) -> None:
        """Show the log on the terminal from now on."""
        set_terminal_level(runner.logger, logging.INFO)


@HOOKS.register_module()
class TrainableParametersHook(Hook):
    """Log the number of trainable parameters at the start of training, in total and by part."""

    def before_train(self, runner) -> None:
        """Log the counts."""
        model = unwrap(runner.model)
        runner.logger.info(f"trainable: {count_parameters(model)}")
        for name, part in model.named_children():
            count = count_parameters(part)
            if count.total:
                runner.logger.info(f"  {name}: {count}")


@HOOKS.register_module()
class TrainedWeightsHook(Hook):
    """Keep frozen weights out of checkpoints, because the pretrained file has them.

    A Rein checkpoint holds `backbone.reins.*` and `decode_head.*` under their published names; a
    fully fine-tuned one holds all weights. The checkpoint also stores the fingerprint of the frozen
    backbone, so that loading the adapter onto another backbone is detected.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner) -> None:
        """Compute the fingerprint once: frozen weights never change."""
        self.fingerprint = frozen_fingerprint(unwrap(runner.model))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep only trained weights in `state_dict`; add fingerprint and unused gradients."""
        if self.fingerprint is not None:
            checkpoint["meta"][FINGERPRINT] = self.fingerprint
        kept = trained_state_dict(unwrap(runner.model))
        checkpoint["state_dict"] = {
            name: value for name, value in checkpoint["state_dict"].items() if name in kept
        }
        gradients = gradients_of(unwrap(runner.model))
        if gradients and "optimizer" in checkpoint:
            checkpoint[GRADIENTS] = gradients
