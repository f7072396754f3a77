"""Hooks every run has: what is logged, what is trained, and what of it is saved."""

import logging

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from rein.checkpoint import FINGERPRINT
from rein.engine.weights import frozen_fingerprint
from rein.models.freezing import count_parameters, trained_state_dict


def unwrap(model):
    """Return the model itself, without the wrapper of distributed training."""
    return model.module if is_model_wrapper(model) else model


def set_terminal_level(logger: logging.Logger, level: int) -> None:
    """Set from which level on a logger shows on the terminal; its file gets everything."""
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(level)


@HOOKS.register_module()
class TerminalHook(Hook):
    """Ends the quiet of setting up, when the log file alone gets the environment and config."""

    priority = "VERY_HIGH"

    def before_run(self, runner) -> None:
        """Show the log on the terminal from here on."""
        set_terminal_level(runner.logger, logging.INFO)


@HOOKS.register_module()
class TrainableParametersHook(Hook):
    """Logs at the start of training how many parameters train, in all and by part."""

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
    """Keeps frozen weights out of checkpoints: they are in the pretrained file already.

    A checkpoint of Rein holds `backbone.reins.*` and `decode_head.*` under their published names;
    one of full fine-tuning holds every weight. The frozen backbone's fingerprint goes along, so
    that the adapter is never put onto another one unnoticed.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner) -> None:
        """Take the fingerprint once: frozen weights stay as they are."""
        self.fingerprint = frozen_fingerprint(unwrap(runner.model))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Leave in `checkpoint['state_dict']` what training may have changed; add to `meta`."""
        if self.fingerprint is not None:
            checkpoint["meta"][FINGERPRINT] = self.fingerprint
        kept = trained_state_dict(unwrap(runner.model))
        checkpoint["state_dict"] = {
            name: value for name, value in checkpoint["state_dict"].items() if name in kept
        }
