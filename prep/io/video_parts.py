"""Write restored videos with the times, colours and sound of their sources.

A video is written in parts, each atomically, and the parts are joined at the end: a killed run continues after its
last part.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

from prep.errors import FrameError
from prep.io import files
from prep.io.video import BT601, EXACT, UNKNOWN, Moment, VideoInfo, address, describe, opened


@contextmanager
def writing(path: Path, info: VideoInfo, quality: int, suffix: str) -> Iterator[Callable[[Moment], float]]:
    """Encode a part of a video; yield a function that encodes the next moment and returns its time in seconds.

    The file appears when the block ends.

    Args:
        path: The part to write.
        info: The source video.
        quality: 1 to 100; 95 is a constant rate factor (x264) of 14, 50 of 32.
        suffix: Suffix of the final video: WebM is encoded as VP9, all others as H.264.
    """
    with files.replacing(path) as part, _named_errors(path), av.open(address(part), "w", format="nut") as container:
        stream = _add_stream(container, info, quality, suffix)

        def write(moment: Moment) -> float:
            container.mux(stream.encode(_to_frame(moment, info)))
            return moment.seconds

        yield write
        container.mux(stream.encode(None))


def _add_stream(container: Any, info: VideoInfo, quality: int, suffix: str) -> Any:
    """Add a stream without B-frames: frames are stored in the order they are shown, so that parts can be joined."""
    rate_factor = round(12 + (100 - quality) * 0.4)
    if suffix == ".webm":
        options = {"crf": str(rate_factor + 6), "b": "0", "lag-in-frames": "0", "auto-alt-ref": "0", "row-mt": "1"}
        stream = container.add_stream("libvpx-vp9", rate=info.rate, options=options)
    else:
        options = {"crf": str(rate_factor), "bf": "0", "x264-params": "repeat-headers=1"}
        stream = container.add_stream("libx264", rate=info.rate, options=options)
    stream.height, stream.width, stream.pix_fmt = *info.size, info.pixels
    context = stream.codec_context
    context.time_base = stream.time_base = info.clock
    context.colorspace, context.color_range = info.matrix, info.range
    context.color_primaries, context.color_trc = info.primaries, info.transfer
    if info.aspect:
        context.sample_aspect_ratio = info.aspect
    return stream


def _to_frame(moment: Moment, info: VideoInfo) -> Any:
    kind = "rgb48le" if moment.pixels.dtype == np.uint16 else "rgb24"
    frame: Any = av.VideoFrame.from_ndarray(moment.pixels, format=kind)
    matrix = {UNKNOWN: BT601, 6: BT601}.get(info.matrix, info.matrix)
    frame = frame.reformat(format=info.pixels, dst_colorspace=matrix, dst_color_range=info.range or 1, **EXACT)
    frame.pts, frame.time_base = moment.ticks, info.clock
    return frame


def join(parts: Iterable[Path], source: Path, target: Path, quality: int) -> float:
    """Join parts into one video, with the sound, subtitles, chapters and metadata of the source.

    Args:
        parts: The parts, in order.
        source: The video that the parts were made from.
        target: The video to write; its suffix decides the container.
        quality: As for the parts.

    Returns:
        Time, in seconds from the source's start, of the last packet (pictures, sound or subtitles).

    Raises:
        FrameError: If the container cannot store the sound or subtitles, or FFmpeg fails.
    """
    options = {"movflags": "+faststart+use_metadata_tags"} if target.suffix.lower() in (".mp4", ".mov", ".m4v") else {}
    kind = {".mkv": "matroska", ".m4v": "mp4"}.get(target.suffix.lower(), target.suffix.lower()[1:])
    with (
        opened(source) as original,
        files.replacing(target) as whole,
        _named_errors(target),
        av.open(address(whole), "w", format=kind, options=options) as container,
    ):
        container.metadata.update(original.metadata)
        container.set_chapters(original.chapters())
        picture = _add_stream(container, describe(source), quality, target.suffix.lower())
        beside: dict[int, Any] = {}
        for stream in (*original.streams.audio, *original.streams.subtitles):
            beside[stream.index] = _add_copy(container, stream, target)
            beside[stream.index].metadata.update(stream.metadata)
        streams = [_pictures(parts, picture), _beside(original, beside)]
        end = 0.0
        for seconds, packet in heapq.merge(*streams, key=lambda timed: timed[0]):
            container.mux_one(packet)
            end = seconds
        return end - (original.start_time or 0) / 1e6


def _add_copy(container: Any, stream: Any, target: Path) -> Any:
    try:
        return container.add_stream_from_template(stream)
    except ValueError as error:
        raise FrameError(
            f"{target} cannot store the sound or subtitles of its source ({error}); convert the source to .mkv"
        ) from error


def _pictures(parts: Iterable[Path], stream: Any) -> Iterator[tuple[float, Any]]:
    for part in parts:
        with opened(part) as container:
            for packet in container.demux(video=0):
                packet.dts = packet.pts  # a short part has none
                yield from _timed(packet, stream)


def _beside(original: Any, streams: dict[int, Any]) -> Iterator[tuple[float, Any]]:
    """Yield the packets of sound and subtitles, unchanged, with their times in seconds."""
    if not streams:
        return
    for packet in original.demux([original.streams[index] for index in streams]):
        yield from _timed(packet, streams[packet.stream.index])


def _timed(packet: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    if packet.dts is None:  # the empty packet at the end
        return
    seconds = float(packet.dts * packet.time_base)
    packet.stream = stream
    yield seconds, packet


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn FFmpeg's errors into FrameErrors with the file name, and a full disk into an OSError."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError) and error.errno == 28:
            raise OSError(28, "No space left on device", str(path)) from error
        raise FrameError(f"{path} cannot be written as a video ({error.strerror or error})") from error
