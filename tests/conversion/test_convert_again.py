"""Converting into a dataset that is there already: nothing is lost, doubled or left over."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from toolkit.conversion.convert import convert
from toolkit.conversion.render import Job, Outcome, render
from toolkit.errors import DataError
from toolkit.voc.folder import VocFolder
from toolkit.voc.pixels import read_mask


def stems(root: Path) -> set[str]:
    dataset = VocFolder(root)
    assert dataset.image_stems() == dataset.mask_stems()
    return dataset.mask_stems()


def sources(root: Path) -> str:
    return (root / "sources.csv").read_text(encoding="utf-8")


def test_another_folder_never_replaces_what_came_from_the_first(tmp_path: Path) -> None:
    annotated(tmp_path / "one", "i", label="cat")
    annotated(tmp_path / "two", "i", label="dog")
    out = tmp_path / "voc"
    convert(tmp_path / "one", out)
    before = VocFolder(out).mask("i").read_bytes(), VocFolder(out).image("i").read_bytes()
    with pytest.raises(DataError, match=r"two.i\.json: is in two places: the dataset has .*one.i\.json\. Keep one: "):
        convert(tmp_path / "two", out, update=True)
    assert (VocFolder(out).mask("i").read_bytes(), VocFolder(out).image("i").read_bytes()) == before
    assert (out / "class_names.txt").read_text(encoding="utf-8") == "_background_\ncat\n"


def test_what_is_in_two_places_stops_nothing_but_itself(tmp_path: Path) -> None:
    out = tmp_path / "voc"
    annotated(tmp_path / "one", "i")
    convert(tmp_path / "one", out)
    before = VocFolder(out).mask("i").read_bytes()
    path = annotated(tmp_path / "two" / "sub", "i")
    annotated(tmp_path / "two", "j")
    path = path.rename(tmp_path / "two" / "i.json")
    write_json(path, content([shape("mouse", [[1, 1], [9, 1], [9, 9]])], "sub/i.jpg"))
    report = convert(tmp_path / "two", out, update=True, unlabelled="background")
    assert ([failure.place for failure in report.failures], report.images) == ([str(path)], 1)
    assert report.classes == ("_background_", "cat"), "what is not taken in makes no class"
    assert stems(out) == {"i", "j"} and VocFolder(out).mask("i").read_bytes() == before


def test_of_two_places_the_one_that_is_kept_counts(tmp_path: Path) -> None:
    """Whichever it is, as the message promises."""
    out = tmp_path / "voc"
    first = annotated(tmp_path / "one", "i")
    annotated(tmp_path / "one", "h")
    annotated(tmp_path / "two", "i", label="dog")
    convert(tmp_path / "one", out)
    first.unlink()
    report = convert(tmp_path / "two", out, update=True)
    (said,) = [str(remark) for remark in report.remarks if remark.code == "took-place"]
    assert said == f"{tmp_path / 'two' / 'i.json'}: takes the place of {first}, which is gone."
    assert (report.ok, report.images, stems(out)) == (True, 1, {"h", "i"})
    assert set(np.unique(read_mask(VocFolder(out).mask("i")))) == {0, 2}
    assert convert(tmp_path / "two", out, update=True).remarks == (), "said once"
    annotated(tmp_path / "one", "i")
    (failure,) = convert(tmp_path / "one", out, update=True).failures
    assert failure.place == str(first), "and the other way round"
    first.unlink()
    assert convert(tmp_path / "one", out, update=True).ok


def test_a_file_that_is_moved_to_another_folder_keeps_its_stem(tmp_path: Path) -> None:
    annotated(tmp_path / "todo", "x")
    annotated(tmp_path / "todo", "y", seed=1)
    annotated(tmp_path / "done", "z", seed=2)
    convert(tmp_path / "todo", tmp_path / "voc")
    for name in ("x.json", "x.jpg"):
        (tmp_path / "todo" / name).rename(tmp_path / "done" / name)
    for _ in range(2):
        report = convert(tmp_path / "done", tmp_path / "voc", update=True)
        assert (report.ok, report.images) == (True, 2)
    assert stems(tmp_path / "voc") == {"x", "y", "z"}
    report = convert(tmp_path / "todo", tmp_path / "voc", update=True)
    assert (report.images, report.gone) == (1, 0)


def test_what_follows_a_folder_that_is_gone_is_said_unless_it_is_the_same(tmp_path: Path) -> None:
    annotated(tmp_path / "one", "a")
    annotated(tmp_path / "one", "b", seed=1)
    convert(tmp_path / "one", tmp_path / "voc")
    (tmp_path / "one").rename(tmp_path / "two")
    assert convert(tmp_path / "two", tmp_path / "voc", update=True).remarks == ()
    annotated(tmp_path / "two", "b", seed=1, label="dog")
    labels = tmp_path / "labels.txt"
    labels.write_text("_background_\ncat\ndog\n")
    (remark,) = convert(tmp_path / "two", tmp_path / "voc", update=True, labels=labels).remarks
    assert remark.place == str(tmp_path / "two" / "b.json") and str(tmp_path / "one" / "b.json") in remark.reason
    assert convert(tmp_path / "two", tmp_path / "voc", update=True).remarks == ()
    assert stems(tmp_path / "voc") == {"a", "b"}


def pixels(root: Path) -> dict[str, bytes]:
    files = [path for name in ("JPEGImages", "SegmentationClass") for path in (root / name).iterdir()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def stopped(monkeypatch: pytest.MonkeyPatch, after: int, *paths: Path) -> None:
    """Ctrl-C after so many images of an update."""
    done = 0

    def stopping(job: Job) -> Outcome:
        nonlocal done
        done += 1
        if done > after:
            raise KeyboardInterrupt
        return render(job)

    with monkeypatch.context() as patch:
        patch.setattr("toolkit.conversion.convert.render", stopping)
        with pytest.raises(KeyboardInterrupt):
            convert(*paths, update=True)


def test_what_was_only_planned_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first folder was away when the other was begun with, and is back when that is finished."""
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "voc"
    for folder, seed in ((one, 0), (two, 1)):
        annotated(folder, "i", seed=seed)
    annotated(two, "j", seed=2)
    convert(one, out)
    before = pixels(out)
    one.rename(tmp_path / "unplugged")
    stopped(monkeypatch, 0, two, out)
    (tmp_path / "unplugged").rename(one)
    report = convert(two, out, update=True)
    assert [failure.code for failure in report.failures] == ["in-two-places"]
    assert before.items() <= pixels(out).items() and stems(out) == {"i", "j"}
    assert convert(one, out, update=True).unchanged == 1


