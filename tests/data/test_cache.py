"""Cached samples are the files' own pixels, reduced, whatever happened to the cache; and are not decoded again."""

import errno
import multiprocessing
import os
import pickle
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.datasets import write_mask, write_voc
from tests.training.tiny import Listener
from toolkit.data import cache
from toolkit.data.cache import CachedSamples, open_cache, worth_keeping
from toolkit.data.dataset import VocSamples
from toolkit.errors import DatasetError, ImageError, SegError
from toolkit.voc.folder import VocFolder

STEMS = tuple(f"pic_{index}" for index in range(7))
AN_HOUR = 3_600_000_000_000
LONGEST = 24
Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def samples(tmp_path: Path) -> VocSamples:
    """Seven pictures of 40 x 48 pixels and some more, an hour old."""
    folder = VocFolder(write_voc(tmp_path / "voc"))
    for path in (*folder.images.iterdir(), *folder.masks.iterdir()):
        aged(path)
    return VocSamples(folder, STEMS)


def aged(path: Path, by: int = AN_HOUR) -> None:
    at = path.stat().st_mtime_ns - by
    os.utime(path, ns=(at, at))


def entries(samples: VocSamples) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (samples.folder.root / ".cache").rglob("*.pixels")}


def entry_of(samples: VocSamples, stem: str, longest: int = LONGEST) -> Path:
    (found,) = (path for path in samples.folder.root.rglob(cache._name(stem)) if path.parts[-3] == str(longest))
    return found


def unreadable(samples: VocSamples) -> None:
    """Zeros in place of every file, of the same size and time: only a cache has the pixels now."""
    for path in (*samples.folder.images.iterdir(), *samples.folder.masks.iterdir()):
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def same(found: CachedSamples, expected: list[tuple[Pixels, Pixels]]) -> None:
    assert len(found) == len(expected)
    for sample, stem, (image, mask) in zip((found[i] for i in range(len(found))), found.stems, expected, strict=True):
        assert sample.stem == stem
        assert sample.image.dtype == sample.mask.dtype == np.dtype(np.uint8)
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.mask, mask)


def pixels_of(samples: VocSamples | CachedSamples) -> list[tuple[Pixels, Pixels]]:
    each = (samples[index] for index in range(len(samples)))
    return [(sample.image.copy(), sample.mask.copy()) for sample in each]


def test_small_samples_come_back_as_they_are_without_their_files(samples: VocSamples) -> None:
    expected = pixels_of(samples)
    cached = open_cache(samples, 4096)
    unreadable(samples)
    same(cached, expected)
    assert (cached.stems, cached.folder, len(cached)) == (samples.stems, samples.folder, 7)


