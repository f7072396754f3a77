"""Build and serve the page of `rein demo` with Gradio, the one module that imports it.

Gradio's statistics, share link and web fonts are off: the page works without a network.
"""

import html
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rein.datasets.corruptions import missing_library
from rein.engine.predicting.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from rein.errors import UserError
from rein.prediction import Prediction
from rein.web import conditions, inputs, views
from rein.web.conditions import ORIGINAL
from rein.web.style import CSS
from rein.web.views import Shown

HOST = "127.0.0.1"

Segment = Callable[[np.ndarray], Prediction]

_RUNNING = dict(concurrency_id="model", api_visibility="private")  # one prediction at a time
_PICK = "Drop an image or a short video, or pick an example."


def import_gradio() -> Any:
    """Import Gradio with its statistics off.

    Raises:
        UserError: It is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise UserError(f"the page needs Gradio: {error}. Run `pip install 'rein-dgss[demo]'`."
                        ) from None
    return gradio


class Actions:
    """What the page does, without the page.

    Args:
        predict: Predicts an image, RGB uint8 (H, W, 3).
        classes: Name of each class.
        examples: Images to try.
    """

    def __init__(
        self, predict: Segment, classes: Sequence[str], examples: Sequence[inputs.Example] = (),
    ) -> None:
        self.predict, self.classes, self.examples = predict, tuple(classes), list(examples)

    def open_image(self, path: str | Path) -> Shown:
        """Predict an image file."""
        image = inputs.read_picture(path)
        started = time.perf_counter()
        prediction = self.predict(image)
        return Shown(prediction, prediction, seconds=time.perf_counter() - started)

    def change_condition(self, shown: Shown, condition: str, severity: int) -> Shown:
        """Predict the same image under another condition."""
        if condition == ORIGINAL:
            return shown._replace(current=shown.original, condition=ORIGINAL)
        image = conditions.under(shown.original.image, condition, severity)
        started = time.perf_counter()
        prediction = self.predict(image)
        return shown._replace(current=prediction, condition=condition, severity=int(severity),
                              seconds=time.perf_counter() - started)

    def compare(
        self, shown: Shown, severity: int, draw: Callable[[Prediction], Any],
        progress: Callable[..., Any] = lambda *_, **__: None,
    ) -> list[tuple[Any, str]]:
        """Predict the image under several conditions; returns (picture, caption) of each."""
        pictures = []
        for number, name in enumerate(conditions.COMPARED):
            label = conditions.LABELS[name]
            progress((number, len(conditions.COMPARED)), desc=label)
            changed = self.change_condition(shown, name, severity)
            kept = views.agreement(shown.original, changed.current)
            pictures.append((draw(changed.current), f"{kept:.0%} {label}"))
        return pictures

    def film(
        self, path: str | Path, draw: Callable[[Prediction], Any],
        progress: Callable[..., Any] = lambda *_, **__: None,
    ) -> tuple[Path, int]:
        """Draw the predictions of a video's beginning as WebM; returns the file, and its frames."""
        film, done = inputs.open_film(path), 0
        file, out = tempfile.mkstemp(".webm", dir=os.environ.get("GRADIO_TEMP_DIR"))
        os.close(file)
        writer = cv2.VideoWriter()
        try:
            for frame in film.frames:
                progress((done, film.count), desc="frames", unit="frames")
                if not writer.isOpened():
                    size = frame.shape[1], frame.shape[0]
                    writer.open(out, cv2.VideoWriter_fourcc(*"VP80"), film.rate, size)
                picture = np.asarray(draw(self.predict(frame)))
                writer.write(np.ascontiguousarray(picture[..., ::-1]))
                done += 1
        finally:
            writer.release()
        if not done:
            raise UserError(f"{Path(path).name}: the video has no frame that decodes.")
        return Path(out), done


def _or_message(gr: Any, action: Callable[[], Any], outputs: int) -> Any:
    """Run an action; a user's mistake becomes a message, and the page stays as it is."""
    try:
        return action()
    except UserError as error:
        gr.Warning(html.escape(str(error)), duration=None, title="This did not work")
        return (gr.skip(),) * outputs if outputs > 1 else gr.skip()


def build_page(actions: Actions, title: str, about: str) -> Any:
    """Build the page.

    Args:
        actions: Its actions.
        title: Name of the model.
        about: One line on the model.

    Returns:
        `gradio.Blocks`, to be launched by `serve`.
    """
    gr = import_gradio()
    with gr.Blocks(title=f"Rein: {title}", analytics_enabled=False,
                   delete_cache=(600, 3600)) as page:
        gr.HTML(f"<h1>{html.escape(title)}</h1><p>{html.escape(about)}</p>", elem_id="head")
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                parts = _inputs(gr, actions)
            with gr.Column(scale=8, min_width=320):
                parts |= _outputs(gr, actions)
        _connect(gr, actions, parts)
    return page.queue(default_concurrency_limit=1, max_size=16)


