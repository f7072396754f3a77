"""Resolve paths from commands and configs: the working directory first, then the repository."""

import copy
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rein.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

_INSTALLED = Path(__file__).resolve().parent / ".mim"  # OpenMMLab's convention; see setup.py

REPOSITORY = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1]
"""Folder of `configs` and `tools`: the checkout, or `rein/.mim` of an installed wheel."""

DATA = "data"
"""Folder of all datasets in configs."""

WEIGHT_KEYS = ("checkpoint", "pretrained")
"""Keys of weight files in the configs of models; published EVA-02 and CLIP have the second."""

_PATH_KEYS = ("data_root", "load_from", *WEIGHT_KEYS)


def find_path(path: str | Path) -> str:
    """Return the path in the repository if it exists only there, else the path unchanged.

    Raises:
        UserError: The path is empty, as from an unset variable of a shell: it would name the
            working directory.
    """
    if path == "":
        raise UserError("the name of a file or folder is empty. Is a variable unset?")
    in_repository = REPOSITORY / path
    if not Path(path).exists() and in_repository.exists():
        return str(in_repository)
    return str(path)


def find_config(config: str | Path) -> str:
    """Return the path of a config given by its path or its name.

    A name is that of a file in `configs` without `.py`, alone or with folders, e.g.
    `dinov2/rein_dinov2_mask2former_512x512_bs1x4`. Of several files with one name, that in
    `dinov2` precedes those in `dinov2_citys` and the like, which vary it.

    Raises:
        UserError: There is no such config, or the name is ambiguous.
    """
    found = find_path(config)
    if Path(found).is_file():
        return found
    names = config_names()
    wanted = Path(config).as_posix().removesuffix(".py").removeprefix("configs/")
    matches = [name for name in names if f"/{name}".endswith(f"/{wanted}")]
    if len(matches) > 1:
        first, *others = sorted(matches, key=len)
        if not all(name.startswith(first.partition("/")[0]) for name in others):
            raise UserError(f"{config}: several configs have this name. Give one of "
                            f"{', '.join(sorted(matches))}.")
        matches = [first]
    if not matches:
        raise UserError(f"{config}: no such config. {_similar(wanted, names)}")
    return str(REPOSITORY / names[matches[0]])


def config_names() -> dict[str, str]:
    """Map the name of each whole config, `FOLDER/STEM`, to its path in the repository."""
    paths = sorted((REPOSITORY / "configs").rglob("*.py"))
    paths = [path.relative_to(REPOSITORY) for path in paths]
    return {path.with_suffix("").relative_to("configs").as_posix(): str(path)
            for path in paths if "_base_" not in path.parts}


def _similar(wanted: str, names: dict[str, str]) -> str:
    """Suggest the configs whose names are closest to a wrong one."""
    by_stem = {name.rpartition("/")[2]: path for name, path in reversed(names.items())}
    wanted = wanted.rpartition("/")[2]
    near = [stem for stem in by_stem if wanted in stem][:3] or difflib.get_close_matches(
        wanted, by_stem, n=3, cutoff=0.5)
    if not near:
        return "The configs are in configs/."
    return f"Similar: {', '.join(by_stem[stem] for stem in near)}."


def output_path(path: str | Path, *inputs: str | Path) -> Path:
    """Return where to write: in the repository if all inputs are there, else as given.

    A folder of converted data that is apart from its source would hide the source's folder.

    Args:
        path: The output; relative to the working directory, or to the repository.
        inputs: Paths returned by `find_path`.
    """
    there = all(REPOSITORY in Path(source).parents for source in inputs)
    return REPOSITORY / path if there else Path(path)


def move_data(cfg: "Config", folder: str | Path) -> None:
    """Replace the folder of all datasets, `data`, by another one in every `data_root`, in place.

    The config keeps its name as `data_folder`: a config carried by a checkpoint can be moved again.

    Raises:
        UserError: The folder does not exist, or no `data_root` is inside `data`.
    """
    if not Path(find_path(folder)).is_dir():
        raise UserError(f"--data {folder}: no such folder. Give the folder that contains gta, "
                        "cityscapes and so on.")
    before, moved = Path(cfg.get("data_folder", DATA)), 0

    def move(node: Any) -> None:
        nonlocal moved
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if key == "data_root" and isinstance(value, str) and Path(value).is_relative_to(before):
                inside = Path(value).relative_to(before).as_posix()
                node[key] = f"{Path(folder).as_posix()}/{inside}" + "/" * value.endswith("/")
                moved += 1
            elif isinstance(value, dict | list):
                move(value)

    move(cfg._cfg_dict)
    if not moved:
        raise UserError(f"--data {folder}: the config has no data_root inside {before}/. Override "
                        "its data_root values with --cfg-options.")
    cfg.data_folder = str(folder)


def resolve_paths(cfg: "Config") -> "Config":
    """Return a copy of a config with dataset and weight paths resolved by `find_path`."""
    def resolve(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(items):
            if key in _PATH_KEYS and value and isinstance(value, str) and "://" not in value:
                node[key] = find_path(value)
            elif isinstance(value, dict | list):
                resolve(value)

    cfg = copy.deepcopy(cfg)
    resolve(cfg._cfg_dict)
    return cfg