def test_what_follows_is_said_although_it_was_stopped_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "voc"
    for name in "ij":
        annotated(one, name)
        annotated(two, name, shapes=[shape("cat", [[1, 1], [9, 9]], "rectangle")])
    convert(one, out)
    one.rename(tmp_path / "unplugged")
    stopped(monkeypatch, 1, two, out)
    report = convert(two, out, update=True)
    assert [remark.reason for remark in report.remarks] == [f"takes the place of {one / 'j.json'}, which is gone."]
    assert (report.ok, report.images, stems(out)) == (True, 2, {"i", "j"})


@pytest.mark.parametrize("away", ["the folder", "its files"])
def test_another_picture_of_the_name_does_not_take_the_place(tmp_path: Path, away: str) -> None:
    """A drive that is not there, or its empty mount point, does not make two pictures one."""
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "voc"
    old, new = annotated(one, "IMG_1"), annotated(two, "IMG_1", seed=1)
    annotated(two, "IMG_2", seed=2)
    convert(one, out)
    before = pixels(out)
    one.rename(tmp_path / "unplugged")
    if away == "its files":
        one.mkdir()
    for _ in range(2):
        report = convert(two, out, update=True)
        assert [str(failure) for failure in report.failures] == [
            f"{new}: its name is taken by another picture, of {old}, which is gone. "
            "Rename this one, or convert everything anew with --overwrite."
        ]
        assert (report.images, report.remarks) == (1, ())
        assert before.items() <= pixels(out).items()
    new.rename(two / "other.json")
    assert convert(two, out, update=True).ok and stems(out) == {"IMG_1", "IMG_2", "other"}, "the way out is one"
    assert before.items() <= pixels(out).items()


