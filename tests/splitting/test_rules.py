"""Stratified, grouped, leak-free: what the lists hold, and what is said of what could not be had."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.splitting.scenes import Listener, lists_of, write_scenes
from toolkit.errors import DatasetError, ImageError, UsageError
from toolkit.splitting.split import split

RARE = {
    f"img_{n:02}": {1: 900} | ({2: 500} if n in (3, 17) else {}) | ({3: 40} if n % 5 == 0 else {}) for n in range(40)
}


def film(frames: int, name: str = "film", step: str = "_") -> tuple[dict[str, dict[int, int]], dict[str, str]]:
    """Frames that all look like the first one."""
    stems = [f"{name}{step}{n:03}" for n in range(frames)]
    return {stem: {1: 300} for stem in stems}, dict.fromkeys(stems, stems[0])


def plain(count: int, name: str = "img") -> dict[str, dict[int, int]]:
    return {f"{name}_{n:03}": {1: 300} for n in range(count)}


# by classes


@pytest.mark.parametrize("seed", range(5))
def test_every_class_of_two_images_is_in_train_and_in_val(tmp_path: Path, seed: int) -> None:
    made = split(write_scenes(tmp_path, RARE), seed=seed)
    assert len(made.val) == 4
    assert len({"img_03", "img_17"} & set(made.val)) == 1
    assert made.counts["val"].images[3] == 1
    assert made.rule == "stratified"


def test_a_plain_shuffle_knows_nothing_of_that(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, RARE)
    lacks = [not {"img_03", "img_17"} & set(split(root, seed=seed, random=True).val) for seed in range(6)]
    assert any(lacks)


def test_pixel_shares_are_written_side_by_side(tmp_path: Path) -> None:
    made = split(write_scenes(tmp_path, {f"i{n}": {1: 1024 * (n % 3)} for n in range(12)}), ratio=0.75)
    record = json.loads((tmp_path / "ImageSets/Segmentation/split.json").read_text(encoding="utf-8"))
    assert record["classes"]["a"]["share"] == {"train": pytest.approx(0.25), "val": pytest.approx(0.25)}
    assert record["classes"]["a"]["images"] == {"train": 6, "val": 2}
    assert record["classes"]["a"]["pixels"]["val"] == 1024 * 3
    assert record["seed"] == 0 and record["rule"] == "stratified"
    assert record["dataset"] == made.dataset != split(write_scenes(tmp_path, {"i0": {1: 5}}), ratio=0.75).dataset


def test_a_class_of_one_image_is_trained_on_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    contents = plain(10) | {"img_004": {1: 100, 3: 50}}
    made = split(write_scenes(tmp_path, contents), progress=listener)
    assert "img_004" in made.train
    assert "class 'c' is in one image only, so not validated (val)." in listener.warnings
    assert "classes 'b', 'd' are in no image at all." in listener.warnings
    assert list(made.notes) == listener.warnings


def test_validation_grows_if_its_classes_need_it_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    contents = {f"{name}{n}": {class_id: 99} for class_id, name in enumerate("abcd", 1) for n in range(2)}
    made = split(write_scenes(tmp_path, contents), ratio=0.9, progress=listener)
    assert sorted(stem[0] for stem in made.val) == ["a", "b", "c", "d"]
    assert "train has 4 images instead of 7, val has 4 images instead of 1" in listener.text
    assert "--random keeps the numbers" in listener.text
    assert len(split(tmp_path, ratio=0.9, random=True).val) == 1


def test_it_depends_on_nothing_but_names_masks_pictures_and_seed(tmp_path: Path) -> None:
    backwards = dict(reversed(list(RARE.items())))
    expected = split(write_scenes(tmp_path / "a", RARE))
    assert split(write_scenes(tmp_path / "b", backwards), workers=2) == expected
    code = "import sys; from toolkit.splitting.split import split; print(*split(sys.argv[1]).val)"
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "a")],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert tuple(done.stdout.split()) == expected.val


def test_lists_are_the_same_as_they_were_on_other_machines(tmp_path: Path) -> None:
    """Fixed here on purpose: whoever changes them changes everybody's splits."""
    assert split(write_scenes(tmp_path, RARE)).val == FIXED_VAL


