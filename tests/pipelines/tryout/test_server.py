"""The try-out over HTTP: nobody from elsewhere, no path of a request, files of the page and no other."""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image, ImageCms
from tryout_page import FACTS, HOSTILE, hand_in, make_restorer, picture, wait_for, working

from pipelines.tryout import server
from pipelines.tryout.queue import Queue
from pipelines.tryout.worker import restore
from prep.io import frames, photographs

LOCAL = "http://127.0.0.1:8766"


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with working(tmp_path_factory.mktemp("work") / "kept", make_restorer()) as queue:
        yield queue


@pytest.fixture
def client(queue: Queue) -> FlaskClient:
    for facts in queue.facts():
        queue.remove(facts["number"])
    return server.make_app(queue, FACTS, None, 95).test_client()


def offer(client: FlaskClient, *files: tuple[str, int]) -> Any:
    body = {"files": [{"name": name, "size": size} for name, size in files]}
    return client.post("/pictures", base_url=LOCAL, json=body)


def test_a_picture_goes_in_and_comes_out_restored(client: FlaskClient, queue: Queue) -> None:
    data = picture()
    (number,) = offer(client, ("photo.png", len(data))).json["numbers"]
    assert client.put(f"/pictures/{number}", base_url=LOCAL, data=data).status_code == 204
    wait_for(queue, number)

    (facts,) = client.get("/queue", base_url=LOCAL).json["pictures"]
    assert (facts["name"], facts["width"], facts["height"], facts["size"]) == ("photo.png", 64, 48, len(data))
    assert facts["restoring"]["state"] == "done" and facts["restoring"]["seconds"] > 0
    download = client.get(f"/pictures/{number}/download", base_url=LOCAL)
    found = queue.get(number)
    assert found and download.data == found.restored.read_bytes()
    for kind in ("blurry", "restored"):
        shown = client.get(f"/pictures/{number}/{kind}", base_url=LOCAL)
        assert shown.mimetype == "image/png"  # small and without loss
        exact = Image.open(found.source if kind == "blurry" else found.restored)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.data))), np.asarray(exact))
    assert client.delete(f"/pictures/{number}", base_url=LOCAL).status_code == 204
    assert client.get(f"/pictures/{number}/download", base_url=LOCAL).status_code == 404


def test_all_results_come_in_one_file_in_their_order_and_none_replaces_another(
    client: FlaskClient, queue: Queue
) -> None:
    assert client.get("/download", base_url=LOCAL).status_code == 404
    numbers = [hand_in(queue, picture(seed=seed), name) for seed, name in enumerate(("b.png", "a.png", "B.png"))]
    failed = queue.offer([("notes.txt", 5)])
    for number in numbers:
        wait_for(queue, number)

    with client.get("/download", base_url=LOCAL) as answer:
        data = answer.data

    assert failed and answer.mimetype == "application/zip" and "restored.zip" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["b-restored.png", "a-restored.png", "B-restored (2).png"]
        alone = [client.get(f"/pictures/{number}/download", base_url=LOCAL).data for number in numbers]
        assert [archive.read(name) for name in archive.namelist()] == alone
    assert sorted(path.name for path in queue.folder.iterdir()) == sorted(map(str, numbers))  # nothing else stays


@pytest.mark.parametrize("kind", ["8 bits", "16 bits with alpha", "grey"])
def test_strength_multiplies_the_change_that_is_shown_and_downloaded(
    kind: str, client: FlaskClient, queue: Queue, tmp_path: Path
) -> None:
    rng, top = np.random.default_rng(0), 65535 if "16" in kind else 255
    shape = (48, 64, 4) if "alpha" in kind else (48, 64) if kind == "grey" else (48, 64, 3)
    pixels = (rng.uniform(0.3, 0.6, shape) * top).astype(np.uint16 if "16" in kind else np.uint8)
    frames.write(tmp_path / "a.png", pixels)
    number = hand_in(queue, (tmp_path / "a.png").read_bytes())
    wait_for(queue, number)

    files = {}
    for strength in ("", "?strength=1", "?strength=2.5", "?strength=0.5"):
        with client.get(f"/pictures/{number}/download{strength}", base_url=LOCAL) as answer:
            assert (answer.status_code, "a-restored.png" in answer.headers["Content-Disposition"]) == (200, True)
            files[strength] = answer.data
    assert files[""] == files["?strength=1"]
    results = {}
    for strength, data in files.items():
        (tmp_path / "b.png").write_bytes(data)
        results[strength] = photographs.read(tmp_path / "b.png").pixels.astype(float)
    before, change = pixels.reshape(results[""].shape).astype(float), results[""] - pixels.reshape(results[""].shape)
    assert np.abs(change).max() > 0.02 * top
    for strength, factor in (("?strength=2.5", 2.5), ("?strength=0.5", 0.5)):
        assert np.abs(results[strength] - np.clip(before + factor * change, 0, top)).max() <= 1
    shown = client.get(f"/pictures/{number}/restored?strength=2.5", base_url=LOCAL).data
    (tmp_path / "c.png").write_bytes(shown)
    wanted = results["?strength=2.5"] * 255 / top
    assert np.abs(photographs.read(tmp_path / "c.png").pixels - wanted).max() <= 1
    assert client.put(f"/pictures/{number}/strength", base_url=LOCAL, json={"strength": 2.5}).status_code == 204
    for path in ("/download", f"/pictures/{number}/download"):  # without a strength: that of the picture
        with client.get(path, base_url=LOCAL) as answer:
            data = answer.data
        if path == "/download":
            data = zipfile.ZipFile(io.BytesIO(data)).read("a-restored.png")
        assert data == files["?strength=2.5"]
    found = queue.get(number)
    assert found and sorted(path.stem for path in found.folder.iterdir()) == [
        "blurry",
        "restored",
    ]  # nothing else stays


