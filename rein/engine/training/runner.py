"""mmengine's Runner with exact resuming, strict and safe loading, and atomic saving."""

import atexit
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process, master_only
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn

from rein.atomic_files import replacing
from rein.checkpoint import load_file, load_strictly, state_dict_of
from rein.datasets.building import build_dataset
from rein.datasets.dataset_configs import leaf_datasets, type_name
from rein.datasets.label_maps import CLASSES
from rein.engine.configs.checking import check_config
from rein.engine.configs.text import FormattedOnce
from rein.engine.registration import register_all_modules
from rein.engine.training.accumulation import GRADIENTS, restore_gradients, share_gradients
from rein.engine.training.averaging import TrainedEMAHook
from rein.engine.training.checked_building import CheckedBuilding
from rein.engine.training.compiling import compile_model
from rein.engine.training.corrupt_files import (
    SurvivingDataset,
    SurvivingTestLoop,
    SurvivingValLoop,
    collate_surviving,
)
from rein.engine.training.finite_losses import FiniteLossHook
from rein.engine.training.hooks import (
    TerminalHook,
    TrainableParametersHook,
    TrainedWeightsHook,
    set_terminal_level,
    survive_unwritable_log,
    unwrap,
)
from rein.engine.training.learning import AdapterLearnsHook
from rein.engine.training.loaders import fit_to_machine
from rein.engine.training.resuming import check_resumable
from rein.engine.training.saving import SafeCheckpointHook
from rein.engine.training.seeding import (
    SEEDED_SAMPLERS,
    ExactEpochLoop,
    IterationSeedHook,
    SeededDataset,
)
from rein.engine.training.sharding import (
    ShardedBackbone,
    ShardingHook,
    blocks_left_in_place,
    check_shardable,
    is_requested,
)
from rein.engine.weights.loading import check_trained_with, frozen_fingerprint
from rein.errors import UserError, building
from rein.models.freezing import frozen_names
from rein.paths import resolve_paths

_OUR_HOOKS = {"CheckpointHook": SafeCheckpointHook, "EMAHook": TrainedEMAHook}
_CITYSCAPES_BY_DEFAULT = ("UrbanSceneDataset", "CityscapesDataset")


def _check_classes(cfg: Config) -> None:
    """Compare the head's number of classes with the class list of each dataset.

    Raises:
        UserError: They differ; training would fail with an index error or silently go wrong.
    """
    model = cfg.model.get("module", cfg.model)  # unwrap test-time augmentation
    head = model.get("decode_head")
    expected = head.get("num_classes") if isinstance(head, Mapping) else None
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for dataset in leaf_datasets((cfg.get(name) or {}).get("dataset") or {}):
            classes = (dataset.get("metainfo") or {}).get("classes")
            if classes is None and type_name(dataset) in _CITYSCAPES_BY_DEFAULT:
                classes = CLASSES
            if expected and classes is not None and len(classes) != expected:
                raise UserError(
                    f"{name}: the dataset {dataset.get('data_root')} has {len(classes)} classes, "
                    f"but model.decode_head.num_classes is {expected}. Give both the same list, as "
                    "configs/own_data does.")


def _leave_process_group() -> None:
    # after an error, the others may be waiting for this process, and leaving for them
    if torch.distributed.is_initialized() and not hasattr(sys, "last_value"):
        torch.distributed.destroy_process_group()


