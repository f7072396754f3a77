"""A whole training step of the main config: time, peak memory, effect of the switches."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from benchmarks.head import labelled_samples
from benchmarks.paired import Row, compare, peak_mib, row_of
from benchmarks.stock import CONFIG, build_model, stock_model
from rein.engine.configs.reading import load_config
from rein.engine.training.compiling import compile_model

ROOT = Path(__file__).resolve().parents[1]
SIZE = 512
DTYPES = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}


def run(repeats: int) -> list[Row]:
    """Measure steps with one image on a CPU, with four on a GPU."""
    return _on_gpu(repeats) if torch.cuda.is_available() else _on_cpu(repeats)


def _on_cpu(repeats: int) -> list[Row]:
    ours, stock, saving = Step(), Step("stock"), Step(with_cp=True)
    rows = [
        compare("training step, ViT-L, 512x512, batch 1", ours, stock, repeats, goal=1.6),
        compare("the same, with activation checkpointing against without", saving, ours, repeats,
                goal=1 / 1.35),
    ]
    peaks = {kind: _peak_in_own_process(*kind) for kind in ((), ("--with-cp",), ("--stock",))}
    reference = peaks["--stock",]
    return rows + [
        row_of("peak memory of training, batch 1", [(peaks[()], reference)], "MiB", 1 / 0.75),
        row_of("the same, with activation checkpointing", [(peaks["--with-cp",], reference)],
               "MiB", 2),
    ]


def _on_gpu(repeats: int) -> list[Row]:
    rows = []
    fast = Step(batch=4, precision="bf16", compiled=True)
    for precision, goal in (("fp32", 5), ("fp16", 2.5)):
        rows.append(compare(
            f"training step in bf16, compiled, against the reference in {precision}, batch 4",
            fast, Step("stock", batch=4, precision=precision), repeats, "ms", 1000, goal))
    others = {
        "fp32": dict(precision="fp32"), "bf16": {}, "bf16 with activation checkpointing":
        dict(with_cp=True)}
    for name, options in others.items():
        rows.append(compare(
            f"training step in bf16, compiled, against our own in {name}, batch 4", fast,
            Step(**{"batch": 4, "precision": "bf16", **options}), repeats, "ms", 1000))
    peaks = [_peak_in_own_process(*kind, "--batch", "4") for kind in (
        ("--precision", "bf16", "--compiled"), ("--stock", "--precision", "fp16"))]
    return [*rows, row_of("peak GPU memory of training against the reference in fp16, batch 4",
                          [tuple(peaks)], "MiB", 1 / 0.6)]


class Step:
    """A model with random weights, its optimizer and a batch; a call runs one training step.

    Args:
        kind: "ours" or "stock".
        batch: Images.
        precision: A key of `DTYPES`.
        with_cp: Checkpoint activations.
        compiled: Use `torch.compile`, like the switch in configs.
        config: Path of the model's config.
        size: Height and width of the images.
    """

    def __init__(self, kind: str = "ours", batch: int = 1, precision: str = "fp32",
                 with_cp: bool = False, compiled: bool = False, config: str = CONFIG,
                 size: int = SIZE) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        cfg = load_config(config).model
        cfg.backbone.update(init_cfg=None, with_cp=with_cp)
        torch.manual_seed(0)
        self.model = stock_model(cfg) if kind == "stock" else build_model(cfg)
        MMLogger.get_current_instance().setLevel("WARNING")  # no list of all values
        self.model.decode_head.init_weights()
        self.model.to(self.device).train()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4)
        if compiled:
            compile_model(self.model)
        self.dtype = DTYPES[precision]
        self.scaler = torch.amp.GradScaler(self.device, enabled=self.dtype == torch.float16)
        self.images = torch.randn(batch, 3, size, size, device=self.device)
        self.samples = labelled_samples(batch, size, self.device)

    def __call__(self) -> None:
        """Run one training step."""
        precision = torch.autocast(self.device, self.dtype) if self.dtype else nullcontext()
        with precision:
            losses = self.model.loss(self.images, self.samples)
            total = sum(value for name, value in losses.items() if "loss" in name)
        self.scaler.scale(total).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()


def _peak_in_own_process(*arguments: str) -> float:
    """Measure the peak MiB of a few steps: the process's on a CPU, torch's on a GPU."""
    command = [sys.executable, "-m", "benchmarks.training", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    return float(done.stdout.split()[-1])


def _measure_peak(step: Callable[[], None]) -> float:
    for _ in range(3):
        step()
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_mib()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the peak memory of training, MiB.")
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--with-cp", action="store_true")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()
    print(_measure_peak(Step("stock" if args.stock else "ours", args.batch, args.precision,
                             args.with_cp, args.compiled)))
