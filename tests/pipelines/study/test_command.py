"""cdg-study: every row trained alike, nothing twice, and what it writes."""

import base64
import io
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from commands import call, mistake
from lightning_fabric import Fabric
from PIL import Image
from study_runs import CONFIG, WORDS, table

from pipelines.evaluate.measures import MEASURES
from pipelines.study import design, scoring
from pipelines.study.comparisons import table_rows
from pipelines.study.definitions import STUDIES
from pipelines.study.estimate import TimeEstimate
from pipelines.study.scoring import read_results
from pipelines.study.sentences import author_sentences
from pipelines.train import run_folder
from prep.packs import reader


def test_a_row_that_looks_at_no_masks_is_trained_once_a_seed(study: Path) -> None:
    runs = table(study / "table3-runs.csv")

    assert [(row["row"], row["masks"], row["seed"]) for row in runs] == [
        *(("dmphn-1", "", seed) for seed in "01"),
        *(("cdgnet", masks, seed) for masks in ("lbp 0.96", "lbp 0.5") for seed in "01"),
    ]
    assert len(list((study / "runs").iterdir())) == 6


def test_the_tables_hold_what_the_runs_scored(study: Path) -> None:
    runs, summary = table(study / "table3-runs.csv"), table(study / "table3.csv")
    for row in runs:
        (scores,) = (study / "runs" / row["run"]).glob("scores-*/results.csv")
        assert table(scores)[-1]["psnr"] == row["psnr"]

    for line in summary:
        values = [float(row["psnr"]) for row in runs if (row["row"], row["masks"]) == (line["row"], line["masks"])]
        assert float(line["psnr_mean"]) == pytest.approx(sum(values) / 2)
        assert float(line["psnr_spread"]) == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert [line["psnr_paper"] for line in summary] == ["28.78", "30.67", "30.67"]
    assert all(float(line["minutes"]) > 0 for line in summary)


def test_the_scores_are_those_of_cdg_eval(study: Path, test_pack: Path) -> None:
    row = table(study / "table3-runs.csv")[-1]
    weights = study / "runs" / row["run"] / "weights.safetensors"
    done = call(study, "evaluate", "--weights", weights, "--h5", test_pack, "--out", study / "evaluated")
    assert done.returncode == 0, done.stderr

    scored = table(study / "evaluated" / "results.csv")[-1]
    measures = [name for name in MEASURES if name in scored]
    assert len(measures) == 5
    assert {name: scored[name] for name in measures} == {name: row[name] for name in measures}


def test_the_page_shows_the_table_and_needs_no_other_file(study: Path) -> None:
    text = (study / "table3.html").read_text(encoding="utf-8")

    assert re.findall(r"<td>([\d.]+ ± [\d.]+)</td>", text)
    assert text.count("<figure") == 2 * 2 * 5  # of two frames a part and the whole: blurry, three rows, sharp
    assert "28.78" in text and "312,353" in text
    assert "default-src 'none'" in text and not re.search(r'(?:src|href)="(?!data:)', text)


@pytest.mark.slow
def test_nothing_is_trained_twice_and_another_budget_is_another_run(
    study: Path, train_pack: Path, test_pack: Path, tmp_path: Path
) -> None:
    study = shutil.copytree(study.parent, tmp_path / "work") / study.name  # other tests read its page
    before = {path: path.stat().st_mtime_ns for path in (study / "runs").rglob("*.safetensors")}
    words = ("--h5", train_pack, "--test", test_pack, "--only", "cdgnet", *WORDS)

    line = mistake(study.parent, "study", "table3", *words, "--seeds", "2")
    assert "table3-runs.csv lists 4 trainings that this command does not include" in line
    for path in study.glob("table3*"):
        path.unlink()
    same = call(study.parent, "study", "table3", *words, "--seeds", "2")
    for path in study.glob("table3*"):
        path.unlink()
    more = call(study.parent, "study", "table3", *words, "--seeds", "1", "--steps", "1")

    assert "2 of 2 trainings done" in same.stdout and "nothing left to train" in same.stdout
    assert "0 of 1 training done" in more.stdout and more.returncode == 0
    assert before.items() <= {path: path.stat().st_mtime_ns for path in (study / "runs").rglob("*.safetensors")}.items()
    assert len(list((study / "runs").iterdir())) == 7


def test_a_dry_run_trains_and_writes_nothing(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "study", "loss", "--h5", train_pack, "--test", test_pack, *WORDS, "--dry-run")

    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "dry run: nothing was trained"
    assert not list(tmp_path.iterdir())