FIXED_VAL = ("img_03", "img_04", "img_10", "img_22")


# sizes


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, (18, 2, 0)),
        ({"val": 0.25}, (15, 5, 0)),
        ({"val": 7}, (13, 7, 0)),
        ({"test": 0.2}, (14, 2, 4)),
        ({"ratio": 0.5, "test": 0.2}, (10, 6, 4)),
        ({"ratio": 0.7, "val": 0.1, "test": 0.2}, (14, 2, 4)),
        ({"ratio": 0.5, "test": 3}, (10, 7, 3)),
        ({"val": 1, "test": 1}, (18, 1, 1)),
        ({"val": 1, "test": 18}, (1, 1, 18)),
        ({"test": 0}, (18, 2, 0)),
        ({"val": 0.2, "random": True, "test": 5}, (11, 4, 5)),
    ],
)
def test_shares_and_numbers(tmp_path: Path, options: dict[str, float], sizes: tuple[int, int, int]) -> None:
    made = split(write_scenes(tmp_path, plain(20)), **options)  # type: ignore[arg-type]
    assert (len(made.train), len(made.val), len(made.test)) == sizes
    lists = lists_of(tmp_path)
    assert lists["trainval"] == sorted(lists["train"] + lists["val"])
    assert sorted(lists["trainval"] + lists["test"]) == list(plain(20))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"val": 0}, "val: a share between 0 and 1 or a whole number of images is needed (0.1 or 20), got 0"),
        ({"val": 1.5}, "got 1.5"),
        ({"val": float("nan")}, "got nan"),
        ({"test": -1}, "test: a share between 0 and 1"),
        ({"ratio": 0.9, "val": 0.2}, "ratio and val say the same thing twice, and not the same"),
        ({"ratio": 0.9, "test": 0.1}, "ratio 0.9 and test 0.1 leave nothing for validation"),
        ({"kfold": 1}, "kfold: 2 to 100 folds are possible, got 1"),
        ({"kfold": 101}, "got 101"),
        ({"kfold": 5, "ratio": 0.8}, "ratio: with 5 folds"),
        ({"kfold": 5, "val": 0.2}, "val: with 5 folds"),
        ({"group_by": "("}, "'(' is neither 'folder', nor a file, nor a regular expression"),
        ({"group_by": "(" * 300}, "nor a regular expression"),
        ({"group_by": "x(.*)"}, "the pattern 'x(.*)' fits no image, such as 'img_000'"),
        ({"group_by": "folder"}, "sources.csv is missing, which seg convert writes"),
        ({"keep": True, "overwrite": True}, "keep and overwrite contradict each other"),
        ({"test_from": "x", "test": 3}, "test_from and test contradict each other"),
        ({"test_from": "x", "keep": True}, "test_from and keep contradict each other"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    root = write_scenes(tmp_path, plain(4))
    with pytest.raises(UsageError) as caught:
        split(root, **options)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert lists_of(root) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"val": 4}, "4 images are too few: 4 for validation leave none to train on"),
        ({"val": 2, "test": 2}, "2 for validation and 2 for testing leave none"),
        ({"kfold": 5}, "5 sides need 5 images, there are 4"),
        ({"kfold": 3, "test": 2}, "nothing would be left for fold"),
        ({"ratio": 0.5, "test": 2}, "leave none for validation"),
        ({"keep": True}, "there is no split to keep. Make one: seg split"),
        ({"test_from": "missing.txt"}, "missing.txt: cannot be read"),
        ({"group_by": "missing.csv"}, "missing.csv: cannot be read"),
        ({"group_by": "(img)"}, "2 sides need 2 groups, there are 1"),
    ],
)
def test_what_so_few_images_cannot_give_is_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    root = write_scenes(tmp_path, plain(4))
    with pytest.raises(DatasetError) as caught:
        split(root, **options)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert lists_of(root) == {}


# pictures that look alike


