"""Stop before a loss or gradient that is not finite spoils the weights, or skip its step."""

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from torch import Tensor

from rein.engine.training.hooks import unwrap
from rein.engine.training.saving import latest_checkpoint
from rein.errors import UserError

MAX_SKIPPED = 10
"""Steps in a row that may be skipped; more are no accident of one batch."""


class FiniteLossHook(Hook):
    """Check each loss and its gradients before the step; name the iteration and the images.

    By default the run stops. With `skip_non_finite_losses = True` in the config, the step is
    skipped with a warning; `MAX_SKIPPED` such steps in a row stop the run. In both cases the
    weights stay as they were. Gradients accumulated before a skipped step are dropped.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner) -> None:
        """Check where the optimizer gets losses and gradients, in distributed runs, too."""
        self.runner, self.skipped, self.images = runner, 0, []
        self.skips = bool(runner.cfg.get("skip_non_finite_losses", False))
        self.trained = {name: value for name, value in unwrap(runner.model).named_parameters()
                        if value.requires_grad}
        wrapper = runner.optim_wrapper
        self.update, self.should_update = wrapper.update_params, wrapper.should_update
        wrapper.update_params, wrapper.should_update = self._update, self._should_update

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Note the images."""
        samples = (data_batch or {}).get("data_samples", [])
        self.images = [str(getattr(sample, "img_path", "?")) for sample in samples]

    def after_train(self, runner) -> None:
        """Let the optimizer update unchecked again."""
        del runner.optim_wrapper.update_params, runner.optim_wrapper.should_update

    def _update(self, loss: Tensor, *args, **kwargs) -> None:
        """Note the loss; the optimizer computes gradients and then calls `_should_update`."""
        self.loss = loss.detach()
        self.update(loss, *args, **kwargs)

    def _should_update(self) -> bool:
        """Tell whether to step now: all is finite, and the accumulation has come to its end."""
        # one check of both, because a GPU has to finish its work for each
        finite = torch.stack([torch.isfinite(self.loss), self._are_finite()]).float()
        all_reduce(finite, "min")
        loss_is, gradients_are = finite.tolist()
        if loss_is and gradients_are:
            self.skipped = 0
            return self.should_update()
        self.skipped += 1
        what = self._describe(bool(loss_is))
        self.runner.optim_wrapper.zero_grad()
        self._report(what)
        return False

    def _are_finite(self) -> Tensor:
        """Tell whether the gradients are finite, or loss scaling deals with them (shape ())."""
        gradients = [value.grad for value in self.trained.values() if value.grad is not None]
        finite = torch.isfinite(torch.nn.utils.get_total_norm(gradients)).to(self.loss.device)
        scaler = getattr(self.runner.optim_wrapper, "loss_scaler", None)
        if scaler is None:
            return finite
        # float16 overflows while the scale is too high; the scaler skips the step and lowers it
        return finite | (scaler.get_scale() > 1)

    def _describe(self, loss_is_finite: bool) -> str:
        """Say what is not finite, for which images."""
        images = ", ".join(self.images)
        if not loss_is_finite:
            if torch.isfinite(self.loss):
                return "the loss is not finite in another process"
            return f"the loss is {self.loss.item()} for {images}"
        bad = [name for name, value in self.trained.items()
               if value.grad is not None and not torch.isfinite(value.grad).all()]
        if get_world_size() == 1:
            what = f"the gradient of {bad[0]}" if bad else "the norm of the gradients"
            return f"{what} is not finite for {images}"
        if not bad:
            return "a gradient is not finite in another process"
        # the processes may have averaged their gradients
        return f"the gradient of {bad[0]} is not finite for {images} or another process's images"

    def _report(self, what: str) -> None:
        what = f"iteration {self.runner.iter + 1}: {what}"
        if self.skips and self.skipped < MAX_SKIPPED:
            self.runner.logger.warning(f"{what}; skipping the step")
            return
        last = latest_checkpoint(self.runner.work_dir)
        kept = f"The last checkpoint is {last}." if last else "There is no checkpoint yet."
        if self.skips:
            raise UserError(
                f"{what}, the {MAX_SKIPPED}th step in a row whose loss or gradient is not finite. "
                f"{kept} Lower the learning rate, or clip gradients.")
        raise UserError(f"{what}. {kept} Check these files, lower the learning rate or clip "
                        "gradients; `--cfg-options skip_non_finite_losses=True` skips such steps.")
