"""Adapters of Hugging Face's peft library (https://github.com/huggingface/peft).

`inject_adapter_in_model` replaces a frozen layer by a layer of peft's that contains it, which
would rename its weights. Here the frozen layer stays in its place, and its `forward` calls peft's
layer, which is kept with the adapter.
"""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError, one_line
from rein.models.adapters.base import Adapter, add_module, refuse_uncalled
from rein.models.arguments import refuse_unknown

_REFUSED = {
    "ADALORA": "changes its ranks by calls in the training loop, which nothing makes here",
    "SHIRA": "cannot be built without values, as merging does",
}


@MODELS.register_module()
class Peft(Adapter):
    """Changes layers of the blocks by a method of peft, e.g. `dict(peft_type="LORA", r=8)`.

    Layers have the network's names, such as `blocks.3.attn.qkv`. `fold` uses peft's own merging.

    Args:
        config (dict): `peft_type`, `target_modules`, and other fields of that method's config.
        **kwargs: None; others are refused.

    Raises:
        UserError: peft is not installed, the config is wrong, or the method does not leave the
            frozen network as it is.
    """

    def __init__(self, config: Mapping, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config = _peft_config(config)
        self.blocks_by_name: dict[str, nn.Module] = {}  # a dict hides them from PyTorch
        self.names: list[str] = []
        self._called: set[str] = set()

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Put peft's layers before the targets; see `Adapter.attach`."""
        names = {module: name for name, module in network.named_modules()}
        self.blocks_by_name = {names[block]: block for stage in stages for block in stage}
        stages[0][0].register_forward_hook(self._note_pass)
        for name, layer in self._inject().items():
            target = network.get_submodule(name)
            if "forward" in vars(target):
                raise UserError(f"Peft: another Peft adapter changes {name} already; only one can. "
                                "Choose different `target_modules`.")
            target.forward = partial(self._forward, name)
            add_module(self, name, layer)
            self.names.append(name)

    def _inject(self) -> dict[str, nn.Module]:
        """Create peft's layers, by name; the blocks stay as they are."""
        peft = _import_peft()
        shell = nn.Module()  # the blocks only: a target `proj` is not the patch embedding's
        for name, block in self.blocks_by_name.items():
            add_module(shell, name, block)
        before = {name: (p, p.requires_grad, p.detach().clone())
                  for name, p in shell.named_parameters()}
        try:
            return self._layers(peft, shell, before)
        except Exception:
            for parameter, _, value in before.values():
                parameter.data.copy_(value)
            raise

    def _layers(self, peft: ModuleType, shell: nn.Module, before: dict) -> dict[str, nn.Module]:
        """Let peft put its layers into the shell; take them out again and check them."""
        try:
            with torch.device("cpu"):  # some methods compute with new values, impossible on meta
                peft.inject_adapter_in_model(copy.deepcopy(self.config), shell)
        except (ValueError, TypeError, NotImplementedError, AttributeError, ImportError) as error:
            raise UserError(f"Peft, {self._method()}: {one_line(error)}") from None
        layers = {name: module for name, module in shell.named_modules()
                  if isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer)}
        for name, layer in layers.items():
            target = layer._modules.pop("base_layer")
            layer.__dict__["base_layer"] = _without_hooks(target)  # hidden: no weight of ours
            shell.set_submodule(name, target)
        self._check(shell, before, layers)
        return layers

    def _check(self, shell: nn.Module, before: dict, layers: dict[str, nn.Module]) -> None:
        """Restore what trains in the blocks, and refuse methods that changed more."""
        now = dict(shell.named_parameters())
        if now.keys() != before.keys() or any(now[name] is not before[name][0] for name in now):
            raise UserError(f"Peft, {self._method()}: replaces modules of the frozen network. "
                            "Remove `modules_to_save` and the like.")
        for name, (parameter, trains, value) in before.items():
            if parameter.requires_grad and not trains:
                raise UserError(f"Peft, {self._method()}: trains {name} of the frozen network. Set "
                                "bias='none'; type='BitFit' trains biases.")
            parameter.requires_grad_(trains)
            if not (parameter.is_meta or torch.equal(parameter, value)):
                raise UserError(
                    f"Peft, {self._method()}: its initialisation changes {name} of the frozen "
                    "network. Choose another; type='SoMA' starts from singular components.")
        for name, layer in layers.items():
            for part, parameter in layer.named_parameters():
                if not parameter.requires_grad:
                    raise UserError(f"Peft, {self._method()}: {name}.{part} does not train. Choose "
                                    "another method.")

    def _method(self) -> str:
        return f"peft_type={self.config.peft_type.value!r}"

    def _forward(self, name: str, *args, **kwargs) -> Tensor:
        """Compute a target layer with its adapter."""
        self._called.add(name)
        return self.get_submodule(name)(*args, **kwargs)

    def _note_pass(self, *unused) -> None:
        """Note that the network ran (a forward hook on the first block)."""
        self._called.add("")

    def on_pretrained(self) -> None:
        """Initialise again: some methods read the pretrained weights.

        Raises:
            UserError: The method has values that its state lacks, so no file would hold them.
        """
        for i, (name, fresh) in enumerate(self._inject().items()):
            layer = self.get_submodule(name)
            layer.load_state_dict(fresh.state_dict())
            if i == 0 and not self._computes_the_same(copy.deepcopy(layer), fresh):
                raise UserError(f"Peft, {self._method()}: has values besides its weights that no "
                                "checkpoint would hold. Choose another method.")

    @torch.no_grad()
    def _computes_the_same(self, layer: nn.Module, fresh: nn.Module) -> bool:
        """Tell whether two layers of equal state, created apart, are equal (changes both)."""
        for parameter in fresh.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        layer.load_state_dict(fresh.state_dict())
        target = fresh.get_base_layer()
        if not isinstance(target, nn.Linear) or target.weight.is_meta:
            return True
        x = torch.randn_like(target.weight[:2])
        try:
            return torch.allclose(layer.eval()(x), fresh.eval()(x))
        except (ValueError, TypeError, RuntimeError) as error:
            raise UserError(f"Peft, {self._method()}: {one_line(error)}") from None

    def queries(self) -> Tensor | None:
        """Return None, after a check that the network called every target layer."""
        refuse_uncalled("Peft", self.names, self._called, "`target_modules`")
        return None

    @torch.no_grad()
    def fold(self) -> dict[str, Tensor]:
        """Return the changes by peft's merging; see `Adapter.fold`.

        Raises:
            UserError: The method cannot be merged.
        """
        deltas = {}
        for name in self.names:
            layer = self.get_submodule(name)
            merged = copy.deepcopy(layer)
            try:
                merged.merge(safe_merge=True)
            except (AttributeError, NotImplementedError, ValueError) as error:
                raise UserError(f"Peft, {self._method()}: peft cannot merge it into the frozen "
                                f"weights ({one_line(error)}).") from None
            after = dict(merged.get_base_layer().named_parameters())
            deltas |= {f"{name}.{part}": after[part] - value
                       for part, value in layer.get_base_layer().named_parameters()}
        return deltas