@pytest.mark.parametrize("seed", range(4))
def test_near_identical_pictures_are_on_one_side(tmp_path: Path, seed: int) -> None:
    (one, looks_one), (two, looks_two) = film(4), film(2, "other")
    made = split(write_scenes(tmp_path, plain(14) | one | two, scenes=looks_one | looks_two), ratio=0.7, seed=seed)
    for stems in (one, two):
        assert len({stem in made.val for stem in stems}) == 1
    assert [bond.stems for bond in made.together] == [tuple(one), tuple(two)]
    assert len(made.val) == 6
    record = json.loads((tmp_path / "ImageSets/Segmentation/split.json").read_text(encoding="utf-8"))
    side = "val" if "film_000" in made.val else "train"
    assert record["together"][0] == {"images": list(one), "why": "look alike", "side": side}


def test_leaks_are_allowed_only_if_asked_for(tmp_path: Path) -> None:
    one, looks = film(10)
    root = write_scenes(tmp_path, plain(10) | one, scenes=looks)
    torn = [len({stem in split(root, ratio=0.5, seed=s, allow_leaks=True).val for stem in one}) == 2 for s in range(3)]
    assert any(torn)
    assert not split(root, allow_leaks=True).together


def test_a_single_scene_is_divided_all_the_same_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    one, looks = film(10)
    made = split(write_scenes(tmp_path, one, scenes=looks), ratio=0.7, progress=listener)
    assert (len(made.train), len(made.val)) == (7, 3)
    first = int(made.val[0][-3:])
    assert made.val == tuple(f"film_{n:03}" for n in range(first, first + 3)), "frames that follow one another"
    assert "the 10 pictures look alike" in listener.text and "the scores will flatter" in listener.text


def test_frames_of_a_single_scene_follow_one_another_by_number_not_by_letter(tmp_path: Path) -> None:
    stems = [f"frame{n}" for n in range(7, 13)]
    root = write_scenes(tmp_path, {stem: {1: 300} for stem in stems}, scenes=dict.fromkeys(stems, stems[0]))
    for seed in range(4):
        made = split(root, val=2, seed=seed)
        first, second = sorted(int(stem.removeprefix("frame")) for stem in made.val)
        assert second == first + 1


def test_groups_of_a_single_scene_decide_alone(tmp_path: Path) -> None:
    listener = Listener()
    root = write_scenes(tmp_path, VIDEOS, scenes=dict.fromkeys(VIDEOS, "a-0"))
    made = split(root, ratio=0.8, group_by="^.", progress=listener)
    assert len(sides_of_videos(made.val)) == 1
    assert "divided by their groups alone" in listener.text


def test_a_picture_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(5))
    path = root / "JPEGImages" / "img_002.png"
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(ImageError, match=r"img_002\.png"):
        split(root)
    assert lists_of(root) == {}


# groups

VIDEOS = {f"{video}-{frame}": {1: 300} for video in ("a", "b", "c", "d", "e") for frame in range(4)}


def sides_of_videos(val: tuple[str, ...]) -> set[str]:
    assert len(val) % 4 == 0
    return {stem[0] for stem in val}


@pytest.mark.parametrize("pattern", ["^(.+)-[0-9]+$", "^[a-e]", "(?P<video>[a-e])"])
def test_groups_by_a_pattern(tmp_path: Path, pattern: str) -> None:
    made = split(write_scenes(tmp_path, VIDEOS), ratio=0.8, group_by=pattern)
    assert len(sides_of_videos(made.val)) == 1 and len(made.val) == 4
    assert {bond.why for bond in made.together} == {f"group '{video}'" for video in "abcde"}


def test_a_group_is_not_torn_apart_for_the_ratio_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    made = split(write_scenes(tmp_path, VIDEOS), ratio=0.9, group_by="^.", progress=listener)
    assert len(made.val) == 4
    assert "val has 4 images instead of 2: images that belong together were not torn apart" in listener.text


def test_groups_by_the_folder_of_the_annotation(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, {f"{n}": {1: 300} for n in range(12)})
    rows = "".join(f"{n},patient {n % 3}/{n}.json\n" for n in range(12))
    (root / "sources.csv").write_text("stem,source\n" + rows, encoding="utf-8")
    made = split(root, ratio=0.7, group_by="folder")
    assert len({int(stem) % 3 for stem in made.val}) == 1 and len(made.val) == 4