def test_large_ones_are_averaged_and_keep_their_ids(tmp_path: Path) -> None:
    """A factor of 2, by hand: the mean of each 2 x 2 block, and one of its four ids."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    mask = np.repeat(np.repeat(rng.choice(np.array([0, 1, 2, 255], np.uint8), (15, 20)), 2, 0), 2, 1)
    folder = VocFolder(tmp_path)
    for path, pixels in ((folder.images / "a.png", image), (folder.mask("a"), mask)):
        path.parent.mkdir()
        Image.fromarray(pixels).save(path)
        aged(path)
    samples = VocSamples(folder, ("a",))
    cached = open_cache(samples, 20)
    from_file = CachedSamples(samples, 20)[0]
    unreadable(samples)
    sample = cached[0]
    blocks = image.astype(np.float64).reshape(15, 2, 20, 2, 3).mean((1, 3))
    assert np.abs(sample.image - blocks).max() <= 0.5
    np.testing.assert_array_equal(sample.mask, mask[::2, ::2])
    np.testing.assert_array_equal(sample.image, from_file.image)
    np.testing.assert_array_equal(sample.mask, from_file.mask)


@pytest.mark.parametrize(("size", "reduced"), [((3000, 20), (24, 1)), ((48, 36), (24, 18)), ((24, 24), (24, 24))])
def test_the_longest_side_is_bounded(tmp_path: Path, size: tuple[int, int], reduced: tuple[int, int]) -> None:
    folder = VocFolder(tmp_path)
    for path in (folder.images / "a.png", folder.mask("a")):
        path.parent.mkdir()
        Image.new("L", (size[1], size[0]), 1).save(path)
        aged(path)
    sample = open_cache(VocSamples(folder, ("a",)), LONGEST)[0]
    assert (sample.image.shape, sample.mask.shape) == ((*reduced, 3), reduced)


def test_writing_to_a_sample_leaves_the_cache_alone(samples: VocSamples) -> None:
    cached = open_cache(samples, LONGEST)
    before = entries(samples)
    sample = cached[2]
    sample.image[:] = 7
    sample.mask[:] = 7
    assert entries(samples) == before
    assert (cached[2].image != 7).any()


def test_the_same_bytes_whatever_the_number_of_processes(samples: VocSamples) -> None:
    found = []
    for workers in (0, 2, None):
        open_cache(samples, LONGEST, workers=workers)
        found.append(entries(samples))
        shutil.rmtree(samples.folder.root / ".cache")
    assert len(found[0]) == len(STEMS)
    assert found[0] == found[1] == found[2]


def test_what_is_there_is_not_made_again(samples: VocSamples) -> None:
    open_cache(VocSamples(samples.folder, STEMS[:3]), LONGEST)
    first = {path: path.stat().st_ino for path in (samples.folder.root / ".cache").rglob("*.pixels")}
    assert len(first) == 3
    open_cache(samples, LONGEST)
    unreadable(samples)
    again = open_cache(samples, LONGEST)
    assert len(entries(samples)) == 7
    assert {path: path.stat().st_ino for path in first} == first
    assert all(again[index].mask.size for index in range(7))


def test_changed_files_are_cached_anew_and_until_then_read(samples: VocSamples) -> None:
    cached = open_cache(samples, LONGEST)
    old = cached[1].mask.copy()
    write_mask(samples.folder.root, "pic_1", np.full((43, 46), 2, np.uint8))
    aged(samples.folder.mask("pic_1"), AN_HOUR // 2)
    picture = samples.folder.image("pic_4")
    at = picture.stat().st_mtime_ns + 1
    Image.new("RGB", (40, 52), (1, 2, 3)).save(picture)
    picture.write_bytes(picture.read_bytes())
    os.utime(picture, ns=(at, at))
    assert (old != 2).any()
    for state in (cached, open_cache(samples, LONGEST)):
        assert (state[1].mask == 2).all()
        assert (state[4].image == (1, 2, 3)).all()
    unreadable(samples)
    assert (cached[1].mask == 2).all()
    assert (cached[4].image == (1, 2, 3)).all()


def test_a_file_of_the_same_size_and_another_time_is_another_file(samples: VocSamples) -> None:
    cached = open_cache(samples, LONGEST)
    mask = samples.folder.mask("pic_0")
    status = mask.stat()
    mask.write_bytes(bytes(status.st_size))
    os.utime(mask, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(ImageError, match=r"pic_0\.png: "):
        cached[0]


def test_a_file_just_written_is_waited_for(samples: VocSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tick of the clock it may be written once more, and have the same size and time."""
    slept: list[float] = []

    def replaced(seconds: float) -> None:
        slept.append(seconds)
        write_mask(samples.folder.root, "pic_3", np.full((49, 42), 2, np.uint8))
        aged(samples.folder.mask("pic_3"))

    monkeypatch.setattr("toolkit.data.cache.time.sleep", replaced)
    write_mask(samples.folder.root, "pic_3", np.ones((49, 42), np.uint8))
    cached = open_cache(samples, LONGEST, workers=0)
    assert len(slept) == 1
    assert 0 < slept[0] <= 2
    unreadable(samples)
    assert (cached[3].mask == 2).all()


def test_each_bound_has_its_own_cache(samples: VocSamples) -> None:
    small, large = open_cache(samples, 10), open_cache(samples, LONGEST)
    unreadable(samples)
    assert [max(small[i].mask.shape) for i in range(7)] == [10] * 7
    assert [max(large[i].mask.shape) for i in range(7)] == [LONGEST] * 7


def header(**changed: int) -> Callable[[bytes], bytes]:
    """A header of the same entry with other sizes and a fitting checksum."""
    at = {"longest": 40, "h": 44, "w": 48}

    def rewritten(data: bytes) -> bytes:
        start = bytearray(data[:52])
        for name, value in changed.items():
            struct.pack_into("<I", start, at[name], value)
        return bytes(start) + struct.pack("<I", zlib.crc32(start)) + data[56:]

    return rewritten


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "only a header": lambda data: data[:64],
    "half a header": lambda data: data[:30],
    "cut in the picture": lambda data: data[:500],
    "one byte short": lambda data: data[:-1],
    "one byte more": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "a bit of the header": lambda data: data[:44] + bytes([data[44] ^ 1]) + data[45:],
    "another magic": lambda data: b"segpix9\n" + data[8:],
    "giant sides": header(h=0xFFFFFFFF, w=0xFFFFFFFF),
    "no rows": header(h=0),
    "more rows than there are": header(h=23),
    "another bound": header(longest=99),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_entries_are_read_from_the_files_and_made_anew(samples: VocSamples, name: str) -> None:
    cached = open_cache(samples, LONGEST)
    expected, entry = pixels_of(cached), entry_of(samples, "pic_2")
    good = entry.read_bytes()
    bad = DAMAGE[name](good)
    assert bad != good
    entry.write_bytes(bad)
    same(cached, expected)
    assert entry.read_bytes() == bad
    same(open_cache(samples, LONGEST), expected)
    assert entry.read_bytes() == good


