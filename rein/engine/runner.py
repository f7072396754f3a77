"""mmengine's Runner, made to resume exactly, to load strictly and safely, to save atomically."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from rein.atomic_files import replacing
from rein.checkpoint import TRAINING_STATE, load_file, load_strictly, state_dict_of
from rein.datasets.building import build_dataset
from rein.datasets.dataset_configs import leaf_datasets
from rein.datasets.label_maps import CLASSES
from rein.engine.compiling import compile_model
from rein.engine.config_text import FormattedOnce
from rein.engine.hooks import (
    TerminalHook,
    TrainableParametersHook,
    TrainedWeightsHook,
    set_terminal_level,
    unwrap,
)
from rein.engine.loaders import fit_to_machine
from rein.engine.paths import resolve_paths
from rein.engine.registration import register_all_modules
from rein.engine.seeding import IterationSeedHook, SeededDataset, SeededSampler
from rein.engine.testing.corrupt_files import SurvivingDataset, SurvivingTestLoop, collate_surviving
from rein.engine.weights import check_trained_with, frozen_fingerprint
from rein.errors import UserError
from rein.models.freezing import frozen_names

_CITYSCAPES_BY_DEFAULT = ("UrbanSceneDataset", "CityscapesDataset")


def _check_classes(cfg: Config) -> None:
    """Compare the head's number of classes with the class list of each dataset.

    Raises:
        UserError: They differ; training would fail with an index out of range, or worse would not.
    """
    model = cfg.model.get("module", cfg.model)  # a model for test-time augmentation wraps another
    head = model.get("decode_head")
    expected = head.get("num_classes") if isinstance(head, Mapping) else None
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for dataset in leaf_datasets((cfg.get(name) or {}).get("dataset") or {}):
            classes = (dataset.get("metainfo") or {}).get("classes")
            if classes is None and dataset.get("type") in _CITYSCAPES_BY_DEFAULT:
                classes = CLASSES
            if expected and classes is not None and len(classes) != expected:
                raise UserError(
                    f"{name}: the dataset {dataset.get('data_root')} has {len(classes)} classes, "
                    f"but model.decode_head.num_classes is {expected}. Give both the same list, as "
                    "configs/own_data does.")


class ReinRunner(Runner):
    """Runs training and testing from a config; see mmengine's `Runner` for its arguments.

    Attributes:
        allow_other_backbone: Load checkpoints onto another frozen backbone than they were trained
            with.
    """

    allow_other_backbone = False
    _read: dict | None = None  # the checkpoint to resume from, read once
    _compiled = False

    @classmethod
    def from_cfg(cls, cfg: Config) -> "ReinRunner":
        """Build the runner.

        Args:
            cfg: The whole config. Relative paths that are not found in the working directory are
                looked for in the repository; the config that checkpoints carry keeps them.

        Raises:
            UserError: The head and a dataset differ in the number of classes.
        """
        register_all_modules(init_default_scope=False)
        _check_classes(cfg)
        runner = super().from_cfg(FormattedOnce.of(resolve_paths(cfg)))
        runner.cfg = FormattedOnce.of(cfg)
        return runner

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; the terminal is spared hundreds of lines until `TerminalHook`."""
        logger = super().build_logger(*args, **kwargs)
        set_terminal_level(logger, logging.WARNING)
        return logger

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes; several on a machine without GPUs talk over gloo."""
        if self.launcher == "pytorch" and not torch.cuda.is_available():
            torch.distributed.init_process_group("gloo")
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for several processes; mmengine's way needs a GPU for each."""
        if self.distributed and model_wrapper_cfg is None and not torch.cuda.is_available():
            return MMDistributedDataParallel(module=model, broadcast_buffers=False)
        return super().wrap_model(model_wrapper_cfg, model)

    @staticmethod
    def build_dataloader(dataloader, seed: int | None = None, diff_rank_seed: bool = False):
        """Build a loader whose samples know their domain and, in training, their seed."""
        if not isinstance(dataloader, dict):
            return dataloader
        dataloader = dict(dataloader)
        dataset = dict(type=build_dataset, cfg=dataloader["dataset"])
        if dataloader.pop("survive", False):
            dataset["type"] = SurvivingDataset
            dataloader["collate_fn"] = collate_surviving
        if dataloader["sampler"]["type"] == "InfiniteSampler" and seed is not None:  # for training
            dataset = dict(type=SeededDataset, cfg=dataloader["dataset"], seed=seed)
            dataloader["sampler"] = dict(dataloader["sampler"], type=SeededSampler)
        dataloader["dataset"] = dataset
        fit_to_machine(dataloader)
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def build_test_loop(self, loop):
        """Build the loop of a test; mmengine's own gets to survive broken files."""
        if isinstance(loop, dict) and loop.get("type", "TestLoop") == "TestLoop":
            loop = dict(loop, type=SurvivingTestLoop)
        return super().build_test_loop(loop)

    def prepare_test(self, cfg: Config) -> None:
        """Let the next `test` use another config's test datasets, with the same model.

        Args:
            cfg: Its `test_dataloader`, `test_evaluator` and `test_cfg` are used.
        """
        cfg = resolve_paths(cfg)
        self._test_dataloader, self._test_evaluator = cfg.test_dataloader, cfg.test_evaluator
        self._test_loop = cfg.test_cfg

    def _maybe_compile(self, target: str) -> None:
        """Compile, once, if the config's `compile` is True or holds options of `torch.compile`."""
        options = self.cfg.get("compile")
        if options and not self._compiled:
            self._compiled = True
            compile_model(unwrap(self.model), **(options if isinstance(options, dict) else {}))
            self.logger.info("compiling: the first iterations take minutes")

    def test(self) -> dict:
        """Test the model."""
        self._maybe_compile("test_step")
        return super().test()

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        """Register the config's hooks and those every run has."""
        super().register_hooks(default_hooks, custom_hooks)
        for hook in (TerminalHook, IterationSeedHook, TrainableParametersHook, TrainedWeightsHook):
            self.register_hook(hook())

    def load_checkpoint(self, filename: str, map_location="cpu", **kwargs) -> dict:
        """Load a checkpoint of ours or a published one, strictly and without running its code.

        Args:
            filename: A file of what was trained (the frozen rest is loaded from the pretrained
                weights) or of the whole model.
            map_location: Where its tensors go, as for `torch.load`.
            **kwargs: Not used; mmengine's interface.

        Returns:
            The file's content.

        Raises:
            UserError: The file is missing, unsafe or does not fit.
        """
        checkpoint, self._read = self._read or load_file(filename, map_location), None
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        model, weights = unwrap(self.model), state_dict_of(checkpoint)
        frozen = frozen_names(model)
        load_strictly(
            model, weights, filename, may_miss={"frozen weights": frozen})
        if not frozen <= weights.keys():
            check_trained_with(
                checkpoint, frozen_fingerprint(model), filename, self.allow_other_backbone)
        # mmengine would run this text as Python
        checkpoint.get("meta", {}).pop("config", None)
        self._has_loaded = True
        self.logger.info(f"loaded {filename}")
        return checkpoint

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Resume training from a checkpoint that training saved.

        Raises:
            UserError: The file holds weights, but not the state of a training run.
        """
        self._read = load_file(filename)
        missing = TRAINING_STATE - self._read.keys()
        if missing:
            raise UserError(
                f"{filename}: cannot be resumed from, because it holds no "
                f"{', '.join(sorted(missing))}. To start from its weights, use "
                f"`--cfg-options load_from={filename}`.")
        super().resume(filename, *args, **kwargs)

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        """Save beside the target and rename, so that a checkpoint is whole or not there."""
        with replacing(Path(out_dir, filename)) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)
