"""Find released weights: a path, or a file in Hugging Face's cache, downloaded if need be."""

from pathlib import Path

from rein.checkpoint.io import SHARDS_SUFFIX, shards_of
from rein.errors import UserError, one_line
from rein.paths import find_path

FILES = ("model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors",
         "pytorch_model.bin")
"""Usual names of a repository's weights, in order of preference."""


def find_segmentor(source: str | Path) -> str:
    """Return the path of a segmentor's file.

    Args:
        source: A file; a folder with `model.safetensors`, as on the Hugging Face Hub; or
            `hf:REPO[/FILE]`, as for `find_source`.

    Raises:
        UserError: The folder has no such file, or the download fails.
    """
    if str(source).startswith("hf:"):
        return find_source(str(source))
    path = Path(find_path(source))
    if not path.is_dir():
        return str(path)
    if not (path / FILES[0]).is_file():
        raise UserError(f"{source}: the folder has no {FILES[0]}. Name a checkpoint file, or a "
                        "folder as on the Hugging Face Hub.")
    return str(path / FILES[0])


def find_source(source: str) -> str:
    """Return the path of released weights.

    Args:
        source: A path, also of a repository's local folder, `timm:NAME` with a timm model, or
            `hf:REPO[/FILE]` with a repository `owner/name` of the Hugging Face Hub.

    Returns:
        The file; a download shows its progress and stays in Hugging Face's cache. If the weights
        are split into several files, the index that names them.

    Raises:
        UserError: The model is unknown, or the file is not in the cache and cannot be downloaded.
    """
    if source.startswith("timm:"):
        repository, file = _timm_repository(source)
        return _whole(source, repository, (file,) if file else FILES)
    if source.startswith("hf:"):
        owner, _, rest = source.removeprefix("hf:").partition("/")
        name, _, file = rest.partition("/")
        if not owner or not name:
            raise UserError(f"{source}: expected hf:OWNER/NAME or hf:OWNER/NAME/FILE.")
        return _whole(source, f"{owner}/{name}", (file,) if file else FILES)
    path = Path(find_path(source))
    if path.is_dir():
        found = [path / name for name in FILES if (path / name).is_file()]
        if not found:
            raise UserError(f"{source}: this folder has none of {', '.join(FILES)}. Name the file.")
        path = found[0]
    return str(path)


def _whole(source: str, repository: str, files: tuple[str, ...]) -> str:
    """Return the file; with an index, make its shards available beside it."""
    path = _download(source, repository, files)
    if path.endswith(SHARDS_SUFFIX):
        try:
            shards = shards_of(Path(path))
        except (OSError, ValueError) as error:
            raise UserError(f"{source}: {path} is damaged ({one_line(error)}). Download it again."
                            ) from None
        folder = files[0].rpartition("/")[0]
        for shard in shards:
            _download(source, repository, (f"{folder}/{shard.name}".lstrip("/"),))
    return path


def _timm_repository(source: str) -> tuple[str, str | None]:
    """Return the repository of a timm model's weights, and the file if it has an unusual name."""
    from timm.models import get_pretrained_cfg, is_model

    name = source.removeprefix("timm:").removeprefix("timm/")
    architecture = name.split(".")[0]
    cfg = get_pretrained_cfg(name) if is_model(architecture) else None
    if cfg is None:
        raise UserError(f"{source}: timm has no such model. See tools/list_backbones.py.")
    if not cfg.hf_hub_id:
        raise UserError(f"{source}: timm has no weights for it. Download the official file.")
    repository = cfg.hf_hub_id
    if repository.endswith("/"):
        repository += name
    return repository, cfg.hf_hub_filename


def _download(source: str, repository: str, files: tuple[str, ...]) -> str:
    """Return the first of a repository's files that is cached or can be downloaded."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    for file in files:
        cached = try_to_load_from_cache(repository, file)
        if isinstance(cached, str):
            return cached
    for file in files:
        try:
            _require_hub(repository, file)
            return hf_hub_download(repository, file)
        except GatedRepoError:
            raise UserError(f"{source}: {repository} asks for its licence first. Accept it on "
                            f"https://huggingface.co/{repository}, then run `hf auth login`."
                            ) from None
        except RepositoryNotFoundError:
            raise UserError(f"{source}: Hugging Face has no repository {repository}, or it is "
                            "private.") from None
        except (LocalEntryNotFoundError, _Unreachable, OSError) as error:
            raise UserError(_offline(source, repository, file, constants.HF_HUB_CACHE, error)
                            ) from None
        except EntryNotFoundError:
            continue
    raise UserError(f"{source}: {repository} has none of {', '.join(files)}. Name the file: "
                    f"hf:{repository}/FILE.")


class _Unreachable(Exception):
    """The Hub does not answer."""


def _require_hub(repository: str, file: str) -> None:
    """Ask the Hub for a file's metadata, once: `hf_hub_download` repeats that for 23 seconds.

    Raises:
        _Unreachable: There is no answer.
        HfHubHTTPError: There is no such repository or file, or it needs a login.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    try:
        get_hf_file_metadata(hf_hub_url(repository, file), timeout=10)
    except (EntryNotFoundError, HfHubHTTPError):
        raise
    except Exception as error:  # each version has its own HTTP library
        raise _Unreachable from error


def _offline(source: str, repository: str, file: str, cache: str | Path, error: Exception) -> str:
    error = error.__cause__ or error
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (f"{source}: {file} is not in {cache} and cannot be downloaded "
            f"({type(error).__name__}: {reason[:80]}). Online, run `hf download {repository} "
            f"{file}` and copy the cache, or pass the downloaded file as a path.")
