"""How a table names several networks."""

from pathlib import Path

import pytest

from pipelines.evaluate.candidates import folder_names, names_of


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["NAFNet-GoPro-width64.pth"], ["NAFNet-GoPro-width64"]),
        (["a/NAFNet.pth", "b/Restormer.pth"], ["NAFNet", "Restormer"]),
        (["runs/a/weights.safetensors", "runs/b/weights.safetensors"], ["a", "b"]),
        (["runs/a/weights.safetensors", "runs/a/best.safetensors"], ["a", "best"]),
        (["x/a/net.pth", "y/a/net.pth", "other.pth"], ["x/a/net", "y/a/net", "other"]),
        (["a/net.pth", "a/net.safetensors"], ["net.pth", "net.safetensors"]),
    ],
)
def test_networks_are_named_by_as_much_of_their_path_as_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert names_of([Path(path) for path in paths]) == names


def test_names_are_unique_whatever_the_paths() -> None:
    paths = [Path(*parts) for parts in (("a", "weights.pt"), ("b", "a.pt"), ("b", "a", "weights.pt"), ("a.pt",))]
    names = names_of(paths)
    assert len(set(names)) == len(names)


def test_folders_of_networks_are_all_different_and_none_is_a_file_of_the_comparison() -> None:
    names = folder_names(["a/b", "a-b", "compare.json", "compare.html", ".", "..hidden", "plain"])
    assert names == ["a-b", "a-b-2", "compare.json-2", "compare.html-2", "network", "hidden", "plain"]
