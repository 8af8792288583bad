"""The served review: its own files and no other, to nobody from elsewhere, verdicts on disk before the answer."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

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
    maps = site.open_maps(folder, dataset.pairs)
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


def post(client: FlaskClient, body: str) -> int:
    return client.post("/verdicts", base_url=LOCAL, data=body, content_type="application/json").status_code


def test_what_no_browser_sends_is_a_bad_request_and_no_error(review: site.Review, client: FlaskClient) -> None:
    key = json.dumps(review.pairs[0].key)
    for value in ("[" * 40_000 + "]" * 40_000, "9" * 5000, '{"a":' * 9000 + "1" + "}" * 9000, "1e999", "NaN", "{"):
        assert post(client, f'{{"key": {key}, "verdict": {value}, "note": ""}}') == 400
        assert post(client, value) == 400
    assert client.get(f"/frames/{'9' * 5000}.js", base_url=LOCAL).status_code == 404
    assert not review.verdicts.exists()


def test_a_note_that_ends_within_a_character_is_kept_and_holds_no_other_up(
    review: site.Review, client: FlaskClient
) -> None:
    first, second = (json.dumps(pair.key) for pair in review.pairs[:2])
    assert post(client, f'{{"key": {first}, "verdict": "reject", "note": "sky \\ud83d"}}') == 204
    assert post(client, f'{{"key": {second}, "verdict": "accept", "note": "写"}}') == 204
    assert [verdict.note for verdict in verdicts.read(review.verdicts).values()] == ["sky \ud83d", "写"]
    assert client.get("/frames.js", base_url=LOCAL).status_code == 200


def test_verdicts_that_cannot_be_saved_are_answered_with_the_reason(review: site.Review, client: FlaskClient) -> None:
    body = {"key": review.pairs[0].key, "verdict": "accept", "note": ""}
    review.verdicts.write_text("damaged")
    damaged = client.post("/verdicts", base_url=LOCAL, json=body)
    assert (damaged.status_code, review.verdicts.read_text()) == (503, "damaged")
    assert "verdicts.json is not a list of verdicts" in damaged.headers["X-Reason"]

    review.verdicts.unlink()
    review.verdicts.mkdir()  # cannot be replaced by a file, as on a full disk
    full = client.post("/verdicts", base_url=LOCAL, json=body)
    review.verdicts.rmdir()
    assert full.status_code == 503 and "verdicts.json" in full.headers["X-Reason"]
    assert client.post("/verdicts", base_url=LOCAL, json=body).status_code == 204


def test_two_servers_on_one_host_do_not_take_each_others_cookie(review: site.Review) -> None:
    one, two = (server.make_app(review, token).test_client() for token in ("one", "two"))
    base = "http://box.example:8765"
    kept = one.get("/?token=one", base_url=base).headers["Set-Cookie"].partition(";")[0]
    other = two.get("/?token=two", base_url=base).headers["Set-Cookie"].partition(";")[0]
    assert kept.partition("=")[0] != other.partition("=")[0]
    both = {"Cookie": f"{kept}; {other}"}
    for token in ("one", "two"):
        client = server.make_app(review, token).test_client(use_cookies=False)
        assert client.get("/", base_url=base, headers=both).status_code == 200


def test_connections_that_ask_for_nothing_keep_nobody_out(served: str) -> None:
    address = urlsplit(served)
    with ExitStack() as stack:
        for _ in range(150):
            opened = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=5))
            opened.sendall(b"GET / HTTP/1.1\r\n")
        assert stack.enter_context(urlopen(served, timeout=5)).status == 200
