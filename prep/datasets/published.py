"""Published data sets: their folders on disk, their splits, and the numbers of pairs that their authors state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# Pairs per sequence of GoPro (Nah et al. 2017), counted in the released archive.
_GOPRO_TRAIN = (
    "0372_07_00:100 0372_07_01:75 0374_11_00:150 0374_11_01:80 0374_11_02:100 0374_11_03:48 0378_13_00:110 "
    "0379_11_00:100 0380_11_00:60 0384_11_01:100 0384_11_02:100 0384_11_03:100 0384_11_04:100 0385_11_00:100 "
    "0386_11_00:100 0477_11_00:80 0857_11_00:100 0868_11_01:100 0868_11_02:100 0871_11_01:100 0881_11_00:100 "
    "0884_11_00:100"
)
_GOPRO_TEST = (
    "0384_11_00:100 0384_11_05:100 0385_11_01:100 0396_11_00:100 0410_11_00:134 0854_11_00:100 0862_11_00:77 "
    "0868_11_00:100 0869_11_00:100 0871_11_00:100 0881_11_01:100"
)


def _gopro(table: str) -> Mapping[str, int]:
    return {f"GOPR{name}": int(count) for name, count in (entry.split(":") for entry in table.split())}


# Pairs per sequence, by layout and split, if known.
COUNTS: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "gopro": {"train": _gopro(_GOPRO_TRAIN), "test": _gopro(_GOPRO_TEST)},
    "reds": {  # Nah et al. 2019: 100 frames per clip; val serves as test, since the real test split has no sharp frames
        "train": {f"train/{clip:03}": 100 for clip in range(240)},
        "test": {f"val/{clip:03}": 100 for clip in range(30)},
    },
}

# Published size of each split in words, by layout and split.
TOTALS: Mapping[str, Mapping[str, str]] = {
    **{
        layout: {split: f"official {sum(counts.values())} in {len(counts)}" for split, counts in splits.items()}
        for layout, splits in COUNTS.items()
    },
    "videodeblurring": {"train": "official 61 videos", "test": "official 10 videos"},
    "hide": {"train": "official 6397", "test": "official 2025"},
    "realblur": {"train": "official 3758", "test": "official 980"},
    # Counted in the lists of the authors' repository (Rim et al. 2022).
    "rsblur": {"train": "official 8878", "valid": "official 1120", "test": "official 3360"},
    "gopro-abme": {"train": "official 2103"},
    "bsd": {"train": "official 6000", "test": "official 3000"},  # for each exposure
}

# Test videos of Su et al. 2017; the authors list them in issue 2 of their repository.
VIDEODEBLURRING_TEST = frozenset(
    [f"IMG_{number:04}" for number in (3, 21, 30, 31, 32, 33, 37, 39, 49)] + ["720p_240fps_2"]
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders and file names of a published data set.

    The groups in ``shapes`` are ``role`` and ``name``, and optionally ``split``, ``clip`` and ``variant``.
    """

    name: str
    looks: str  # description of the folders, for help and error texts
    homes: Sequence[str]  # possible folders of the data set below the root
    shapes: Sequence[Sequence[str]]  # patterns of a frame's path, for ``path_patterns.match``
    blurry: Mapping[str, str]  # role -> variant (kind of blur), used if the path does not name it
    sharp: Sequence[str]  # roles of sharp frames
    variants: Sequence[str] = ("",)  # the default is the first
    key: str = "{clip}/{name}"
    split: Callable[[Mapping[str, str]], str] = lambda named: "train" if named["split"] == "train" else "test"
    lists: str = ""  # name of the files that list the frames of each split, if the folders do not
    list_entry: str = ""  # regular expression that finds a frame's clip and name in such a list
    variant_of_home: str = ""  # regular expression for the name of a folder with only one variant


