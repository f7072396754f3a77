"""The baseline for Rein: a frozen backbone with a trained head."""

from mmseg.registry import MODELS

from rein.errors import UserError
from rein.models.freezing import freeze
from rein.models.segmentors.encoder_decoder import EncoderDecoder


@MODELS.register_module()
class FrozenBackboneEncoderDecoder(EncoderDecoder):
    """Encoder-decoder with a frozen backbone (arXiv:2312.04265, table 1, "Freeze").

    Args:
        **kwargs: As for `EncoderDecoder`.

    Raises:
        UserError: The backbone has an adapter, which would not train.
    """

    freezes_backbone = True

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        adapter = getattr(self.backbone, "reins", None)
        if adapter is not None:
            raise UserError(f"{type(self).__name__} freezes the whole backbone, so its adapter "
                            f"{type(adapter).__name__} would not train. Use type='EncoderDecoder'.")
        freeze(self.backbone)
        if hasattr(self.backbone, "apply_frozen_dtype"):
            self.backbone.apply_frozen_dtype()

    def train(self, mode: bool = True) -> "FrozenBackboneEncoderDecoder":
        """Set the mode; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self