def _import_peft() -> ModuleType:
    """Import peft.

    Raises:
        UserError: It is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise UserError(f"type='Peft' needs Hugging Face's peft, which does not import ({error}). "
                        "Run `pip install peft transformers accelerate`.") from None
    return peft


def _peft_config(config: Mapping):
    """Build peft's config object.

    Raises:
        UserError: The method or a field is unknown, or a value is refused by peft.
    """
    peft = _import_peft()
    given = {key: list(value) if isinstance(value, tuple) else value
             for key, value in config.items()}
    method = given.pop("peft_type", None)
    known = peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING
    if method not in known:
        raise UserError(f"Peft: peft_type={method!r} is unknown; known: "
                        f"{', '.join(sorted(kind.value for kind in known))}.")
    if method in _REFUSED:
        raise UserError(f"Peft: peft_type={method!r} {_REFUSED[method]}. Choose another method.")
    fields = {field.name for field in dataclasses.fields(known[method])}
    refuse_unknown(f"Peft, peft_type={method!r},", given, fields, "field")
    try:
        return known[method](**given)
    except (ValueError, TypeError, ImportError) as error:
        raise UserError(f"Peft, peft_type={method!r}: {one_line(error)}") from None


def _without_hooks(layer: nn.Module) -> nn.Module:
    """Return a layer that shares all parameters, without hooks and without our `forward`."""
    twin = copy.copy(layer)
    for name, value in vars(layer).items():
        if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")):
            vars(twin)[name] = type(value)()
    vars(twin).pop("forward", None)
    return twin
