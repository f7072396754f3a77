"""Distilling an ImageNet network into the toy foundation model, on streets without labels.

The student sees a street in any weather, distorted; at each patch it predicts what the teacher says
about the same street in fair weather. So its features come to tell what is
where, and to care little about light, weather and camera.

Sources: AM-RADIO (Ranzinger et al., arXiv:2312.06709) for distilling feature maps; MiniCPM (Hu et
al., arXiv:2404.06395) for the schedule: constant, with a short decay that may begin at any time.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rein.checkpoint import StateDict, load_file, save_file
from toy.pretraining.muon import Muon
from toy.pretraining.student import GRID, build_encoder, encode, start_patches_from_pictures
from toy.pretraining.teacher import STRIDE, Maps, teach
from toy.pretraining.views import Pair, View, draw_view, normalize, read, some_fair, to_tensor

SUPERVISED = {3: 0.3, 5: 0.3, 7: 1.0}
"""Blocks whose outputs predict the teacher, and the weight of each."""


@dataclass(frozen=True)
class Recipe:
    """How to distil.

    Attributes:
        steps: Optimizer steps; the rate decays over the last `decay` of them.
        decay: Share of the steps.
        warmup: Steps.
        batch: Views of each thread in a step.
        threads: Each computes its own views with one core.
        matrix_lr: Learning rate of the blocks' matrices (Muon).
        kernel_lr: Of the patch kernels (AdamW).
        lr: Of everything else (AdamW).
        dims: Components of the teacher's features that are predicted.
        ema: Decay of the averaged weights, the result.
        save_every: Steps between two states.
        seed: Of everything.
    """

    steps: int = 4000
    decay: float = 0.2
    warmup: int = 60
    batch: int = 6
    threads: int = 2
    matrix_lr: float = 6e-3
    kernel_lr: float = 1e-4
    lr: float = 2e-3
    dims: int = 192
    ema: float = 0.99
    save_every: int = 20
    seed: int = 0


class Targets(nn.Module):
    """The teacher's features at the student's patches, as principal components.

    Args:
        inputs: Channels of the teacher's maps, at a patch.
        dims: Components kept.
    """

    def __init__(self, inputs: int, dims: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        self.register_buffer("projection", torch.zeros(inputs, dims))

    def fit(self, samples: Tensor, groups: Sequence[int]) -> None:
        """Learn the components.

        Args:
            samples: (N, inputs).
            groups: Channels of each map of the teacher, in order; each map counts the same.
        """
        self.mean.copy_(samples.mean(0))
        self.spread.copy_(samples.std(0) + 1e-3 * samples.std())
        share = torch.cat([torch.full((n,), n ** -0.5) for n in groups])
        values, vectors = torch.linalg.eigh(torch.cov((self._standardize(samples) * share).T))
        dims = self.projection.shape[1]
        scale = (dims / values.sum()).sqrt()
        self.projection.copy_(share[:, None] * vectors[:, -dims:].flip(1) * scale)

    def _standardize(self, features: Tensor) -> Tensor:
        return ((features - self.mean) / self.spread).clamp(-5, 5)

    def forward(self, features: Tensor) -> Tensor:
        """Project (..., inputs) to (..., dims); their variances sum up to about `dims`."""
        return self._standardize(features) @ self.projection


class Library:
    """The teacher's maps of every street's fair picture, computed when first asked for.

    Args:
        teacher: From `load_teacher`.
        pairs: The streets.
    """

    def __init__(self, teacher: nn.Module, pairs: Sequence[Pair]):
        self.teacher, self.pairs, self._maps = teacher, pairs, {}

    def maps(self, index: int) -> Maps:
        """Maps of a street, of one picture, in half precision."""
        if index not in self._maps:
            image = to_tensor(np.asarray(read(self.pairs[index].fair)))
            self._maps[index] = Maps(*(m.half() for m in teach(self.teacher, multiple(image))))
        return self._maps[index]

    def at(self, index: int, view: View) -> Tensor:
        """Features at the patches of a view, (256, channels)."""
        return torch.cat(self.parts(index, view), 1)[0].flatten(1).T

    def parts(self, index: int, view: View) -> list[Tensor]:
        """Each map at the patches of a view, (1, channels, 16, 16); fine ones unshuffled."""
        fine, middle, coarse = (
            sample_box(m.float(), view, GRID * k)
            for m, k in zip(self.maps(index), (2, 1, 1), strict=True))
        return [F.pixel_unshuffle(fine, 2), middle, coarse]


def multiple(image: Tensor) -> Tensor:
    """Resize (3, H, W) to (1, 3, h, w), the nearest multiples of the teacher's stride."""
    size = [max(1, round(side / STRIDE)) * STRIDE for side in image.shape[1:]]
    return F.interpolate(image[None], size=size, mode="bilinear")


