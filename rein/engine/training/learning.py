"""Check, at the first step of the optimizer, that a backbone's adapter learns."""

from collections.abc import Mapping

from mmengine.hooks import Hook
from torch import nn
from torch.optim import Optimizer

from rein.engine.training.hooks import optimizers_of, unwrap
from rein.errors import UserError
from rein.models.adapters import Adapter
from rein.models.adapters.base import parts_of


class AdapterLearnsHook(Hook):
    """Stop before the first step if an adapter cannot learn, and warn of parameters that do not.

    An adapter without any gradient is accepted with `find_unused_parameters = True`, the setting
    for parameters that some iterations do not use.
    """

    def before_train(self, runner) -> None:
        """Wait for the first step, which ends the first accumulation."""
        self.runner = runner
        self.adapter = getattr(getattr(unwrap(runner.model), "backbone", None), "reins", None)
        self.handles = []
        if isinstance(self.adapter, Adapter):
            self.handles = [
                one.register_step_pre_hook(self._check) for one in optimizers_of(runner)]

    def _check(self, optimizer: Optimizer, *unused) -> None:
        """Check the adapter once, when all gradients are there (a hook of the optimizer)."""
        for handle in self.handles:
            handle.remove()
        stepping = _parameters(optimizer)
        optimized = set().union(*map(_parameters, optimizers_of(self.runner)))
        for part in parts_of(self.adapter):
            trained = {name: value for name, value in part.named_parameters()
                       if value.requires_grad}
            late = [name for name, value in trained.items() if value not in optimized]
            if late:
                raise UserError(
                    f"{type(part).__name__}: the optimizer lacks its parameter {late[0]}, of "
                    f"{len(late)} such, which would not learn. Create all parameters in `__init__` "
                    "or `attach`.")
            self._check_gradients(type(part).__name__, {
                name: value for name, value in trained.items() if value in stepping})

    def _check_gradients(self, owner: str, trained: Mapping[str, nn.Parameter]) -> None:
        """Raise if no parameter has a gradient; warn if one has none."""
        idle = [name for name, value in trained.items() if value.grad is None]
        if not idle:
            return
        cfg = self.runner.cfg
        accepted = cfg.get("find_unused_parameters") or (
            cfg.get("model_wrapper_cfg") or {}).get("find_unused_parameters")
        if len(idle) == len(trained) and not accepted:
            raise UserError(
                f"{owner}: no parameter, such as {idle[0]}, has a gradient, so it would not learn. "
                "Check that its hooks run and return their results. If later iterations use it, "
                "set find_unused_parameters=True.")
        self.runner.logger.warning(
            f"{owner}: {len(idle)} of {len(trained)} parameters have no gradient in the first "
            f"step, such as {idle[0]}. They learn only if later iterations use them.")


def _parameters(optimizer: Optimizer) -> set[nn.Parameter]:
    """Return all parameters of an optimizer."""
    return {value for group in optimizer.param_groups for value in group["params"]}
