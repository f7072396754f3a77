"""Predict files and write pictures, label maps, videos and class shares.

Any object serves as the model whose `predict(images, batch_size=N)` takes a list of RGB uint8
arrays (H, W, 3) and returns a list of `rein.prediction.Prediction`; torch is not imported here.
"""

import collections
import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image
from tqdm import tqdm

from rein.atomic_files import naming_failures, replacing
from rein.engine.predicting.record import Record
from rein.engine.predicting.sources import (
    Source,
    Unreadable,
    check_link,
    output_name,
    read_rgb,
)
from rein.engine.predicting.videos import Video, Write, writing_video
from rein.errors import UserError
from rein.evaluation.painting import save_png
from rein.folders import only_writer
from rein.images import silent_opencv
from rein.prediction import Prediction

KINDS = "overlay", "side", "labels", "colors"
"""Outputs: image with colours, image beside it, trainIds, colours."""

IMAGE_KINDS, VIDEO_KINDS = ("overlay", "labels", "colors"), ("overlay",)
"""Outputs by default."""

_THREADS = 4
_JPEG_QUALITY = 92
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.mp4)?")


class Predictor(Protocol):
    """What `predict_files` takes for a model."""

    def predict(self, images: list[np.ndarray], *, batch_size: int) -> list[Prediction]:
        """Segment RGB uint8 images (H, W, 3)."""


@dataclass(frozen=True)
class PredictionOptions:
    """How to predict files.

    Args:
        save: Names from `KINDS`; empty: `IMAGE_KINDS` for images and `VIDEO_KINDS` for videos.
        overwrite: Predict finished inputs again.
        unsure: Hatch pixels whose confidence is below this, in [0, 1].
        batch_size: Images or frames per call of the model.
        frames: Stop a video or camera after as many frames.
    """

    save: Sequence[str] = ()
    overwrite: bool = False
    unsure: float | None = None
    batch_size: int = 4
    frames: int | None = None

    def kinds(self, source: Source) -> Sequence[str]:
        """Return the outputs of a source."""
        return self.save or (IMAGE_KINDS if source.kind == "image" else VIDEO_KINDS)


class Predicted(NamedTuple):
    """What was done.

    Attributes:
        done: Number of inputs predicted.
        kept: Number of inputs that were finished before.
        failed: Inputs that could not be read, or share an output, as (path, reason).
        unfamiliar: Inputs unlike the training images, as (name, shift); largest shift first.
    """

    done: int
    kept: int
    failed: list[tuple[str, str]]
    unfamiliar: list[tuple[str, float]]


