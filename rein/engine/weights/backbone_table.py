"""List the backbones whose released files the converter reads, with sizes, files and licences."""

from collections.abc import Iterable
from typing import NamedTuple

import torch

from rein import checkpoint as ckpt
from rein.engine.registration import register_all_modules
from rein.errors import UserError
from rein.models.freezing import count_parameters

REINS = dict(type="LoRAReins", token_length=100, lora_dim=16, query_dims=256,
             link_token_to_query=True)
"""The published adapter of large networks."""


class Entry(NamedTuple):
    """A network and its released file.

    Attributes:
        model: timm's name; the part after the dot names timm's weights.
        official: The official file, or its repository as the converter takes it.
        published: Published type of the same network, or empty.
    """

    model: str
    official: str
    published: str = ""


_EVA02 = "hf:Yuxin-CV/EVA-02/eva02/pt"
_DINOV3 = "dinov3_{}_pretrain_lvd1689m-*.pth"
ENTRIES = (
    *(Entry(f"vit_{size}_patch14_{kind}dinov2.lvd142m", f"dinov2_vit{size[0]}14_{file}pretrain.pth",
            "" if kind else "DinoVisionTransformer")
      for size in ("small", "base", "large", "giant")
      for kind, file in (("", ""), ("reg4_", "reg4_"))),
    *(Entry(f"vit_{size}_patch16_dinov3.lvd1689m", _DINOV3.format(file)) for size, file in (
        ("small", "vits16"), ("small_plus", "vits16plus"), ("base", "vitb16"),
        ("large", "vitl16"), ("huge_plus", "vith16plus"), ("7b", "vit7b16"))),
    *(Entry(f"convnext_{size}.dinov3_lvd1689m", _DINOV3.format(f"convnext_{size}"))
      for size in ("tiny", "small", "base", "large")),
    *(Entry(f"vit_{size}_patch16_dinov3_qkvb.eupe_lvd1689m", "timm's")
      for size in ("tiny", "small", "base")),
    Entry("eva02_tiny_patch14_224.mim_in22k", f"{_EVA02}/eva02_Ti_pt_in21k_p14.pt", "EVA2"),
    Entry("eva02_small_patch14_224.mim_in22k", f"{_EVA02}/eva02_S_pt_in21k_p14.pt", "EVA2"),
    Entry("eva02_base_patch14_224.mim_in22k", f"{_EVA02}/eva02_B_pt_in21k_p14to16.pt", "EVA2"),
    Entry("eva02_large_patch14_224.mim_m38m", f"{_EVA02}/eva02_L_pt_m38m_p14to16.pt", "EVA2"),
    Entry("vit_base_patch16_clip_quickgelu_224.openai", "ViT-B-16.pt", "CLIPVisionTransformer"),
    Entry("vit_large_patch14_clip_quickgelu_224.openai", "ViT-L-14.pt", "CLIPVisionTransformer"),
    Entry("vit_huge_patch14_clip_quickgelu_224.metaclip2_worldwide", "timm's"),
    *(Entry(f"samvit_{size}_patch16.sa1b", file) for size, file in (
        ("base", "sam_vit_b_01ec64.pth"), ("large", "sam_vit_l_0b3195.pth"),
        ("huge", "sam_vit_h_4b8939.pth"))),
    *(Entry(f"sam2_hiera_{size}.fb_r{side}_2pt1", f"sam2.1_hiera_{size}.pt") for size, side in (
        ("tiny", 896), ("small", 896), ("base_plus", 896), ("large", 1024))),
    *(Entry(f"vit_{size}_patch{patch}_224.mae", f"mae_pretrain_vit_{size}.pth")
      for size, patch in (("base", 16), ("large", 16), ("huge", 14))),
    *(Entry(f"beit_{size}_patch16_224.in22k_ft_in22k", f"beit_{size}_patch16_224_pt22k_ft22k.pth")
      for size in ("base", "large")),
    *(Entry(f"vit_{size}_patch16_siglip_512.v2_webli", f"hf:google/siglip2-{size}-patch16-512")
      for size in ("base", "large", "so400m")),
    *(Entry(f"vit_pe_spatial_{size}.fb", f"hf:facebook/{file}/{file}.pt") for size, file in (
        ("base_patch16_512", "PE-Spatial-B16-512"), ("large_patch14_448", "PE-Spatial-L14-448"),
        ("gigantic_patch14_448", "PE-Spatial-G14-448"))),
    *(Entry(f"vit_{size}_patch16_radio_{version}.c_radio", f"hf:nvidia/C-RADIO{version}-{file}")
      for size, version, file in (
          ("base", "v3", "B"), ("large", "v3", "L"), ("huge", "v3", "H"), ("giant", "v3", "g"),
          ("so400m", "v4", "SO400M"), ("huge", "v4", "H"))),
    *(Entry(f"vit_{size}_patch14_reg1_tipsv2.webli", f"hf:google/tipsv2-{file}")
      for size, file in (("base", "b14"), ("large", "l14"), ("so400m", "so400m14"),
                         ("giant", "g14"))),
    *(Entry(f"swin_{size}_patch4_window7_224.ms_in22k", f"swin_{size}_patch4_window7_224_22k.pth")
      for size in ("tiny", "small", "base", "large")),
    *(Entry(f"convnext_{size}.fb_in22k", f"convnext_{size}_22k_224.pth", "ReinsConvNeXt")
      for size in ("tiny", "small", "base", "large", "xlarge")),
    Entry("resnet50.tv_in1k", "resnet50-0676ba61.pth"),
    Entry("resnet101.tv_in1k", "resnet101-63fe2227.pth"),
    Entry("resnet50c.gluon_in1k", "resnet50_v1c-2cccc1ad.pth", "ReinsResNetV1c"),
    Entry("resnet101c.gluon_in1k", "resnet101_v1c-e67eebb6.pth", "ReinsResNetV1c"),
    Entry("efficientnet_lite0.ra_in1k", "timm's"),
)