def sample_box(maps: Tensor, view: View, side: int) -> Tensor:
    """Read a map (1, C, h, w) at side x side points inside a view's box: (1, C, side, side)."""
    left, top, right, bottom = view.box
    places = (torch.arange(side) + 0.5) / side
    x, y = (2 * (low + places * (high - low)) - 1
            for low, high in ((left, right), (top, bottom)))
    x = x.flip(0) if view.flip else x
    grid = torch.stack((x.expand(side, -1), y[:, None].expand(-1, side)), -1)[None]
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


class Progress(NamedTuple):
    """One line of the record."""

    step: int
    loss: float
    wall: float
    cpu: float

    def __str__(self) -> str:
        return (f"step {self.step}  loss {self.loss:.4f}  {self.wall:.0f} s  "
                f"{self.cpu:.0f} CPU-s")


class Distiller:
    """Training of the student, resumable.

    Args:
        teacher: From `load_teacher`.
        pairs: The streets.
        recipe: How.
        encoder: The student; default: a new `build_encoder()`.
    """

    def __init__(self, teacher: nn.Module, pairs: Sequence[Pair], recipe: Recipe,
                 encoder: nn.Module | None = None):
        torch.manual_seed(recipe.seed)
        cv2.setNumThreads(0)
        self.recipe, self.pairs, self.library = recipe, pairs, Library(teacher, pairs)
        self.encoder = encoder or build_encoder()
        self._fit_to_pictures()
        matrices = [m.weight for m in self.encoder.blocks.modules() if isinstance(m, nn.Linear)]
        kernels = list(self.encoder.patch_embed.parameters())
        chosen = {id(p) for p in (*matrices, *kernels, *self.encoder.norm.parameters())}
        others = [p for p in (*self.encoder.parameters(), *self.heads.parameters())
                  if id(p) not in chosen]
        self.params = [*matrices, *kernels, *others]
        self.optimizers = (  # the kernels' inputs are large and alike: one step moves them far
            Muon(matrices, recipe.matrix_lr),
            torch.optim.AdamW(kernels, recipe.kernel_lr, betas=(0.9, 0.98), weight_decay=0.01),
            torch.optim.AdamW(others, recipe.lr, betas=(0.9, 0.98), weight_decay=0.01))
        self.average = {k: v.clone() for k, v in self.encoder.state_dict().items()}
        self.record: list[Progress] = []

    def _fit_to_pictures(self, count: int = 48) -> None:
        """Fit targets and patch kernels to some pictures; make the heads."""
        recipe, images = self.recipe, some_fair(self.pairs, count)
        generator = torch.Generator().manual_seed(recipe.seed)
        start_patches_from_pictures(self.encoder, [normalize(i) for i in images], generator)
        rng = np.random.default_rng(recipe.seed)
        indices = np.linspace(0, len(self.pairs) - 1, len(images)).astype(int)
        samples = torch.cat([self.library.at(i, draw_view(self.pairs[i], rng)) for i in indices])
        parts = self.library.parts(indices[0], draw_view(self.pairs[indices[0]], rng))
        self.targets = Targets(samples.shape[1], recipe.dims)
        self.targets.fit(samples, [part.shape[1] for part in parts])
        width = self.encoder.embed_dim
        self.heads = nn.ModuleDict({
            str(i): nn.Sequential(nn.LayerNorm(width), nn.Linear(width, recipe.dims))
            for i in SUPERVISED})

    @property
    def step(self) -> int:
        """Steps done."""
        return self.record[-1].step if self.record else 0

    def rate(self, step: int) -> float:
        """Factor of the learning rates: warm-up, constant, linear decay to 0."""
        left = (self.recipe.steps - step) / max(1, self.recipe.decay * self.recipe.steps)
        return min(1, (step + 1) / self.recipe.warmup, left)

    def run(self, log: Callable[[str], None] = print, save: Callable[[], None] = lambda: None
            ) -> StateDict:
        """Train up to `recipe.steps`.

        Args:
            log: Receives a line now and then.
            save: Called now and then, and at the end.

        Returns:
            The student in DINOv2's format, float32.
        """
        recipe, (wall, cpu) = self.recipe, self._clock()
        with ThreadPoolExecutor(recipe.threads, initializer=torch.set_num_threads,
                                initargs=(1,)) as pool:
            while self.step < recipe.steps:
                loss = self._train_step(pool)
                now = self._clock()
                last = self.record[-1] if self.record else Progress(0, loss, 0, 0)
                self.record.append(Progress(
                    last.step + 1, loss, last.wall + now[0] - wall, last.cpu + now[1] - cpu))
                wall, cpu = now
                if self.step % recipe.save_every == 0 or self.step == recipe.steps:
                    recent = self.record[-recipe.save_every:]
                    mean = sum(p.loss for p in recent) / len(recent)
                    log(str(self.record[-1]._replace(loss=mean)))
                    save()
        return self.weights()

    @staticmethod
    def _clock() -> tuple[float, float]:
        return time.monotonic(), time.process_time()

    def _train_step(self, pool: ThreadPoolExecutor) -> float:
        """Make one step; return the loss."""
        recipe, step = self.recipe, self.step
        rngs = [np.random.default_rng((recipe.seed, step, k)) for k in range(recipe.threads)]
        results = list(pool.map(self._gradients, rngs))
        rates = (recipe.matrix_lr, recipe.kernel_lr, recipe.lr)
        for optimizer, lr in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * self.rate(step)
        for p, *grads in zip(self.params, *(grads for _, grads in results), strict=True):
            p.grad = sum(grads[1:], grads[0]) / len(grads)
        nn.utils.clip_grad_norm_(self.params, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        decay = min(recipe.ema, (step + 1) / (step + 10))
        for name, value in self.encoder.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        return sum(loss for loss, _ in results) / len(results)

    def _gradients(self, rng: np.random.Generator) -> tuple[float, Sequence[Tensor]]:
        """Loss and gradients of some random views."""
        indices = rng.integers(len(self.pairs), size=self.recipe.batch)
        views = [draw_view(self.pairs[i], rng) for i in indices]
        wanted = torch.stack([self.library.at(i, v) for i, v in zip(indices, views, strict=True)])
        wanted = self.targets(wanted)
        blocks = encode(self.encoder, normalize(torch.stack([view.pixels for view in views])))
        loss = sum(
            weight * F.mse_loss(self.heads[str(i)](blocks[i]), wanted)
            for i, weight in SUPERVISED.items())
        return loss.item(), torch.autograd.grad(loss, self.params)

    def weights(self) -> StateDict:
        """Return the averaged student in DINOv2's format, with a `mask_token`."""
        mask = torch.zeros(1, self.encoder.embed_dim)
        return {**{k: v.clone() for k, v in self.average.items()}, "mask_token": mask}

    def save(self, path: Path) -> None:
        """Write the state from which `load` goes on."""
        save_file(dict(
            encoder=self.encoder.state_dict(), average=self.average, heads=self.heads.state_dict(),
            targets=self.targets.state_dict(), record=[tuple(p) for p in self.record],
            optimizers=[o.state_dict() for o in self.optimizers]), path)

    def load(self, path: Path) -> None:
        """Go on from a state that `save` wrote."""
        state = load_file(path)
        for name in ("encoder", "heads", "targets"):
            getattr(self, name).load_state_dict(state[name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average = state["average"]
        self.record = [Progress(*p) for p in state["record"]]