def test_the_download_of_a_jpeg_with_another_strength_has_no_errors_of_its_first_compression(
    client: FlaskClient, queue: Queue, tmp_path: Path
) -> None:
    number = hand_in(queue, picture(kind="JPEG"), "a.jpg")
    wait_for(queue, number)
    found = queue.get(number)
    assert found
    photo = photographs.read(found.source)
    exact = restore(photo, make_restorer(), lambda _: None).pixels
    wanted = np.rint(np.clip(3.0 * exact - 2.0 * photo.pixels, 0, 255)).astype(np.uint8)
    photographs.write(tmp_path / "wanted.jpg", replace(photo, pixels=wanted), 95)

    with client.get(f"/pictures/{number}/download?strength=3", base_url=LOCAL) as answer:
        assert answer.data == (tmp_path / "wanted.jpg").read_bytes()


@pytest.mark.parametrize("strength", ["0", "-1", "3.01", "nan", "inf", "two", ""])
def test_a_strength_that_the_slider_does_not_have_is_refused(strength: str, client: FlaskClient, queue: Queue) -> None:
    number = hand_in(queue, picture())
    wait_for(queue, number)
    for path in (f"/pictures/{number}/restored", f"/pictures/{number}/download"):
        assert client.get(f"{path}?strength={strength}", base_url=LOCAL).status_code == 400
    strong = server.make_app(queue, replace(FACTS, strength=4.0), None, 95).test_client()
    assert strong.get(f"/pictures/{number}/restored?strength=4", base_url=LOCAL).status_code == 200
    assert 'max="4.0"' in strong.get("/", base_url=LOCAL).text
    weak = server.make_app(queue, replace(FACTS, strength=0.1), None, 95).test_client()
    assert 'min="0.1" max="3.0" step="0.05" value="0.1"' in weak.get("/", base_url=LOCAL).text


def test_each_picture_has_a_strength_and_all_get_one_at_once(client: FlaskClient, queue: Queue) -> None:
    def strengths() -> list[float]:
        return [facts["strength"] for facts in client.get("/queue", base_url=LOCAL).json["pictures"]]

    numbers = [hand_in(queue, picture()) for _ in range(2)]

    assert client.put(f"/pictures/{numbers[1]}/strength", base_url=LOCAL, json={"strength": 1.5}).status_code == 204
    assert strengths() == [1, 1.5]
    assert client.put("/strength", base_url=LOCAL, json={"strength": 2}).status_code == 204
    hand_in(queue, picture())
    assert strengths() == [2, 2, 2]
    assert client.put("/pictures/99999/strength", base_url=LOCAL, json={"strength": 2}).status_code == 404
    for path in ("/strength", f"/pictures/{numbers[0]}/strength"):
        for wrong in ({"strength": 0}, {"strength": 3.01}, {"strength": "2"}, {"strength": None}, {}, [2]):
            assert client.put(path, base_url=LOCAL, json=wrong).status_code == 400
        assert client.put(path, base_url=LOCAL, data={"strength": 2}).status_code == 415
    assert strengths() == [2, 2, 2]
    server.make_app(queue, replace(FACTS, strength=1.0), None, 95)
    assert strengths() == [1, 1, 1], "a server begins with its own strength"


