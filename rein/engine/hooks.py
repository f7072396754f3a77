"""Hooks every run has: what is trained, and what of it is saved."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from rein.models.freezing import count_parameters, trained_state_dict


def unwrap(model):
    """Return the model itself, without the wrapper of distributed training."""
    return model.module if is_model_wrapper(model) else model


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
    one of full fine-tuning holds every weight.
    """

    priority = "VERY_HIGH"

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Leave in `checkpoint['state_dict']` what training may have changed."""
        kept = trained_state_dict(unwrap(runner.model))
        checkpoint["state_dict"] = {
            name: value for name, value in checkpoint["state_dict"].items() if name in kept
        }
