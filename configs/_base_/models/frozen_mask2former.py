"""Any frozen timm network with a Mask2Former head; images are normalised as the network expects."""

_base_ = "./dinov2_mask2former.py"
model = dict(
    data_preprocessor=dict(mean=None, std=None),  # the network's own
    backbone=dict(_delete_=True, type="VisionFoundationModel"),
)