def test_a_full_disk_hides_no_picture(client: FlaskClient, queue: Queue) -> None:
    number = hand_in(queue, picture())
    wait_for(queue, number)
    found = queue.get(number)
    assert found
    (found.folder / f"blurry.shown.{os.getpid()}.part").mkdir()  # in the way of what would be kept

    shown = client.get(f"/pictures/{number}/blurry", base_url=LOCAL)

    assert (shown.status_code, shown.mimetype) == (200, "image/png")


def test_pictures_are_shown_upright_with_their_profile(client: FlaskClient, queue: Queue) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    number = hand_in(queue, picture(40, 30, "JPEG", exif=exif, icc_profile=profile), "a.jpg")

    shown = client.get(f"/pictures/{number}/blurry", base_url=LOCAL)

    image = Image.open(io.BytesIO(shown.data))
    assert (shown.mimetype, image.size, image.info["icc_profile"]) == ("image/jpeg", (40, 30), profile)
    assert 0x0112 not in image.getexif()


def test_the_page_and_its_files_are_served_and_nothing_else(client: FlaskClient) -> None:
    html = client.get("/", base_url=LOCAL)
    names = re.findall(r'(?:src|href)="([^":]+)"', html.text)
    names.remove("download")  # of all results
    assert set(names) == {"look.css", "tryout.css", *server.SCRIPTS}
    for name in names:
        answer = client.get(f"/{name}", base_url=LOCAL)
        assert answer.status_code == 200 and answer.mimetype in ("text/css", "text/javascript")
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/index.html.j2", "/../server.py", "/%2e%2e/server.py", "/page/main.js", "/pictures/1/../x", "/x"):
        assert client.get(path, base_url=LOCAL).status_code == 404, path


@pytest.mark.parametrize("path", ["blurry", "restored", "download", "thumb", "parts/small", "parts/..", "parts/1.png"])
def test_what_is_not_there_is_not_found(path: str, client: FlaskClient, queue: Queue) -> None:
    (number,) = queue.offer([("a.png", 9)])  # of which nothing came
    for each in (number, 999_999):
        assert client.get(f"/pictures/{each}/{path}", base_url=LOCAL).status_code == 404


@pytest.mark.parametrize("host", ["http://evil.example", "http://evil.example:8766", "http://127.0.0.1.evil.example"])
def test_a_name_from_elsewhere_is_refused(host: str, client: FlaskClient, queue: Queue) -> None:
    assert client.get("/queue", base_url=host).status_code == 403
    assert client.post("/pictures", base_url=host, json={"files": [{"name": "a.png", "size": 1}]}).status_code == 403
    assert queue.facts() == []