@pytest.mark.parametrize("kind", ["pipe", "link to nothing", "link to a device", "none"])
def test_other_things_in_its_place_are_replaced(samples: VocSamples, kind: str) -> None:
    cached = open_cache(samples, LONGEST)
    expected, entry = pixels_of(cached), entry_of(samples, "pic_5")
    good = entry.read_bytes()
    entry.unlink()
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no pipes here")
        os.mkfifo(entry)
    elif kind != "none":
        entry.symlink_to("nowhere" if kind == "link to nothing" else "/dev/zero")
    same(cached, expected)
    open_cache(samples, LONGEST)
    assert entry.read_bytes() == good


def test_a_broken_picture_fails_when_it_is_asked_for_and_only_then(samples: VocSamples) -> None:
    broken = samples.folder.image("pic_3")
    broken.write_bytes(broken.read_bytes()[:200])
    aged(broken)
    samples.folder.image("pic_5").unlink()
    folder = VocFolder(samples.folder.root)
    heard = Listener()
    cached = open_cache(VocSamples(folder, STEMS), LONGEST, progress=heard)
    assert len(heard.warned) == 1
    assert heard.warned[0].startswith("2 of 7 samples cannot be read. The first of them: ")
    for index, kind in ((3, ImageError), (5, DatasetError)):
        with pytest.raises(kind) as expected:
            VocSamples(folder, STEMS)[index]
        with pytest.raises(kind) as raised:
            cached[index]
        assert str(raised.value) == str(expected.value)
    assert len(entries(samples)) == 5
    assert cached[4].mask.size


def test_a_mask_of_another_size_than_its_picture_is_refused_as_ever(samples: VocSamples) -> None:
    write_mask(samples.folder.root, "pic_0", np.zeros((5, 6), np.uint8))
    aged(samples.folder.mask("pic_0"))
    with pytest.raises(DatasetError, match="the picture has 48 x 40 pixels, its mask 6 x 5"):
        open_cache(samples, LONGEST)[0]


def digest(cached: CachedSamples, index: int) -> int:
    return zlib.crc32(cached[index].image.tobytes() + cached[index].mask.tobytes())


def test_a_loader_process_is_sent_names_and_maps_the_pixels_itself(samples: VocSamples) -> None:
    """Forked, and as a spawned process gets it: pickled."""
    cached = open_cache(samples, LONGEST)
    expected = [digest(cached, index) for index in range(3)]
    sent = pickle.dumps(cached)
    assert len(sent) < 2000
    unreadable(samples)
    assert [digest(pickle.loads(sent), index) for index in range(3)] == expected
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(digest, [cached] * 3, range(3))) == expected


def test_a_read_takes_no_memory(tmp_path: Path) -> None:
    folder = VocFolder(tmp_path)
    for path in (folder.images / "a.png", folder.mask("a")):
        path.parent.mkdir()
        Image.new("L", (500, 400), 1).save(path)
        aged(path)
    cached = open_cache(VocSamples(folder, ("a",)), 4096)
    cached[0]
    tracemalloc.start()
    try:
        sample = cached[0]
        assert tracemalloc.get_traced_memory()[1] < sample.image.nbytes / 10
    finally:
        tracemalloc.stop()


def opened(samples: VocSamples) -> bool:
    open_cache(samples, LONGEST, workers=0)
    return True


def test_two_at_the_same_time_leave_one_whole_cache(samples: VocSamples) -> None:
    with ProcessPoolExecutor(3, multiprocessing.get_context("fork")) as pool:
        assert all(pool.map(opened, [samples] * 3))
    expected = pixels_of(CachedSamples(samples, LONGEST))
    assert len(entries(samples)) == 7
    assert not list(samples.folder.root.rglob("*.partial"))
    unreadable(samples)
    same(CachedSamples(samples, LONGEST), expected)


class DiskFull:
    """A stand-in for `_new_file` that fails like a disk that takes a few more files."""

    def __init__(self, files: int) -> None:
        self.left = files

    def __call__(self, path: str) -> object:
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self.left -= 1
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open("xb")


