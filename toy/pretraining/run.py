"""The pretraining's command: resume, train, write the weights and what was done."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from rein.checkpoint import load_file
from rein.engine.weights.files import write_output
from rein.errors import UserError
from toy.pretraining.distill import Distiller, Recipe
from toy.pretraining.probe import probe, vit_features
from toy.pretraining.teacher import find_weights, load_teacher
from toy.pretraining.views import find_pairs


def run_pretraining(images: Path, out: Path, steps: int, threads: int = 2, seed: int = 0,
                    overwrite: bool = False) -> None:
    """Distil up to `steps`, from the state beside `out` if there is one.

    Args:
        images: Folder of pairs.
        out: The weights, in half precision; OUT.json receives the recipe and the course.
        steps: Steps in all; decay of the learning rate included.
        threads: Each computes its own views.
        seed: Of everything.
        overwrite: Whether to replace another file at `out`.

    Raises:
        UserError: `out` exists, there are no pictures, or the teacher is missing.
    """
    if out.exists() and not overwrite:
        raise UserError(f"{out}: exists. Give another --out, or --force.")
    pairs = find_pairs(images)
    torch.set_num_threads(1)  # each thread computes its own views
    recipe = Recipe(steps=steps, threads=threads, seed=seed)
    distiller, state = Distiller(load_teacher(find_weights()), pairs, recipe), state_of(out)
    if state.exists():
        distiller.load(state)
        print(f"resumed at step {distiller.step}: {state}")
    distiller.run(lambda line: print(line, flush=True), lambda: distiller.save(state))
    weights = {name: value.half() for name, value in distiller.weights().items()}
    write_output(weights, out, overwrite=overwrite)
    last = distiller.record[-1]
    course = [p for p in distiller.record if p.step % recipe.save_every == 0]
    out.with_suffix(".json").write_text(json.dumps(dict(
        recipe=asdict(recipe), streets=len(pairs), cpu_seconds=round(last.cpu),
        wall_seconds=round(last.wall), course=[(p.step, round(p.loss, 4)) for p in course])))
    print(f"pretrained on {len(pairs)} streets without labels, {last.step} steps, "
          f"{last.cpu:.0f} CPU-s: {out}")


def state_of(out: Path) -> Path:
    """Path of the state from which an unfinished pretraining goes on."""
    return out.with_name(f"{out.stem}_state.pth")


def print_probe(weights: Path, root: Path) -> None:
    """Print a linear probe of weights on a converted toy world, mean IoU in percent."""
    scores = probe(vit_features(load_file(weights)), root)
    print("   ".join(f"{name} {score:.1f}" for name, score in scores.items()))