def _inputs(gr: Any, actions: Actions) -> dict[str, Any]:
    """Add the drop zone, the examples and the limits."""
    parts = dict(file=gr.File(
        label="Image or short video", elem_id="drop", height=150,
        file_types=sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES)))
    gr.HTML(f"{inputs.LIMITS} Nothing leaves this machine.", elem_id="limits")
    if actions.examples:
        parts["examples"] = gr.Gallery(
            [(str(path), domain) for path, domain in actions.examples], label="Examples",
            columns=2, height="auto", object_fit="cover", allow_preview=False, buttons=[],
            interactive=False, elem_id="examples")
    return parts


def _outputs(gr: Any, actions: Actions) -> dict[str, Any]:
    """Add the result, its controls, and the conditions."""
    parts = dict(
        shown=gr.State(None, time_to_live=3600),
        view=gr.Radio(views.VIEWS, value=views.OVERLAY, show_label=False, container=False,
                      elem_id="view"),
        image=gr.Image(label=_PICK, show_label=True, format="jpeg", interactive=False,
                       buttons=["download", "fullscreen"], elem_id="result"),
        video=gr.Video(label="Video", interactive=False, visible=False, autoplay=True, loop=True,
                       elem_id="film"),
        bar=gr.HTML(views.confidence_bar(), visible=False),
        summary=gr.HTML("", elem_id="summary"))
    with gr.Row():
        parts["opacity"] = gr.Slider(0, 1, 0.5, step=0.05, label="Opacity", min_width=260,
                                     elem_id="opacity")
        parts["unsure"] = gr.Slider(
            0, 1, 0, step=0.05, label="Hatch confidence below", min_width=260,
            elem_id="unsure")
    parts["legend"] = gr.CheckboxGroup(
        views.legend(None, actions.classes), value=[*range(len(actions.classes))],
        label="Classes", show_select_all=True, elem_id="legend")
    with gr.Accordion("The same image in bad conditions", open=True, elem_id="conditions"):
        missing = missing_library()
        if missing:
            gr.Markdown(f"Corrupted images are not available. {missing}")
            return parts
        with gr.Row():
            parts["condition"] = gr.Dropdown(
                conditions.choices(), value=ORIGINAL, label="Condition", elem_id="condition")
            parts["severity"] = gr.Slider(1, 5, 3, step=1, label="Severity", elem_id="severity")
        parts["compare"] = gr.Button(
            f"Compare {len(conditions.COMPARED)} conditions", elem_id="compare")
        parts["gallery"] = gr.Gallery(
            label="Share of pixels that keep the class of the original", columns=3, height="auto",
            visible=False, interactive=False, format="jpeg", elem_id="compared",
            buttons=["fullscreen"])
        gr.HTML("The corruptions of Cityscapes-C, computed on the image. Night is none of them: "
                "use an image taken at night.", elem_id="limits")
    return parts


def _result(gr: Any, actions: Actions, shown: Shown, *settings: Any) -> tuple:
    """Return the updates that show a prediction: state, image, video, summary, legend."""
    picture = views.draw(shown.current, *settings)
    return (shown, gr.update(value=picture, visible=True, show_label=False),
            gr.update(visible=False), views.summary(shown, settings[2], settings[0]),
            gr.update(choices=views.legend(shown.current, actions.classes)))


def _file_result(gr: Any, actions: Actions, path: str, progress: Any, *settings: Any) -> tuple:
    """Return the updates that show a file; see `_result`."""
    if not inputs.is_video(path):
        return _result(gr, actions, actions.open_image(path), *settings)
    drawn, frames = actions.film(path, lambda one: views.draw(one, *settings), progress)
    note = views.hatch_note(settings[2], settings[0])
    text = (f'{note}<div class="facts"><div><b>{frames}</b><span>frames, drawn with the '
            "settings at the time of the upload</span></div></div>")
    return (None, gr.update(visible=False), gr.update(value=str(drawn), visible=True), text,
            gr.skip())


