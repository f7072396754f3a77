"""Tuning of biases or norms alone: changes of the network's own small parameters.

Sources: Ben Zaken et al., BitFit, arXiv:2106.10199; Zhao et al., Tuning LayerNorm in Attention,
arXiv:2312.11420.
"""

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from mmseg.registry import MODELS
from timm.layers import LayerNorm2d, LayerNorm2dFp32, LayerNormAct2d, LayerNormAct2dFp32
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.base import Adapter, add_module

# over the channels of (B, C, H, W)
_NORMS_OF_MAPS = (LayerNorm2d, LayerNorm2dFp32, LayerNormAct2d, LayerNormAct2dFp32)


def _has_activation(module: nn.Module) -> bool:
    """Tell whether a norm is followed by dropout and an activation inside, as BatchNormAct2d is."""
    return hasattr(module, "drop") and hasattr(module, "act")


class _Change(nn.Module):
    """Changes of a module's parameters, zero at first.

    Args:
        module (nn.Module): Has the parameters.
        names (Sequence[str]): Which ones.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        for name in names:
            self.register_parameter(
                name, nn.Parameter(getattr(module, name).detach().new_zeros(
                    getattr(module, name).shape)))


class _ParameterTuning(Adapter):
    """Adds learned changes to parameters of modules in the blocks."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.changed: list[str] = []

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Hook onto the modules that `names_of` selects; see `Adapter.attach`."""
        full = {module: name for name, module in network.named_modules()}
        for block in (block for stage in stages for block in stage):
            for module in block.modules():
                names = self.names_of(module)
                if names:
                    name = full[module]
                    add_module(self, name, _Change(module, names))
                    self.hook_onto(name, module)
                    self.changed.append(name)
        if not self.changed:
            raise UserError(f"{type(self).__name__}: the backbone's blocks have nothing to tune.")

    def names_of(self, module: nn.Module) -> list[str]:
        """Select the parameters of a module that are tuned."""
        raise NotImplementedError

    def hook_onto(self, name: str, module: nn.Module) -> None:
        """Register a hook that lets a module compute with changed parameters."""
        raise NotImplementedError

    def fold(self) -> dict[str, Tensor]:
        """Return the changes; see `Adapter.fold`."""
        return {f"{name}.{parameter}": value.detach().clone()
                for name in self.changed
                for parameter, value in self.get_submodule(name).named_parameters()}


@MODELS.register_module()
class BitFit(_ParameterTuning):
    """Trains the biases of all linear, convolutional and norm layers in the blocks."""

    def names_of(self, module: nn.Module) -> list[str]:
        """Select the bias."""
        layers = (nn.Linear, nn.Conv2d, nn.LayerNorm, nn.BatchNorm2d)
        has = isinstance(module, layers) and getattr(module, "bias", None) is not None
        return ["bias"] if has else []

    def hook_onto(self, name: str, module: nn.Module) -> None:
        """Add the change to the output, or before the activation of a norm that has one."""
        channels_first = isinstance(module, (nn.Conv2d, nn.BatchNorm2d, *_NORMS_OF_MAPS))
        shape = (-1, 1, 1) if channels_first else (-1,)
        if _has_activation(module):
            module.drop.register_forward_pre_hook(partial(self._change_input, name, shape))
        else:
            module.register_forward_hook(partial(self._change_output, name, shape))

    def _change_input(
        self, name: str, shape: tuple[int, ...], drop: nn.Module, args: tuple,
    ) -> Tensor:
        """Add the change of the bias to the first step after the norm (a pre-hook)."""
        return args[0] + self.get_submodule(name).bias.view(shape)

    def _change_output(
        self, name: str, shape: tuple[int, ...], module: nn.Module, args: tuple, output: Tensor,
    ) -> Tensor:
        """Add the change of the bias (a forward hook)."""
        return output + self.get_submodule(name).bias.view(shape)


@MODELS.register_module()
class NormTuning(_ParameterTuning):
    """Trains the weights and biases of all layer norms in the blocks."""

    def names_of(self, module: nn.Module) -> list[str]:
        """Select weight and bias of a layer norm."""
        if not isinstance(module, nn.LayerNorm) or module.weight is None:
            return []
        return ["weight"] if module.bias is None else ["weight", "bias"]

    def hook_onto(self, name: str, module: nn.Module) -> None:
        """Change the output; it follows from the input, so after an activation, too."""
        module.register_forward_hook(partial(self._change_output, name))

    def _change_output(self, name: str, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        """Add the normalised input times the change of the weight, and the change of the bias."""
        change = self.get_submodule(name)
        of_maps = isinstance(module, _NORMS_OF_MAPS)
        x = args[0].permute(0, 2, 3, 1) if of_maps else args[0]

        def norm(weight: Tensor, bias: Tensor | None) -> Tensor:
            out = F.layer_norm(x, module.normalized_shape, weight, bias, module.eps)
            return out.permute(0, 3, 1, 2) if of_maps else out

        added = norm(change.weight, getattr(change, "bias", None))
        if _has_activation(module):
            return module.act(module.drop(norm(module.weight, module.bias) + added))
        return output + added
