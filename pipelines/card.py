"""Card of weights: how they were made, from which photographs, and their scores; JSON in the file, text for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Card = Mapping[str, Any]
KEY = "card"  # key of the card in the metadata of a weights file


def read(metadata: Mapping[str, str]) -> Card | None:
    """Return the card in the metadata of a weights file; None if there is none that can be shown."""
    try:
        card: Card = json.loads(metadata[KEY])
        to_text(card)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):  # foreign or damaged card
        return None
    return card


def to_text(card: Card) -> str:
    """Return a card as Markdown.

    Args:
        card: Card with the fields that ``recipe.make_card`` writes.
    """
    sections = (
        _facts(card),
        _scores(card["scores"]),
        "Commands, in this order:\n\n```\n" + "\n".join(card["commands"]) + "\n```",
        _pictures("Trained on", card["trained_on"]),
        _pictures("Never trained on", card["held_out"]),
    )
    return f"## {card['name']}\n\n" + "\n\n".join(sections) + "\n"


def _facts(card: Card) -> str:
    facts = {
        "network": card["network"],
        "trained": _training(card),
        **({"begun from": _begun_from(earlier)} if (earlier := card.get("begun_from")) else {}),
        **({"weights": f"the mean of {', '.join(averaged)}"} if len(averaged := card.get("averaged", ())) > 1 else {}),
        "seed": card["seed"],
        "made": f"{card['date']}, commit {_commit(card['commit'])}, torch {card['torch']}",
        "licence of the weights": card["licence"],
    }
    return "\n".join(f"* {name}: {value}" for name, value in facts.items())


def _commit(described: str) -> str:
    """Spell out the plus sign that ``recipe.make_card`` writes after a commit."""
    return described.replace("+", " with uncommitted changes")


def _training(card: Card) -> str:
    return f"{card['hours']:.2f} hours, {card['steps']:,} steps, on {card['device']}"


def _begun_from(earlier: Card) -> str:
    return f"{earlier['name']}: {_training(earlier)}, seed {earlier['seed']}, commit {_commit(earlier['commit'])}"


def _scores(scores: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of means over frames of PSNR (RGB, 8 bits) and SSIM (as in scikit-image, Gaussian window)."""
    lines = [
        "| frames | PSNR, dB: blurry → restored | gain (95 %) | gain of the worst frame | SSIM: blurry → restored |",
        "|---|---|---|---|---|",
    ]
    for each in scores:
        gain = f"{each['gain']:+.2f} ({each['gain_low']:+.2f} to {each['gain_high']:+.2f})"
        psnr = f"{each['psnr_blurry']:.2f} → {each['psnr']:.2f}"
        ssim = f"{each['ssim_blurry']:.3f} → {each['ssim']:.3f}"
        lines.append(f"| {each['frames']} | {psnr} | {gain} | {each['least_gain']:+.2f} | {ssim} |")
    return "\n".join(lines)


def _pictures(title: str, pictures: Sequence[Mapping[str, str]]) -> str:
    """Return a list of the pictures, grouped by source, author and licence."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for picture in pictures:
        credit = tuple(picture[name] for name in ("source", "author", "licence"))
        groups.setdefault(credit, []).append(picture["file"])
    lines = [
        f"* {source}, by {author} ({licence}): {', '.join(files)}"
        for (source, author, licence), files in groups.items()
    ]
    return f"{title}, {len(pictures)} pictures:\n\n" + "\n".join(lines)
