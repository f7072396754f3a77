"""Average the weights over training (EMA)."""

from mmengine.hooks import EMAHook

from rein.checkpoint.averaged import RAW_PREFIX, RAW_WEIGHTS
from rein.engine.training.hooks import optimizers_of


class TrainedEMAHook(EMAHook):
    """mmengine's hook for models with frozen weights, which are shared instead of averaged.

    It averages after each step of the optimizer. Iterations that only accumulate gradients, or
    whose step is skipped, count for nothing.

    Args:
        **kwargs: As for mmengine's `EMAHook`.
    """

    ema_model = None
    stepped = False

    def before_run(self, runner) -> None:
        """Copy the model for training; tests load weights that are averaged already."""
        if runner.train_loop is not None:
            super().before_run(runner)

    def before_train(self, runner) -> None:
        """Share the frozen weights, which are loaded by now, to save memory and time."""
        super().before_train(runner)
        trained = {name for name, p in self.src_model.named_parameters() if p.requires_grad}
        averaged = dict(self.ema_model.module.named_parameters())
        for name, parameter in self.src_model.named_parameters():
            if name not in trained:
                averaged[name].data = parameter.data
        self.ema_model.avg_parameters = {
            name: value for name, value in self.ema_model.avg_parameters.items()
            if name in trained or name not in averaged}
        for optimizer in optimizers_of(runner):
            optimizer.register_step_post_hook(self._note_step)

    def _note_step(self, *unused) -> None:
        """Note that the optimizer changed the weights (its hook)."""
        self.stepped = True

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        """Average the weights if they have changed."""
        if self.stepped:
            self.stepped = False
            super().after_train_iter(runner, *args, **kwargs)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Save averaged and raw weights; `TrainedWeightsHook` has left out the frozen ones."""
        kept = checkpoint["state_dict"].keys()
        checkpoint[RAW_WEIGHTS] = {
            name: value.cpu() for name, value in self.ema_model.state_dict().items()
            if not name.startswith(RAW_PREFIX) or name.removeprefix(RAW_PREFIX) in kept}
        self._swap_ema_state_dict(checkpoint)

    def before_test_epoch(self, runner) -> None:
        """Test the averaged weights after training; they are in the model otherwise."""
        if self.ema_model is not None:
            super().before_test_epoch(runner)

    def after_test_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Restore the raw weights after training."""
        if self.ema_model is not None:
            super().after_test_epoch(runner, metrics)
