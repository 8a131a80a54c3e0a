"""Masks that were counted are not read again, unless they changed; what is kept of them never decides wrongly."""

import json
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets import mask_of, write_mask, write_voc
from toolkit.errors import ImageError
from toolkit.voc import saved_counts
from toolkit.voc.counts import count_masks
from toolkit.voc.folder import VocFolder
from toolkit.voc.maskfile import MaskPixels, mask_pixels
from toolkit.voc.saved_counts import CountedMask, fingerprint, save_counts

STEMS = tuple(f"pic_{index}" for index in range(7))
AN_HOUR = 3_600_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> VocFolder:
    """A dataset whose masks were written an hour ago, and counted."""
    folder = VocFolder(write_voc(tmp_path / "voc"))
    for stem in STEMS:
        aged(folder.mask(stem))
    rows_of(folder)
    return folder


def aged(path: Path, by: int = AN_HOUR) -> None:
    at = path.stat().st_mtime_ns - by
    os.utime(path, ns=(at, at))


def rows_of(folder: VocFolder, stems: tuple[str, ...] = STEMS) -> dict[str, MaskPixels]:
    table = count_masks(folder, stems)
    assert table.stems == stems
    return {stem: table.row(stem) for stem in stems}


def by_numpy(folder: VocFolder) -> dict[str, MaskPixels]:
    each = {stem: np.bincount(mask_of(folder.root, stem).ravel()) for stem in STEMS}
    return {stem: tuple((v, int(n)) for v, n in enumerate(found) if n) for stem, found in each.items()}


