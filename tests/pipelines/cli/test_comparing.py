"""Several networks in one evaluation: one table, one page, each frame restored once by each."""

import csv
import json
import re
from pathlib import Path

import pytest
from commands import call, mistake
from peer_networks import write

from pipelines.restore.restorer import Restorer

pytest.importorskip("spandrel")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("peers")
    return write(folder, "NAFNet"), write(folder, "Restormer")


def test_several_networks_become_one_table_and_one_page(
    weights: Path, peers: tuple[Path, Path], test_pack: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "--weights", weights, *peers, "--h5", test_pack, "--out", "scores")
    done = call(tmp_path, *words)

    assert done.returncode == 0, done.stderr
    assert "NAFNet minus train: psnr" in done.stdout and "Restormer minus train: psnr" in done.stdout
    assert "95 % intervals: bootstrap over frames; too narrow" in done.stdout
    compared = json.loads((tmp_path / "scores" / "compare.json").read_text())
    assert [entry["name"] for entry in compared["entries"]] == ["train", "NAFNet", "Restormer"]
    assert len(compared["differences"]) == 3
    by_itself = call(tmp_path, "evaluate", "--weights", peers[0], "--h5", test_pack, "--out", "alone", "--json")
    assert compared["entries"][1]["mean"]["psnr"] == pytest.approx(json.loads(by_itself.stdout)["mean"]["psnr"])
    page = (tmp_path / "scores" / "compare.html").read_text(encoding="utf-8")
    assert "Where the results differ most" in page and "largest difference" in page and "quoted" not in page
    assert (tmp_path / "scores" / "NAFNet" / "report.html").exists()
    with (tmp_path / "scores" / "compare.csv").open() as file:
        (first, _) = csv.DictReader(file)
    assert {"key", "train psnr", "NAFNet psnr", "Restormer ssim"} <= first.keys()
    with (tmp_path / "scores" / "NAFNet" / "results.csv").open() as file:
        gains = [float(row["psnr"]) - float(row["psnr_blurry"]) for row in csv.DictReader(file)]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("NAFNet  ") and "too few" in line)
    assert f" {sum(gains) / len(gains):+.2f} " in line and f" {min(gains):+.2f} " in line


