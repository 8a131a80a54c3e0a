"""Which labels are taken for one word, and which for a slip."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audit.spelling import suspicions, variants

PLACE = Path("labelme")
letters = st.text("abcdé", min_size=4, max_size=8)


def uses(**counts: int) -> dict[str, tuple[int, str]]:
    return {label: (count, f"{label}.json") for label, count in counts.items()}


def distance(a: str, b: str) -> int:
    """Insertions, deletions, changes and swaps of neighbours (optimal string alignment), by the textbook table."""
    rows = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, change)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@given(letters, letters)
def test_a_slip_is_a_distance_of_one(rare: str, frequent: str) -> None:
    if rare == frequent:
        return
    found = suspicions({rare: (1, "a.json"), frequent: (50, "b.json")}, PLACE)
    assert bool(found) == (distance(rare, frequent) == 1)


@pytest.mark.parametrize(
    ("rare", "frequent"),
    [("cup1", "cup2"), ("lane_1", "lane_10"), ("cat", "car"), ("left", "left")],
)
def test_numbers_and_short_words_are_no_slips(rare: str, frequent: str) -> None:
    assert not suspicions({rare: (1, "a.json")} | {frequent: (50, "b.json")}, PLACE)


def test_two_frequent_words_are_no_slip() -> None:
    assert not suspicions(uses(house=40, horse=50), PLACE)
    assert not suspicions(uses(house=3, horse=4), PLACE)


def test_a_slip_is_mapped_to_the_closest_frequent_word() -> None:
    (finding,) = suspicions(uses(persn=2, person=80, persons=20), PLACE)
    assert "'persn' (2 shapes, first in persn.json)" in finding.reason
    assert finding.way_out.endswith("--map persn=person")


def test_spellings_of_one_word_are_mapped_to_the_commonest() -> None:
    counts = {"traffic light": (9, "a.json"), "Traffic_Light": (2, "b.json"), "traffic-light": (1, "c.json")}
    (finding,) = variants(counts, PLACE)
    assert "--map 'Traffic_Light=traffic light' --map 'traffic-light=traffic light'" in finding.way_out
    assert finding.code == "label-variants"


def test_full_width_characters_and_case_are_one_word() -> None:
    assert len(variants({"\uff43\uff41\uff54": (1, "a.json"), "Cat": (1, "b.json")}, PLACE)) == 1
    assert not variants({"cat": (1, "a.json"), "dog": (1, "b.json"), "_background_": (1, "c.json")}, PLACE)


def test_a_label_called_background_is_named() -> None:
    (finding,) = suspicions(uses(Background=4), PLACE)
    assert finding.code == "label-background"
    assert finding.way_out.endswith("--map Background=_background_")
