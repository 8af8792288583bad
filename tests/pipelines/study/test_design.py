"""Studies: every row trained alike, nothing twice, and what the table says of them."""

import csv
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from commands import call, mistake

from pipelines.errors import TrainingError
from pipelines.evaluate.measures import MEASURES
from pipelines.paper import PaperScore
from pipelines.study import design
from pipelines.study.comparisons import TableRow, compare, table_rows
from pipelines.study.definitions import STUDIES
from pipelines.study.scoring import Result, read_results
from pipelines.study.sentences import author_sentences, comparison_text, verdict
from pipelines.train import run_folder, runs
from pipelines.train.settings import TrainingConfig
from pipelines.train.split import read_info
from prep.io import files
from prep.packs import packing, store

CONFIG = TrainingConfig(preset="tiny", steps=2, batch=2, crop=32, workers=0, val=())
WORDS = ("--preset", "tiny", "--steps", "2", "--batch", "2", "--crop", "32", "--workers", "0", "--val", "none")


@pytest.fixture(scope="module")
def other_masks(train_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training pack with another mu."""
    path = tmp_path_factory.mktemp("other") / "other.h5"
    list(packing.remask(train_pack, 0.5, path))
    return path


@pytest.fixture(scope="module")
def study(train_pack: Path, other_masks: Path, test_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder after a study of two rows, two kinds of masks and two seeds."""
    folder = tmp_path_factory.mktemp("work")
    only = ("--only", "dmphn-1", "--only", "cdgnet")
    packs = ("--h5", train_pack, "--h5", other_masks, "--test", test_pack)
    done = call(folder, "study", "table3", *packs, *only, "--seeds", "2", *WORDS)
    assert done.returncode == 0, done.stderr
    assert "0 of 6 trainings done" in done.stdout
    return folder / "studies"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


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
    assert text.count("<figure") == 2 * 5  # two frames: blurry, three rows, sharp
    assert "28.78" in text and "312,353" in text
    assert "default-src 'none'" in text and not re.search(r'(?:src|href)="(?!data:)', text)


def test_nothing_is_trained_twice_and_another_budget_is_another_run(
    study: Path, train_pack: Path, test_pack: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (study / "runs").rglob("*.safetensors")}
    words = ("--h5", train_pack, "--test", test_pack, "--only", "cdgnet", *WORDS)

    line = mistake(study.parent, "study", "table3", *words, "--seeds", "2")
    assert "table3-runs.csv holds 4 trainings that are not asked for" in line
    for table in study.glob("table3*"):
        table.unlink()
    same = call(study.parent, "study", "table3", *words, "--seeds", "2")
    for table in study.glob("table3*"):
        table.unlink()
    more = call(study.parent, "study", "table3", *words, "--seeds", "1", "--steps", "1")

    assert "2 of 2 trainings done" in same.stdout and "nothing left to train" in same.stdout
    assert "0 of 1 trainings done" in more.stdout and more.returncode == 0
    assert before.items() <= {path: path.stat().st_mtime_ns for path in (study / "runs").rglob("*.safetensors")}.items()
    assert len(list((study / "runs").iterdir())) == 7


def test_a_dry_run_trains_and_writes_nothing(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "study", "loss", "--h5", train_pack, "--test", test_pack, *WORDS, "--dry-run")

    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "nothing done: --dry-run"
    assert not list(tmp_path.iterdir())


def test_mistakes_are_one_line(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    packs = ("--h5", train_pack, "--test", test_pack)

    assert "it has dmphn-1" in mistake(tmp_path, "study", "table3", *packs, *WORDS, "--only", "dmphn")
    assert "--loss is what this study varies" in mistake(tmp_path, "study", "loss", *packs, *WORDS, "--loss", "l1")
    line = mistake(tmp_path, "study", "table3", *packs, "--h5", test_pack, *WORDS)
    assert "hold other crops; pass packs that differ in their masks alone" in line
    assert not list(tmp_path.iterdir())


def test_trainings_that_fail_are_named_and_without_any_there_is_no_table(
    train_pack: Path, test_pack: Path, tmp_path: Path
) -> None:
    words = ("--h5", train_pack, "--test", test_pack, "--seeds", "1", *WORDS, "--steps", "4", "--learning-rate", "1e30")

    done = call(tmp_path, "study", "table3", *words, "--only", "dmphn-1", "--only", "cdgnet")

    assert done.returncode == 1
    assert "cdgnet, lbp 0.96, seed 0: 3 non-finite losses in a row" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("no training has come to an end, so there is no table")
    assert not (tmp_path / "studies" / "table3.csv").exists()


def line(name: str, paper: float, *psnr: float, masks: str = "") -> TableRow:
    row = design.StudyRow(name=name, masks=masks, config=CONFIG, pack=Path("p.h5"), paper=PaperScore(paper, 0.9))
    results = []
    for seed, value in enumerate(psnr):
        config = replace(CONFIG, seed=seed)
        training = design.Training(
            row=row, seed=seed, config=config, folder=Path("r"), test=Path("t.h5"), scores=Path("r/s")
        )
        results.append(Result(training=training, means={"psnr": value}, author={}, seconds=1))
    return TableRow(row=row, results=results)


def test_rows_are_compared_seed_by_seed() -> None:
    low, high = line("one", 28.0, 25.0, 27.0, 26.0), line("two", 30.5, 25.5, 26.9, 26.8)

    (step,) = compare([low, high])

    assert step.gains == pytest.approx([0.5, -0.1, 0.8])
    assert comparison_text(step) == "two against one: +0.40 dB ± 0.46, higher in 2 of 3 seeds (the authors: +2.50 dB)"


def test_each_kind_of_masks_is_compared_with_the_rows_before_and_with_the_other_kind() -> None:
    rows = [line("base", 28.0, 20.0), *(line("net", 30.0, 21.0 + i, masks=m) for i, m in enumerate(("lbp", "paired")))]

    said = [(step.after.row.title, step.before.row.title) for step in compare(rows)]

    assert said == [("net, lbp", "base"), ("net, paired", "base"), ("net, paired", "net, lbp")]


def test_the_verdict_counts_what_held() -> None:
    first, second, third = line("a", 28, 20.0, 20.2), line("b", 29, 21.0, 20.1), line("c", 30, 20.3, 20.3)

    (said,) = verdict([first, second, third])

    # a < b by the means but not in the second seed; a < c always; b > c by the means.
    assert said == (
        "The authors' order of 3 rows did not hold: 2 of 3 pairs of rows stand as theirs in the means, 1 in every seed."
    )


def test_without_an_order_of_the_authors_the_highest_row_is_named() -> None:
    none, masks = (replace(line(name, 0, *psnr).row, paper=None) for name, psnr in (("none", ()), ("masks", ())))
    low = TableRow(row=none, results=line("none", 0, 20.0, 20.2).results)
    high = TableRow(row=masks, results=line("masks", 0, 20.1, 20.1).results)
    higher = TableRow(row=masks, results=line("masks", 0, 20.5, 20.1).results)

    assert verdict([low, high]) == ["none is the highest of 2 rows, 20.10 dB in the mean."]
    assert verdict([low, higher]) == [
        "Highest in the mean: masks against none: +0.20 dB ± 0.42, higher in 1 of 2 seeds."
    ]
    assert verdict([line("cdgnet", 30.67, 27.0)]) == [
        "cdgnet stands alone, 27.00 dB in the mean. The authors state 30.67 dB, SSIM 0.900 of cdgnet."
    ]


def test_a_row_of_a_study_differs_in_what_the_study_names_alone() -> None:
    for study in STUDIES.values():
        for value in study.values:
            config, varied = asdict(study.config(CONFIG, value)), {*study.fields, *study.fixed}
            assert {config[name] for name in study.fields} <= {value}
            assert {name for name in config if config[name] != asdict(CONFIG)[name]} <= varied
        assert set(study.paper) <= {str(value) for value in study.values}


def test_packs_with_other_frames_are_refused(train_pack: Path, test_pack: Path) -> None:
    with pytest.raises(TrainingError, match="hold other crops"):
        design.rows(STUDIES["table3"], CONFIG, [train_pack, test_pack])


@pytest.mark.slow
def test_a_study_killed_three_times_ends_with_the_same_table(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("cdg-study")), "loss", "--h5", str(train_pack), "--test"]
    command += [str(test_pack), *WORDS, "--steps", "8", "--seeds", "2", "--checkpoint-minutes", "0"]
    assert subprocess.run([*command, "--out", "whole"], cwd=tmp_path).returncode == 0

    for begun in (1, 3, 5):  # of six trainings: each kill falls into the one that has just begun
        process = subprocess.Popen([*command, "--out", "killed"], cwd=tmp_path)
        while process.poll() is None and len(list((tmp_path / "killed").glob("runs/*/log.jsonl"))) < begun:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert subprocess.run([*command, "--out", "killed"], cwd=tmp_path).returncode == 0

    one, two = ((tmp_path / name / "loss-runs.csv").read_bytes() for name in ("whole", "killed"))
    assert one == two


@pytest.mark.slow
def test_processes_share_a_study(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    script = str(Path(sys.executable).with_name("cdg-study"))
    words = [script, "loss", "--h5", train_pack, "--test", test_pack, *WORDS, "--steps", "8", "--seeds", "2"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

    done = subprocess.run([*launch, *map(str, words)], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "studies" / "loss-runs.csv")) == 6
    for run in (tmp_path / "studies" / "runs").iterdir():  # each trained by one of them, once
        assert [row["step"] for row in files.read_rows(run / "log.jsonl")] == [1, 8]


HOLD = """
import sys, time
from pathlib import Path
from prep.io import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("is_trained", [False, True])
def test_what_another_process_has_in_hand_is_neither_trained_nor_scored(
    study: Path, train_pack: Path, test_pack: Path, tmp_path: Path, is_trained: bool
) -> None:
    shutil.copytree(study / "runs", tmp_path / "studies" / "runs")
    rows = design.rows(STUDIES["table1"], CONFIG, [train_pack])
    first, second = design.trainings(rows, 2, test_pack, tmp_path / "studies")
    shutil.rmtree(first.scores)
    if not is_trained:
        (first.folder / "weights.safetensors").unlink()  # as between its last checkpoint and its weights
    words = ("table1", "--h5", train_pack, "--test", test_pack, "--seeds", "2", *WORDS)

    with subprocess.Popen([sys.executable, "-c", HOLD, first.folder / "lock"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        beside = call(tmp_path, "study", *words)
        holder.kill()
    assert beside.returncode == 0, beside.stderr
    assert "trained by other processes: 1 of 2" in beside.stdout
    assert not first.is_done and second.is_done

    after = call(tmp_path, "study", *words)
    assert after.returncode == 0, after.stderr
    assert "by other processes" not in after.stdout
    assert table(first.scores / "results.csv") == table(
        study / "runs" / first.folder.name / first.scores.name / "results.csv"
    )


def test_table_4_varies_the_attention_of_the_large_branch_alone(train_pack: Path, other_masks: Path) -> None:
    rows = design.rows(STUDIES["table4"], CONFIG, [train_pack, other_masks])
    networks = [runs.network_of(row.config) for row in rows]

    assert [row.title for row in rows] == ["none", "channel", "spatial", "both"]
    assert [network.attention for network in networks] == ["none", "channel", "spatial", "both"]
    assert len({replace(network, attention="both") for network in networks}) == 1
    assert networks[-1] == runs.network_of(replace(CONFIG, variant="large-branch"))
    found = [row.paper for row in rows]
    assert found[0] == PaperScore(28.88, 0.920) and found[-1] == STUDIES["table3"].paper["large-branch"]


def test_what_masks_are_worth_is_told_by_a_row_that_learns_from_none(train_pack: Path, other_masks: Path) -> None:
    rows = design.rows(STUDIES["masks"], CONFIG, [train_pack, other_masks])
    assert [row.title for row in rows] == ["no masks", "masks, lbp 0.96", "masks, lbp 0.5"]
    assert [row.config.lambda_large for row in rows] == [0, 0.1, 0.1]


def test_what_a_study_varies_or_fixes_cannot_be_asked_for(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    packs = ("--h5", train_pack, "--test", test_pack)
    for option in (("--attention", "none"), ("--variant", "cdgnet")):
        assert f"{option[0]} is what this study" in mistake(tmp_path, "study", "table4", *packs, *WORDS, *option)


def test_runs_of_before_there_was_a_choice_of_attention_go_on(train_pack: Path) -> None:
    assert "attention" not in runs.identity(CONFIG, [read_info(train_pack)], 2)
    assert runs.identity(replace(CONFIG, attention="none"), [read_info(train_pack)], 2)["attention"] == "none"


def test_a_row_that_two_studies_share_is_trained_once(study: Path, train_pack: Path, test_pack: Path) -> None:
    words = ("--h5", train_pack, "--test", test_pack, *WORDS, "--dry-run")

    loss = call(study.parent, "study", "loss", *words, "--seeds", "2").stdout
    attention = call(study.parent, "study", "table1", *words, "--seeds", "2").stdout

    assert "2 of 6 trainings done" in loss and "l2, lbp 0.96, seed 1: done" in loss
    assert "nothing left to train" in attention


def test_attention_asked_for_by_name_is_the_variants_own_where_it_is(train_pack: Path) -> None:
    config = replace(CONFIG, variant="large-branch")
    same, other = (
        runs.identity(replace(config, attention=attention), [read_info(train_pack)], 2)
        for attention in ("both", "none")
    )
    assert runs.identity(config, [read_info(train_pack)], 2) == same != other


@pytest.fixture(scope="module")
def transferred(train_pack: Path, other_masks: Path, test_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder after a transfer of two seeds; the second data set is the first one at another mu."""
    folder = tmp_path_factory.mktemp("work")
    words = ("--h5", train_pack, "--fine", other_masks, "--test", test_pack, "--seeds", "2", *WORDS)
    dry = call(folder, "study", "table2", *words, "--dry-run")
    assert "0 of 6 trainings done" in dry.stdout and not list(folder.iterdir()), dry.stderr
    done = call(folder, "study", "table2", *words)
    assert done.returncode == 0, done.stderr
    assert "The authors state 35.25 dB, SSIM 0.968 of fine-tuned." in done.stdout
    assert "6 of 6 trainings done" in call(folder, "study", "table2", *words).stdout
    return folder / "studies"


def test_fine_tuning_goes_on_from_the_same_seeds_weights(transferred: Path) -> None:
    found = {
        (row["row"], row["seed"]): transferred / "runs" / row["run"] for row in table(transferred / "table2-runs.csv")
    }

    assert len(found) == 6
    for seed in "01":
        first = found["GoPro alone", seed] / "weights.safetensors"
        asked = run_folder.read_request(found["fine-tuned", seed])
        assert asked["init"] == f"crc32 {zlib.crc32(first.read_bytes()):08x}"
        assert run_folder.read_request(found["VideoDeblurring alone", seed])["init"] is None
    page = (transferred / "table2.html").read_text()
    assert "<td>DMPHN 2019</td>" in page and "34.78" in page and "are quoted from the authors' table" in page


def test_only_what_is_fine_tuned_brings_what_it_goes_on_from(train_pack: Path, other_masks: Path) -> None:
    transfer = STUDIES["table2"]
    names = [row.name for row in design.transfer_rows(transfer, CONFIG, train_pack, other_masks, ["fine-tuned"])]
    assert names == ["GoPro alone", "fine-tuned"]
    with pytest.raises(TrainingError, match="the study has no row tuned; it has GoPro alone, fine-tuned, VideoDebl"):
        design.transfer_rows(transfer, CONFIG, train_pack, other_masks, ["tuned"])


def test_frames_of_the_author_are_scored_apart_on_his_data_set(
    study: Path, monkeypatch: pytest.MonkeyPatch, test_pack: Path, train_pack: Path
) -> None:
    jobs = design.trainings(design.rows(STUDIES["table1"], CONFIG, [train_pack]), 2, test_pack, study)
    assert not any(result.author for result in read_results(jobs))

    header = store.read_header
    monkeypatch.setattr(store, "read_header", lambda file: replace(header(file), layout="videodeblurring"))
    monkeypatch.setattr("pipelines.study.scoring.author_frames", lambda keys: [min(keys)])
    results = read_results(jobs)
    for result in results:
        rows = [row for row in table(result.training.scores / "results.csv") if row["key"].startswith("GOPR")]
        assert result.author["psnr"] == float(min(rows, key=lambda row: row["key"])["psnr"])
    (said,) = author_sentences(table_rows(results))
    assert said.startswith("cdgnet, lbp 0.96, the author's 30 frames of each video alone: ")


def test_the_list_says_what_each_study_takes_and_counts_no_training_twice(tmp_path: Path) -> None:
    done = call(tmp_path, "study", "list", *WORDS, "--seeds", "2")

    assert done.returncode == 0, done.stderr
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[4:6]]
        for line in done.stdout.splitlines()
        if len(cells := line.split("│")) > 6
    }
    assert rows["table1"] == ["2", "2"]
    assert rows["table2"] == ["6", "4"]  # GoPro alone is table1's
    assert rows["table3"] == ["18", "16"]  # cdgnet is
    assert rows["table4"] == ["8", "6"]  # both is table3's large-branch
    assert rows["loss"] == ["6", "4"]
    assert rows["masks"] == ["10", "6"]  # lbp is table1's, none is lambda's 0
    assert "No H100 was measured" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("table3",), "table3 needs --h5, a pack to train on, and --test, one to score on"),
        (("table2", "--h5", "PACK", "--test", "PACK"), "--fine is for table2 alone, which needs it, and one --h5"),
        (("table3", "--h5", "PACK", "--test", "PACK", "--fine", "PACK"), "--fine is for table2 alone"),
    ],
)
def test_packs_that_a_study_cannot_use_are_one_line(
    tmp_path: Path, train_pack: Path, words: tuple[str, ...], said: str
) -> None:
    given = [str(train_pack) if word == "PACK" else word for word in words]
    assert said in mistake(tmp_path, "study", *given)


def test_a_study_of_mu_shows_the_masks_of_every_mu(train_pack: Path, test_pack: Path, tmp_path: Path) -> None:
    done = call(tmp_path, "study", "mu", "--h5", train_pack, "--test", test_pack, "--seeds", "1", *WORDS)
    assert done.returncode == 0, done.stderr

    page = (tmp_path / "studies" / "mu.html").read_text()
    with store.open_pack(test_pack) as pack:
        share = (pack["sharpness"][0] > 0.93 * 65535).mean()
    assert page.count("M at mu 0.93") >= 2 and f"M at mu 0.93: {share:.1%} marked" in page
    assert "M at mu 0.96" in page
