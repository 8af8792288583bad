"""Short films for tests."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = Fraction(30000, 1001)


def smooth(number: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """A coloured frame without edges, another one for each number: a codec keeps nearly all of it."""
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(x / 23 + number / 5 + phase) * np.cos(y / 31 + phase) for phase in (0, 1, 2)]
    return np.rint(127 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def write_film(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: Fraction = RATE,
    sound: str | None = None,
    turn: int = 0,
    ticks: Any = None,
    colours: tuple[int, int, int, int] | None = None,
    options: dict[str, str] | None = None,
    chapters: dict[str, tuple[int, int]] | None = None,
) -> None:
    """Write pictures at a rate, or at ticks of it; with a tone of ``sound``'s codec, and a title.

    ``options`` are the codec's; ``chapters`` begin and end at milliseconds, by title.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "A title"
        listed = enumerate((chapters or {}).items(), 1)
        container.set_chapters([_chapter(place, title, *ends) for place, (title, ends) in listed])
        quality = {"crf": "4"} if codec == "libx264" else {}
        stream: Any = container.add_stream(codec, rate=rate, options={**quality, **(options or {})})
        stream.pix_fmt = pixels
        tone: Any = container.add_stream(sound, rate=48000) if sound else None
        if turn:
            stream.set_display_rotation(turn)
        if colours:
            context = stream.codec_context
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = colours
        samples = 0
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame: Any = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if colours:
                frame = frame.reformat(format=pixels, dst_colorspace=colours[0], dst_color_range=colours[3])
            frame.pts, frame.time_base = ticks(number) if ticks else number, 1 / rate
            container.mux(stream.encode(frame))
            while tone and samples / 48000 < (number + 1) / rate:
                container.mux(tone.encode(_tone(samples)))
                samples += 1024
        container.mux(stream.encode(None))
        if tone:
            container.mux(tone.encode(None))


def _chapter(place: int, title: str, start: int, end: int) -> Any:
    return {"id": place, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}


def _tone(start: int) -> Any:
    wave = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)[None] / 4
    frame: Any = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
    return frame


def sound_bytes(path: Path) -> bytes:
    """All packets of a film's sound, as they are."""
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(audio=0)) if container.streams.audio else b""
