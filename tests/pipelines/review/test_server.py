"""The served review: its own files and no other, to nobody from elsewhere, verdicts on disk before the answer."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pipelines.review import server, verdicts
from pipelines.review import site as files
from pipelines.review.verdicts import Verdict
from prep.datasets import layouts
from prep.masks import making
from prep.masks.folder import MasksFolder

LOCAL = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def site(gopro: Path, tmp_path_factory: pytest.TempPathFactory) -> files.Site:
    folder = tmp_path_factory.mktemp("masks")
    dataset = layouts.find(gopro)
    list(making.make(making.plan(dataset.pairs, MasksFolder(folder), making.recipe_of(dataset, "lbp"), 0.5), jobs=1))
    maps = files.open_maps(folder)
    pairs = files.ready(dataset.pairs, maps)
    return files.Site(name="gopro", pairs=pairs, maps=[maps], verdicts=folder / "verdicts.json", is_served=True)


@pytest.fixture
def client(site: files.Site) -> FlaskClient:
    site.verdicts.unlink(missing_ok=True)
    return server.make_app(site, None).test_client()


def test_every_file_of_the_review_is_served_with_its_type(site: files.Site, client: FlaskClient) -> None:
    for name in files.names(site):
        answer = client.get(f"/{name}", base_url=LOCAL)
        assert (answer.status_code, answer.data) == (200, files.content(site, name))
        assert answer.mimetype == files.TYPES[Path(name).suffix]
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert client.get("/", base_url=LOCAL).data == files.content(site, "index.html")


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


def test_elsewhere_wants_the_token_and_keeps_it_as_a_cookie(site: files.Site) -> None:
    client = server.make_app(site, "right").test_client()
    base = "http://box.example:8765"

    assert client.get("/", base_url=base).status_code == 403
    assert client.get("/?token=wrong", base_url=base).status_code == 403
    answer = client.get("/?token=right", base_url=base)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Strict" in answer.headers["Set-Cookie"]
    assert client.get("/", base_url=base).status_code == 200
    assert client.get("/frames.js", base_url=base).status_code == 200


def test_a_verdict_is_on_disk_when_the_answer_comes(site: files.Site, client: FlaskClient) -> None:
    key, other = site.pairs[0].key, site.pairs[1].key

    answer = client.post("/verdicts", base_url=LOCAL, json={"key": key, "verdict": "reject", "note": "blurred sky"})

    assert answer.status_code == 204
    assert verdicts.read(site.verdicts) == {key: Verdict(verdict="reject", note="blurred sky")}
    client.post("/verdicts", base_url=LOCAL, json={"key": other, "verdict": "accept", "note": ""})
    client.post("/verdicts", base_url=LOCAL, json={"key": key, "verdict": "", "note": ""})
    assert verdicts.read(site.verdicts) == {other: Verdict(verdict="accept", note="")}


def test_verdicts_that_are_none_change_nothing(site: files.Site, client: FlaskClient) -> None:
    key = site.pairs[0].key
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
    assert not site.verdicts.exists()
