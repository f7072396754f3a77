"""Load a segmentor and serve its page; the function behind tools/demo.py."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rein.cli import termination_as_interrupt
from rein.datasets.label_maps import CLASSES
from rein.web.page import check_port, import_gradio


def run_demo(
    source: str | Path, *, config: str | Path | None = None, backbone: str | Path | None = None,
    examples: str | Path | None = None, port: int | None = None, device: str | None = None,
    precision: str = "auto",
) -> None:
    """Serve the page of a segmentor on this machine until interrupted.

    Args:
        source: As for `load_segmentor`, as are `config`, `backbone`, `device` and `precision`; or
            an ONNX file, which none of them can change.
        config: A config file.
        backbone: Pretrained weights, if the source has none.
        examples: Folder of images to try, in subfolders by domain; default: the config's test data,
            which an ONNX file does not know.
        port: TCP port; default: the first free one from 7860 on.
        device: Device of the model.
        precision: Precision of the model.

    Raises:
        UserError: Gradio is missing, the model does not load, there are no such examples, or the
            port is taken.
    """
    import_gradio()  # its absence is told before the model loads
    if port is not None:
        check_port(port)
    from rein.engine.predicting.models import load_predictor
    from rein.web.inputs import examples_in, examples_of
    from rein.web.page import Actions, build_page, private_folder, served

    chosen = examples_in(examples) if examples else None
    model = load_predictor(
        str(source), config=config, backbone=backbone, device=device, precision=precision)
    chosen = chosen or (examples_of(model.model.cfg) if hasattr(model, "model") else [])
    with private_folder(), termination_as_interrupt():
        actions = Actions(model.predict, model.classes, chosen)
        page = build_page(actions, title(source), about(model))
        with served(page, model.palette, port, chosen) as url:
            print(f"page: {url} (Ctrl+C stops it)", flush=True)
            _wait()
    print("stopped; uploads are deleted")


def about(model: Any) -> str:
    """Describe a model: what it segments, its precision and its device."""
    scenes = "street scenes of domains unseen in training" if (
        tuple(model.classes) == CLASSES) else "images"
    return (f"Segments {scenes}: {len(model.classes)} classes, {model.precision} on "
            f"{model.device}.")


def _wait() -> None:
    """Wait for Ctrl+C."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def title(source: str | Path) -> str:
    """Name a model after its file, its folder or its repository."""
    path = Path(str(source).removeprefix("hf:"))
    return path.parent.name if path.name == "model.safetensors" else path.stem
