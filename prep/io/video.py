"""Read videos as upright frames with their times; ``video_parts`` writes videos.

Legend: H, W a frame's height and width as it is shown.
"""

import heapq
import shlex
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation

from prep.arrays import Bytes, Codes
from prep.errors import FrameError
from prep.units import counted

KEPT = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")  # containers that are written; others become .mkv
SUFFIXES = (*KEPT, ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".wmv", ".3gp")
UNKNOWN, BT709, BT601, FULL = 2, 1, 5, 2  # FFmpeg's numbers for colour matrices and the full range

_MOST_REORDERED = 16  # frames that H.264 and HEVC may decode before one that is shown earlier
_NOT_KEPT = {  # side data of frames that are lost -> their name for the user
    "MASTERING_DISPLAY_METADATA": "HDR mastering data",
    "CONTENT_LIGHT_LEVEL": "HDR light levels",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "STEREO3D": "stereo metadata",
    "SPHERICAL": "panorama metadata",
}

# Colour is stored at half the resolution; FFmpeg's fast conversion to RGB and back is 23 dB worse than this.
EXACT: dict[str, Any] = {
    "interpolation": int(
        Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    ),
    "threads": 0,  # one per core
}


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Properties of a video, from its header and its first frame."""

    size: tuple[int, int]  # (height, width) as shown
    rate: Fraction  # mean frames per second
    frames: int  # number of frames; estimated from the duration if not stored; 0 if both are unknown
    seconds: float  # stored duration; 0 if unknown
    clock: Fraction  # seconds per tick
    pixels: str  # pixel format to write, by its name in FFmpeg
    matrix: int  # colour matrix; it and the next three are FFmpeg's numbers
    range: int
    primaries: int
    transfer: int
    aspect: Fraction  # width / height of a pixel; 0 if unknown
    changes: tuple[str, ...]  # properties that a copy loses or changes, as text for the user


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame of a video and the time at which it is shown."""

    pixels: Bytes | Codes  # (H, W, 3) RGB; uint8, or uint16 over its full range if the video has more than 8 bits
    seconds: float  # from the video's start
    ticks: int  # the same time in ticks of the video's clock, which may not start at 0


