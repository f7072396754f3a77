"""Stop before a loss that is not finite spoils the weights, or skip its step."""

import math

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from torch import Tensor

from rein.engine.saving import latest_checkpoint
from rein.errors import UserError

MAX_SKIPPED = 10
"""Steps in a row that may be skipped; more are no accident of one batch."""


class FiniteLossHook(Hook):
    """Check each loss before its step; name the iteration and the images if it is not finite.

    By default the run stops. With `skip_non_finite_losses = True` in the config, the step is
    skipped with a warning; `MAX_SKIPPED` such steps in a row stop the run. In both cases the
    weights stay as they were. Gradients accumulated before a skipped step are dropped.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner) -> None:
        """Check losses where the optimizer gets them, in distributed runs, too."""
        self.runner, self.skipped, self.images = runner, 0, []
        self.skips = bool(runner.cfg.get("skip_non_finite_losses", False))
        wrapper = runner.optim_wrapper
        self.update = wrapper.update_params
        wrapper.update_params = self._checked_update

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Note the images."""
        samples = (data_batch or {}).get("data_samples", [])
        self.images = [str(getattr(sample, "img_path", "?")) for sample in samples]

    def after_train(self, runner) -> None:
        """Let the optimizer update unchecked again."""
        del runner.optim_wrapper.update_params

    def _checked_update(self, loss: Tensor, *args, **kwargs) -> None:
        """Update the parameters if the loss is finite in all processes."""
        finite = torch.isfinite(loss.detach()).float()
        all_reduce(finite, "min")
        if finite.item():
            self.skipped = 0
            self.update(loss, *args, **kwargs)
            return
        self.skipped += 1
        self._report(loss.item())
        wrapper = self.runner.optim_wrapper
        wrapper.zero_grad()
        wrapper._inner_count += 1  # counts iterations; accumulation steps at its multiples

    def _report(self, loss: float) -> None:
        what = f"iteration {self.runner.iter + 1}: "
        if math.isfinite(loss):
            what += "the loss is not finite in another process"
        else:
            what += f"the loss is {loss} for {', '.join(self.images)}"
        if self.skips and self.skipped < MAX_SKIPPED:
            self.runner.logger.warning(f"{what}; skipping the step")
            return
        last = latest_checkpoint(self.runner.work_dir)
        kept = f"The last checkpoint is {last}." if last else "There is no checkpoint yet."
        if self.skips:
            raise UserError(f"{what}, the {MAX_SKIPPED}th step in a row without a finite loss. "
                            f"{kept} Lower the learning rate, or clip gradients.")
        raise UserError(f"{what}. {kept} Check these files, lower the learning rate or clip "
                        "gradients; `--cfg-options skip_non_finite_losses=True` skips such steps.")
