"""ModelConfig: structure and sizes of a network, stored with its weights."""

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self, cast

_TRIPLES = ("widths", "growths")
_CHOICES = {
    "encoder": ("dense", "residual"),
    "branches": ("both", "large", "small", "plain"),
    "attention": ("both", "channel", "spatial", "none"),
    "fusion": ("orientation", "concat", "divided", "none"),
}
_SWITCHES = ("skips", "residual")
_LATER: Mapping[str, object] = {"levels": 1, "shrinkage": 0.0}  # fields that files of early releases lack
_MOST_LEVELS = 4  # levels of the largest published DMPHN
_MOST = 4096  # most channels, 32 times the paper's; protects against absurd values in a file


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Structure and sizes of a network. The defaults are CDGNet with the paper's sizes.

    Most users take a named configuration, ``ModelConfig.preset("paper")``, and change fields of it with
    ``dataclasses.replace``. All arguments are keyword-only.

    Args:
        encoder: Blocks of the encoder: ``dense`` (residual dense blocks, section 3.1) or ``residual`` (DMPHN's
            ResBlocks).
        branches: ``both``, or a single branch: ``large``, ``small`` (section 3.3) or ``plain`` (DMPHN's decoder,
            without deformable convolutions).
        attention: Parts of each branch's attention (section 3.2): ``both``, ``channel``, ``spatial`` or ``none``.
        skips: Whether the decoders add the encoder's features. DMPHN has no such skip connections.
        fusion: How the branches are merged: ``orientation`` (OFF, section 3.4), ``concat`` (concatenation and one
            convolution) or ``divided`` (OFF plus a gate that favours the small branch where it finds little blur).
            ``none`` for networks with one branch.
        widths: Channels at full, half and quarter resolution.
        growths: Growth of the dense blocks at full, half and quarter resolution; unused with ``residual`` encoders.
        fusion_width: Channels per orientation in the fusion.
        attention_reduction: Divisor from the quarter-resolution width to the channel attention's hidden width.
        offset_groups: Groups of channels in a deformable convolution; the channels of a group share their offsets.
        residual: Whether the output images are the blurry frame plus a learned change, instead of the change alone.
        shrinkage: Grey levels of 255; where the network changes a frame by less than about this, most of the change is
            dropped, and brightness and colours stay those of the blurry frame (``shrinkage.shrink``). 0 keeps every
            change. In training mode it has no effect.
        levels: Levels of DMPHN's patch hierarchy, 1 to 4. The first level sees the whole frame, each further level
            halves the patches; 3 levels are DMPHN(1-2-4). More than one needs ``branches="plain"``,
            ``attention="none"`` and ``skips=False``.

    Raises:
        ValueError: If fields have a wrong type or value, or do not fit together; the message lists every problem.

    Source: Wang et al. 2021, section 3; Zhang et al. 2019 for the parts of DMPHN.
    """

    encoder: str = field(
        default="dense", metadata={"help": "blocks of the encoder: dense (RDB, section 3.1) or residual (DMPHN's)"}
    )
    branches: str = field(
        default="both",
        metadata={"help": "both, or one alone: large, small (section 3.3) or plain (DMPHN's, not deformable)"},
    )
    attention: str = field(
        default="both",
        metadata={"help": "parts of each branch's attention (section 3.2): channel, spatial, both, none"},
    )
    skips: bool = field(
        default=True, metadata={"help": "encoder features are added in the decoders; DMPHN has no such skips"}
    )
    fusion: str = field(
        default="orientation",
        metadata={
            "help": "what joins both branches: orientation (OFF, section 3.4), concat, or divided: OFF, and where a "
            "gate finds little blur the small branch's image; none for one branch"
        },
    )
    widths: tuple[int, int, int] = field(
        default=(32, 64, 128), metadata={"help": "channels at full, half and quarter resolution"}
    )
    growths: tuple[int, int, int] = field(
        default=(8, 32, 192),
        metadata={"help": "growth of a dense block at full, half and quarter resolution; of no matter if residual"},
    )
    fusion_width: int = field(default=16, metadata={"help": "channels of each orientation in the fusion"})
    attention_reduction: int = field(
        default=16, metadata={"help": "quarter-resolution width over the channel attention's inner width"}
    )
    offset_groups: int = field(
        default=2, metadata={"help": "groups of channels a deformable convolution moves together"}
    )
    residual: bool = field(
        default=True,
        metadata={"help": "images are blurry + convolution, starting as blurry; off: the convolution alone"},
    )
    shrinkage: float = field(
        default=0.0,
        metadata={
            "help": "grey levels; changes smaller than about this are mostly dropped, and the brightness is kept"
        },
    )
    levels: int = field(
        default=1,
        metadata={
            "help": "levels of patches: the first sees the whole frame, each other one the patches above cut in two "
            "(3 are DMPHN's 1-2-4); more than one only of the plain branch"
        },
    )

    def __post_init__(self) -> None:
        problems = [text for name, value in asdict(self).items() for text in _field_problems(name, value)]
        _refuse(problems or self._misfits())

    @classmethod
    def preset(cls, name: str, variant: str = "cdgnet") -> "ModelConfig":
        """Return a named configuration.

        Args:
            name: Sizes, one of ``PRESETS``. ``paper`` matches the model sizes of Tables 1 and 4, ``light`` the
                multiply-accumulates of Table 1. ``small`` and ``tiny`` have half and a quarter of the width, for CPUs.
            variant: Structure, one of ``VARIANTS``: ``cdgnet``, the other rows of Table 3, and the DMPHN networks of
                Zhang et al. 2019. The rows of Table 4 are ``large-branch`` with other values of ``attention``.

        Raises:
            ValueError: If ``name`` or ``variant`` is unknown.

        Examples:
            >>> ModelConfig.preset("tiny", "dmphn-1").widths
            (8, 16, 32)
        """
        if name not in _PRESETS:
            raise ValueError(f"preset {name!r} does not exist; pass one of {', '.join(PRESETS)}")
        if variant not in _VARIANTS:
            raise ValueError(f"variant {variant!r} does not exist; pass one of {', '.join(VARIANTS)}")
        return replace(_PRESETS[name], **_VARIANTS[variant])

    @property
    def variant(self) -> str:
        """Name of the structure in ``VARIANTS``, or a list of its fields if it has no name.

        With ``fusion="divided"`` the text ends in ``, divided fusion``.
        """
        if self.fusion == "divided":
            return f"{replace(self, fusion='orientation').variant}, divided fusion"
        for name, structure in _VARIANTS.items():
            if all(getattr(self, part) == value for part, value in structure.items()):
                return name
        parts = [*_VARIANTS["cdgnet"], *(["residual"] if self.levels > 1 else [])]
        return ", ".join(f"{name} {getattr(self, name)}" for name in parts)

    @property
    def summary(self) -> str:
        """Structure, widths and shrinkage in words, such as ``dmphn-1, widths 16, 32, 64, shrinkage 3``."""
        shrinkage = f", shrinkage {self.shrinkage:g}" if self.shrinkage else ""
        return f"{self.variant}, widths {', '.join(map(str, self.widths))}{shrinkage}"

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Build a configuration from the output of ``to_dict``.

        Args:
            values: All fields by name. ``widths`` and ``growths`` may be lists; a missing ``levels`` means 1, a
                missing ``shrinkage`` 0.

        Raises:
            ValueError: If fields are unknown, missing or of a wrong type; the message lists every problem.
        """
        names = [each.name for each in fields(cls)]
        given = {**_LATER, **{name: _untupled(name, value) for name, value in values.items()}}
        problems = [f"{name} is not a field; remove it" for name in given if name not in names]
        problems += [f"{name} is missing; add it" for name in names if name not in given]
        for name in names:
            problems += _field_problems(name, given[name]) if name in given else []
        _refuse(problems)
        return cls(
            encoder=cast(str, given["encoder"]),
            branches=cast(str, given["branches"]),
            attention=cast(str, given["attention"]),
            skips=cast(bool, given["skips"]),
            fusion=cast(str, given["fusion"]),
            widths=cast(tuple[int, int, int], given["widths"]),
            growths=cast(tuple[int, int, int], given["growths"]),
            fusion_width=cast(int, given["fusion_width"]),
            attention_reduction=cast(int, given["attention_reduction"]),
            offset_groups=cast(int, given["offset_groups"]),
            residual=cast(bool, given["residual"]),
            shrinkage=float(cast(float, given["shrinkage"])),
            levels=cast(int, given["levels"]),
        )

    def to_dict(self) -> dict[str, int | bool | str | list[int]]:
        """Return all fields by name, ready for JSON: tuples become lists.

        ``levels`` is left out if it is 1, as in files written before the field existed.
        """
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if value != _LATER.get(name)}

    def _misfits(self) -> list[str]:
        """Return the conflicts between fields that are valid by themselves."""
        quarter = self.widths[2]
        problems = [
            f"width {width} is not a multiple of offset_groups {self.offset_groups}; change either"
            for width in self.widths
            if width % self.offset_groups
        ]
        # The spatial attention halves the width twice; both results must be divisible by the groups.
        if quarter % (4 * self.offset_groups):
            problems.append(
                f"the last of widths, {quarter}, is not a multiple of 4 * offset_groups "
                f"{self.offset_groups}; change either"
            )
        if quarter % self.attention_reduction:
            problems.append(
                f"the last of widths, {quarter}, is not a multiple of attention_reduction "
                f"{self.attention_reduction}; change either"
            )
        if (self.branches == "both") != (self.fusion != "none"):
            wanted = "orientation, concat or divided" if self.branches == "both" else "none"
            problems.append(f"fusion is {self.fusion} with branches {self.branches}; make it {wanted}")
        parts = f"branches {self.branches}, attention {self.attention}, skips {str(self.skips).lower()}"
        if self.levels > 1 and parts != "branches plain, attention none, skips false":
            problems.append(f"levels is {self.levels} with {parts}; make it 1, or take plain, none and false")
        return problems


