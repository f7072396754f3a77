"""The baseline for Rein: a frozen backbone with a trained head."""

from mmseg.registry import MODELS

from rein.models.freezing import freeze
from rein.models.segmentors.encoder_decoder import EncoderDecoder


@MODELS.register_module()
class FrozenBackboneEncoderDecoder(EncoderDecoder):
    """Encoder-decoder with a frozen backbone (arXiv:2312.04265, table 1, "Freeze").

    Args:
        **kwargs: As for `EncoderDecoder`.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        freeze(self.backbone)
        if hasattr(self.backbone, "apply_frozen_dtype"):
            self.backbone.apply_frozen_dtype()

    def train(self, mode: bool = True) -> "FrozenBackboneEncoderDecoder":
        """Set the mode; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self
