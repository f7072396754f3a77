"""Share a merged segmentor on the Hugging Face Hub: weights with their config, and a model card.

`load_segmentor("hf:OWNER/NAME")` loads it.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from rein import checkpoint as ckpt
from rein.atomic_files import write_atomically
from rein.checkpoint.identity import Network
from rein.datasets.dataset_configs import leaf_datasets
from rein.datasets.domains import domain_of_root
from rein.engine.configs.carried import carried_config
from rein.engine.inference import build_segmentor
from rein.engine.testing.record import config_name
from rein.engine.weights.downloads import FILES, find_segmentor
from rein.errors import UserError, one_line
from rein.evaluation.model_card import ModelFacts, model_card
from rein.evaluation.result_files import RESULTS_FILE, SavedRun, find_reports, load_run

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOG_IN = "Run `hf auth login`, or set HF_TOKEN to a token with write access."

_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


def build_folder(
    source: str | Path, repo: str, out: str | Path, reports: Sequence[str | Path] | None = None,
) -> list[SavedRun]:
    """Write a folder as on the Hub: model.safetensors with its config, and README.md.

    Args:
        source: A merged segmentor that carries its config.
        repo: The repository that the card names, OWNER/NAME.
        out: The folder; other files in it stay.
        reports: Reports of tools/test.py for the card: folders or their results.json. Default:
            those beside the source, or up to two folders below, that tested these weights.

    Returns:
        The tests in the card.

    Raises:
        UserError: The source is not a merged segmentor, or a report tested other weights.
        OSError: The folder cannot be written to.
    """
    check_repo(repo)
    path = Path(find_segmentor(source))
    content = ckpt.load_file(path)
    _check_shareable(content, source)
    cfg = carried_config(content, source)
    model = build_segmentor(cfg, content, source, device="cpu")  # what does not load is not shared
    facts = _facts(model, content)
    runs = _runs(path.parent, reports, facts.digest)
    out = Path(out)
    weights = dict(meta=dict(ckpt.meta_of(content)), state_dict=ckpt.state_dict_of(content))
    ckpt.save_file(weights, out / FILES[0])
    write_atomically(out / "README.md", model_card(repo, facts, runs))
    return runs


def push(
    source: str | Path, repo: str, *, reports: Sequence[str | Path] | None = None,
    private: bool = False, out: str | Path | None = None,
) -> tuple[str, list[SavedRun]]:
    """Upload a merged segmentor to the Hugging Face Hub, with a model card.

    Args:
        source: A merged segmentor that carries its config.
        repo: The repository, OWNER/NAME; created if missing.
        reports: As for `build_folder`.
        private: Create the repository as private; an existing one stays as it is.
        out: Keep the uploaded folder here.

    Returns:
        The repository's address, and the tests in the card.

    Raises:
        UserError: As for `build_folder`; or nobody is logged in, the Hub cannot be reached, or the
            repository belongs to another owner.
    """
    from huggingface_hub import HfApi

    check_repo(repo)
    api = HfApi()
    user = _user(api)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(out or temporary)
        runs = build_folder(source, repo, folder, reports)
        with _hub_errors(repo, user):
            api.create_repo(repo, private=private or None, exist_ok=True)
            api.upload_folder(
                repo_id=repo, folder_path=folder, allow_patterns=[FILES[0], "README.md"],
                commit_message="Upload segmentor")
    return f"{api.endpoint}/{repo}", runs


def check_repo(repo: str) -> None:
    """Raise a `UserError` unless a repository is named OWNER/NAME."""
    if not _REPO.fullmatch(repo):
        raise UserError(f"{repo}: expected OWNER/NAME, such as your user name and a name for the "
                        "model, of letters, digits, '.', '-' and '_'.")


def _check_shareable(content: Mapping[str, Any], source: str | Path) -> None:
    """Raise unless a file is a merged segmentor with its config."""
    kind = ckpt.identify(content).kind
    if kind in (ckpt.Kind.TRAINED, ckpt.Kind.HEAD):
        raise UserError(
            f"{source}: has no backbone ({kind.value}). Merge it first: `python "
            f"tools/generate_full_weights.py --backbone BACKBONE --rein_head {source} "
            "--dinov2_segmentor_path OUT.safetensors`.")
    if kind is not ckpt.Kind.SEGMENTOR:
        raise UserError(f"{source}: expected a full segmentor, found: {kind.value}. "
                        f"See `python tools/inspect_checkpoint.py {source}`.")
    if not ckpt.meta_of(content).get("cfg"):
        raise UserError(
            f"{source}: carries no config, so nobody could load it. Merge it again with `--config "
            "CONFIG` of tools/generate_full_weights.py.")


# ------------------------------------------------------------------------------- facts for the card
def _facts(model: nn.Module, content: Mapping[str, Any]) -> ModelFacts:
    meta, identity = ckpt.meta_of(content), ckpt.identify(content)
    licence, licensed_as = _licence(model.backbone, identity.backbone)
    adapter = identity.adapter or getattr(model.backbone, "reins", None)
    return ModelFacts(
        digest=ckpt.digest(model.state_dict()),  # as testing computes it
        config=config_name(model.cfg, meta),
        backbone=str(identity.backbone or type(model.backbone).__name__),
        adapter="" if adapter is None else (
            str(adapter) if adapter is identity.adapter else type(adapter).__name__),
        parameters=", ".join(f"{part} {n:,}" for part, n in identity.parameters.items()),
        classes=tuple(model.dataset_meta["classes"]),
        sources=_sources(model.cfg),
        iterations=meta.get("iter"),
        seed=meta.get("seed"),
        temperature=(meta.get(ckpt.CALIBRATION) or {}).get("temperature"),
        backbone_licence=licence, licensed_as=licensed_as)


def _sources(cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the domains of a config's training data, in order."""
    dataset = (cfg.get("train_dataloader") or {}).get("dataset")
    leaves = leaf_datasets(dataset) if dataset else []
    return tuple(dict.fromkeys(
        leaf.get("domain") or domain_of_root(leaf.get("data_root")) for leaf in leaves))