def test_mistakes_are_one_line(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    packs = ("--h5", train_pack, "--test", test_pack)

    assert "its rows are dmphn-1" in mistake(tmp_path, "study", "table3", *packs, *WORDS, "--only", "dmphn")
    assert "--loss is varied or fixed by this study" in mistake(
        tmp_path, "study", "loss", *packs, *WORDS, "--loss", "l1"
    )
    line = mistake(tmp_path, "study", "table3", *packs, "--h5", test_pack, *WORDS)
    assert "contain different crops; pass packs that differ only in their masks" in line
    assert not list(tmp_path.iterdir())


def test_trainings_that_fail_are_named_and_without_any_there_is_no_table(
    train_pack: Path, test_pack: Path, tmp_path: Path
) -> None:
    words = ("--h5", train_pack, "--test", test_pack, "--seeds", "1", *WORDS, "--steps", "4", "--learning-rate", "1e30")

    done = call(tmp_path, "study", "table3", *words, "--only", "dmphn-1", "--only", "cdgnet")

    assert done.returncode == 1
    assert "cdgnet, lbp 0.96, seed 0: 3 losses in a row were not finite, or exploded" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "no training has finished, so there is no table; see the messages above"
    )
    assert not (tmp_path / "studies" / "table3.csv").exists()


@pytest.mark.slow
def test_the_supervision_is_compared_with_its_controls(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    words = ("--h5", train_pack, "--test", test_pack, "--seeds", "1", *WORDS, "--only", "none", "--only", "region")

    done = call(tmp_path, "study", "supervision", *words)

    none, region = (float(row["psnr_m1"]) for row in table(tmp_path / "studies" / "supervision-runs.csv"))
    difference = f"{region - none:+.2f}"
    said = done.stdout[done.stdout.index("PSNR, where blur is small (M = 1)") :]
    assert re.search(rf"region, lbp 0.96 +{re.escape(difference)}\n", said)
    page = (tmp_path / "studies" / "supervision.html").read_text(encoding="utf-8")
    assert f'<th scope="row">region</th><td class="masks">lbp 0.96</td><td>{difference}</td>' in page
    assert "Row by row" not in page  # no pair but with the control


def test_what_a_study_varies_or_fixes_cannot_be_asked_for(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    packs = ("--h5", train_pack, "--test", test_pack)
    for option in (("--attention", "none"), ("--variant", "cdgnet")):
        assert f"{option[0]} is varied or fixed by this study" in mistake(
            tmp_path, "study", "table4", *packs, *WORDS, *option
        )


def test_a_row_that_two_studies_share_is_trained_once(study: Path, train_pack: Path, test_pack: Path) -> None:
    words = ("--h5", train_pack, "--test", test_pack, *WORDS, "--dry-run")

    loss = call(study.parent, "study", "loss", *words, "--seeds", "2").stdout
    attention = call(study.parent, "study", "table1", *words, "--seeds", "2").stdout

    assert "2 of 6 trainings done" in loss and "l2, lbp 0.96, seed 1: done" in loss
    assert "nothing left to train" in attention


@pytest.mark.slow
def test_fine_tuning_goes_on_from_the_same_seeds_weights(transferred: Path) -> None:
    folders = {
        (row["row"], row["seed"]): transferred / "runs" / row["run"] for row in table(transferred / "table2-runs.csv")
    }

    assert len(folders) == 6
    for seed in "01":
        first = folders["GoPro alone", seed] / "weights.safetensors"
        asked = run_folder.read_request(folders["fine-tuned", seed])
        assert asked["init"] == f"crc32 {zlib.crc32(first.read_bytes()):08x}"
        assert run_folder.read_request(folders["VideoDeblurring alone", seed])["init"] is None
    page = (transferred / "table2.html").read_text()
    assert (
        '<th scope="row">DMPHN 2019</th>' in page and "34.78" in page and "are quoted from the authors' table" in page
    )


def test_frames_of_the_author_are_scored_apart_on_his_data_set(
    study: Path, monkeypatch: pytest.MonkeyPatch, test_pack: Path, train_pack: Path
) -> None:
    jobs = design.trainings(design.rows(STUDIES["table1"], CONFIG, [train_pack]), 2, test_pack, study)
    assert not any(result.author for result in read_results(jobs))

    pack = reader.read_info(test_pack)
    theirs = replace(pack, header=replace(pack.header, layout="videodeblurring"))
    monkeypatch.setattr(scoring, "read_info", lambda path: theirs)
    monkeypatch.setattr(scoring, "author_frames", lambda keys: [min(keys)])
    results = read_results(jobs)
    for result in results:
        rows = [row for row in table(result.training.scores / "results.csv") if row["key"].startswith("GOPR")]
        assert result.author["psnr"] == float(min(rows, key=lambda row: row["key"])["psnr"])
    (said,) = author_sentences(table_rows(results))
    assert said.startswith("cdgnet, lbp 0.96, only the 30 frames per video that the author scores: ")


@pytest.mark.slow
def test_the_list_says_what_each_study_takes_and_counts_no_training_twice(tmp_path: Path) -> None:
    done = call(tmp_path, "study", "list", *WORDS, "--seeds", "2")

    assert done.returncode == 0, done.stderr
    rows = {
        cells[0]: cells[1:3]
        for line in done.stdout.splitlines()
        if len(cells := line.split()) > 3 and cells[1].isdecimal()
    }
    assert rows["table1"] == ["2", "2"]
    assert rows["table2"] == ["6", "4"]  # GoPro alone is table1's
    assert rows["table3"] == ["18", "16"]  # cdgnet is
    assert rows["table4"] == ["8", "6"]  # both is table3's large-branch
    assert rows["loss"] == ["6", "4"]
    assert rows["masks"] == ["10", "6"]  # lbp is table1's, none is lambda's 0
    assert "H100: the same estimate, from 32 ms per step" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("table3",), "table3 needs two packs; pass --h5 FILE to train on and --test FILE"),
        (("table2", "--h5", "PACK", "--test", "PACK"), "table2 needs --fine FILE"),
        (("table3", "--h5", "PACK", "--test", "PACK", "--fine", "PACK"), "--fine is for table2 only; leave it out"),
    ],
)
def test_packs_that_a_study_cannot_use_are_one_line(
    tmp_path: Path, train_pack: Path, words: tuple[str, ...], said: str
) -> None:
    given = [str(train_pack) if word == "PACK" else word for word in words]
    assert said in mistake(tmp_path, "study", *given)