_PICTURE = r"(?P<name>.+)\.\w+"
_EXPOSURE = "BSD_(?P<variant>1ms8ms|2ms16ms|3ms24ms)"
_BSD = ("(?P<split>train|valid|test)", r"(?P<clip>\d+)", "(?P<role>Blur|Sharp)", "RGB", _PICTURE)
_FLAT_SCENE = r"(?P<clip>scene\d+|)[-_]?(?:(?:blur|gt)[-_])?(?P<name>.+)\.\w+"
_FLAT = r"(?P<clip>GOPR\d+_\d+_\d+)[-_](?P<name>\d+)\.\w+"

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            name="gopro",
            looks="[GOPRO_Large/]{train,test}/<SEQ>/{blur or blur_gamma,sharp}/<name>.png, "
            "or flat {train,test}/{input,target}/<SEQ>-<name>.png",
            homes=("", "GOPRO_Large", "GoPro", "GOPRO"),
            shapes=(
                ("(?P<split>train|test)", "(?P<clip>.+)", "(?P<role>blur|blur_gamma|sharp)", _PICTURE),
                # the copies for MPRNet, NAFNet and MIMO-UNet, made from ``blur``
                ("(?P<split>train|test)", "(?P<role>input|target|blur|sharp)", _FLAT),
                ("(?P<split>train|test)", "GoPro", "(?P<role>input|target)", _FLAT),
            ),
            blurry={"blur": "blur", "input": "blur", "blur_gamma": "blur_gamma"},
            sharp=("sharp", "target"),
            variants=("blur", "blur_gamma"),
        ),
        Layout(
            name="videodeblurring",
            looks="[DeepVideoDeblurring_Dataset/]quantitative_datasets/<video>/{input,GT}/<name>.jpg",
            homes=("", "quantitative_datasets", "DeepVideoDeblurring_Dataset/quantitative_datasets"),
            shapes=(("(?P<clip>.+)", "(?P<role>input|GT)", _PICTURE),),
            blurry={"input": ""},
            sharp=("GT",),
            split=lambda named: "test" if named["clip"] in VIDEODEBLURRING_TEST else "train",
        ),
        Layout(
            name="reds",
            looks="[REDS/]{train,val}/{train,val}_{blur or blur_comp,sharp}/<clip>/<name>.png",
            homes=("", "REDS"),
            shapes=(
                ("(?P<split>train|val)", "(?:train|val)_(?P<role>blur|blur_comp|sharp)", r"(?P<clip>\d+)", _PICTURE),
            ),
            blurry={"blur": "blur", "blur_comp": "blur_comp"},
            sharp=("sharp",),
            variants=("blur", "blur_comp"),
            key="{split}/{clip}/{name}",  # clips of train and val have the same numbers
        ),
        Layout(
            name="hide",
            looks="[HIDE_dataset/]{train,test/test-close-ups,test/test-long-shot,GT}/<name>.png, "
            "or flat {train,test}/HIDE/{input,target}/<name>.png",
            homes=("", "HIDE_dataset", "HIDE"),
            shapes=(
                ("(?P<role>(?P<split>train|test))", _PICTURE),
                ("(?P<role>(?P<split>test))", "test-.+", _PICTURE),
                ("(?P<role>GT)", _PICTURE),
                # the copies for MPRNet
                ("(?P<split>train|test)", "HIDE", "(?P<role>input|target)", _PICTURE),
                ("(?P<split>train|test)", "(?P<role>input|target)", r"(?P<name>\d+from.+)\.\w+"),
            ),
            blurry={"train": "", "test": "", "input": ""},
            sharp=("GT", "target"),
            key="{name}",  # one folder holds all sharp frames, so names are unique
        ),
        Layout(
            name="realblur",
            looks="[RealBlur/]RealBlur-{J or R}_<...>/scene<NNN>/{blur/blur_<K>,gt/gt_<K>}.png, "
            "or flat {train,test}/RealBlur_{J or R}/{input,target}/<name>.png",
            homes=("", "RealBlur"),
            shapes=(
                (
                    "RealBlur-(?P<variant>[JR]).*",
                    r"(?P<clip>scene\d+)",
                    "(?P<role>blur|gt)",
                    r"(?:blur|gt)_(?P<name>\d+)\.\w+",
                ),
                # the copies for MPRNet
                ("(?P<split>train|test)", "RealBlur_(?P<variant>[JR])", "(?P<role>input|target)", _FLAT_SCENE),
                ("RealBlur_(?P<variant>[JR])", "(?P<split>train|test)", "(?P<role>input|target)", _FLAT_SCENE),
            ),
            blurry={"blur": "", "input": ""},
            sharp=("gt", "target"),
            variants=("J", "R"),
            lists="RealBlur_{variant}_{split}_list.txt",
            list_entry=r"(?P<clip>scene\d+)/(?:gt|blur)/\w+?_(?P<name>\d+)\.",
        ),
        Layout(
            name="rsblur",
            looks="[RSBlur/]<scene>/<number>/{real_blur/real_blur,avg65_img/avg_blur,gt/gt_sharp}.png",
            homes=("", "RSBlur"),
            shapes=(
                (
                    r"(?P<clip>\d+)",
                    r"(?P<name>\d+)",
                    "(?P<role>real_blur|avg65_img|gt)",
                    r"(?:real_blur|avg_blur|gt_sharp)\.\w+",
                ),
            ),
            blurry={"real_blur": "real_blur", "avg65_img": "avg65_img"},
            sharp=("gt",),
            variants=("real_blur", "avg65_img"),
            lists="RSBlur_real_{split}.txt",
            list_entry=r"(?P<clip>\d+)/(?P<name>\d+)/gt/",
        ),
        Layout(
            name="bsd",
            looks="[BSD/]BSD_{1ms8ms,2ms16ms or 3ms24ms}/{train,valid,test}/<clip>/{Blur,Sharp}/RGB/<name>.png",
            homes=("", "BSD"),
            shapes=((_EXPOSURE, *_BSD), _BSD),
            blurry={"Blur": ""},
            sharp=("Sharp",),
            variants=("1ms8ms", "2ms16ms", "3ms24ms"),
            key="{split}/{clip}/{name}",
            split=lambda named: named["split"],
            variant_of_home=rf"{_EXPOSURE}(?:\.zip)?",
        ),
        Layout(
            name="gopro-abme",
            looks="[GoPro_INTER_ABME/]<SEQ>/<number>/{avg_inter_img/avg_blur,gt/gt_sharp}.png",
            homes=("", "GoPro_INTER_ABME"),
            shapes=(
                (
                    r"(?P<clip>GOPR\d+_\d+_\d+)",
                    r"(?P<name>\d+)",
                    "(?P<role>avg_inter_img|gt)",
                    r"(?:avg_blur|gt_sharp)\.\w+",
                ),
            ),
            blurry={"avg_inter_img": ""},
            sharp=("gt",),
            split=lambda named: "test" if named["clip"] in COUNTS["gopro"]["test"] else "train",
        ),
    )
}
