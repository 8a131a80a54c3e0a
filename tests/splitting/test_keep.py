"""New images come in, and none of the old ones moves."""

import json
from pathlib import Path

import pytest

from tests.datasets import write_list
from tests.splitting.scenes import Listener, lists_of, write_scenes
from tests.splitting.test_rules import film, plain
from toolkit.errors import DatasetError, UsageError
from toolkit.splitting.split import split


def stayed(before: dict[str, list[str]], after: dict[str, list[str]]) -> bool:
    return all(set(before[name]) <= set(after[name]) for name in before)


@pytest.mark.parametrize("options", [{}, {"ratio": 0.7, "test": 0.1}, {"val": 5}, {"random": True}])
def test_new_images_are_added_by_the_rule_of_the_old_ones(tmp_path: Path, options: dict[str, object]) -> None:
    root = write_scenes(tmp_path, plain(20))
    split(root, seed=3, **options)  # type: ignore[arg-type]
    before = lists_of(root)
    write_scenes(root, plain(60, "new"))
    made = split(root, keep=True)
    after = lists_of(root)
    assert stayed(before, after)
    assert len(made.trainval) + len(made.test) == 80
    sizes = {"ratio": (56, 16, 8), "val": (75, 5, 0)}.get(next(iter(options), ""), (72, 8, 0))
    assert (len(made.train), len(made.val), len(made.test)) == sizes
    assert made.seed == 3 and made.rule == ("random" if "random" in options else "stratified")
    assert split(root, keep=True) == made


def test_a_class_that_is_new_comes_to_both_sides(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(20))
    split(root, val=6)
    before = lists_of(root)
    write_scenes(root, plain(4, "new") | {"rare_1": {4: 99}, "rare_2": {4: 50}})
    made = split(root, keep=True)
    assert stayed(before, lists_of(root))
    assert made.counts["train"].images[4] == made.counts["val"].images[4] == 1


def test_a_new_picture_goes_where_the_one_is_that_it_looks_like(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(10))
    made = split(root, ratio=0.6)
    scenes = {"like_val": made.val[0], "like_train": made.train[0]}
    write_scenes(root, {stem: {1: 50} for stem in scenes}, scenes=scenes)
    after = split(root, keep=True)
    assert "like_val" in after.val and "like_train" in after.train


def test_other_shares_can_be_asked_for(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(20))
    before = split(root)
    made = split(root, keep=True, ratio=0.9, seed=5)
    assert made.val == before.val
    write_scenes(root, plain(20, "new"))
    assert len(split(root, keep=True, ratio=0.5).val) == 20


def test_lists_of_others_are_extended_too(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(40))
    write_list(root, "train", [f"img_{n:03}" for n in range(15)])
    write_list(root, "val", [f"img_{n:03}" for n in range(15, 20)])
    before = lists_of(root)
    made = split(root, keep=True)
    assert stayed(before, lists_of(root))
    assert (len(made.train), len(made.val)) == (30, 10)


def test_a_test_set_that_came_with_the_lists_stays_as_it_is(tmp_path: Path) -> None:
    frames, looks = film(2)
    root = write_scenes(tmp_path, plain(20) | {"film_000": {1: 300}})
    path = tmp_path / "mine.txt"
    path.write_text("img_000\nfilm_000\n", encoding="utf-8")
    split(root, test_from=path)
    write_scenes(root, plain(10, "new") | frames, scenes=looks)
    made = split(root, keep=True)
    assert made.test == ("film_000", "img_000")
    assert made.left_out == ("film_001",)


def test_images_that_are_gone_are_taken_off_and_that_is_said(tmp_path: Path) -> None:
    listener = Listener()
    root = write_scenes(tmp_path, plain(20))
    made = split(root)
    for folder in ("JPEGImages", "SegmentationClass"):
        (root / folder / f"{made.val[0]}.png").unlink()
    after = split(root, keep=True, progress=listener)
    assert f"'{made.val[0]}' has no image any more" in listener.text
    assert made.val[0] not in after.trainval


def test_a_single_image_that_was_on_both_sides_goes_to_one(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(1))
    split(root)
    write_scenes(root, plain(10))
    made = split(root, keep=True)
    assert "img_000" in made.train and made.val == (made.val[0],) and made.val[0] != "img_000"