@pytest.mark.parametrize(("first", "then"), [("jpg", "png"), ("png", "keep"), ("jpg", "jpg")])
def test_the_same_picture_is_known_in_any_format(tmp_path: Path, first: str, then: str) -> None:
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "voc"
    for folder in (one, two):
        annotated(folder, "i", imagePath="i.png", version="5.5.0" if folder == one else "5.6.0")
        (folder / "i.jpg").unlink()
        (folder / "i.png").write_bytes(encoded(picture(), "PNG"))
    convert(one, out, image_format=first)
    (one / "i.json").unlink()
    report = convert(two, out, update=True, image_format=then)
    assert (report.ok, [remark.code for remark in report.remarks]) == (True, ["took-place"])


def test_a_picture_that_the_dataset_has_lost_is_in_nobodys_way(tmp_path: Path) -> None:
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "voc"
    annotated(one, "i")
    annotated(two, "i", seed=1)
    convert(one, out)
    (one / "i.json").unlink()
    VocFolder(out).image("i").unlink()
    assert convert(two, out, update=True).ok
    assert VocFolder(out).image("i").read_bytes() == encoded(picture(1))


def test_a_folder_that_must_not_be_looked_at_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "voc"
    annotated(one, "i")
    annotated(two, "i", label="dog")
    convert(one, out)
    one.rename(tmp_path / "unplugged")  # as good as locked: root, who may run this test, may look everywhere
    lstat = Path.lstat

    def locked(path: Path) -> os.stat_result:
        if path.is_relative_to(one):
            raise PermissionError
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", locked)
    with pytest.raises(DataError, match=r"is in two places"):
        convert(two, out, update=True)


def test_pictures_without_annotation_are_not_replaced_either(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        annotated(tmp_path / name, f"a{seed}")
        (tmp_path / name / "lone.jpg").write_bytes(encoded(picture(seed)))
    convert(tmp_path / "one", tmp_path / "voc", unlabelled="background")
    report = convert(tmp_path / "two", tmp_path / "voc", update=True, unlabelled="background")
    assert [failure.place for failure in report.failures] == [str(tmp_path / "two" / "lone.jpg")]
    with pytest.raises(DataError, match=r"lone\.jpg: is in two places"):
        convert(tmp_path / "two", tmp_path / "voc", update=True, unlabelled="background", strict=True)
    assert VocFolder(tmp_path / "voc").image("lone").read_bytes() == encoded(picture(0))
    assert convert(tmp_path / "two", tmp_path / "voc", update=True).ok, "left out, they replace nothing"


def test_another_folder_with_other_names_is_added(tmp_path: Path) -> None:
    annotated(tmp_path / "one", "i")
    annotated(tmp_path / "two", "j")
    convert(tmp_path / "one", tmp_path / "voc")
    convert(tmp_path / "two", tmp_path / "voc", update=True)
    assert stems(tmp_path / "voc") == {"i", "j"}
    assert sources(tmp_path / "voc") == "stem,source\ni,i.json\nj,j.json\n"


def test_a_stem_stays_when_a_namesake_comes_in(tmp_path: Path) -> None:
    annotated(tmp_path / "in" / "x", "i")
    convert(tmp_path / "in", tmp_path / "voc")
    annotated(tmp_path / "in" / "y", "i")
    convert(tmp_path / "in", tmp_path / "voc", update=True)
    assert stems(tmp_path / "voc") == {"i", "y__i"}
    assert sources(tmp_path / "voc") == "stem,source\ni,x/i.json\ny__i,y/i.json\n"


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"{}\n", b'{"stem": 3}\n', b"[]\n"])
def test_a_damaged_record_is_named(tmp_path: Path, line: bytes) -> None:
    annotated(tmp_path / "in", "i")
    convert(tmp_path / "in", tmp_path / "voc")
    (tmp_path / "voc" / "records.jsonl").write_bytes(line)
    with pytest.raises(DataError, match=r"records\.jsonl: line 1 is damaged.* --overwrite"):
        convert(tmp_path / "in", tmp_path / "voc", update=True)


def test_a_picture_in_another_format_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    annotated(tmp_path / "in", "i", imagePath="i.png")
    (tmp_path / "in" / "i.jpg").unlink()
    (tmp_path / "in" / "i.png").write_bytes(encoded(picture(), "PNG"))
    convert(tmp_path / "in", tmp_path / "voc")
    assert VocFolder(tmp_path / "voc").image("i").suffix == ".jpg"
    convert(tmp_path / "in", tmp_path / "voc", update=True, image_format="keep")
    assert [path.name for path in (tmp_path / "voc" / "JPEGImages").iterdir()] == ["i.png"]