def test_a_disk_that_fills_up_is_named_and_what_was_written_counts(
    samples: VocSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(VocSamples(samples.folder, STEMS[:1]), LONGEST)
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.files._new_file", DiskFull(3))
        with pytest.raises(SegError, match=r"\.cache.*cannot be written: No space left on device\..*--cache none"):
            open_cache(samples, LONGEST, workers=0)
    before = {path: path.stat().st_ino for path in (samples.folder.root / ".cache").rglob("*.pixels")}
    assert len(before) == 4
    assert not list(samples.folder.root.rglob("*.partial"))
    open_cache(samples, LONGEST)
    assert len(entries(samples)) == 7
    assert {path: path.stat().st_ino for path in before} == before


def test_a_folder_that_cannot_be_written(samples: VocSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    (samples.folder.root / ".cache").write_text("a file where the folder goes")
    with pytest.raises(SegError, match=r"\.cache: the cache cannot be written: .*--cache none"):
        open_cache(samples, LONGEST)
    (samples.folder.root / ".cache").unlink()
    expected = pixels_of(open_cache(samples, LONGEST))
    with monkeypatch.context() as patch:  # all is there: nothing has to be written
        patch.setattr("toolkit.files._new_file", DiskFull(0))
        same(open_cache(samples, LONGEST), expected)


def test_too_little_room_is_said_before_anything_is_written(
    samples: VocSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(VocSamples(samples.folder, STEMS[:1]), 10)
    usage = shutil.disk_usage(samples.folder.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3000))
    with pytest.raises(SegError) as raised:
        open_cache(samples, LONGEST)
    assert "a cache of 7 samples needs about 0.0 MB, 0.0 MB are free." in str(raised.value)
    assert "(10)" in str(raised.value)
    assert "--cache none" in str(raised.value)
    assert len(entries(samples)) == 1


def test_a_large_cache_is_announced_with_its_size(samples: VocSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate is by headers alone; here it has to be what the files have in the end."""
    heard = Listener()
    monkeypatch.setattr(cache, "_WORTH_SAYING", 1)
    monkeypatch.setattr(cache, "_in_words", lambda size: f"{size} bytes")
    open_cache(samples, LONGEST, progress=heard)
    size = sum(len(data) for data in entries(samples).values())
    assert len(heard.said) == 1
    assert f" takes about {size} bytes" in heard.said[0]


def test_entries_of_pictures_that_are_gone_are_deleted_and_only_those(samples: VocSamples) -> None:
    open_cache(samples, LONGEST)
    gone, kept = entry_of(samples, "pic_6"), entry_of(samples, "pic_5")
    abandoned, at_work = gone.parent / ".0123.partial", kept.parent / ".4567.partial"
    for path in (abandoned, at_work):
        path.write_bytes(b"x")
    aged(abandoned, 2 * AN_HOUR)
    samples.folder.image("pic_6").unlink()
    entry_of(samples, "pic_0").unlink()  # something to do
    open_cache(VocSamples(VocFolder(samples.folder.root), STEMS[:2]), LONGEST)
    assert not gone.exists()
    assert not abandoned.exists()
    assert kept.exists()
    assert at_work.exists()


def test_backups_and_git_pass_over_it(samples: VocSamples) -> None:
    """By the convention of bford.info/cachedir, and by git's own."""
    open_cache(samples, LONGEST)
    home = samples.folder.root / ".cache"
    assert (home / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert (home / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("stem", ["../../outside", "x" * 250, "ä 猫", os.fsdecode(b"no\xfftext")])
def test_any_name_has_its_entry_inside_the_cache(samples: VocSamples, stem: str) -> None:
    folder = samples.folder
    try:
        for old, new in (
            (folder.image("pic_0"), folder.images / f"{stem}.png"),
            (folder.mask("pic_0"), folder.mask(stem)),
        ):
            new.parent.mkdir(parents=True, exist_ok=True)
            old.rename(new)
    except OSError:
        pytest.skip("no such names here")
    named = VocSamples(VocFolder(folder.root), (stem,))
    expected = pixels_of(named)
    cached = open_cache(named, 4096)
    assert len(entries(samples)) == 1
    same(cached, expected)


@pytest.mark.parametrize(
    ("size", "zoom", "longest"), [(512, 1.8, 768), (512, 1.1, 640), (512, 0.5, 512), (513, 1.0, 640), (256, 9.0, 384)]
)
def test_what_is_worth_keeping(size: int, zoom: float, longest: int) -> None:
    assert worth_keeping(size, zoom) == longest
