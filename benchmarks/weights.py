"""Convert and merge a ViT-L: peak memory against the file's size, and seconds."""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.paired import Row, row_of

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20

# each tool runs in its own process, because peak memory counts from the process's start
MEASURE = """
import runpy, sys, time, torch, rein
import rein.engine.weights.files
rein.register_all_modules()
from benchmarks.paired import peak_mib
before = peak_mib()
start = time.perf_counter()
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as done:
    assert not done.code, done.code
print(peak_mib() - before, time.perf_counter() - start)
"""


def run(repeats: int) -> list[Row]:
    """Measure with random weights in ViT-L's shapes; the reference is the goal."""
    with tempfile.TemporaryDirectory() as folder:
        source, adapter = _make_files(Path(folder))
        size = source.stat().st_size / MIB
        tools = {
            "convert": ["tools/convert_models/convert_dinov2.py", source, f"{folder}/out.pth"],
            "merge": ["tools/generate_full_weights.py", "--backbone", source, "--rein_head",
                      adapter, "--dinov2_segmentor_path", f"{folder}/out.pth"],
        }
        rows = []
        for name, command in tools.items():
            runs = []
            for _ in range(repeats):
                Path(folder, "out.pth").unlink(missing_ok=True)
                runs.append(_measure(command))
            rows += [
                row_of(f"{name} ViT-L: memory above the imports (reference: 2.5 x the file)",
                       [(peak, 2.5 * size) for peak, _ in runs], "MiB", 1.0),
                row_of(f"{name} ViT-L: time (reference: 60 s)",
                       [(seconds, 60.0) for _, seconds in runs], "s", 1.0),
            ]
        return rows


def _measure(command: list) -> tuple[float, float]:
    """Measure the command's peak MiB, less that of the imports, and its seconds."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, command)], cwd=ROOT, check=True, text=True,
        capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    peak, seconds = done.stdout.split()[-2:]
    return float(peak), float(seconds)


def _make_files(folder: Path) -> tuple[Path, Path]:
    """Write random weights for a downloaded ViT-L and for the main config's adapter and head."""
    from benchmarks.stock import CONFIG
    from rein.checkpoint import save_file
    from rein.engine.configs.reading import load_config
    from rein.engine.weights.loading import build_empty
    from rein.models import DinoVisionTransformer
    from rein.models.freezing import trained_state_dict

    def fill(weights: dict) -> dict:
        return {name: torch.randn(value.shape) for name, value in weights.items()}

    with torch.device("meta"):
        backbone = DinoVisionTransformer(img_size=518, patch_size=14).state_dict()
    model = build_empty(load_config(CONFIG))
    save_file({**fill(backbone), "mask_token": torch.zeros(1, 1024)}, folder / "dinov2.pth")
    save_file(dict(meta={}, state_dict=fill(trained_state_dict(model))), folder / "adapter.pth")
    return folder / "dinov2.pth", folder / "adapter.pth"
