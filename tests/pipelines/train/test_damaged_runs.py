"""Run folders that hold anything at all: used, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from refusals import is_used
from training_runs import CONFIG

from pipelines.errors import TrainingError
from pipelines.train import page, run_folder, runs

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = st.sampled_from(
    [
        *("step", "loss", "loss_restored", "learning_rate", "steps_per_second", "share_small", "share_large"),
        *("val_psnr", "val_psnr_blurry", "val_frames", "skipped", "drowned_by", "went_back_from", "factor", "gave_up"),
        *("crop", "network", "steps", "pack_crc32", "key", "kinds", "psnr_blurry", "psnr_restored"),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.floats() | st.integers(-(10**30), 10**30) | st.sampled_from([5e-324, 1.7e308, 1e-101, 1e100, 0])
STEP = st.fixed_dictionaries({"step": st.integers(0, 2**63), "loss": NUMBERS, "steps_per_second": NUMBERS})
SCORED = st.fixed_dictionaries(
    {"step": st.integers(0, 9), "val_psnr": NUMBERS, "val_psnr_blurry": NUMBERS, "val_frames": NUMBERS}
)
ROWS = st.dictionaries(NAMES, VALUES | NUMBERS) | STEP | SCORED
DEEP = b"[" * 100_000


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@quick
@given(st.lists(ROWS, max_size=4).map(lines) | st.binary(max_size=20))
@example(DEEP + b"\n")
@example(b'{"step": 1, "skipped": "clip"}\n')
def test_a_log_of_anything_is_drawn_or_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    run_folder.write_request(tmp_path, {})
    (tmp_path / "log.jsonl").write_bytes(content)

    if is_used(lambda: run_folder.trim_log(tmp_path, 5)):
        is_used(lambda: run_folder.training_seconds(tmp_path))
        (tmp_path / "log.jsonl").write_bytes(content)
        page.write(tmp_path)  # what can be read can be drawn


@pytest.mark.slow
@quick
@given(VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
@example(DEEP)
@example(b'{"crop": "\\u001b[2J\\n"}')
def test_a_request_of_anything_is_drawn_or_refused_in_a_line(train_pack: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)

    is_used(lambda: page.write(tmp_path))
    assert not is_used(lambda: runs.prepare(CONFIG, [train_pack], tmp_path))
    assert (tmp_path / "run.json").read_bytes() == content


@quick
@given(st.lists(ROWS, min_size=1, max_size=2).map(lines) | st.binary(min_size=1, max_size=20).map(lambda x: x + b"\n"))
@example(b'{"key": "a", "kinds": ["blurry", "restored", "../../x"], "psnr_blurry": 1.0, "psnr_restored": 1.0}\n')
@example(b'{"key": "a", "kinds": ["blurry", "restored"], "psnr_blurry": 1.0, "psnr_restored": 1.0}\n')  # no such file
def test_a_list_of_pictures_of_anything_is_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    run_folder.write_request(tmp_path, {})
    (tmp_path / "pictures").mkdir(exist_ok=True)
    (tmp_path / "pictures" / "pictures.jsonl").write_bytes(content)

    assert not is_used(lambda: page.write(tmp_path))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"step": "4"}, "its step is not a whole number of 0 or more"),
        ({"loss": 1.0}, "its step is not a whole number of 0 or more"),
        ({"step": 1, "loss": 1.0}, "it lacks steps_per_second"),
        ({"step": 1, "loss": 1.0, "steps_per_second": 0}, "its steps_per_second is wrong"),
        ({"step": 1, "skipped": [1]}, "its skipped is wrong"),
    ],
)
def test_what_is_wrong_with_a_row_of_the_log_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    (tmp_path / "log.jsonl").write_bytes(lines([{"step": 1}, row]))

    with pytest.raises(TrainingError, match=rf"line 2 of .*log\.jsonl is not a row of a log \({said}\)"):
        run_folder.read_log(tmp_path)