def read_now(folder: VocFolder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The masks that are read by a count, which must be right."""
    read: list[str] = []

    def spy(path: Path) -> MaskPixels:
        read.append(path.stem)
        return mask_pixels(path)

    with monkeypatch.context() as patch:
        patch.setattr("toolkit.voc.counts.mask_pixels", spy)
        assert rows_of(folder) == by_numpy(folder)
    return read


def lines_of(folder: VocFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.counts_file.read_text(encoding="utf-8").splitlines()]


def test_a_line_says_what_the_mask_holds_and_its_size_and_time(folder: VocFolder) -> None:
    lines = lines_of(folder)
    assert [line["stem"] for line in lines] == list(STEMS)
    for line in lines:
        status = folder.mask(line["stem"]).stat()
        assert (line["size"], line["time"]) == (status.st_size, status.st_mtime_ns)
        assert {int(value): pixels for value, pixels in line["pixels"].items()} == dict(by_numpy(folder)[line["stem"]])


def test_no_mask_is_read_twice(folder: VocFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = folder.counts_file.stat()
    expected = by_numpy(folder)
    for stem in STEMS:  # the same size and time, and nothing that could be counted
        path = folder.mask(stem)
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert rows_of(folder) == expected
    assert rows_of(folder, STEMS[::-1]) == expected
    assert rows_of(folder, STEMS[2:4]) == {stem: expected[stem] for stem in STEMS[2:4]}
    assert folder.counts_file.stat().st_ino == before.st_ino


def test_a_mask_of_another_time_is_counted_anew(folder: VocFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = mask_of(folder.root, "pic_2")
    swapped = np.where(mask == 1, 2, np.where(mask == 2, 1, mask)).astype(np.uint8)
    size = folder.mask("pic_2").stat().st_size
    write_mask(folder.root, "pic_2", swapped)
    path = folder.mask("pic_2")
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    assert read_now(folder, monkeypatch) == ["pic_2"]
    aged(path)
    assert read_now(folder, monkeypatch) == ["pic_2"]
    assert read_now(folder, monkeypatch) == []


def test_a_mask_of_another_size_is_counted_anew(folder: VocFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = folder.mask("pic_4").stat()
    write_mask(folder.root, "pic_4", np.ones((3, 4), np.uint8))
    os.utime(folder.mask("pic_4"), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_now(folder, monkeypatch) == ["pic_4"]
    assert read_now(folder, monkeypatch) == []


def test_a_mask_just_written_is_not_trusted(folder: VocFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tick of the clock it may be written once more, and have the same size and time."""
    write_mask(folder.root, "pic_1", np.ones((3, 4), np.uint8))
    assert read_now(folder, monkeypatch) == ["pic_1"]
    assert read_now(folder, monkeypatch) == ["pic_1"]


def test_a_line_about_a_mask_as_new_as_the_file_is_not_trusted(
    folder: VocFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = folder.mask("pic_3").stat().st_mtime_ns + AN_HOUR // 2
    os.utime(folder.mask("pic_3"), ns=(newest, newest))
    assert read_now(folder, monkeypatch) == ["pic_3"]
    os.utime(folder.counts_file, ns=(newest, newest))
    assert read_now(folder, monkeypatch) == ["pic_3"]
    assert read_now(folder, monkeypatch) == []


def test_what_is_saved_at_once_is_newer_than_its_masks(tmp_path: Path) -> None:
    folder = VocFolder(write_voc(tmp_path))
    soon = time.time_ns() + 10_000_000  # as if the clock of the file system had not ticked since
    os.utime(folder.mask("pic_0"), ns=(soon, soon))
    found = fingerprint(folder.mask("pic_0"))
    assert found == (folder.mask("pic_0").stat().st_size, soon)
    save_counts(folder, [CountedMask("pic_0", *found, {0: 1})])
    assert folder.counts_file.stat().st_mtime_ns > found[1]


def test_masks_that_are_gone_have_no_line(folder: VocFolder) -> None:
    folder.mask("pic_5").unlink()
    write_mask(folder.root, "pic_0", np.ones((3, 4), np.uint8))
    aged(folder.mask("pic_0"))
    rows_of(folder, STEMS[:5])
    assert [line["stem"] for line in lines_of(folder)] == [stem for stem in STEMS if stem != "pic_5"]


def test_a_missing_mask_is_named_though_it_was_counted(folder: VocFolder) -> None:
    folder.mask("pic_5").unlink()
    with pytest.raises(ImageError, match=r"pic_5\.png: there is no such file"):
        rows_of(folder)


def test_a_copy_without_times_is_counted(folder: VocFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder.root, folder.root.parent / "with times")
    assert read_now(VocFolder(folder.root.parent / "with times"), monkeypatch) == []
    shutil.copytree(folder.root, folder.root.parent / "copy", copy_function=shutil.copyfile)
    copy = VocFolder(folder.root.parent / "copy")
    assert sorted(read_now(copy, monkeypatch)) == list(STEMS)


def test_workers_keep_the_same(folder: VocFolder) -> None:
    before = folder.counts_file.read_bytes()
    folder.counts_file.unlink()
    assert count_masks(folder, STEMS, workers=2).stems == STEMS
    assert folder.counts_file.read_bytes() == before


def line(**fields: Any) -> bytes:
    return json.dumps({"stem": "pic_0", "size": 1, "time": 1, "pixels": {"0": 1}} | fields).encode() + b"\n"


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "no text": lambda _: bytes(range(256)) * 9,
    "cut": lambda data: data[: len(data) // 2],
    "without line feeds": lambda data: data.replace(b"\n", b" "),
    "a list": lambda _: b"[1, 2]\n",
    "one endless line": lambda data: b"x" * 5_000_000 + data,
    "deeply nested": lambda _: b'{"stem":' + b"[" * 100_000,
    "other types": lambda data: data.replace(b'"size":', b'"size":"x","was":'),
    "negative pixels": lambda data: data.replace(b'"0":', b'"0":-'),
    "no pixels": lambda data: data.replace(b'"pixels":{', b'"pixels":{},"was":{'),
    "half pixels": lambda data: data.replace(b"},", b".5},").replace(b"}\n", b".5}\n"),
    "giant pixels": lambda data: data.replace(b'"0":', b'"0":9999999999999'),
    "numbers beyond 64 bits": lambda data: data.replace(b'"0":', b'"0":' + b"9" * 40),
    "infinite numbers": lambda data: data.replace(b'"0":', b'"0":1e999,"1":'),
    "a value beyond a byte": lambda data: data.replace(b'"255":', b'"256":'),
    "a negative value": lambda data: data.replace(b'"255":', b'"-1":'),
    "a value that is no number": lambda data: data.replace(b'"255":', b'"NaN":'),
    "paths for names": lambda _: line(stem="../../etc/passwd") + line(stem="\0") + line(stem=""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_makes_no_sense_is_replaced(folder: VocFolder, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = folder.counts_file.read_bytes()
    bad = HOSTILE[name](good)
    assert bad != good
    folder.counts_file.write_bytes(bad)
    assert read_now(folder, monkeypatch)
    assert folder.counts_file.read_bytes() == good


def test_lines_out_of_order_or_twice_harm_nobody(folder: VocFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    good = folder.counts_file.read_bytes()
    folder.counts_file.write_bytes(b"".join(reversed(good.splitlines(keepends=True))) + good)
    read_now(folder, monkeypatch)
    assert read_now(folder, monkeypatch) == []
    assert folder.counts_file.read_bytes() == good


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing"])
def test_something_else_of_that_name_is_left_or_replaced(folder: VocFolder, kind: str) -> None:
    folder.counts_file.unlink()
    if kind == "folder":
        folder.counts_file.mkdir()
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no pipes here")
        os.mkfifo(folder.counts_file)
    else:
        folder.counts_file.symlink_to("nowhere")
    assert rows_of(folder) == by_numpy(folder)
    assert rows_of(folder) == by_numpy(folder)
    assert not list(folder.root.glob(".*.partial"))


def test_a_folder_that_cannot_be_written_is_counted_without_a_word(
    folder: VocFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.counts_file.unlink()
    folder.root.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        monkeypatch.setattr("toolkit.files._new_file", refused)  # root may write everywhere
        assert rows_of(folder) == by_numpy(folder)
    finally:
        folder.root.chmod(stat.S_IRWXU)
    assert not folder.counts_file.exists()


def refused(path: str) -> None:
    raise PermissionError(13, "Permission denied", path)


def test_a_name_that_is_no_text_is_counted_each_time(folder: VocFolder) -> None:
    stem = os.fsdecode(b"pic_\xff")
    try:
        folder.mask("pic_0").rename(folder.mask(stem))
    except OSError:
        pytest.skip("file names are text here")
    folder.counts_file.unlink()
    assert set(rows_of(folder, (*STEMS[1:], stem))) == {*STEMS[1:], stem}
    assert [line["stem"] for line in lines_of(folder)] == list(STEMS[1:])


def test_an_older_count_is_not_carried_over_once_it_was_not_trusted(folder: VocFolder) -> None:
    """Rewriting the file makes it newer; lines that were as new as the old one must not become older than it."""
    newest = folder.mask("pic_3").stat().st_mtime_ns
    os.utime(folder.counts_file, ns=(newest, newest))
    save_counts(folder, [])
    assert [line["stem"] for line in lines_of(folder)] == [
        stem for stem in STEMS if folder.mask(stem).stat().st_mtime_ns < newest
    ]
    assert "pic_3" not in {line.stem for line in saved_counts._saved(folder.counts_file)}
