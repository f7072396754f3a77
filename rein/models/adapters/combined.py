"""Several adapters at once."""

from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.adapters.author_checks import attach, queries_of
from rein.models.adapters.base import Adapter
from rein.models.adapters.encoder_only import EncoderOnlyQueries


@MODELS.register_module()
class Combined(Adapter):
    """Applies several adapters, such as Rein and LoRA, in the order given.

    Args:
        adapters (Sequence[dict | Adapter]): The adapters or their configs, whose sizes
            `build_adapter` takes from the network. At most one may have queries for the head;
            `EncoderOnlyQueries` comes last, so that the others act before its masks.
        **kwargs: None; others are refused.

    Raises:
        UserError: There is no adapter, or `EncoderOnlyQueries` is not the last.
    """

    def __init__(self, adapters: Sequence[dict | Adapter], **kwargs) -> None:
        super().__init__(**kwargs)
        if not isinstance(adapters, list | tuple) or not adapters:
            raise UserError(f"Combined: adapters={adapters!r}; expected a list of configs, "
                            "[dict(type=..., ...), ...].")
        self.adapters = nn.ModuleList(
            one if isinstance(one, Adapter) else MODELS.build(one) for one in adapters)
        if any(isinstance(part, EncoderOnlyQueries)
               for adapter in self.adapters[:-1] for part in adapter.modules()):
            raise UserError("Combined: adapters after EncoderOnlyQueries would not act on its "
                            "masks. Name EncoderOnlyQueries last in `adapters`.")

    def attach(
        self, network: nn.Module, stages: Sequence[Sequence[nn.Module]], num_prefix_tokens: int,
    ) -> None:
        """Attach every adapter; see `Adapter.attach`."""
        for adapter in self.adapters:
            attach(adapter, network, stages, num_prefix_tokens)

    def on_pretrained(self) -> None:
        """Initialise every adapter from the pretrained weights."""
        for adapter in self.adapters:
            adapter.on_pretrained()

    def queries(self) -> Tensor | None:
        """Return the queries of the one adapter that has some.

        Raises:
            UserError: Several have some.
        """
        found = [queries for adapter in self.adapters
                 if (queries := queries_of(adapter)) is not None]
        if len(found) > 1:
            raise UserError(f"Combined: {len(found)} adapters have queries, but the head takes "
                            "one set: set link_token_to_query=False in the others.")
        return found[0] if found else None

    def fold(self) -> dict[str, Tensor]:
        """Return the sum of all changes; empty if one adapter cannot be folded."""
        total: dict[str, Tensor] = {}
        for adapter in self.adapters:
            deltas = adapter.fold()
            if not deltas:
                return {}
            for name, delta in deltas.items():
                total[name] = total[name] + delta if name in total else delta
        return total
