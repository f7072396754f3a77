"""Weights as dicts: pure functions on state dicts and files, without models and configs.

Keys are the published parameter names: `backbone.blocks.*`, `backbone.reins.*`, `decode_head.*`;
files of a backbone alone have no prefix.
"""

from rein.checkpoint.averaged import with_raw_weights
from rein.checkpoint.families import recognise, translate
from rein.checkpoint.fitting import (
    EXTRA_BACKBONE_KEYS,
    MAY_MISS,
    check_fits,
    load_strictly,
)
from rein.checkpoint.identity import (
    CONVERTED,
    TRAINING_STATE,
    Identity,
    Kind,
    digest,
    fingerprint,
    fingerprint_difference,
    identify,
)
from rein.checkpoint.io import (
    CALIBRATION,
    CONVERT_COMMAND,
    FEATURE_STATISTICS,
    FINGERPRINT,
    TRAINABLE,
    StateDict,
    how_to_get,
    load_file,
    meta_of,
    save_file,
    state_dict_of,
)
from rein.checkpoint.names import backbone_of, load_backbone, naming, to_dinov2_names
from rein.checkpoint.parts import Parts, merge, split
from rein.checkpoint.resampling import (
    convert_dinov2,
    fit,
    is_converted,
    resample,
    resample_pos_embed,
)
from rein.checkpoint.soma import from_published_soma

__all__ = [
    "CALIBRATION", "CONVERTED", "CONVERT_COMMAND", "EXTRA_BACKBONE_KEYS", "FEATURE_STATISTICS",
    "FINGERPRINT", "Identity", "Kind", "MAY_MISS", "Parts", "StateDict", "TRAINABLE",
    "TRAINING_STATE", "backbone_of", "check_fits", "convert_dinov2", "digest", "fingerprint",
    "fingerprint_difference", "fit", "from_published_soma", "how_to_get", "identify",
    "is_converted", "load_backbone", "load_file", "load_strictly", "merge", "meta_of", "naming",
    "recognise", "resample", "resample_pos_embed", "save_file", "split", "state_dict_of",
    "to_dinov2_names", "translate", "with_raw_weights",
]
