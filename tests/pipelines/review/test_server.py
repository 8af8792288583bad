"""The served review: its own files and no other, to nobody from elsewhere, verdicts on disk before the answer."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pipelines.review import server, site, verdicts
from pipelines.review.verdicts import Verdict
from prep.datasets import layouts
from prep.masks import making
from prep.masks.folder import MasksFolder

LOCAL = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def review(gopro: Path, tmp_path_factory: pytest.TempPathFactory) -> site.Review:
    folder = tmp_path_factory.mktemp("masks")
    dataset = layouts.find(gopro)
    list(making.make(making.plan(dataset.pairs, MasksFolder(folder), making.recipe_of(dataset, "lbp"), 0.5), jobs=1))
    maps = site.open_maps(folder)
    pairs = site.pairs_with_masks(dataset.pairs, maps)
    return site.Review(name="gopro", pairs=pairs, maps=[maps], verdicts=folder / "verdicts.json", is_served=True)


@pytest.fixture
def client(review: site.Review) -> FlaskClient:
    review.verdicts.unlink(missing_ok=True)
    return server.make_app(review, None).test_client()


def test_every_file_of_the_review_is_served_with_its_type(review: site.Review, client: FlaskClient) -> None:
    for name in site.file_names(review):
        answer = client.get(f"/{name}", base_url=LOCAL)
        assert (answer.status_code, answer.data) == (200, site.file_content(review, name))
        assert answer.mimetype == site.TYPES[Path(name).suffix]
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert client.get("/", base_url=LOCAL).data == site.file_content(review, "index.html")


@pytest.mark.parametrize("path", ["/masks.jsonl", "/verdicts.json", "/../masks.jsonl", "/frames/999.js", "/%2e%2e/x"])
def test_nothing_else_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(path, base_url=LOCAL).status_code == 404


@pytest.mark.parametrize("host", ["http://evil.example", "http://evil.example:8765", "http://127.0.0.1.evil.example"])
def test_a_name_from_elsewhere_is_refused(client: FlaskClient, host: str) -> None:
    assert client.get("/", base_url=host).status_code == 403
    assert client.post("/verdicts", base_url=host, json={"key": "x"}).status_code == 403


@pytest.mark.parametrize("host", ["http://localhost:8765", "http://[::1]:8765", "http://127.0.0.1"])
def test_names_of_this_machine_are_served(client: FlaskClient, host: str) -> None:
    assert client.get("/", base_url=host).status_code == 200


def test_elsewhere_wants_the_token_and_keeps_it_as_a_cookie(review: site.Review) -> None:
    client = server.make_app(review, "right").test_client()
    base = "http://box.example:8765"

    assert client.get("/", base_url=base).status_code == 403
    assert client.get("/?token=wrong", base_url=base).status_code == 403
    answer = client.get("/?token=right", base_url=base)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Strict" in answer.headers["Set-Cookie"]
    assert client.get("/", base_url=base).status_code == 200
    assert client.get("/frames.js", base_url=base).status_code == 200


def test_a_verdict_is_on_disk_when_the_answer_comes(review: site.Review, client: FlaskClient) -> None:
    key, other = review.pairs[0].key, review.pairs[1].key

    answer = client.post("/verdicts", base_url=LOCAL, json={"key": key, "verdict": "reject", "note": "blurred sky"})

    assert answer.status_code == 204
    assert verdicts.read(review.verdicts) == {key: Verdict(verdict="reject", note="blurred sky")}
    client.post("/verdicts", base_url=LOCAL, json={"key": other, "verdict": "accept", "note": ""})
    client.post("/verdicts", base_url=LOCAL, json={"key": key, "verdict": "", "note": ""})
    assert verdicts.read(review.verdicts) == {other: Verdict(verdict="accept", note="")}


def test_verdicts_that_are_none_change_nothing(review: site.Review, client: FlaskClient) -> None:
    key = review.pairs[0].key
    cases = [
        ({"key": key, "verdict": "perhaps", "note": ""}, 400),
        ({"key": key, "verdict": "accept", "note": "x" * 2001}, 400),
        ({"key": key, "verdict": "accept", "note": "", "more": 1}, 400),
        ({"key": [key], "verdict": "accept", "note": ""}, 404),
        ({"verdict": "accept", "note": ""}, 400),
        (["accept"], 400),
        ({"key": "no/frame", "verdict": "accept", "note": ""}, 404),
    ]
    for body, status in cases:
        assert client.post("/verdicts", base_url=LOCAL, json=body).status_code == status, body
    form = client.post("/verdicts", base_url=LOCAL, data={"key": key, "verdict": "accept", "note": ""})
    large = client.post("/verdicts", base_url=LOCAL, json={"key": key, "verdict": "accept", "note": "x" * 200_000})
    assert (form.status_code, large.status_code) == (415, 413)
    assert not review.verdicts.exists()
