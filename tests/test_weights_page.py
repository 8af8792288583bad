"""docs/weights.md says of the weights that come with the package what they say of themselves."""

from pathlib import Path

from cdgnet import PRETRAINED, read_metadata
from pipelines import card


def test_the_page_holds_the_card_of_the_weights() -> None:
    found = card.read(read_metadata(PRETRAINED))

    assert found
    assert card.to_text(found) in Path("docs/weights.md").read_text(encoding="utf-8")