class Row(NamedTuple):
    """A line of the table, as text."""

    family: str
    model: str
    size: str
    parameters: str
    trainable: str
    memory: str
    file: str
    licence: str


TITLES = Row(
    "family", "timm name / published type", "size", "parameters", "trainable with Rein",
    "frozen weights, fp32 / bf16", "official file / SRC", "licence")


def describe_backbone(entry: Entry) -> Row:
    """Compute a row on the meta device, without memory and weights.

    Args:
        entry: The network.

    Returns:
        Its row; parameters are those of the frozen network without unused parts.
    """
    from timm.models import get_pretrained_cfg

    from rein.models.backbones import VisionFoundationModel

    register_all_modules(init_default_scope=False)
    name = entry.model.split(".")[0]
    with torch.device("meta"):
        backbone = VisionFoundationModel(name, reins_config=dict(REINS))
    count = count_parameters(backbone)
    frozen = count.total - count.trainable
    network = ckpt.identify({
        key: value for key, value in backbone.state_dict().items()
        if not key.startswith("reins.")}).backbone
    size = backbone.family.sizes.get((network.width, network.depth), "")
    patch = "" if network.patch is None else f"/{network.patch}"
    return Row(
        family=backbone.family.name,
        model=f"{name} / {entry.published}" if entry.published else name,
        size=f"{size}{patch}",
        parameters=f"{frozen:,}",
        trainable=f"{count.trainable:,}",
        memory=f"{frozen * 4 / 2**30:.2f} / {frozen * 2 / 2**30:.2f} GiB",
        file=f"{entry.official} / timm:{entry.model}",
        licence=get_pretrained_cfg(entry.model).license or "unknown")


def select(words: Iterable[str]) -> list[Entry]:
    """Return the entries whose name or family contains each word.

    Raises:
        UserError: No entry does.
    """
    from rein.checkpoint.families import family_of

    words = [word.lower() for word in words]
    found = [entry for entry in ENTRIES if all(
        word in f"{entry} {family_of(entry.model).name}".lower() for word in words)]
    if not found:
        raise UserError(f"{' '.join(words)}: no backbone of the list has this in its name. Any "
                        "other network of timm works, too: `timm.list_models()`.")
    return found


def markdown(rows: Iterable[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = [TITLES, ["---"] * len(TITLES), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