def is_video(path: PurePath) -> bool:
    """Check whether a file name is that of a video: a known suffix in upper or lower case, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def describe(path: Path) -> VideoInfo:
    """Read the properties of a video from its header and its first frame.

    Raises:
        FrameError: If the file contains no readable video.
    """
    with opened(path) as container:
        stream = video_stream(container, path)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        first = next(container.decode(stream), None)
        if first is None:
            raise FrameError(f"{path} contains no frame that can be decoded; copy or download it again")
        sides = (first.height, first.width)
        is_turned = _quarters(first) % 2 == 1
        aspect = stream.sample_aspect_ratio or Fraction(0)
        return VideoInfo(
            size=(sides[1], sides[0]) if is_turned else sides,
            rate=rate,
            frames=stream.frames or round(seconds * rate),
            seconds=seconds,
            clock=stream.time_base,
            pixels=_writable(first),
            matrix=BT709 if first.format.is_rgb else first.colorspace,
            range=FULL if first.format.name.startswith("yuvj") else first.color_range,
            primaries=stream.codec_context.color_primaries,
            transfer=stream.codec_context.color_trc,
            aspect=1 / aspect if is_turned and aspect else aspect,
            changes=_changes(container, stream, first),
        )


def read(path: Path, since: int | None = None) -> Iterator[Moment]:
    """Yield all frames in the order of their times.

    Interlaced frames are deinterlaced (FFmpeg's bwdif, two fields to one frame). Frames are rotated upright, and
    converted by the file's colour matrix and range. The frame rate may vary: the times are those in the file.

    Args:
        path: The video.
        since: Skip frames before this time (ticks); decoding starts at the nearest possible place before it.

    Raises:
        FrameError: If the file contains no video, is damaged, or jumps back in time.
    """
    for frame, seconds, ticks in _timed_frames(path, since):
        yield Moment(pixels=to_pixels(frame), seconds=seconds, ticks=ticks)


def glance(path: Path, width: int) -> Iterator[tuple[Bytes, int]]:
    """Yield every frame small and grey, ``(h, w)`` with w at most ``width``, not rotated, with its ticks.

    This is fast, to find cuts and repeated frames.

    Raises:
        FrameError: As for ``read``.
    """
    for frame, _, ticks in _timed_frames(path, None):
        across = min(width, frame.width)
        down = max(1, round(frame.height * across / frame.width))
        small = frame.reformat(width=across, height=down, format="gray", interpolation="AREA")
        yield np.ascontiguousarray(small.to_ndarray()), ticks


def _timed_frames(path: Path, since: int | None) -> Iterator[tuple[Any, float, int]]:
    with opened(path) as container:
        stream = video_stream(container, path)
        start = stream.start_time or 0
        stamped = _stamped(_decoded_since(container, stream, since), stream, start)
        if container.format.name == "avi":  # AVI stores times in decoding order
            stamped = _in_order(stamped)
        for frame in _deinterlaced(_increasing(stamped, stream, path), stream):
            ticks = round(frame.pts * frame.time_base / stream.time_base)
            if since is None or ticks >= since:
                yield frame, float((ticks - start) * stream.time_base), ticks


def _stamped(frames: Iterator[Any], stream: Any, start: int) -> Iterator[Any]:
    """Set the time of every frame that has none."""
    for number, frame in enumerate(frames):
        if frame.pts is None:
            frame.pts = frame.dts
        if frame.pts is None:  # as in an old AVI: derive the time from the frame rate
            frame.pts = start + round(number / (stream.average_rate or Fraction(25)) / stream.time_base)
        yield frame


def _in_order(frames: Iterator[Any]) -> Iterator[Any]:
    """Reassign the times in ascending order; the frames are already in the order in which they are shown."""
    waiting: deque[Any] = deque()
    stamps: list[int] = []
    for frame in frames:
        waiting.append(frame)
        heapq.heappush(stamps, frame.pts)
        if len(waiting) > _MOST_REORDERED:
            waiting[0].pts = heapq.heappop(stamps)
            yield waiting.popleft()
    for frame in waiting:
        frame.pts = heapq.heappop(stamps)
        yield frame


def _increasing(frames: Iterator[Any], stream: Any, path: Path) -> Iterator[Any]:
    """Make times strictly increasing: a frame up to 1 s too early is moved to one tick after the frame before it.

    Raises:
        FrameError: If a time is more than 1 s before the previous one.
    """
    last: int | None = None
    for frame in frames:
        if last is not None and frame.pts <= last:
            back = float((last - frame.pts) * stream.time_base)
            if back > 1:
                raise FrameError(
                    f"{path} jumps back in time by {back:.1f} s; repair it with: "
                    f"ffmpeg -i {shlex.quote(str(path))} -c copy repaired.mkv"
                )
            frame.pts = last + 1
        last = frame.pts
        yield frame


def _deinterlaced(frames: Iterator[Any], stream: Any) -> Iterator[Any]:
    """Deinterlace the frames from the first interlaced one on."""
    graph: Any = None
    for frame in frames:
        if graph is None and frame.interlaced_frame:
            graph = av.filter.Graph()
            chain = (
                graph.add_buffer(template=stream),
                graph.add("bwdif", "mode=send_frame:deint=interlaced"),
                graph.add("buffersink"),
            )
            graph.link_nodes(*chain).configure()
        if graph is None:
            yield frame
        else:
            graph.push(frame)
            yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _pulled(graph: Any) -> Iterator[Any]:
    """Yield the frames that a filter has ready."""
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return


def _decoded_since(container: Any, stream: Any, since: int | None) -> Iterator[Any]:
    """Yield frames from at or before a time; from the first frame if the file does not allow seeking."""
    if since is not None:
        container.seek(since, stream=stream)
        first = next(container.decode(stream), None)
        if first is not None and first.pts is not None and first.pts <= since:
            yield first
            yield from container.decode(stream)
            return
        container.seek(stream.start_time or 0, stream=stream)
    yield from container.decode(stream)


# From version 19 on PyAV keeps metadata that are not UTF-8 by default, and no longer has this option.
_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file with PyAV; FFmpeg's errors become FrameErrors with the file name."""
    try:
        with av.open(address(path), container_options={"protocol_whitelist": "file"}, **_METADATA) as container:
            yield container
    except av.FFmpegError as error:
        raise FrameError(
            f"{path} cannot be read as a video ({error.strerror or error}); copy or download it again"
        ) from error


def address(path: Path) -> str:
    """Return a path as FFmpeg needs it: FFmpeg would take the ``12:`` of ``12:30 walk.mp4`` for a network protocol."""
    return f"file:{path.absolute()}"


def video_stream(container: Any, path: Path) -> Any:
    """Return the first video stream, set to decode in several threads.

    Raises:
        FrameError: If no video stream can be decoded.
    """
    stream = next((stream for stream in container.streams.video if stream.codec_context is not None), None)
    if stream is None:
        raise FrameError(f"{path} contains no video that can be decoded; convert it to .mp4")
    stream.thread_type = "AUTO"
    return stream


def _changes(container: Any, stream: Any, first: Any) -> tuple[str, ...]:
    """Describe what ``video_parts`` changes or drops in a video, judged by its first frame."""
    kinds = [each.type.name for each in first.side_data]
    metadata = [name for kind, name in _NOT_KEPT.items() if kind in kinds]
    others = len(container.streams) - len(container.streams.audio) - len(container.streams.subtitles) - 1
    has_alpha = any(part.is_alpha for part in first.format.components) or stream.metadata.get("alpha_mode") == "1"
    said = {
        "interlaced frames are deinterlaced": first.interlaced_frame,
        "alpha is dropped": has_alpha,
        f"{depth(first)} bits per channel become 10": depth(first) > 10,
        f"{', '.join(metadata)} dropped": bool(metadata),
        f"{counted(others, 'track')} dropped (not picture, sound or subtitles)": others > 0,
    }
    return tuple(text for text, is_so in said.items() if is_so)


def depth(frame: Any) -> int:
    """Return the bits per channel of a frame."""
    return max(int(component.bits) for component in frame.format.components)


def to_pixels(frame: Any) -> Bytes | Codes:
    """Convert a decoded frame to ``(H, W, 3)`` RGB, upright."""
    pixels = frame.reformat(format="rgb48le" if depth(frame) > 8 else "rgb24", **EXACT).to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, _quarters(frame)))


def _quarters(frame: Any) -> int:
    """Return the number of counter-clockwise quarter turns that make a frame upright."""
    return round(int(frame.rotation) / 90) % 4


def _writable(frame: Any) -> str:
    """Return the pixel format that the encoders support and that is nearest to a frame's."""
    plane = frame.format.components[min(1, len(frame.format.components) - 1)]
    across, down = (side > part for side, part in ((frame.width, plane.width), (frame.height, plane.height)))
    is_even = frame.width % 2 == 0 and frame.height % 2 == 0
    sampling = {(True, True): "420", (True, False): "422"}.get((across, down), "444") if is_even else "444"
    return f"yuv{sampling}p" + ("10le" if depth(frame) > 8 else "")