def _connect(gr: Any, actions: Actions, parts: dict[str, Any]) -> None:
    """Connect the controls with the actions."""
    look = [parts[name] for name in ("view", "opacity", "unsure", "legend")]
    results = [parts[name] for name in ("shown", "image", "video", "summary", "legend")]

    def open_file(path: str | None, *settings: Any, progress=gr.Progress()) -> tuple:  # noqa: B008
        found = (gr.skip(),) * len(results) if path is None else _or_message(
            gr, lambda: _file_result(gr, actions, path, progress, *settings), len(results))
        return (*found, None)  # the drop zone takes the next file

    def open_example(event: gr.SelectData, *settings: Any) -> tuple:
        path = actions.examples[event.index].path
        return _or_message(gr, lambda: _result(
            gr, actions, actions.open_image(path), *settings), len(results))

    def redraw(shown: Shown | None, *settings: Any) -> tuple:
        bar = gr.update(visible=settings[0] == views.CONFIDENCE)
        if shown is None:
            return gr.skip(), gr.skip(), bar
        text = views.summary(shown, settings[2], settings[0])
        return views.draw(shown.current, *settings), text, bar

    parts["file"].upload(
        open_file, [parts["file"], *look], [*results, parts["file"]], **_RUNNING)
    if "examples" in parts:
        parts["examples"].select(open_example, look, results, **_RUNNING)
    for control in look:
        control.input(
            redraw, [parts["shown"], *look], [parts["image"], parts["summary"], parts["bar"]],
            trigger_mode="always_last", show_progress="hidden", api_visibility="private")
    if "condition" in parts:
        _connect_conditions(gr, actions, parts, look, results)


def _connect_conditions(
    gr: Any, actions: Actions, parts: dict[str, Any], look: list, results: list,
) -> None:
    """Connect the controls of the conditions."""
    where = [parts["shown"], parts["condition"], parts["severity"], *look]

    def change(shown: Shown | None, condition: str, severity: int, *settings: Any) -> tuple:
        if shown is None or (condition == shown.condition == ORIGINAL):
            return (gr.skip(),) * len(results)
        return _or_message(gr, lambda: _result(
            gr, actions, actions.change_condition(shown, condition, severity), *settings),
            len(results))

    def compare(
        shown: Shown | None, severity: int, *settings: Any, progress=gr.Progress(),  # noqa: B008
    ) -> Any:
        if shown is None:
            gr.Info(_PICK)
            return gr.skip()
        return _or_message(gr, lambda: gr.update(visible=True, value=actions.compare(
            shown, severity, lambda one: views.draw(one, *settings), progress)), 1)

    parts["condition"].input(change, where, results, **_RUNNING)
    parts["severity"].release(change, where, results, **_RUNNING)
    parts["compare"].click(
        compare, [parts["shown"], parts["severity"], *look], parts["gallery"], **_RUNNING)
    opened = [parts["file"].upload]
    if "examples" in parts:
        opened.append(parts["examples"].select)
    for event in opened:  # a new image starts as it is
        event(lambda: (ORIGINAL, gr.update(visible=False)), None,
              [parts["condition"], parts["gallery"]], api_visibility="private",
              show_progress="hidden")


def _theme(gr: Any) -> Any:
    """Return Gradio's plain theme with the system's fonts, which need no download."""
    fonts = ("system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
    return gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", font=fonts,
        font_mono=("ui-monospace", "Consolas", "monospace"))


def check_port(port: int) -> None:
    """Raise a `UserError` if a port of this machine is taken, as `served` does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise _taken(port) from None
        except OverflowError:
            raise UserError(f"port {port}: expected a number from 1 to 65535.") from None


def _taken(port: int | None) -> UserError:
    return UserError(f"port {port or '7860 to 7959'} of {HOST} is taken. Name a free one with "
                     "--port.")


@contextmanager
def served(
    page: Any, palette: Sequence[Sequence[int]], port: int | None = None,
    examples: Sequence[inputs.Example] = (),
) -> Iterator[str]:
    """Serve the page on loopback while the context is open; uploads are deleted afterwards.

    Args:
        page: From `build_page`.
        palette: RGB of each class.
        port: TCP port; default: the first free one from 7860 on.
        examples: Files that the page may show.

    Yields:
        The page's address.

    Raises:
        UserError: The port is taken.
    """
    gr = import_gradio()
    try:
        _, url, _ = page.launch(
            server_name=HOST, server_port=port, share=False, quiet=True, prevent_thread_lock=True,
            max_file_size=f"{inputs.MAX_MEGABYTES}mb", footer_links=[], ssr_mode=False, pwa=False,
            enable_monitoring=False, mcp_server=False, theme=_theme(gr), state_session_capacity=8,
            css=f"{CSS}\n{views.legend_css(palette)}",
            allowed_paths=[str(example.path) for example in examples])
    except OSError:
        raise _taken(port) from None
    try:
        yield url
    finally:
        page.close(verbose=False)


@contextmanager
def private_folder() -> Iterator[None]:
    """Make Gradio keep uploads in a folder that is deleted when the context closes."""
    with tempfile.TemporaryDirectory(prefix="rein_demo_") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield
