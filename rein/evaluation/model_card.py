"""Write the model card of a shared segmentor: results, training, licences, how to load it.

Sources: the model cards of the Hugging Face Hub (https://huggingface.co/docs/hub/model-cards).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rein.datasets.descriptions import describe_domain
from rein.datasets.domains import domain_title
from rein.datasets.label_maps import CLASSES
from rein.evaluation.report import markdown_rows, markdown_table, percent
from rein.evaluation.result_files import SavedRun

TASK = "image-segmentation"
KNOWN_LICENCES = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0",
                  "cc-by-nc-sa-4.0")
"""Licences that the Hub knows by these names; others are `other`."""


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a segmentor that its card gives.

    Args:
        digest: `rein.checkpoint.digest` of all weights of the model.
        config: Name of the config.
        backbone: The backbone's architecture.
        adapter: The adapter, or "".
        parameters: Number of values of the backbone, the adapter and the head, as text.
        classes: Names of the classes.
        sources: Domains of the training data.
        iterations: Training iterations; None if unknown.
        seed: Training seed; None if unknown.
        temperature: Temperature of the confidence; None without calibration.
        backbone_licence: Licence of the backbone's released weights; "" if unknown.
        licensed_as: Name of the released network that has this licence.
    """

    digest: str
    config: str
    backbone: str
    adapter: str
    parameters: str
    classes: tuple[str, ...]
    sources: tuple[str, ...]
    iterations: int | None = None
    seed: int | None = None
    temperature: float | None = None
    backbone_licence: str = ""
    licensed_as: str = ""


def model_card(repo: str, facts: ModelFacts, runs: Sequence[SavedRun]) -> str:
    """Return the text of a README.md for the Hub.

    Args:
        repo: The repository, OWNER/NAME.
        facts: Facts about the model.
        runs: Tests of the model, one per protocol; may be empty.
    """
    parts = [
        f"---\n{_header(repo, facts, runs)}\n---",
        f"# {repo.rpartition('/')[2]}",
        _summary(facts), _use(repo), _results(runs), _training(facts), _licences(facts)]
    return "\n\n".join(parts) + "\n"


def _header(repo: str, facts: ModelFacts, runs: Sequence[SavedRun]) -> str:
    """Return the YAML that the Hub reads."""
    from huggingface_hub import EvalResult, ModelCardData

    measured = []
    for run in runs:
        results = run.results()
        measured += [
            EvalResult(
                task_type=TASK, dataset_type=_dataset(domain), dataset_name=domain_title(domain),
                dataset_config=domain, metric_type="mean_iou",
                metric_name=f"mIoU in percent{_of_protocol(run)}",
                metric_value=round(float(miou), 2))
            for domain, miou in zip(results.domains, results.miou, strict=True)
            if not np.isnan(miou)]
    licence = facts.backbone_licence
    data = ModelCardData(
        library_name="rein", pipeline_tag=TASK, tags=["semantic-segmentation",
                                                      "domain-generalization"],
        license=None if not licence else licence if licence in KNOWN_LICENCES else "other",
        license_name=licence if licence and licence not in KNOWN_LICENCES else None,
        datasets=[*map(_dataset, facts.sources)] or None,
        metrics=["mean_iou"] if measured else None,
        model_name=repo.rpartition("/")[2], eval_results=measured or None)
    return data.to_yaml().strip()


def _dataset(domain: str) -> str:
    """Name a domain's dataset as its folder is named: "cityscapes" for "citys"."""
    known = describe_domain(domain)
    return known.name if known else domain


def _of_protocol(run: SavedRun) -> str:
    return f", protocol {run.record.protocol}" if run.record.protocol else ""


def _summary(facts: ModelFacts) -> str:
    sources = " and ".join(map(domain_title, facts.sources))
    trained = f", trained on {sources}" if sources else ""
    scenes = " of street scenes in domains unseen in training" if facts.classes == CLASSES else ""
    return f"Semantic segmentation{scenes}{trained}: {len(facts.classes)} classes."


def _use(repo: str) -> str:
    return f"""## Use

```python
import rein

model = rein.load_segmentor("hf:{repo}")
result = model.predict("street.jpg")
result.overlay(legend=True).save("overlay.png")
```

The Python package is `rein-dgss`. `result.seg_map` holds positions in `model.classes`,
`result.confidence` the probability of each pixel's class."""


def _results(runs: Sequence[SavedRun]) -> str:
    """Return one table of domains per test, the classes' IoU and the conditions."""
    if not runs:
        return "## Results\n\nNo test report was given."
    parts = ["## Results"]
    for run in runs:
        results, record = run.results(), run.record
        rows = [[domain_title(domain), record.sizes.get(domain, "-"), *map(percent, values)]
                for domain, *values in zip(
                    results.domains, results.miou, results.macc, results.aacc, strict=True)]
        means = map(results.mean, (results.miou, results.macc, results.aacc))
        rows.append(["**mean**", "", *(f"**{percent(value)}**" for value in means)])
        protocol = f"Protocol `{record.protocol}`" if record.protocol else "The config's settings"
        table = markdown_rows(["domain", "images scaled to", "mIoU", "mAcc", "aAcc"], rows, 2)
        facts = "\n".join(f"- {name}: {value}" for name, value in record.facts()
                          if name not in ("checkpoint", "protocol", "resolution"))
        parts += [f"{protocol}, in percent:", table, _folded("IoU of each class",
                                                             markdown_table(results)),
                  _folded("Conditions of the test", facts)]
    return "\n\n".join(parts)


def _folded(title: str, text: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n\n{text.strip()}\n\n</details>"


def _training(facts: ModelFacts) -> str:
    temperature = "no" if facts.temperature is None else f"temperature {facts.temperature:.3f}"
    rows = [
        ("config", f"`{facts.config}`, stored whole in `model.safetensors`"),
        ("backbone", facts.backbone),
        ("adapter", facts.adapter or "none"),
        ("training data", ", ".join(map(domain_title, facts.sources)) or "unknown"),
        ("iterations", "unknown" if facts.iterations is None else str(facts.iterations)),
        ("seed", "unknown" if facts.seed is None else str(facts.seed)),
        ("parameters", facts.parameters),
        ("calibrated confidence", temperature),
        ("digest of the weights", f"`{facts.digest[:12]}`"),
        ("classes", ", ".join(facts.classes))]
    return "## Training\n\n" + "\n".join(f"- {name}: {value}" for name, value in rows)


def _licences(facts: ModelFacts) -> str:
    backbone = (f"{facts.backbone_licence}, as timm states it for {facts.licensed_as}"
                if facts.backbone_licence else "unknown; ask its publisher")
    return ("## Licences\n\n- code: Apache-2.0\n"
            f"- backbone: {backbone}\n"
            "- the datasets of training and testing have licences of their own")