def test_elsewhere_wants_the_token_and_keeps_it_as_a_cookie_of_its_own(queue: Queue) -> None:
    client = server.make_app(queue, FACTS, "right", 95).test_client()
    base = "http://box.example:8766"

    assert client.get("/queue", base_url=base).status_code == 403
    answer = client.get("/?token=right", base_url=base)
    assert answer.headers["Set-Cookie"].startswith("cdg-deblur-")  # not that of the review
    assert client.get("/queue", base_url=base).status_code == 200


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_what_a_form_of_another_page_can_send_is_refused(kind: str, client: FlaskClient, queue: Queue) -> None:
    number = hand_in(queue, picture())
    wait_for(queue, number)
    body = json.dumps({"files": [{"name": "a.png", "size": 1}]})

    for path in ("/pictures", f"/pictures/{number}/parts"):
        assert client.post(path, base_url=LOCAL, data=body, content_type=kind).status_code == 415
    assert client.post(f"/pictures/{number}", base_url=LOCAL, data=body).status_code == 405  # a form has no PUT
    asked = client.options("/pictures", base_url=LOCAL, headers={"Origin": "http://evil.example"})
    assert not [name for name in asked.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118
    assert len(queue.facts()) == 1


@pytest.mark.parametrize(
    "body",
    [
        *([], {}, {"files": []}, {"files": "a.png"}, {"files": [["a.png", 1]]}, {"files": [{"name": "a.png"}]}),
        *({"files": [{"name": "a.png", "size": -1}]}, {"files": [{"name": "a.png", "size": True}]}),
        {"files": [{"name": "a.png", "size": 10**4000}]},
        *({"files": [{"name": 1, "size": 1}]}, {"files": [{"name": "a.png", "size": 1}] * 101}),
    ],
)
def test_offers_that_are_none_change_nothing(body: object, client: FlaskClient, queue: Queue) -> None:
    assert client.post("/pictures", base_url=LOCAL, json=body).status_code == 400
    assert queue.facts() == []


def test_what_no_browser_sends_is_no_error(client: FlaskClient, queue: Queue) -> None:
    for value in ("[" * 40_000 + "]" * 40_000, "9" * 5000, "{"):
        body = f'{{"files": [{{"name": "a.png", "size": {value}}}]}}'
        answer = client.post("/pictures", base_url=LOCAL, data=body, content_type="application/json")
        assert answer.status_code == 400
    assert client.get(f"/pictures/{'9' * 5000}/thumb", base_url=LOCAL).status_code == 404
    assert offer(client, ("\ud83d.png", 1)).status_code == 201  # a name that ends within a character
    assert client.get("/queue", base_url=LOCAL).json["pictures"][0]["name"] == "\ud83d.png"


def test_requests_that_are_too_large_are_refused(client: FlaskClient, queue: Queue) -> None:
    assert offer(client, ("x" * 200_000, 1)).status_code == 413
    (number,) = offer(client, ("a.png", 1)).json["numbers"]
    answer = client.put(f"/pictures/{number}", base_url=LOCAL, environ_overrides={"CONTENT_LENGTH": "500000001"})
    assert answer.status_code == 413
    assert list(queue.folder.glob("*")) == []


def test_bytes_come_once_and_only_for_what_was_offered(client: FlaskClient, queue: Queue) -> None:
    (number,) = offer(client, ("a.png", 1)).json["numbers"]
    first, second = (client.put(f"/pictures/{number}", base_url=LOCAL, data=picture()) for _ in range(2))
    assert (first.status_code, second.status_code) == (204, 404)
    assert client.put("/pictures/999999", base_url=LOCAL, data=picture()).status_code == 404
    (video,) = offer(client, ("clip.mp4", 9)).json["numbers"]
    assert client.put(f"/pictures/{video}", base_url=LOCAL, data=b"x").status_code == 404


@pytest.mark.parametrize("name", [HOSTILE, "../../x", 'quote".png\r\nX-Evil: 1', "写" * 300])
def test_a_download_is_an_attachment_with_a_harmless_name(name: str, client: FlaskClient, queue: Queue) -> None:
    number = hand_in(queue, picture(), f"{name}.png")
    wait_for(queue, number)

    answer = client.get(f"/pictures/{number}/download", base_url=LOCAL)

    said = answer.headers["Content-Disposition"]
    assert said.startswith("attachment; filename=") and "X-Evil" not in answer.headers
    named = re.search(r"filename\*=UTF-8''(\S+)", said)
    plain = unquote(named[1]) if named else said.partition("filename=")[2].strip('"')
    assert plain.endswith("-restored.png") and not set(plain) & set('/\\<>"\r\n')
    assert answer.mimetype == "application/octet-stream"
    assert client.get("/queue", base_url=LOCAL).json["pictures"][0]["name"] == f"{name}.png"  # shown as it is
    assert name not in client.get("/", base_url=LOCAL).text


def test_branches_are_made_when_they_are_asked_for_and_not_of_one_branch(client: FlaskClient, queue: Queue) -> None:
    number = hand_in(queue, picture())
    wait_for(queue, number)
    path = f"/pictures/{number}/parts"
    assert client.get(f"{path}/small", base_url=LOCAL).status_code == 404

    assert client.post(path, base_url=LOCAL, json={}).status_code == 204
    wait_for(queue, number, task="branches")

    kinds = {name: client.get(f"{path}/{name}", base_url=LOCAL).mimetype for name in ("small", "share")}
    assert kinds == {"small": "image/jpeg", "share": "image/png"}
    single = server.make_app(queue, replace(FACTS, has_branches=False), None, 95).test_client()
    assert single.post(path, base_url=LOCAL, json={}).status_code == 404
    assert "data-branches" not in single.get("/", base_url=LOCAL).text


def test_the_head_says_where_pictures_stay(queue: Queue) -> None:
    texts = {}
    for host in ("", "box"):
        facts = replace(FACTS, host=host, weights="<b>w</b>")
        texts[host] = server.make_app(queue, facts, None, 95).test_client().get("/", base_url=LOCAL).text
    assert "Pictures stay on this machine" in texts[""] and "&lt;b&gt;w" in texts[""] and "<b>w" not in texts[""]
    assert "Pictures are sent to box only" in texts["box"]


def test_the_files_of_the_page_are_short(tmp_path: Path) -> None:
    folder = Path(server.__file__).parent / "page"
    assert all(len(path.read_text().splitlines()) < 350 for path in folder.iterdir())
