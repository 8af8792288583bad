"""What a result was made of: the same picture goes on, any other is refused."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from refusals import is_used

from pipelines.errors import InputError
from pipelines.restore.jobs import RestoreJob
from pipelines.restore.origins import NAME, Network, Origins

NETWORK = Network(weights="ab12", is_ensemble=False)


@pytest.fixture
def job(tmp_path: Path) -> RestoreJob:
    """A picture and its result, noted."""
    job = RestoreJob(source=tmp_path / "a" / "1.png", target=tmp_path / "out" / "deep" / "1.png")
    for path in (job.source, job.target):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"picture")
    Origins(tmp_path / "out").add(job, job.source.stat(), NETWORK)
    return job


def check(job: RestoreJob, tmp_path: Path, network: Network = NETWORK) -> None:
    Origins(tmp_path / "out").check([job], network)


def test_a_copy_of_the_picture_elsewhere_is_the_same_picture(job: RestoreJob, tmp_path: Path) -> None:
    check(job, tmp_path)
    os.utime(job.source, (1, 1))
    check(job, tmp_path)
    shutil.copy(job.source, tmp_path / "copy.png")
    check(replace(job, source=tmp_path / "copy.png"), tmp_path)


@pytest.mark.parametrize("content", [b"another picture", b"erutcip"])
def test_another_picture_of_the_same_name_is_refused(job: RestoreJob, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_bytes(content)
    status = job.source.stat()
    os.utime(tmp_path / "b" / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(
        InputError, match=r"was made from .*a/1\.png, not from .*b/1\.png; use another --out, or --force"
    ):
        check(replace(job, source=tmp_path / "b" / "1.png"), tmp_path)
    job.source.write_bytes(content)
    with pytest.raises(InputError, match=r"a/1\.png has changed since .*1\.png was made from it"):
        check(job, tmp_path)


def test_another_network_is_refused_and_several_results_are_counted(job: RestoreJob, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"was made without --ensemble \(and 1 other result\)"):
        Origins(tmp_path / "out").check([job, job], replace(NETWORK, is_ensemble=True))
    with pytest.raises(InputError, match="was made with other weights"):
        check(job, tmp_path, replace(NETWORK, weights="cd34"))
    with pytest.raises(InputError, match=r"1\.png was made with --strength 1; use another --out"):
        check(job, tmp_path, replace(NETWORK, strength=2))


def test_a_result_from_before_there_was_a_strength_has_strength_1(job: RestoreJob, tmp_path: Path) -> None:
    rows = tmp_path / "out" / NAME
    rows.write_text(rows.read_text().replace(', "strength": 1.0', ""))
    assert "strength" not in rows.read_text()
    check(job, tmp_path)
    with pytest.raises(InputError, match="was made with --strength 1;"):
        check(job, tmp_path, replace(NETWORK, strength=0.5))


def test_a_picture_that_changed_while_it_was_restored_is_not_noted(job: RestoreJob, tmp_path: Path) -> None:
    status = job.source.stat()
    (tmp_path / "out" / NAME).unlink()
    job.source.write_bytes(b"another")
    os.utime(job.source, (1, 1))
    Origins(tmp_path / "out").add(job, status, NETWORK)
    assert not (tmp_path / "out" / NAME).exists()


@given(
    content=st.binary(max_size=30) | st.dictionaries(st.text(max_size=3), st.integers()).map(lambda row: b"%r" % row)
)
@example(b'{"result": "deep/1.png"}')
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_of_anything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content + b"\n")
    is_used(lambda: Origins(tmp_path))