class ReinRunner(CheckedBuilding):
    """Run training and testing from a config; see mmengine's `Runner` for the arguments.

    Attributes:
        allow_other_backbone: Accept checkpoints that were trained with another frozen backbone.
        replaces_earlier_run: Delete the checkpoints in the work dir when training begins.
    """

    allow_other_backbone = False
    replaces_earlier_run = False
    _read: dict | None = None  # the checkpoint to resume from, read once
    _compiled = False

    @classmethod
    def from_cfg(cls, cfg: Config) -> "ReinRunner":
        """Build the runner.

        Args:
            cfg: The whole config. Relative paths that do not exist in the working directory are
                resolved in the repository; checkpoints store them unresolved.

        Raises:
            UserError: The config has a mistake, or the head and a dataset have different numbers
                of classes.
        """
        register_all_modules(init_default_scope=False)
        check_config(cfg)
        with building("a dataset"):
            _check_classes(cfg)
        with building("the config"):
            runner = super().from_cfg(FormattedOnce.of(resolve_paths(cfg)))
        runner.cfg = FormattedOnce.of(cfg)
        return runner

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; only warnings reach the terminal until `TerminalHook` runs.

        A run's name ends with the second of its start. An earlier run of that name in this process
        gives it up, or both would write one log.
        """
        for managers in (MMLogger, MessageHub, Visualizer):
            managers._instance_dict.pop(self.experiment_name, None)
        logger = super().build_logger(*args, **kwargs)
        set_terminal_level(logger, logging.WARNING)
        survive_unwritable_log(logger)
        return logger

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes; without GPUs they communicate over gloo."""
        if self.launcher == "pytorch" and not torch.cuda.is_available():
            torch.distributed.init_process_group("gloo")
        if not is_main_process():  # the main process gives the same warnings
            warnings.simplefilter("ignore")
        super().setup_env(env_cfg)
        if torch.distributed.is_initialized():
            # threads of a group that is still open can abort the process at its very end
            atexit.register(_leave_process_group)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training; by default, mmengine needs a GPU per process."""
        defaults = dict(
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.get("find_unused_parameters", False))
        shards = is_requested(model_wrapper_cfg)
        if shards:
            check_shardable(model, self.cfg, self.distributed)
            model_wrapper_cfg = defaults | dict(model_wrapper_cfg)
        if self.distributed and not torch.cuda.is_available():
            model_wrapper_cfg = dict(model_wrapper_cfg or defaults)
            model_wrapper_cfg.setdefault("device_ids", None)
        with blocks_left_in_place(model) if shards else contextlib.nullcontext():
            return super().wrap_model(model_wrapper_cfg, model)

    @staticmethod
    def build_dataloader(dataloader, seed: int | None = None, diff_rank_seed: bool = False):
        """Build a loader; samples carry their domain, and training samples are seeded."""
        if not isinstance(dataloader, dict):
            return dataloader
        dataloader = dict(dataloader)
        dataset = dict(type=build_dataset, cfg=dataloader["dataset"])
        if dataloader.pop("survive", False):
            dataset["type"] = SurvivingDataset
            dataloader["collate_fn"] = collate_surviving
        sampler = dataloader["sampler"]
        trains = dataloader.pop("trains", False) or sampler["type"] == "InfiniteSampler"
        if trains and sampler["type"] in SEEDED_SAMPLERS and seed is not None:
            dataset = dict(type=SeededDataset, cfg=dataloader["dataset"], seed=seed)
            dataloader["sampler"] = dict(sampler, type=SEEDED_SAMPLERS[sampler["type"]])
        dataloader["dataset"] = dataset
        fit_to_machine(dataloader)
        with building("the data loader"):
            return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def build_train_loop(self, loop):
        """Build the training loop and its seeded data; loops over epochs resume exactly."""
        if isinstance(self._train_dataloader, dict):
            self._train_dataloader = dict(self._train_dataloader, trains=True)
        if isinstance(loop, dict) and (
                loop.get("type") == "EpochBasedTrainLoop" or loop.get("by_epoch")):
            loop = {key: value for key, value in loop.items() if key != "by_epoch"}
            loop["type"] = ExactEpochLoop
        return super().build_train_loop(loop)

    def build_test_loop(self, loop):
        """Build the test loop; replace mmengine's `TestLoop` by one that survives broken files."""
        if isinstance(loop, dict) and loop.get("type", "TestLoop") == "TestLoop":
            loop = dict(loop, type=SurvivingTestLoop)
        return super().build_test_loop(loop)

    def build_val_loop(self, loop):
        """Build the validation loop; replace mmengine's `ValLoop` likewise."""
        if isinstance(loop, dict) and loop.get("type", "ValLoop") == "ValLoop":
            loop = dict(loop, type=SurvivingValLoop)
        return super().build_val_loop(loop)

    def prepare_test(self, cfg: Config) -> None:
        """Set up the next `test` with another config's test datasets and the same model.

        Args:
            cfg: Provides `test_dataloader`, `test_evaluator` and `test_cfg`.
        """
        cfg = resolve_paths(cfg)
        self._test_dataloader, self._test_evaluator = cfg.test_dataloader, cfg.test_evaluator
        self._test_loop = cfg.test_cfg

    def _maybe_compile(self, target: str) -> None:
        """Compile once if the config's `compile` is True or a dict of `torch.compile` options."""
        options = self.cfg.get("compile")
        if options and not self._compiled:
            self._compiled = True
            compile_model(unwrap(self.model), **(options if isinstance(options, dict) else {}))
            self.logger.info("compiling: the first iterations take minutes")

    def test(self) -> dict:
        """Test the model."""
        self._maybe_compile("test_step")
        return super().test()

    def register_hook(self, hook, priority=None) -> None:
        """Register a hook; ours replace mmengine's of the same name."""
        if isinstance(hook, dict) and hook.get("type") in _OUR_HOOKS:
            hook = dict(hook, type=_OUR_HOOKS[hook["type"]])
        super().register_hook(hook, priority)

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        """Register the config's hooks and those of every run."""
        super().register_hooks(default_hooks, custom_hooks)
        for hook in (TerminalHook, IterationSeedHook, TrainableParametersHook, TrainedWeightsHook,
                     FiniteLossHook, AdapterLearnsHook):
            self.register_hook(hook())
        if isinstance(self.model, ShardedBackbone):
            self.register_hook(ShardingHook())

    def load_checkpoint(self, filename: str, map_location="cpu", **kwargs) -> dict:
        """Load one of our checkpoints or a published one, strictly and without running code.

        Args:
            filename: A file with the trained weights (the frozen ones come from the pretrained
                file) or with the whole model.
            map_location: Device of the tensors, as in `torch.load`.
            **kwargs: Unused; part of mmengine's interface.

        Returns:
            The content of the file.

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
        """Resume training from a training checkpoint.

        Raises:
            UserError: The file has weights but no training state, or that of another schedule.
        """
        content = self._read = load_file(filename)
        check_resumable(content, filename, self.param_schedulers)
        super().resume(filename, *args, **kwargs)
        if GRADIENTS in content:
            restore_gradients(unwrap(self.model), content[GRADIENTS])
            # mmengine warns that gradients are lost
            self.logger.addFilter(lambda record: "not divisible by" not in record.getMessage())

    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        """Save to a temporary file and rename it, so that a checkpoint is complete or absent.

        Raises:
            UserError: The disk is full or fails; earlier checkpoints are unchanged.
        """
        share_gradients(self.model.parameters())
        self._save(out_dir, filename, *args, **kwargs)

    @master_only
    def _save(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        path = Path(out_dir, filename)
        try:
            with replacing(path) as temporary:
                super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)
                with open(temporary, "rb") as file:  # an older one may be removed afterwards
                    os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"{path}: cannot be saved ({error.strerror or error}). Earlier checkpoints are "
                "unchanged: free disk space or correct the folder, and continue with --resume."
            ) from error