@pytest.mark.parametrize(
    "text",
    [
        "image,group\n{rows}",
        "\ufeff{rows}",
        "{rows}\n\nnot-here.jpg,7\n",
    ],
)
@pytest.mark.parametrize(("name", "between"), [("groups.csv", ","), ("groups.tsv", "\t"), ("groups", ";")])
def test_groups_by_a_file(tmp_path: Path, text: str, name: str, between: str) -> None:
    root = write_scenes(tmp_path / "voc", VIDEOS)
    rows = "\n".join(f"{stem}.jpg,video {stem[0]}" for stem in VIDEOS)
    path = tmp_path / name
    path.write_text(text.format(rows=rows).replace(",", between), encoding="utf-8")
    made = split(root, ratio=0.8, group_by=path)
    assert len(sides_of_videos(made.val)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a-0,1\na-0,2\n", "line 2: 'a-0' is in group '1' already"),
        ("a-0,1\na-1,\n", "line 2: 'a-1' has no group"),
        ("x,1\ny,2\n", "names no image of the dataset"),
        ("a-0\n", "line 1: lines of 'image,group' are needed"),
        (b"a-0,\xff\n", "is no UTF-8 text"),
    ],
)
def test_a_bad_file_of_groups_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    root = write_scenes(tmp_path / "voc", VIDEOS)
    path = tmp_path / "groups.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DatasetError) as caught:
        split(root, group_by=path)
    assert said in str(caught.value) and str(path) in str(caught.value)


def test_images_without_a_group_stand_alone_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    made = split(write_scenes(tmp_path, VIDEOS | plain(2)), ratio=0.8, group_by="^(.)-", progress=listener)
    assert "'img_000', 'img_001' have no group; each such image stands alone" in listener.text
    assert len(made.together) == 5


def test_groups_and_likeness_are_joined(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, VIDEOS, scenes={"b-0": "a-3", "a-3": "a-3"})
    made = split(root, ratio=0.6, group_by="^.")
    (largest,) = [bond for bond in made.together if len(bond.stems) == 8]
    assert {stem[0] for stem in largest.stems} == {"a", "b"}
    assert "look alike" in largest.why and "group 'a'" in largest.why
    assert len(made.val) == 8


# a test set that is given


def test_a_given_test_set_is_neither_trained_on_nor_validated(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "voc", plain(12))
    path = tmp_path / "mine.txt"
    path.write_text("img_003.jpg\nimg_007\nsome\\where\\img_008.png\n\n", encoding="utf-8")
    made = split(root, ratio=0.7, test_from=path)
    assert made.test == ("img_003", "img_007", "img_008")
    assert (len(made.train), len(made.val)) == (6, 3)
    assert not {*made.train, *made.val} & set(made.test)


def test_what_belongs_to_a_test_image_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    frames, looks = film(3)
    root = write_scenes(tmp_path / "voc", plain(8) | frames, scenes=looks)
    path = tmp_path / "mine.txt"
    path.write_text("film_001\n", encoding="utf-8")
    made = split(root, test_from=path, progress=listener)
    assert made.test == ("film_001",)
    assert made.left_out == ("film_000", "film_002")
    assert made.trainval == tuple(plain(8))
    assert "'film_000', 'film_002' have been left out" in listener.text
    assert set(split(root, test_from=path, allow_leaks=True, overwrite=True).trainval) == {
        *plain(8),
        "film_000",
        "film_002",
    }


def test_a_test_image_needs_no_mask(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "voc", plain(6))
    (root / "SegmentationClass" / "img_005.png").unlink()
    path = tmp_path / "mine.txt"
    path.write_text("img_005\n", encoding="utf-8")
    assert split(root, test_from=path).test == ("img_005",)


def test_an_unknown_test_image_is_refused(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "voc", plain(6))
    path = tmp_path / "mine.txt"
    path.write_text("img_005\nimg_999\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"mine\.txt: 'img_999' has no image in .*JPEGImages"):
        split(root, test_from=path)
    path.write_text("".join(f"{stem}\n" for stem in plain(6)), encoding="utf-8")
    with pytest.raises(DatasetError, match="none is left to train on"):
        split(root, test_from=path)
