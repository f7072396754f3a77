"""Checks that name the mistakes of an adapter's author: the class, what is wrong, what to do.

They run once, when an adapter is built, attached and started; only the queries' type is checked in
each forward pass.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from torch import Tensor, nn

from rein.errors import UserError, one_line
from rein.models.adapters.base import Adapter, parts_of
from rein.models.pyramid import MaskQueries
from rein.models.stages import Stage

_GUIDE = "see docs/extending_adapter.md."


@contextmanager
def building_adapter(kind: type[Adapter], step: str) -> Iterator[None]:
    """Name an adapter's class in errors of a step in building it, such as "attach".

    Raises:
        UserError: Any error except those of memory, imports and files.
    """
    try:
        yield
    except (UserError, MemoryError, ImportError, OSError):
        raise
    except Exception as error:
        if "Module.__init__() call" in str(error):
            raise UserError(_without_super(kind)) from error
        raise UserError(f"{kind.__name__}.{step} fails: {one_line(error).rstrip('.')}. Correct it, "
                        "or the adapter's arguments.") from error


def refuse_unbuilt(adapter: Adapter) -> None:
    """Raise if an adapter's `__init__` has not built the module."""
    if "_modules" not in vars(adapter):
        raise UserError(_without_super(type(adapter)))


def _without_super(kind: type[Adapter]) -> str:
    return (f"{kind.__name__}: its `__init__` must begin with `super().__init__(**kwargs)`; "
            f"{_GUIDE}")


def attach(
    adapter: Adapter, network: nn.Module, stages: Sequence[Stage], num_prefix_tokens: int,
) -> None:
    """Attach an adapter; see `Adapter.attach`.

    Raises:
        UserError: It does not fit the network, changes it by more than hooks, or cannot train.
    """
    before = _hooks(network)
    with building_adapter(type(adapter), "attach"), _unchanged(network, adapter, "attach"):
        adapter.attach(network, stages, num_prefix_tokens)
    name = type(adapter).__name__
    for key, hook in _hooks(network).items():
        if key not in before and _holds_module(hook):
            raise UserError(
                f"{name}.attach registers a lambda or inner function as a hook. A copy of the "
                "network, as for EMA, would call this adapter instead of its own. Register a "
                "method of the adapter, or `functools.partial` of one.")
    if not any(parameter.requires_grad for parameter in adapter.parameters()):
        raise UserError(
            f"{name} has no parameter that trains. In `__init__` or `attach`, make each one an "
            "attribute, `nn.Parameter(...)`; keep several in `nn.ParameterList`, because a Python "
            "list hides them.")


def start(adapter: Adapter, network: nn.Module) -> None:
    """Let an adapter initialise itself from its network's weights; see `Adapter.on_pretrained`.

    Raises:
        UserError: It changes the network, or registers hooks again.
    """
    before = _hooks(network).keys()
    with _unchanged(network, adapter, "on_pretrained"):
        adapter.on_pretrained()
    if _hooks(network).keys() != before:
        raise UserError(f"{type(adapter).__name__}.on_pretrained changes hooks, but it runs each "
                        "time weights are loaded. Register hooks in `attach`, which runs once.")


def queries_of(adapter: Adapter) -> Tensor | tuple[MaskQueries, ...] | None:
    """Return an adapter's queries.

    Raises:
        UserError: They are of another type or shape than `Adapter.queries` declares.
    """
    queries = adapter.queries()
    if queries is None or isinstance(queries, tuple):
        return queries
    if not isinstance(queries, Tensor) or queries.ndim not in (2, 3):
        found = (f"of shape {tuple(queries.shape)}" if isinstance(queries, Tensor)
                 else type(queries).__name__)
        raise UserError(f"{type(adapter).__name__}.queries() returns a value {found}; expected a "
                        "tensor (m, q) or (B, m, q), a tuple of `MaskQueries`, or None.")
    return queries


@contextmanager
def _unchanged(network: nn.Module, adapter: Adapter, step: str) -> Iterator[None]:
    """Raise if an adapter changes the network's parameters within the block, or keeps parts of it.

    Raises:
        UserError: It does.
    """
    before = _parameters(network)
    yield
    owner, parts = type(adapter).__name__, parts_of(adapter)
    if parts != [adapter]:
        owner += f" ({', '.join(dict.fromkeys(type(part).__name__ for part in parts))})"
    names = {value: name for name, value in chain(
        network.named_modules(), network.named_parameters())}
    for own, value in chain(adapter.named_modules(), adapter.named_parameters()):
        if value in names:
            raise UserError(
                f"{owner}: its attribute `{own}` is {names[value] or 'all'} of the network, not of "
                "the adapter. Hide it from PyTorch in a Python list, "
                f"self.{own.partition('.')[0]} = [...].")
    for name, now in _parameters(network).items():
        if now == before.get(name):
            continue
        is_same = name in before and now[:2] == before[name][:2]
        what = "values" if is_same else "`requires_grad`"
        raise UserError(
            f"{owner}.{step} changes the {what} of the network's {name}. Leave the network as it "
            "is: change outputs by hooks, and train parameters of the adapter alone.")


def _parameters(network: nn.Module) -> dict[str, tuple]:
    """Describe a network's parameters: identity, whether they train, and state of their values."""
    return {name: (id(value), value.requires_grad, _some(value),
                   0 if value.is_inference() else value._version)
            for name, value in network.named_parameters()}


def _some(value: Tensor) -> bytes:
    """Return some values of a weight; changes through `.data` leave its version as it is."""
    if value.is_meta:
        return b""
    values = value.detach().flatten()[::max(value.numel() // 16, 1)]
    return values.float().cpu().numpy().tobytes()


def _hooks(network: nn.Module) -> dict[int, Callable]:
    """List the forward hooks of a network's modules by their unique keys."""
    return {key: hook for module in network.modules()
            for hooks in (module._forward_pre_hooks, module._forward_hooks)
            for key, hook in hooks.items()}


def _holds_module(hook: Callable) -> bool:
    """Tell whether a hook is a function that refers to a module, which no deep copy replaces."""
    function = getattr(hook, "func", hook)
    return inspect.isfunction(function) and any(
        isinstance(cell.cell_contents, nn.Module) for cell in function.__closure__ or ())