def predict_files(
    model: Predictor,
    sources: Sequence[Source],
    out: str | Path,
    options: PredictionOptions | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Predicted:
    """Predict images, videos and cameras.

    Writes OUT/<kind>/<name> for each kind of output, and OUT/predictions.json with each class's
    share of the pixels. Finished inputs are kept; broken ones are skipped and returned.

    Args:
        model: A `rein.Segmentor`, an ONNX predictor, or alike.
        sources: Found by `find_sources`.
        out: Folder of the outputs.
        options: What to write.
        settings: The model and its options; predictions of others in `out` are refused.

    Raises:
        UserError: The outputs cannot be written, or would replace those of other settings or
            files.
    """
    options, out = options or PredictionOptions(), Path(out)
    settings = {**(settings or {}), "unsure": options.unsure, "frames": options.frames}
    with only_writer(out, "prediction"), silent_opencv():
        _remove_leftovers(out)
        record = Record(out, settings, options.overwrite)
        clashes = _clashes(sources, out, options)
        todo = [source for source in sources if source not in clashes and (
            source.kind == "camera" or not record.is_done(
                source, list(output_paths(source, out, options).values())))]
        images = [source for source in todo if source.kind == "image"]
        unit = "image" if len(images) == len(todo) else "frame"
        failed: list[tuple[str, str]] = []
        try:
            with tqdm(total=_count(todo, options), unit=unit, mininterval=0.5) as bar:
                job = _Job(model, out, options, record, bar, failed)
                job.predict_images(images)
                for source in todo:
                    if source.kind != "image":
                        job.predict_video(source)
        finally:
            record.write()
    others = {*clashes, *todo}
    kept = [source.name for source in sources if source not in others]
    shifts = {name: record.inputs[name].get("shift") or 0 for name in kept + record.added}
    unfamiliar = [(name, shift) for name, shift in shifts.items() if shift > 1]
    refused = [(source.path, reason) for source, reason in clashes.items()]
    return Predicted(
        len(todo) - len(failed), len(kept), refused + failed,
        sorted(unfamiliar, key=lambda one: -one[1]))


def output_paths(source: Source, out: Path, options: PredictionOptions) -> dict[str, Path]:
    """Return {kind: path} of a source's outputs; the labels of a video are a folder of PNGs."""
    suffixes = dict(overlay=".jpg", side=".jpg", labels=".png", colors=".png")
    if source.kind != "image":
        suffixes = dict(overlay=".mp4", side=".mp4", labels="", colors=".mp4")
    return {kind: out / kind / output_name(source.name, suffixes[kind])
            for kind in options.kinds(source)}


@dataclass
class _Job:
    """A run of `predict_files`: the model, and everything that its steps share."""

    model: Predictor
    out: Path
    options: PredictionOptions
    record: Record
    bar: tqdm
    failed: list[tuple[str, str]]

    def predict_images(self, sources: Sequence[Source]) -> None:
        """Predict images; others are read and written meanwhile."""
        size = self.options.batch_size
        chunks = [sources[i:i + size] for i in range(0, len(sources), size)]
        saving: list[tuple[Source, Future]] = []
        with ThreadPoolExecutor(_THREADS) as pool:
            def read(chunk: Sequence[Source]) -> list[Future]:
                return [pool.submit(read_rgb, source.path) for source in chunk]

            ahead = read(chunks[0]) if chunks else []
            try:
                for i, chunk in enumerate(chunks):
                    images = dict(self._readable(chunk, ahead))
                    ahead = read(chunks[i + 1]) if i + 1 < len(chunks) else []
                    found = self._predict([*images.values()])
                    self._note(saving)
                    saving = [(source, pool.submit(self._save, source, one))
                              for source, one in zip(images, found, strict=True)]
            finally:  # also after Ctrl-C
                self._note(saving)

    def _predict(self, images: list[np.ndarray]) -> list[Prediction]:
        return self.model.predict(images, batch_size=self.options.batch_size) if images else []

    def _readable(self, chunk: Sequence[Source], reading: Sequence[Future]
                  ) -> Iterator[tuple[Source, np.ndarray]]:
        for source, image in zip(chunk, reading, strict=True):
            try:
                yield source, image.result()
            except Unreadable as error:
                self._fail(source, error)

    def _save(self, source: Source, prediction: Prediction) -> dict[str, Any]:
        """Write an image's outputs; return its entry in the record."""
        for kind, path in output_paths(source, self.out, self.options).items():
            _save_picture(_picture(prediction, kind, self.options.unsure), path)
        return _Summary(self.options.unsure).add(prediction).details()

    def _note(self, saving: list[tuple[Source, Future]]) -> None:
        """Wait for outputs to be written, and record them."""
        while saving:
            source, details = saving.pop(0)
            self.record.add(source, details.result())
            self.bar.update()

    def _fail(self, source: Source, error: UserError) -> None:
        self.record.drop(source)
        self.failed.append((source.path, str(error)))
        self.bar.update(source.kind == "image")

    def predict_video(self, source: Source) -> None:
        """Predict a video or camera frame by frame; Ctrl-C ends a camera's recording."""
        if source.kind == "camera":
            source = source._replace(name=f"{source.name}_{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            check_link(source.path)
            with Video(source.path) as video:
                self._predict_frames(source, video)
        except Unreadable as error:
            self._fail(source, error)

    def _predict_frames(self, source: Source, video: Video) -> None:
        summary, started, fps = _Summary(self.options.unsure), time.monotonic(), video.fps
        batches = video.batches(self.options.batch_size, self.options.frames)
        with contextlib.ExitStack() as stack:
            writers: dict[str, Write] = {}
            try:
                for frames in batches:
                    found = self._predict(frames)
                    if not writers:
                        if source.kind == "camera":  # it drops frames while the model works
                            fps = min(fps, len(frames) / (time.monotonic() - started))
                        writers = self._open_writers(source, fps, stack)
                    for prediction in found:
                        for kind, write in writers.items():
                            write(np.asarray(_picture(prediction, kind, self.options.unsure)))
                        summary.add(prediction)
                        self.bar.update()
            except KeyboardInterrupt:
                if source.kind != "camera" or not summary.count:
                    raise
        _check_length(source, video, summary.count, self.options.frames)
        self.record.add(source, summary.details(fps=fps, frames=summary.count))

    def _open_writers(
        self, source: Source, fps: float, stack: contextlib.ExitStack) -> dict[str, Write]:
        return {kind: stack.enter_context(
                    _writing_labels(path) if kind == "labels" else writing_video(path, fps))
                for kind, path in output_paths(source, self.out, self.options).items()}


class _Summary:
    """Sums over the pixels of an image, or of all frames of a video."""

    def __init__(self, unsure: float | None):
        self.unsure, self.count = unsure, 0
        self.sums: collections.Counter = collections.Counter()
        self.shares: collections.Counter = collections.Counter()
        self.shifts: list[float] = []

    def add(self, prediction: Prediction) -> "_Summary":
        """Add an image or frame."""
        self.count += 1
        self.size = prediction.seg_map.shape
        for name, share in prediction.shares().items():
            self.shares[name] += share
        self.sums["confidence"] += float(prediction.confidence.mean())
        if self.unsure is not None:
            self.sums["unsure"] += float((prediction.confidence < self.unsure).mean())
        if prediction.shift is not None:
            self.shifts.append(float(prediction.shift))
        return self

    def details(self, **others) -> dict[str, Any]:
        """Return the means, for the record."""
        height, width = self.size
        means = {name: round(total / self.count, 6) for name, total in self.sums.items()}
        if self.shifts:
            means["shift"] = round(sum(self.shifts) / self.count, 4)
        shares = {name: round(total / self.count, 6) for name, total in self.shares.items()}
        return dict(width=width, height=height, **others, **means, shares=shares)


def _picture(prediction: Prediction, kind: str, unsure: float | None) -> Image.Image:
    if kind == "labels":
        return Image.fromarray(prediction.seg_map)
    if kind == "colors":
        return prediction.color_map()
    overlay = prediction.overlay(unsure=unsure)
    if kind == "overlay":
        return overlay
    return Image.fromarray(np.hstack([prediction.image, np.asarray(overlay)]))


def _save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG or JPEG, complete or not at all."""
    if path.suffix == ".png":
        save_png(picture, path)
        return
    with naming_failures(path, "Make room or choose another folder, then try again."), \
            replacing(path) as part:
        picture.save(part, format="JPEG", quality=_JPEG_QUALITY)


@contextlib.contextmanager
def _writing_labels(folder: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """Provide a function that writes a frame's trainIds to a folder, which appears at the end."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    count = 0

    def write(seg_map: np.ndarray) -> None:
        nonlocal count
        save_png(Image.fromarray(seg_map), temporary / f"{count:06d}.png")
        count += 1

    try:
        yield write
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_length(source: Source, video: Video, count: int, limit: int | None) -> None:
    """Raise if a video ended before the number of frames that its header announces."""
    expected = min(filter(None, (video.frames, limit)), default=0)
    if not count:
        raise Unreadable(f"{source.path}: the video has no frame that can be read.")
    if count < expected - 1:  # some containers count one too many
        raise Unreadable(f"{source.path}: only {count} of {expected} frames can be read. The "
                        "outputs have these.")


def _clashes(
    sources: Sequence[Source], out: Path, options: PredictionOptions) -> dict[Source, str]:
    """Return the sources that would share an output, with the reason."""
    owners: dict[Path, list[Source]] = collections.defaultdict(list)
    for source in sources:
        for path in output_paths(source, out, options).values():
            owners[path].append(source)
    return {
        source: f"{source.path}: would share its output {path} with "
                f"{next(other for other in owned if other is not source).path}. Rename one of them."
        for path, owned in owners.items() if len(owned) > 1 for source in owned}


def _count(sources: Sequence[Source], options: PredictionOptions) -> int | None:
    """Count images and frames; None if a camera or video does not tell its length."""
    counts = [_length(source, options.frames) for source in sources]
    return None if None in counts else sum(counts)


def _length(source: Source, limit: int | None) -> int | None:
    """Return the number of frames to predict; 0 if the source cannot be opened."""
    if source.kind == "image":
        return 1
    frames = None
    if source.kind == "video":
        try:
            with Video(source.path) as video:
                frames = video.frames
        except Unreadable:  # reported when its turn comes
            return 0
    return min(filter(None, (frames, limit)), default=None)


def _remove_leftovers(out: Path) -> None:
    """Remove what killed processes left in a folder; call it while holding its lock."""
    for path in list(out.rglob(".*.tmp*")):
        if _TEMPORARY.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
