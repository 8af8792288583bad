"""What ``cdg-eval`` does once frames and weights are known: score them, then write tables and pages."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.progress import track
from prep.errors import PackError
from prep.units import counted

if TYPE_CHECKING:
    from pipelines.evaluate.candidates import Candidate
    from pipelines.evaluate.comparison import Entry
    from pipelines.evaluate.conditions import Conditions
    from pipelines.evaluate.frame_sources import FrameSource
    from pipelines.evaluate.gallery import Gallery
    from pipelines.evaluate.pairs import Comparisons
    from prep.packs.reader import PackInfo

_COMPARED = 3  # frames of the same name, to see whether their pictures are equal


def make_candidates(frames: "FrameSource", conditions: "Sequence[Conditions]", out: Path | None) -> "list[Candidate]":
    """Name what is scored, and choose a scores folder for each; no weights are loaded."""
    from pipelines.evaluate.candidates import Candidate, folder_names, names_of

    paths = [each.weights for each in conditions if each.weights is not None]
    names = names_of(paths) or [frames.name if frames.scored == "restored" else frames.scored]
    is_one = len(conditions) == 1
    folders = [
        each.scores_folder(out if is_one or out is None else out / name, frames)
        for name, each in zip(folder_names(names), conditions, strict=True)
    ]
    files = [path.resolve() for path in paths] or folders
    for place, (folder, file) in enumerate(zip(folders, files, strict=True)):
        if folder in folders[:place] or file in files[:place]:
            first = folders.index(folder) if folder in folders[:place] else files.index(file)
            raise click.UsageError(f"{paths[first]} and {paths[place]} are the same file; pass it once")
    return [
        Candidate(name=f"{name}{each.options}", conditions=each, folder=folder, restorer=None)
        for name, each, folder in zip(names, conditions, folders, strict=True)
    ]


def warn_of_trained(frames: "FrameSource", networks: Sequence[Path | None]) -> None:
    """Warn of frames that a network was trained on, as far as the run folder around its weights shows."""
    from pipelines.train import runs

    for weights in filter(None, networks):
        trained = runs.frames_trained_on(weights.parent)
        shared = {
            number: found for number, key in enumerate(frames.keys) if (found := trained.get((frames.layout, key)))
        }
        if shared and (frames.layout != "pairs" or _is_any_equal(frames, shared)):
            of_all = f"{len(shared):,} of {counted(len(frames), 'frame')}"
            click.echo(
                f"warning: {weights} was trained on {of_all}; scores on them do not show how it does on new frames",
                err=True,
            )


def _is_any_equal(frames: "FrameSource", packed: "Mapping[int, tuple[PackInfo, Sequence[int]]]") -> bool:
    """Check on a sample whether frames, by number, show the same pictures as the frames of the same name in a pack.

    Names alone do not tell, because frames of many videos begin with 00000000.
    """
    from pipelines.packs import Frame, read_frame
    from pipelines.sampling import evenly_spaced

    with suppress(PackError, FileNotFoundError):  # the pack that was trained on may be damaged, or gone
        for number, (pack, rows) in evenly_spaced(list(packed.items()), _COMPARED):
            packed_sharp = read_frame([pack], Frame(0, frames.keys[number]), rows).sharp
            sharp = frames[number].sharp
            if sharp is not None and sharp.shape == packed_sharp.shape and bool((sharp == packed_sharp).all()):
                return True
    return False


def _place_of_comparison(names: "Sequence[str]", candidates: "Sequence[Candidate]", out: Path | None) -> Path:
    """The folder of a comparison: ``out`` for several networks, else a folder beside their scores."""
    if out is not None and len(candidates) > 1:
        return out
    from pipelines.evaluate.conditions import checksum

    folder = candidates[0].folder
    return folder.with_name(f"{folder.name}-compare-{checksum(names)}")


def score_and_report(
    frames: "FrameSource",
    candidates: "Sequence[Candidate]",
    earlier: "Sequence[Entry]",
    out: Path | None,
    workers: int,
) -> "tuple[dict[str, Any], dict[str, Comparisons], Path]":
    """Score what is missing, and write all tables and pages.

    Returns:
        The summary and the rows, or the comparison of several; how the frames scored in this run compare with their
        sharp ones; and the page to open.
    """
    from pipelines.evaluate import comparison, comparison_page, page
    from pipelines.evaluate import folder as scores_folder
    from pipelines.pages import page_file

    is_compared = len(candidates) + len(earlier) > 1
    names = [*(each.name for each in earlier), *(each.name for each in candidates)]
    place = _place_of_comparison(names, candidates, out) if is_compared else candidates[0].folder
    if is_compared:
        comparison.refuse_foreign(place, names)
        page_file.refuse_foreign(place / comparison_page.NAME)
    with ExitStack() as stack:
        for folder in dict.fromkeys([*(each.folder for each in candidates), place]):
            stack.enter_context(scores_folder.held(folder))
        gallery, comparisons = _score_all(frames, candidates, workers)
        entries = [*earlier, *(_report(frames, each) for each in candidates)]
        if is_compared:
            answer = _compare(frames, candidates, entries, gallery, place)
        else:
            (entry,) = entries
            answer = {**entry.summary, "rows": candidates[0].rows(frames)}
    return answer, comparisons, place / (comparison_page.NAME if is_compared else page.NAME)


def _score_all(
    frames: "FrameSource", candidates: "Sequence[Candidate]", workers: int
) -> "tuple[Gallery, dict[str, Comparisons]]":
    """Score the frames that are not in the candidates' folders yet.

    Returns:
        Pictures of the frames scored in this run, and how each frame compares with its sharp one.
    """
    from pipelines.evaluate import page
    from pipelines.evaluate.gallery import Gallery
    from pipelines.evaluate.scores import score_frames
    from pipelines.pages import page_file
    from pipelines.timing import device_name

    missing = 0
    for each in candidates:
        page_file.refuse_foreign(each.folder / page.NAME)
        each.begin(frames)
        missing += len(frames) - len(each.row_of)
        if each.row_of:
            count = counted(len(frames), "frame")
            click.echo(f"{len(each.row_of)} of {count} already scored in {each.folder}", err=True)
        if each.changed:
            these = f"{counted(each.changed, 'frame')} in {each.folder}"
            click.echo(f"{these} changed on disk after scoring; scored again", err=True)
    if missing:
        restorer = candidates[0].restorer
        device = device_name(restorer.device) if restorer else "cpu"
        many = f" ({len(candidates)} networks, {counted(len(frames), 'frame')} each)" if len(candidates) > 1 else ""
        click.echo(f"scoring {counted(missing, 'frame')}{many} on {device}", err=True)
    gallery = Gallery()
    comparisons: dict[str, Comparisons] = {}
    for _ in track(score_frames(frames, candidates, workers, gallery, comparisons), missing, "scoring", unit="frames"):
        pass
    return gallery, comparisons


def _report(frames: "FrameSource", candidate: "Candidate") -> "Entry":
    """Write the tables and the page of one candidate."""
    from pipelines.evaluate import examples, page
    from pipelines.evaluate import folder as scores_folder
    from pipelines.evaluate.comparison import Entry
    from pipelines.evaluate.summary import summarise

    folder, rows = candidate.folder, candidate.rows(frames)
    summary = summarise(rows, frames, candidate)
    scores_folder.write(folder, rows, summary)
    kept = examples.read(folder, rows)
    drawing, count = examples.draw_examples(frames, rows, candidate.restorer, candidate.shortlist, kept)
    drawn = list(track(drawing, count, "drawing pictures", unit="pictures"))
    examples.write(folder, rows, drawn)
    report = page.write(folder, rows, summary, drawn)
    click.echo(f"wrote {folder / 'results.csv'}, results.json and {report.name}", err=True)
    return Entry(name=candidate.name, row_of=candidate.row_of, summary=summary, folder=folder)


def _compare(
    frames: "FrameSource",
    candidates: "Sequence[Candidate]",
    entries: "Sequence[Entry]",
    gallery: "Gallery",
    folder: Path,
) -> dict[str, Any]:
    """Write the tables and the page of a comparison into a folder; returns what ``compare.json`` holds."""
    from pipelines.evaluate import comparison, comparison_page, lineups

    compared = comparison.compare_all(entries, frames.keys)
    comparison.write(folder, compared, entries, frames.keys)
    drawing, count = lineups.draw_all(frames, candidates, gallery, folder)
    drawn = list(track(drawing, count, "drawing pictures", unit="pictures"))
    lineups.keep(folder, candidates, drawn)
    path = comparison_page.write(folder, compared, entries, frames.keys, drawn)
    click.echo(f"wrote {path}, compare.csv and compare.json", err=True)
    return compared