def _untupled(name: str, value: object) -> object:
    return tuple(value) if name in _TRIPLES and isinstance(value, list) else value


def _is_count(value: object, most: int = _MOST) -> bool:
    # bool is a subclass of int, but True must not count as 1.
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _is_grey_level(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 255


def _field_problems(name: str, value: object) -> list[str]:
    if name in _SWITCHES:
        wanted, is_fine = "true or false", isinstance(value, bool)
    elif name in _CHOICES:
        wanted, is_fine = f"one of {', '.join(_CHOICES[name])}", value in _CHOICES[name]
    elif name == "shrinkage":
        wanted, is_fine = "a number from 0 to 255", _is_grey_level(value)
    elif name in _TRIPLES:
        wanted = f"three whole numbers from 1 to {_MOST}"
        is_fine = isinstance(value, tuple) and len(value) == 3 and all(map(_is_count, value))
    else:
        most = _MOST_LEVELS if name == "levels" else _MOST
        wanted, is_fine = f"a whole number from 1 to {most}", _is_count(value, most)
    return [] if is_fine else [f"{name} is {reprlib.repr(value)}; it must be {wanted}"]


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError("; ".join(problems))


_PRESETS = {
    "paper": ModelConfig(),
    "light": ModelConfig(growths=(4, 8, 16), fusion_width=8),
    "small": ModelConfig(widths=(16, 32, 64), growths=(4, 8, 16), fusion_width=8, attention_reduction=8),
    # The channel attention has eight hidden units, as in `paper`: with two, both are dead in 1 of 4 new networks.
    "tiny": ModelConfig(widths=(8, 16, 32), growths=(4, 8, 16), fusion_width=8, attention_reduction=4),
}
PRESETS = tuple(_PRESETS)
"""Names of the sizes for ``ModelConfig.preset``, from large to small."""


def _structure(
    encoder: str, branches: str, attention: str, fusion: str, *, skips: bool = True, levels: int = 1
) -> dict[str, Any]:
    parts = {"encoder": encoder, "branches": branches, "attention": attention, "fusion": fusion, "skips": skips}
    return {**parts, "levels": levels}


def _published(levels: int) -> dict[str, Any]:
    """Return the structure of DMPHN as published: its last decoder outputs the image, not a change of it."""
    return {**_structure("residual", "plain", "none", "none", skips=False, levels=levels), "residual": False}


# The rows of Table 3, then DMPHN as published. The dmphn rows have no skip connections, as in the published code.
_VARIANTS = {
    "dmphn-1": _structure("residual", "plain", "none", "none", skips=False),
    "dmphn-acda": _structure("residual", "plain", "both", "none", skips=False),
    "dmphn-ld": _structure("residual", "large", "none", "none", skips=False),
    "large-branch": _structure("residual", "large", "both", "none"),
    "dmphn-sd": _structure("residual", "small", "none", "none", skips=False),
    "small-branch": _structure("residual", "small", "both", "none"),
    "two-branch-concat": _structure("residual", "both", "both", "concat"),
    "two-branch-off": _structure("residual", "both", "both", "orientation"),
    "cdgnet": _structure("dense", "both", "both", "orientation"),
    "dmphn-1-2-4": _published(levels=3),
    "dmphn-1-2-4-8": _published(levels=4),
}
VARIANTS = tuple(_VARIANTS)
"""Names of the structures for ``ModelConfig.preset``."""