def _licence(backbone: nn.Module, network: Network | None) -> tuple[str, str]:
    """Return the licence of a backbone's released weights, and the name of that network.

    Published types have no timm name: the table of backbones lists them. A network of no released
    size has no known licence.
    """
    from timm.models import get_pretrained_cfg

    from rein.engine.weights.backbone_table import ENTRIES

    name = getattr(backbone, "timm_name", "")
    if not name:
        types = {cls.__name__ for cls in type(backbone).__mro__}
        sizes = backbone.family.sizes if hasattr(backbone, "family") else {}
        size = network and sizes.get((network.width, network.depth))
        name = next((entry.model for entry in ENTRIES if size and entry.published in types), "")
    known = get_pretrained_cfg(name, allow_unregistered=True) if name else None
    return ((known.license or "") if known else ""), name


# --------------------------------------------------------------------------------------- its tests
def _runs(
    folder: Path, reports: Sequence[str | Path] | None, digest: str,
) -> list[SavedRun]:
    """Load the tests of a model; those that were not named but found may be of other models."""
    if reports is None:
        found = []
        for path in find_reports(folder):
            try:
                run = load_run(path)
            except UserError:  # of no concern: nobody named it
                continue
            if run.record.digest == digest and any(run.confusion.values()):
                found.append(run)
        return found
    runs = [load_run(path.parent if path.name == RESULTS_FILE else path)
            for path in map(Path, reports)]
    for run in runs:
        if run.record.digest != digest:
            raise UserError(
                f"{run.folder}: results of other weights ({run.record.digest[:12]}; the model is "
                f"{digest[:12]}). Name the report of this model, or test it with tools/test.py.")
    return runs


# --------------------------------------------------------------------------------------- uploading
def _user(api: "HfApi") -> str:
    """Return the name of the user who is logged in."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        return api.whoami()["name"]
    except LocalTokenNotFoundError:
        raise UserError(f"nobody is logged in to {api.endpoint}. {LOG_IN}") from None
    except HfHubHTTPError as error:
        if _status(error) == 401:
            raise UserError(f"{api.endpoint} does not know the token. {LOG_IN}") from None
        raise _unreachable(api.endpoint, error) from None
    except Exception as error:  # each version has its own HTTP library
        raise _unreachable(api.endpoint, error) from None


@contextmanager
def _hub_errors(repo: str, user: str) -> Iterator[None]:
    """Report failures of an upload in one line."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        if _status(error) in (401, 403, 404):
            raise UserError(
                f"{repo}: {user} may not write there. Choose a repository {user}/NAME, or use a "
                "token with write access to this one.") from None
        raise _not_uploaded(repo, error) from None
    except Exception as error:  # each version has its own HTTP library
        raise _not_uploaded(repo, error) from error


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _unreachable(endpoint: str, error: Exception) -> UserError:
    return UserError(f"{endpoint} cannot be reached ({one_line(error, 120)}). Check the network, "
                     "or write the folder alone with --dry-run --out DIR and upload it elsewhere.")


def _not_uploaded(repo: str, error: Exception) -> UserError:
    return UserError(f"{repo}: the upload failed ({one_line(error, 160)}). Run the command again: "
                     "what is uploaded already is not sent twice.")
