"""How the weights that come with cdgnet are made, and the card that says so."""

import csv
import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cdgnet import CDGNet, ModelConfig, load_weights, read_metadata, save_weights
from pipelines import card, free_photos, recipe
from pipelines.cli import train, weights
from pipelines.errors import DataError
from pipelines.train.settings import TrainingConfig
from prep.io import frames

CARD_FIELDS = ("name", "network", "hours", "steps", "device", "seed", "date", "commit", "scores", "commands")
ROW = {"psnr_blurry": 25.0, "psnr": 26.0, "ssim_blurry": 0.7, "ssim": 0.8}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "photographs", np.random.default_rng(0)
    with_credits(
        folder, [("garden.png", "Garden", "A. Painter", "CC0"), ("kodim05.png", "Suite", "Eastman Kodak", "free")]
    )
    for name in ("garden.png", "kodim05.png"):
        blocks = rng.integers(0, 256, (30, 38, 3), np.uint8)
        frames.write(folder / name, blocks.repeat(16, axis=0).repeat(16, axis=1))
    return folder


@pytest.fixture(autouse=True)
def few_collages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_photos, "COLLAGES", 2)


def with_credits(folder: Path, rows: list[tuple[str, str, str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / free_photos.SOURCES).open("w", newline="") as file:
        csv.writer(file).writerows([("file", "source", "author", "licence"), *rows])


def test_held_out_photographs_are_kept_apart(photographs: Path, tmp_path: Path) -> None:
    pictures = free_photos.gather(photographs, tmp_path / "out")

    train, test = ({path.name for path in (tmp_path / "out" / split).iterdir()} for split in ("train", "test"))
    soft = {f"{name}-soft.png" for name in ("garden", "camera", "rocket")}
    assert train == {"garden.png", "camera.png", "rocket.png", *soft, "collage-000.png", "collage-001.png"}
    assert test == {"kodim05.png", "astronaut.png", "coffee.png"}
    assert {picture.file for picture in pictures if picture.is_held_out} == test


@pytest.mark.slow
def test_collages_are_made_of_what_is_trained_on(photographs: Path, tmp_path: Path) -> None:
    frames.write(photographs / "kodim05.png", np.full((384, 480, 3), (255, 0, 255), np.uint8))  # held out
    free_photos.gather(photographs, tmp_path / "out")
    kept = {path: path.read_bytes() for path in (tmp_path / "out" / "train").glob("collage-*.png")}

    assert len(set(kept.values())) == 2
    free_photos.gather(photographs, tmp_path / "again")
    assert all((tmp_path / "again" / "train" / path.name).read_bytes() == data for path, data in kept.items())

    for path in kept:
        magenta = frames.read(path)[..., [0, 2]].min(axis=-1).astype(int) - frames.read(path)[..., 1]
        assert np.mean(magenta > 200) < 1e-3


def test_pairs_of_another_seed_or_of_other_photographs_do_not_mix(tmp_path: Path) -> None:
    pictures = [free_photos.Picture(file="a.png", source="Garden", author="A", licence="CC0")]
    recipe.begin(tmp_path, 0, pictures)

    recipe.begin(tmp_path, 0, pictures)
    with pytest.raises(DataError, match="was begun with seed 0; choose another --out"):
        recipe.begin(tmp_path, 1, pictures)
    with pytest.raises(DataError, match="was begun with other photographs"):
        recipe.begin(
            tmp_path, 0, [*pictures, free_photos.Picture(file="b.png", source="Garden", author="A", licence="CC0")]
        )


def test_a_changed_recipe_does_not_go_on_in_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe.begin(tmp_path, 0, [])
    monkeypatch.setattr(recipe, "SETS", [replace(recipe.SETS[0], count=7), *recipe.SETS[1:]])

    with pytest.raises(DataError, match="was begun with other sets of pairs"):
        recipe.begin(tmp_path, 0, [])


def test_a_photograph_without_credits_is_refused(photographs: Path, tmp_path: Path) -> None:
    with_credits(photographs, [("garden.png", "Garden", "A. Painter", "CC0")])

    with pytest.raises(DataError, match=r"does not name kodim05\.png; add a line file,source,author,licence"):
        free_photos.gather(photographs, tmp_path / "out")


def test_a_photograph_that_is_too_small_is_refused_before_anything_is_made(photographs: Path, tmp_path: Path) -> None:
    frames.write(photographs / "garden.png", np.zeros((300, 451, 3), np.uint8))

    with pytest.raises(DataError, match=r"garden\.png is 451 x 300 pixels; the smallest size is 480 x 384"):
        free_photos.gather(photographs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_photograph_without_a_licence_is_refused(photographs: Path, tmp_path: Path) -> None:
    with_credits(photographs, [("garden.png", "Garden", "A. Painter", " "), ("kodim05.png", "Suite", "E. K.", "free")])

    with pytest.raises(DataError, match=r"SOURCES\.csv gives no licence of garden\.png; add it"):
        free_photos.gather(photographs, tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--device", "gpu"), "needs a GPU, and there is none"), (("--score", "empty"), "contains no data set")],
)
def test_what_the_recipe_cannot_do_is_said_before_pairs_are_made(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    if torch.cuda.is_available() and "gpu" in words:
        pytest.skip("there is a GPU")
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()

    done = CliRunner().invoke(weights.command, ["--photographs", str(photographs), *words])

    assert done.exit_code and said in f"{done.output} {done.exception}"
    assert not Path("weights").exists()


def test_a_folder_without_credits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"SOURCES\.csv does not exist; write it"):
        free_photos.gather(tmp_path, tmp_path / "out")


def test_a_card_holds_the_least_gain_and_every_credit() -> None:
    rows = [{"key": f"{n}", **ROW, "psnr": 25.0 + gain} for n, gain in enumerate((-0.25, 0.5, 2.0))]
    pictures = [
        free_photos.Picture(file="garden.png", source="Garden", author="A. Painter", licence="CC0"),
        free_photos.Picture(file="kodim05.png", source="Kodak's suite", author="Eastman Kodak", licence="free"),
    ]

    made = recipe.make_card(
        name="mine",
        network=CDGNet(ModelConfig.preset("tiny", "dmphn-1")),
        pictures=pictures,
        commands=["cdg-train --h5 a.h5"],
        scores=[recipe.summarise("GoPro, test split", rows)],
        seconds=5400.0,
        steps=1234,
        device="CPU, 1 thread",
        seed=3,
    )
    text = card.to_text(json.loads(json.dumps(made)))

    for said in (
        "| GoPro, test split, 3 | 25.00 → 25.75 | +0.75 (",
        "| -0.25 | 0.700 → 0.800 |",
        "dmphn-1, widths 8, 16, 32: 113,731 parameters",
        "1.50 hours, 1,234 steps, on CPU, 1 thread",
        "Trained on, 1 pictures:\n\n* Garden, by A. Painter (CC0): garden.png",
        "Never trained on, 1 pictures:\n\n* Kodak's suite, by Eastman Kodak (free): kodim05.png",
        "cdg-train --h5 a.h5",
    ):
        assert said in text


def test_a_card_credits_what_was_seen_before_the_training_began() -> None:
    def made(name: str, file: str, begun_from: card.Card | None = None) -> card.Card:
        return recipe.make_card(
            name=name,
            network=CDGNet(ModelConfig.preset("tiny", "dmphn-1")),
            pictures=[free_photos.Picture(file=file, source="Garden", author="A. Painter", licence="CC0")],
            commands=[],
            scores=[],
            seconds=5400.0,
            steps=1234,
            device="CPU, 1 thread",
            seed=3,
            begun_from=begun_from,
        )

    text = card.to_text(json.loads(json.dumps(made("second", "pond.png", made("first", "garden.png")))))

    assert "* begun from: first: 1.50 hours, 1,234 steps, on CPU, 1 thread, seed 3, commit " in text
    assert "Trained on, 2 pictures:\n\n* Garden, by A. Painter (CC0): garden.png, pond.png" in text


def test_weights_without_a_card_are_not_gone_on_from(tmp_path: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    save_weights(bare, CDGNet(ModelConfig.preset("tiny", "dmphn-1")), {})

    with pytest.raises(DataError, match="has no card, which says what it was trained on"):
        weights._card_of(bare)


def test_the_mean_of_networks_is_that_of_each_weight() -> None:
    networks = [CDGNet(ModelConfig.preset("tiny", "dmphn-1")) for _ in range(2)]
    before = [{name: weight.clone() for name, weight in network.state_dict().items()} for network in networks]

    mean = recipe.mean_of(networks).state_dict()

    assert all(torch.allclose(mean[name], (before[0][name] + before[1][name]) / 2) for name in mean)
    assert all(torch.equal(networks[1].state_dict()[name], before[1][name]) for name in mean)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_recipes_options_are_a_training_by_the_clock(train_pack: Path, device: str) -> None:
    stages = recipe.trainings(device, 3, 0.5)
    assert recipe.trainings(device, 3, 0.5 / len(stages), goes_on=True) == stages[-1:]
    for options in stages:
        with train.command.make_context("cdg-train", ["--h5", str(train_pack), *options]) as context:
            settings = {each.name: context.params[each.name] for each in fields(TrainingConfig) if each.name != "val"}
            config = train.config_of(settings, context.params["val"])

        assert (config.hours, config.seed, config.schedule, config.val) == (0.5 / len(stages), 3, "cosine", ())
        assert (config.variant, config.preset) == ("dmphn-1", "small" if device == "cpu" else "paper")


@pytest.mark.parametrize("has_amx", [True, False])
def test_a_cpu_that_multiplies_bfloat16_trains_in_it(monkeypatch: pytest.MonkeyPatch, has_amx: bool) -> None:
    monkeypatch.setattr(recipe, "has_amx", lambda: has_amx)
    assert all(("bf16-mixed" in options) is has_amx for options in recipe.trainings("cpu", 0, 1))


def test_a_data_set_without_a_test_split_is_scored_whole(gopro: Path, tmp_path: Path) -> None:
    name, words = weights._frames_of(gopro.parent)
    assert name.endswith("test split") and words[-2:] == ("--split", "test")

    shutil.copytree(gopro / "train", tmp_path / "GOPRO_Large" / "train")
    name, words = weights._frames_of(tmp_path)
    assert name.endswith("all frames at hand") and words[-2:] == ("--split", "all")


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(CARD_FIELDS), inner, max_size=12),
    ).map(json.dumps)
    | st.text(max_size=9)
    | st.just("[" * 100_000)
)
def test_a_card_that_cannot_be_shown_is_none(content: str) -> None:
    found = card.read({card.KEY: content})

    assert found is None or card.to_text(found)


def test_weights_without_a_card_have_none() -> None:
    assert card.read({"step": "3"}) is None


@pytest.mark.slow
def test_the_recipe_makes_weights_with_a_card_and_resumes(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = [replace(each, count=1) for each in recipe.SETS if each.name in ("light", "test-codes")]
    monkeypatch.setattr(recipe, "SETS", short)
    training = ("--preset", "tiny", "--batch", "2", "--crop", "64", "--workers", "0")
    monkeypatch.setattr(recipe, "TRAININGS", {"cpu": (training, training)})
    words = ["--photographs", str(photographs), "--hours", "0.003", "--device", "cpu", "--out", str(tmp_path / "out")]

    done = CliRunner().invoke(weights.command, [*words, "--name", "mine"], catch_exceptions=False)
    again = CliRunner().invoke(weights.command, [*words, "--name", "mine"], catch_exceptions=False)

    assert done.exit_code == 0 == again.exit_code, done.output
    assert " is finished, at step " in again.output and "synth" not in again.output
    path = tmp_path / "out" / "mine.safetensors"
    found = card.read(read_metadata(path))
    assert found and [each["frames"] for each in found["scores"]] == ["photographs never trained on, camera none, 3"]
    assert found["commands"][0].startswith("cdg-prep synth weights/photographs/train --photos --count 1 ")
    assert found["commands"][3 * len(short) + 1].endswith("--init weights/run-cpu-1/weights.safetensors")
    assert found["averaged"] == ["run-cpu-1", "run-cpu-2"]
    assert str(tmp_path) not in json.dumps(found)
    assert load_weights(path).config.widths == (8, 16, 32)
    assert path.with_suffix(".md").read_text() == card.to_text(found)

    words[-1] = str(tmp_path / "further")
    CliRunner().invoke(weights.command, [*words, "--name", "ours", "--init", str(path)], catch_exceptions=False)

    further = card.read(read_metadata(tmp_path / "further" / "ours.safetensors"))
    assert further and further["begun_from"] == {name: found[name] for name in further["begun_from"]}
    assert further["commands"][3 * len(short)].endswith("--init mine.safetensors")