@pytest.mark.slow
def test_no_frame_is_restored_twice_not_even_by_the_same_command(
    weights: Path, peers: tuple[Path, Path], test_pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    restore = Restorer._restore

    def counting(self: Restorer, *words: object) -> object:
        passes.append(1)
        return restore(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Restorer, "_restore", counting)
    words = ("evaluate", "--weights", *peers, "--h5", test_pack, "--out", "scores")
    assert call(tmp_path, *words).returncode == 0
    assert len(passes) == 4
    page = (tmp_path / "scores" / "compare.html").read_bytes()
    kept = tmp_path / "scores" / "compare-pictures.json"
    kept.write_text(kept.read_text().replace('"reasons": "', '"reasons": "outdated '))
    assert call(tmp_path, *words).returncode == 0
    assert len(passes) == 4
    assert (tmp_path / "scores" / "compare.html").read_bytes() == page


@pytest.mark.slow
def test_earlier_scores_are_compared_with(
    weights: Path, peers: tuple[Path, Path], test_pack: Path, tmp_path: Path
) -> None:
    call(tmp_path, "evaluate", "--weights", peers[0], "--h5", test_pack, "--out", "one")
    call(tmp_path, "evaluate", "--weights", peers[1], "--h5", test_pack, "--out", "two", "--precision", "bf16-mixed")
    words = ("--h5", test_pack, "--out", "own", "--against", "one", "--against", "two", "--json")
    done = call(tmp_path, "evaluate", "--weights", weights, *words, "--strength", "2")
    compared = json.loads(done.stdout)
    assert [entry["name"] for entry in compared["entries"]] == ["NAFNet", "Restormer", "train (strength 2)"]
    gaps = {(each["of"], each["less"]): each["means"]["psnr"] for each in compared["differences"]}
    means = {entry["name"]: entry["mean"]["psnr"] for entry in compared["entries"]}
    new, earlier = "train (strength 2)", "NAFNet"
    assert gaps[new, earlier] == pytest.approx(means[new] - means[earlier]), "what is new minus what was earlier"
    assert compared["entries"][0]["cost"]["parameters"] > 0
    assert len(list(tmp_path.glob("own-compare-*/compare.html"))) == 1


@pytest.mark.slow
def test_earlier_scores_of_one_name_stay_apart(peers: tuple[Path, Path], test_pack: Path, tmp_path: Path) -> None:
    for name, network in zip("ab", peers, strict=True):
        (tmp_path / name / "best").mkdir(parents=True)
        (tmp_path / name / "best" / "weights.pth").write_bytes(network.read_bytes())
        words = ("--weights", f"{name}/best/weights.pth", "--h5", test_pack, "--out", f"{name}/scores")
        assert call(tmp_path, "evaluate", *words).returncode == 0
    words = ("--h5", test_pack, "--out", "c", "--against", "a/scores", "--against", "b/scores", "--against", "a/scores")
    done = call(tmp_path, "evaluate", "--no-weights", *words, "--json")
    compared = json.loads(done.stdout)
    names = [entry["name"] for entry in compared["entries"]]
    assert names == ["best", "best (scores)", "best (scores) 2", "blurry"]
    gaps = {(each["of"], each["less"]): each["means"]["psnr"] for each in compared["differences"]}
    assert gaps["best (scores) 2", "best"] == 0 != gaps["best (scores)", "best"]
    (table,) = tmp_path.glob("c-compare-*/compare.csv")
    with table.open() as file:
        assert len(next(csv.reader(file))) == 1 + 4 * 5


@pytest.mark.slow
def test_scores_of_other_frames_are_not_compared(
    weights: Path, test_pack: Path, train_pack: Path, tmp_path: Path
) -> None:
    call(tmp_path, "evaluate", "--no-weights", "--h5", train_pack, "--out", "one")
    line = mistake(tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--against", "one")
    assert "one has no scores of GOPR0003_00_00/" in line and "score the same frames" in line


def test_a_wrong_name_of_scores_is_answered_with_those_at_hand(test_pack: Path, tmp_path: Path) -> None:
    words = ("evaluate", "--h5", test_pack, "--against", "on")
    assert "--against: on does not exist; pass a scores folder of cdg-eval, or its results" in mistake(tmp_path, *words)
    call(tmp_path, "evaluate", "--no-weights", "--h5", test_pack, "--out", "one")
    assert "on does not exist; pass a scores folder of cdg-eval, such as one" in mistake(tmp_path, *words)


def test_a_network_is_compared_with_others_and_not_with_itself(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    line = mistake(
        tmp_path,
        "evaluate",
        "--weights",
        weights,
        weights,
        "--h5",
        test_pack,
    )
    assert "are the same file; pass it once" in line


def test_weights_that_follow_no_option_are_named(weights: Path, test_pack: Path, tmp_path: Path) -> None:
    assert "pass weights as --weights FILE" in mistake(tmp_path, "evaluate", weights, "--h5", test_pack)


@pytest.mark.slow
def test_a_comparison_is_not_replaced_by_that_of_others(
    weights: Path, peers: tuple[Path, Path], test_pack: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "--h5", test_pack, "--weights", peers[0], "--weights")
    assert call(tmp_path, *words, peers[1], "--out", "c").returncode == 0
    line = mistake(tmp_path, *words, weights, "--out", "c")
    assert line.endswith("c contains a comparison of NAFNet, Restormer; use another --out")
    assert "NAFNet minus train" in call(tmp_path, "evaluate", "--h5", test_pack, "--weights", weights, peers[0]).stdout


def test_scores_of_other_pictures_of_the_same_names_are_not_compared(
    peers: tuple[Path, Path], test_pack: Path, tmp_path: Path
) -> None:
    call(tmp_path, "evaluate", "--no-weights", "--h5", test_pack, "--out", "one")
    table = tmp_path / "one" / "results.csv"
    head, first, *rest = table.read_text().splitlines()
    column = head.split(",").index("psnr")
    blurry = first.split(",")
    text = "\n".join([f"{head},psnr_blurry", f"{first},{float(blurry[column]) + 1}", *(f"{each}," for each in rest)])
    table.write_text(text + "\n")
    line = mistake(tmp_path, "evaluate", "--weights", peers[0], "--h5", test_pack, "--against", "one")
    assert re.search(
        r"is not the same picture in \S+ \(blurry frame [\d.]+ dB\) and in one \([\d.]+ dB\); score the same", line
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--root", ".", "--sharp", "."), "--root and --sharp exclude each other"),
        (("--split", "train", "--blurry", "."), "--blurry and --split exclude each other"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in mistake(tmp_path, "evaluate", *words)


@pytest.mark.parametrize("name", ["compare.html", "compare-pictures.json"])
def test_a_persons_own_file_is_refused_before_any_frame_is_scored(
    peers: tuple[Path, Path], test_pack: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / name).write_text("mine")
    line = mistake(tmp_path, "evaluate", "--weights", *peers, "--h5", test_pack, "--out", "scores")
    assert f"{name} would be replaced" in line
    assert not list((tmp_path / "scores").glob("*/scores.jsonl"))


@pytest.mark.parametrize("damage", ['"by_extent": {"ranges": 5}', '"cost": {"parameters": "x"}', '"weights": 7', "]"])
def test_damaged_earlier_scores_are_one_line(weights: Path, test_pack: Path, tmp_path: Path, damage: str) -> None:
    call(tmp_path, "evaluate", "--no-weights", "--h5", test_pack, "--out", "one")
    (tmp_path / "one" / "results.json").write_text("{" + damage + "}")
    line = mistake(tmp_path, "evaluate", "--weights", weights, "--h5", test_pack, "--against", "one")
    assert "one is damaged" in line and "score the frames again" in line