def test_a_damaged_record_is_not_followed(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(10))
    split(root, seed=4)
    path = root / "ImageSets" / "Segmentation" / "split.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    for name, value in (("ratio", "x"), ("val", [1]), ("group_by", 7), ("seed", None), ("kfold", 2.5)):
        path.write_text(json.dumps({**record, "options": {**record["options"], name: value}}), encoding="utf-8")
        with pytest.raises(DatasetError, match=r"split\.json: is damaged\. Make the lists again: seg split"):
            split(root, keep=True)
    for other in ({**record, "options": {"ratio": 3}}, {**record, "options": 7}, {}, 7):
        path.write_text(json.dumps(other), encoding="utf-8")
        assert len(split(root, keep=True).val) == 1  # as if the lists were somebody else's


# folds


def folds_of(root: Path) -> dict[int, list[str]]:
    lists = lists_of(root)
    return {n: lists[f"fold_{n}/val"] for n in range(1, 100) if f"fold_{n}/val" in lists}


def test_every_image_is_validated_in_one_fold(tmp_path: Path) -> None:
    contents = plain(23) | {f"rare_{n}": {2: 40} for n in range(5)}
    made = split(write_scenes(tmp_path, contents), kfold=5, test=0.1)
    lists, folds = lists_of(tmp_path), folds_of(tmp_path)
    assert len(made.test) == 3
    assert sorted(len(fold) for fold in folds.values()) == [5, 5, 5, 5, 5]
    assert sorted(stem for fold in folds.values() for stem in fold) == lists["trainval"]
    assert not set(lists["trainval"]) & set(lists["test"])
    for number, fold in folds.items():
        assert sorted(fold + lists[f"fold_{number}/train"]) == lists["trainval"]
        assert sum(stem.startswith("rare") for stem in fold) <= 1
    assert (lists["train"], lists["val"]) == (lists["fold_1/train"], lists["fold_1/val"])
    assert made.rule == "stratified folds"
    assert list(made.counts) == [*(f"fold {n}" for n in range(1, 6)), "test"]


def test_a_class_of_a_single_image_is_said_to_be_unlearnable_in_its_fold(tmp_path: Path) -> None:
    listener = Listener()
    contents = plain(9) | {"one": {2: 40}, "two_1": {3: 40}, "two_2": {3: 9}}
    split(write_scenes(tmp_path, contents, names=("_background_", "a", "b", "c")), kfold=4, progress=listener)
    assert listener.warnings == [
        "class 'b' is in one fold only, which cannot learn what it validates.",
        "class 'c' is not validated in every fold (in 2 of 4).",
    ]


def test_fewer_folds_leave_no_list_of_the_others(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(12))
    split(root, kfold=6)
    (root / "ImageSets/Segmentation/fold_6/notes.md").touch()
    split(root, kfold=3)
    assert sorted(folds_of(root)) == [1, 2, 3]
    split(root)
    assert folds_of(root) == {}
    assert [path.name for path in (root / "ImageSets/Segmentation").glob("fold_*")] == ["fold_6"]
    assert (root / "ImageSets/Segmentation/fold_6/notes.md").exists()


def test_folds_that_were_changed_are_not_overwritten(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(12))
    split(root, kfold=3)
    path = root / "ImageSets/Segmentation/fold_2/val.txt"
    path.write_text("img_000\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="not made by seg split, or were changed since"):
        split(root, kfold=3)
    assert path.read_text(encoding="utf-8") == "img_000\n"


def test_folds_are_kept_and_extended(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, plain(12))
    split(root, kfold=3, test=2)
    before = folds_of(root)
    write_scenes(root, plain(14, "new"))
    made = split(root, keep=True)
    after = folds_of(root)
    assert all(set(before[n]) <= set(after[n]) for n in before)
    assert sorted(map(len, after.values())) == [8, 8, 8] and len(made.test) == 2
    with pytest.raises(UsageError, match="does not hold 4 folds"):
        split(root, keep=True, kfold=4)


def test_groups_stay_in_one_fold(tmp_path: Path) -> None:
    contents = {f"{video}-{frame}": {1: 300} for video in "abcdef" for frame in range(3)}
    made = split(write_scenes(tmp_path, contents), kfold=3, group_by="^.")
    assert [len({stem[0] for stem in fold}) for fold in made.folds] == [2, 2, 2]
    assert [len(fold) for fold in made.folds] == [6, 6, 6]
