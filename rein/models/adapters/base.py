"""The interface between a frozen network and the few parameters that train in it."""

from collections.abc import Sequence

from torch import Tensor, nn

from rein.models.arguments import known_arguments, refuse_unknown


class Adapter(nn.Module):
    """Holds every trainable parameter of a backbone; reaches the frozen network by hooks alone.

    So the network's parameter names never change, and saving, splitting, merging and
    fingerprints work alike for every adapter. Hooks are bound methods of the adapter, or partials
    of them: a deep copy of the backbone then has hooks of its own.

    Args:
        **unknown: What a subclass's `__init__` does not take itself; must be empty.

    Raises:
        UserError: An argument is unknown.
    """

    def __init__(self, **unknown) -> None:
        super().__init__()
        refuse_unknown(type(self).__name__, unknown, known_arguments(type(self), Adapter))

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Register hooks on the frozen network; called once, before its weights are loaded.

        Args:
            network: timm's network. Keep no reference to it: it would become a submodule.
            stages: Its blocks in order, by stage; a plain vision transformer is one stage.
            num_prefix_tokens: Tokens before the patches: class token and registers.

        Raises:
            UserError: The adapter does not fit the network.
        """
        raise NotImplementedError

    def on_pretrained(self) -> None:
        """Initialise what depends on the pretrained weights; called once they are loaded."""

    def queries(self) -> Tensor | None:
        """Return queries for the decode head, (m, q) or (B, m, q), or None."""
        return None

    def fold(self) -> dict[str, Tensor]:
        """Return the weight deltas, by frozen parameter, that make the adapter free at inference.

        Empty for adapters that are no change of weights.
        """
        return {}