@pytest.mark.slow
def test_a_study_of_mu_shows_the_masks_of_every_mu(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "study", "mu", "--h5", train_pack, "--test", test_pack, "--seeds", "1", *WORDS)
    assert done.returncode == 0, done.stderr

    page = (tmp_path / "studies" / "mu.html").read_text()
    with reader.open_pack(test_pack) as pack:
        share = (pack["sharpness"][0] > 0.93 * 65535).mean()
    assert page.count("M at mu = 0.93") >= 2 and f"M at mu = 0.93: {share:.1%} small blur" in page
    assert "M at mu = 0.96" in page


def test_whole_frames_are_shown_of_a_test_pack_of_crops(
    gopro: Path, train_pack: Path, packing_of: Callable[[Path, Path, str, int | None], Path], tmp_path: Path
) -> None:
    crops = packing_of(gopro, tmp_path / "packs", "test", 48)
    words = ("--h5", train_pack, "--test", crops, "--only", "dmphn-1", "--seeds", "1", *WORDS)
    assert call(tmp_path, "study", "table3", *words).returncode == 0

    page = (tmp_path / "studies" / "table3.html").read_text(encoding="utf-8")
    shown = [
        Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"data:image/\w+;base64,([^\"]+)", page)
    ]
    wholes = [picture for picture in shown if picture.size == (80, 64)]
    parts = [picture for picture in shown if picture.size == (240, 192)]  # all of so small a frame, enlarged
    assert len(wholes) == len(parts) == 6 == len(shown) / 2


def test_the_time_left_stays_where_a_training_and_its_scoring_took_what_was_expected(
    train_pack: Path, test_pack: Path, tmp_path: Path
) -> None:
    rows = design.rows(STUDIES["table3"], CONFIG, [train_pack], ["dmphn-1"])
    trainings = design.trainings(rows, 2, test_pack, tmp_path)
    estimate = TimeEstimate(trainings, Fabric(accelerator="cpu", devices=1))
    expected = estimate.seconds_left()

    estimate.correct(trainings[0], 1.0, estimate.seconds[trainings[0].row.title])
    assert estimate.seconds_left() == pytest.approx(expected)
    # Of one that was trained before, all that was left was to score it.
    estimate.correct(trainings[1], 0.0, estimate.scoring[trainings[1].row.title])
    assert estimate.seconds_left() == pytest.approx(expected)
