"""The rows of a study and its trainings: what is trained on which pack, into which folder.

A study folder contains ``runs``, with a run folder for each training, shared by all studies. The name of a run folder
ends with a checksum of everything that decides the training, so that no row of any study is trained twice and no runs
are mixed up. In each run folder, ``scores-PACK`` contains the scores on a test pack, and pictures.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.errors import TrainingError
from pipelines.paper import PaperScore
from pipelines.study.definitions import FINE_TUNED, FIRST, TRANSFER, Study
from pipelines.train import run_folder, runs
from pipelines.train.runs import Run
from pipelines.train.schedule import total_steps
from pipelines.train.settings import TrainingConfig
from pipelines.train.split import split_by_source
from prep.packs.reader import PackInfo, content_checksum, read_info


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One row of a study's table: what is trained, except the seed."""

    name: str  # the value that is varied
    masks: str  # method and mu; empty if the training uses no masks
    config: TrainingConfig
    pack: Path
    paper: PaperScore | None
    after: "StudyRow | None" = None  # row whose weights it starts from, seed by seed

    @property
    def title(self) -> str:
        """Name of the row, with its masks, which distinguish rows of the same name."""
        return f"{self.name}, {self.masks}" if self.masks else self.name


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of a study: a row with a seed."""

    row: StudyRow
    seed: int
    config: TrainingConfig
    folder: Path  # run folder
    test: Path  # pack that it is scored on
    scores: Path  # folder of its scores, inside the run folder
    first: "Training | None" = None  # training whose weights it starts from

    @property
    def title(self) -> str:
        """Title of the row, and the seed."""
        return f"{self.row.title}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether it is trained and scored."""
        return (self.scores / "results.csv").exists()

    def plan(self, *, keep: bool) -> Run:
        """Return the run from ``runs.prepare``.

        If nothing is to be written and the weights that it starts from do not exist yet, it is planned without them.
        """
        is_early = self.first is not None and not self.first.is_done and not keep
        config = replace(self.config, init=None) if is_early else self.config
        return runs.prepare(config, [self.row.pack], self.folder, keep=keep)


def rows(study: Study, base: TrainingConfig, packs: Sequence[Path], only: Sequence[str] = ()) -> list[StudyRow]:
    """Return the rows of a study, in the paper's order; a row that learns from masks occurs once per pack.

    Args:
        study: The study.
        base: Settings that all rows share.
        packs: Packs of the same crops with different masks.
        only: Names of the rows to return; empty for all.

    Raises:
        TrainingError: If packs differ in more than their masks, or a row does not exist.
    """
    _refuse_other_frames(packs)
    values = {study.name(value): value for value in study.values}
    _refuse_unknown(only, list(values))
    rows = []
    for name, value in values.items():
        config = study.config(base, value)
        uses_masks = runs.learns_from_masks(config)
        for pack in packs if uses_masks else packs[:1]:
            masks = _masks(pack, config, study) if uses_masks else ""
            rows.append(StudyRow(name=name, masks=masks, config=config, pack=pack, paper=study.paper.get(name)))
    return [row for row in rows if not only or row.name in only]


def transfer_rows(
    study: Study, base: TrainingConfig, pack: Path, fine: Path, only: Sequence[str] = ()
) -> list[StudyRow]:
    """Return the rows of a study that goes from one data set to another, with the rows that they start from.

    Args:
        study: The study.
        base: Settings that all trainings share.
        pack: Pack of the first data set.
        fine: Pack of the second data set.
        only: Names of the rows to return; empty for all.

    Raises:
        TrainingError: If a row does not exist.
    """
    _refuse_unknown(only, TRANSFER)
    rows: dict[str, StudyRow] = {}
    for name in TRANSFER:
        rows[name] = StudyRow(
            name=name,
            masks="",  # the masks of each data set, which are not compared
            config=base,
            pack=pack if name == FIRST else fine,
            paper=study.paper.get(name),
            after=rows[FIRST] if name == FINE_TUNED else None,
        )
    wanted = {*only, *([FIRST] if FINE_TUNED in only else [])} or set(TRANSFER)
    return [row for row in rows.values() if row.name in wanted]


def trainings(rows: Sequence[StudyRow], seeds: int, test: Path, folder: Path) -> list[Training]:
    """Return every training of a study: all rows with the first seed, then with the next.

    Raises:
        DataError, PackError: If the settings do not allow training on a pack.
    """
    scores = f"scores-{test.stem}-{content_checksum([read_info(test)]):08x}"
    trainings: dict[tuple[str, int], Training] = {}
    for row in rows:
        pack = read_info(row.pack)
        steps = total_steps(row.config, len(split_by_source([pack], row.config.val).train))
        for seed in range(row.config.seed, row.config.seed + seeds):
            first = trainings[row.after.title, seed] if row.after else None
            config = replace(row.config, seed=seed)
            asked = {**runs.identity(config, [pack], steps), "steps": steps}
            if first is not None:  # its weights need not exist yet
                asked["after"] = first.folder.name
                config = replace(config, init=str(first.folder / run_folder.WEIGHTS))
            checksum = zlib.crc32(json.dumps(asked, sort_keys=True).encode())
            place = folder / "runs" / f"{config.variant}-seed{seed}-{checksum:08x}"
            trainings[row.title, seed] = Training(
                row=row, seed=seed, config=config, folder=place, test=test, scores=place / scores, first=first
            )
    return sorted(trainings.values(), key=lambda training: training.seed)


def _masks(pack: Path, config: TrainingConfig, study: Study) -> str:
    header = read_info(pack).header
    if "mu" in study.fields:  # mu is the row's name already
        return header.method
    return f"{header.method} {header.mu if config.mu is None else config.mu:g}"


def _refuse_unknown(only: Sequence[str], names: Sequence[str]) -> None:
    if unknown := [name for name in only if name not in names]:
        raise TrainingError(f"the study has no row {', '.join(unknown)}; its rows are {', '.join(names)}")


def _refuse_other_frames(packs: Sequence[Path]) -> None:
    """Refuse packs that differ in more than their masks."""
    first, *others = (_crops_of(read_info(pack)) for pack in packs)
    for pack, crops in zip(packs[1:], others, strict=True):
        if crops != first:
            raise TrainingError(
                f"{packs[0]} and {pack} contain different crops; pass packs that differ only in their masks"
            )


def _crops_of(pack: PackInfo) -> tuple[object, ...]:
    """Return what identifies the crops of a pack, whatever its masks."""
    return pack.keys, pack.origins, pack.header.crop, pack.header.layout, pack.header.variant
