"""Event files for TensorBoard, which draws curves, histograms, texts and pictures of a run while it trains.

    with EventWriter("runs/laptop-1/tensorboard") as events:
        events.scalars(step, {"train/loss": 2.31})

    tensorboard --logdir runs

The package `tensorboard` has the format and the file; neither PyTorch nor TensorFlow is needed. It is an extra, and
imported only where a writer is made.
"""

from __future__ import annotations

import os
import struct
import textwrap
import time
from collections.abc import Mapping

import numpy as np

BUCKETS = 40  # of a histogram
MAX_VALUES = 1 << 16  # that a histogram looks at, spread evenly over a larger array


def require_tensorboard() -> None:
    """Raises ValueError, with the command that installs it, where the package is missing."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise ValueError(
            'writing for TensorBoard needs its package: pip install "tinygrad_llm[tensorboard]", or leave out '
            "--tensorboard"
        ) from None


class EventWriter:
    """A new event file in `folder`; used in a `with` block.

    `start_step`: a run that resumes after that step says so, and TensorBoard forgets what it had beyond. Raises
    ValueError where the package tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike, start_step: int = 0):
        require_tensorboard()
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._file = EventFileWriter(os.fspath(folder))
        self._add(start_step + 1, session_log=SessionLog(status=SessionLog.START))

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *error) -> None:
        self._file.close()

    def sync(self) -> None:
        """Hand over to the system what was added, which else happens every two minutes."""
        self._file.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by their tags, such as "train/loss"; tags with the same beginning are shown together."""
        self._add_values(step, [{"tag": tag, "simple_value": float(value)} for tag, value in values.items()])

    def histogram(self, step: int, tag: str, values: np.ndarray) -> None:
        """How the finite ones of `values` are distributed; nothing where there are none."""
        from tensorboard.compat.proto.summary_pb2 import HistogramProto

        flat = np.ravel(values)[:: -(-values.size // MAX_VALUES) or 1].astype(np.float64)
        flat = flat[np.isfinite(flat)]
        if not flat.size:
            return
        counts, edges = np.histogram(flat, BUCKETS)
        histogram = HistogramProto(
            min=flat.min(),
            max=flat.max(),
            num=flat.size,
            sum=flat.sum(),
            sum_squares=np.square(flat).sum(),
            bucket_limit=edges[1:].tolist(),
            bucket=counts.tolist(),
        )
        self._add_values(step, [{"tag": tag, "histo": histogram}])

    def text(self, step: int, tag: str, text: str) -> None:
        """As it is, line by line: indented, since TensorBoard reads Markdown, where that means code."""
        from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto

        plugin = SummaryMetadata.PluginData(plugin_name="text")
        code = textwrap.indent(text, "    ", lambda line: True)
        tensor = TensorProto(dtype="DT_STRING", string_val=[code.encode()])
        self._add_values(step, [{"tag": tag, "metadata": SummaryMetadata(plugin_data=plugin), "tensor": tensor}])

    def image(self, step: int, tag: str, png: bytes) -> None:
        """A picture, as the content of a PNG file. Raises ValueError for anything else."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        if png[:8] != b"\x89PNG\r\n\x1a\n":
            raise ValueError(f"EventWriter.image: {tag!r} is no PNG file, it begins with {png[:8]!r}.")
        width, height = struct.unpack(">II", png[16:24])
        picture = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        self._add_values(step, [{"tag": tag, "image": picture}])

    def _add_values(self, step: int, values: list[dict]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(step, summary=Summary(value=[Summary.Value(**value) for value in values]))

    def _add(self, step: int, **content) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._file.add_event(Event(wall_time=time.time(), step=step, **content))
