import pytest

from prep.units import about, counted, duration, file_size, percent


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (12618, "12,618 frames")]
)
def test_a_count_takes_the_plural_unless_it_is_one(number: int, text: str) -> None:
    assert counted(number, "frame") == text


def test_an_irregular_plural_is_taken_as_given() -> None:
    assert [counted(number, "index", "indices") for number in (1, 2)] == ["1 index", "2 indices"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1, "1 byte"),
        (999, "999 bytes"),
        (999.6, "1.0 kB"),
        (2_500_000, "2.5 MB"),
        (9_960_000, "10 MB"),
        (999_700_000, "1.0 GB"),
        (31e9, "31 GB"),
        (4e15, "4,000 TB"),
    ],
)
def test_bytes_are_written_in_the_unit_that_leaves_three_digits(size: float, text: str) -> None:
    assert file_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "under 1 s"),
        (1, "1 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (7100, "118 min"),
        (7200, "2 h"),
        (9000, "2 h 30 min"),
        (10799, "3 h"),
        (4.1 * 86400, "4.1 days"),
        (10450.7 * 86400, "28.6 years"),
    ],
)
def test_a_duration_is_written_in_units_that_a_person_can_picture(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.0, 1, "0%"),
        (0.0004, 1, "less than 0.1%"),
        (0.0004, 2, "0.04%"),
        (0.00001, 2, "less than 0.01%"),
        (1, 1, "100.0%"),
    ],
)
def test_a_small_share_is_not_written_as_zero(share: float, digits: int, text: str) -> None:
    assert percent(share, digits) == text


def test_an_estimate_of_less_than_a_second_is_not_called_about() -> None:
    assert [about(seconds) for seconds in (0.3, 42)] == ["under 1 s", "about 42 s"]
