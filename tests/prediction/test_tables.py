"""Tables over all pictures of a call: pixel counts and COCO, as spreadsheets and pycocotools read them."""

import contextlib
import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from toolkit.errors import DataError, SegError
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.tables import TABLES, rle
from toolkit.prediction.tables.rle import encode_classes
from toolkit.prediction.tables.row import Table, TableRow
from toolkit.prediction.writers.options import WriteOptions

CLASSES = ClassMap(("_background_", "disc", "bar"))
PLAIN = WriteOptions()
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11
every_table = pytest.mark.parametrize("kind", list(TABLES))
Mask = npt.NDArray[np.uint8]


def made(mask: Mask, classes: ClassMap = CLASSES, sureness: tuple[float, ...] = ()) -> Prediction:
    return Prediction(mask, np.zeros((*mask.shape, 3), np.uint8), classes, sureness or (0.5,) * len(classes))


def table(kind: str) -> Table:
    found = TABLES.load(kind)
    assert isinstance(found, Table)
    return found


def row(
    kind: str, prediction: Prediction, name: str = "a/pic", source: str = "in/a/pic.jpg", frame: int | None = None
) -> TableRow:
    data = json.loads(json.dumps(table(kind).record(prediction, PLAIN), allow_nan=False))  # as the journal keeps it
    return TableRow(name, source, prediction.size, frame, data)


def scene(seed: int = 0, classes: int = 3) -> Mask:
    return np.random.default_rng(seed).integers(0, classes, (4, 6)).astype(np.uint8).repeat(5, 0).repeat(7, 1)


def cells(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


class TestCounts:
    def test_counts_shares_and_areas_by_hand(self, tmp_path: Path) -> None:
        mask = np.array([[0, 0, 1, 255], [0, 2, 1, 255]], np.uint8)
        options = WriteOptions(pixel_size=0.5)
        paths = table("counts").assemble([row("counts", made(mask))], CLASSES, tmp_path, options)
        assert [path.name for path in paths] == ["counts.csv", "counts.json"]
        place = {"name": "a/pic", "source": "in/a/pic.jpg", "frame": ""}
        assert cells(paths[0]) == [
            {**place, "class_id": "0", "class": "_background_", "pixels": "3", "share": "0.5", "area": "0.75"},
            {**place, "class_id": "1", "class": "disc", "pixels": "2", "share": "0.333333333333", "area": "0.5"},
            {**place, "class_id": "2", "class": "bar", "pixels": "1", "share": "0.166666666667", "area": "0.25"},
        ]
        figures = {
            "pixels": [3, 2, 1],
            "ignored": 2,
            "share": [0.5, 0.333333333333, 0.166666666667],
            "area": [0.75, 0.5, 0.25],
        }
        assert json.loads(paths[1].read_text(encoding="utf-8")) == {
            "format": 1,
            "classes": ["_background_", "disc", "bar"],
            "pixel_size": 0.5,
            "pictures": [
                {"name": "a/pic", "source": "in/a/pic.jpg", "frame": None, "height": 2, "width": 4, **figures}
            ],
            "total": {"pictures": 1, **figures},
        }

    def test_both_files_say_the_same_of_many_pictures(self, tmp_path: Path) -> None:
        masks = [scene(seed) for seed in range(5)]
        rows = [row("counts", made(mask), f"clip/{n}", "clip.mp4", frame=n) for n, mask in enumerate(masks)]
        csv_path, json_path = table("counts").assemble(rows, CLASSES, tmp_path, PLAIN)
        content = json.loads(json_path.read_text(encoding="utf-8"))
        lines = cells(csv_path)
        assert "area" not in lines[0]
        for n, mask in enumerate(masks):
            expected = [int((mask == k).sum()) for k in range(3)]
            assert content["pictures"][n]["pixels"] == expected
            assert [int(line["pixels"]) for line in lines if line["frame"] == str(n)] == expected
        assert content["total"]["pixels"] == [int(sum((mask == k).sum() for mask in masks)) for k in range(3)]

    def test_no_cell_is_computed_by_a_spreadsheet_and_json_holds_the_names_themselves(self, tmp_path: Path) -> None:
        names = ('=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "＝1", 'a,"b"\nc', "🚗")
        classes = ClassMap(names)
        counted = row("counts", made(np.zeros((1, 1), np.uint8), classes), "-rf/x", "=cmd/\udcff.jpg")
        csv_path, json_path = table("counts").assemble([counted], classes, tmp_path, PLAIN)
        lines = cells(csv_path)
        assert [line["class"] for line in lines] == [*(f"'{name}" for name in names[:5]), *names[5:]]
        assert {line["name"] for line in lines} == {"'-rf/x"}
        assert {line["source"] for line in lines} == {"'=cmd/\\udcff.jpg"}
        assert csv_path.read_bytes().startswith(b"\xef\xbb\xbfname,source,"), "Excel knows UTF-8 by its mark only"
        content = json.loads(json_path.read_text(encoding="utf-8"))
        assert content["classes"] == list(names)
        assert content["pictures"][0]["source"] == "=cmd/\udcff.jpg"

    def test_a_picture_of_ignored_pixels_only_has_no_shares(self, tmp_path: Path) -> None:
        blank = row("counts", made(np.full((2, 2), 255, np.uint8)))
        csv_path, _ = table("counts").assemble([blank], CLASSES, tmp_path, PLAIN)
        assert [float(line["share"]) for line in cells(csv_path)] == [0.0, 0.0, 0.0]


class TestRle:
    @given(
        mask=arrays(
            np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 255])
        ),
        zoom=st.tuples(st.integers(1, 40), st.integers(1, 40)),
        band=st.integers(1, 60),
        packed=st.integers(1, 20),
    )
    def test_is_what_pycocotools_makes_of_each_class(
        self, mask: Mask, zoom: tuple[int, int], band: int, packed: int
    ) -> None:
        mask = mask.repeat(zoom[0], 0).repeat(zoom[1], 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rle, "_BAND_PIXELS", band)
            patch.setattr(rle, "_PACKED_AT_ONCE", packed)
            encoded = encode_classes(mask)
        assert list(encoded) == np.unique(mask).tolist()
        for class_id, found in encoded.items():
            expected = coco_mask.encode(np.asfortranarray(mask == class_id))
            assert found.counts == expected["counts"].decode()
            assert found.area == coco_mask.area(expected)
            assert list(found.box) == coco_mask.toBbox(expected).tolist()

    def test_long_runs_and_any_order_in_memory(self) -> None:
        mask = np.zeros((2000, 3000), np.uint8)
        mask[1500:, 7:] = 1
        for layout in (mask, np.asfortranarray(mask), mask[:, ::-1], mask.T):
            expected = coco_mask.encode(np.asfortranarray(layout == 1))
            assert encode_classes(layout)[1].counts == expected["counts"].decode()


class TestCoco:
    def test_pycocotools_reads_the_masks_back(self, tmp_path: Path) -> None:
        masks = [scene(0), scene(1)[:11, :], np.ones((3, 5), np.uint8), np.zeros((5, 3), np.uint8)]
        masks[0][0, :9] = 255
        rows = [row("coco", made(mask), f"p{n}", f"in/p{n}.jpg") for n, mask in enumerate(masks)]
        (path,) = table("coco").assemble(rows, CLASSES, tmp_path, PLAIN)
        read = coco(path)
        for image_id, mask in enumerate(masks, 1):
            image = read.imgs[image_id]
            assert (image["file_name"], image["height"], image["width"]) == (f"in/p{image_id - 1}.jpg", *mask.shape)
            found = {annotation["category_id"]: annotation for annotation in read.imgToAnns[image_id]}
            assert sorted(found) == [k for k in (1, 2) if (mask == k).any()], "no background, no ignore"
            for k, annotation in found.items():
                assert np.array_equal(read.annToMask(annotation), mask == k)
                rows_, columns = np.nonzero(mask == k)
                assert annotation["area"] == len(rows_)
                assert annotation["bbox"] == [
                    columns.min(),
                    rows_.min(),
                    np.ptp(columns) + 1,
                    np.ptp(rows_) + 1,
                ]
        assert sorted(read.anns) == list(range(1, len(read.anns) + 1))

    def test_annotations_can_be_evaluated_as_results(self, tmp_path: Path) -> None:
        sureness = (float("nan"), 0.875, 0.25)
        (path,) = table("coco").assemble([row("coco", made(scene(), CLASSES, sureness))], CLASSES, tmp_path, PLAIN)
        read = coco(path)
        with contextlib.redirect_stdout(io.StringIO()):
            results = read.loadRes(json.loads(path.read_text(encoding="utf-8"))["annotations"])
        assert {a["category_id"]: a["score"] for a in results.anns.values()} == {1: 0.875, 2: 0.25}

    def test_a_class_that_the_network_saw_only_between_pixels_has_the_least_possible_score(self) -> None:
        sureness = (0.9, float("nan"), 0.9)
        recorded = row("coco", made(np.ones((2, 2), np.uint8), CLASSES, sureness)).data
        assert recorded["regions"][0]["score"] == pytest.approx(1 / 3, abs=1e-6)

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (("_background_", "a", "b"), [(1, 1, "a"), (2, 2, "b")]),
            (("a", "b"), [(1, 0, "a"), (2, 1, "b")]),
            (("a", "_background_", "b"), [(1, 0, "a"), (3, 2, "b")]),
        ],
    )
    def test_no_category_is_0(self, tmp_path: Path, names: tuple[str, ...], expected: list[Any]) -> None:
        classes = ClassMap(names)
        mask = np.arange(len(names), dtype=np.uint8)[None]
        (path,) = table("coco").assemble([row("coco", made(mask, classes))], classes, tmp_path, PLAIN)
        read = coco(path)
        assert [(c["id"], c["class_id"], c["name"]) for c in read.cats.values()] == expected
        assert [a["category_id"] for a in read.anns.values()] == [number for number, _, _ in expected]

    def test_frames_of_a_film_have_names_of_their_own(self, tmp_path: Path) -> None:
        rows = [row("coco", made(scene(n)), f"clip/{n:06}", "clip.mp4", frame=n) for n in range(2)]
        (path,) = table("coco").assemble(rows, CLASSES, tmp_path, PLAIN)
        images = list(coco(path).imgs.values())
        assert [image["file_name"] for image in images] == ["clip/000000", "clip/000001"]
        assert [(image["source"], image["frame"]) for image in images] == [("clip.mp4", 0), ("clip.mp4", 1)]


@every_table
def test_no_picture_at_all_gives_files_that_can_be_read(tmp_path: Path, kind: str) -> None:
    for path in table(kind).assemble([], CLASSES, tmp_path / "new", PLAIN):
        text = path.read_text(encoding="utf-8-sig")
        assert path.suffix == ".csv" or json.loads(text)


@every_table
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, kind: str) -> None:
    one = row(kind, made(scene()))

    def rows(count: int) -> Iterator[TableRow]:
        for n in range(count):
            yield TableRow(f"p{n}", f"in/p{n}.jpg", one.size, None, one.data)

    peaks = []
    for count in (100, 3000):
        tracemalloc.start()
        paths = table(kind).assemble(rows(count), CLASSES, tmp_path / str(count), PLAIN)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000, "the files are three times as large"
    assert sum(path.stat().st_size for path in paths) > 900_000


@every_table
def test_what_breaks_in_the_middle_leaves_the_files_of_before(tmp_path: Path, kind: str) -> None:
    good = row(kind, made(scene()))
    before = {path: path.read_bytes() for path in table(kind).assemble([good], CLASSES, tmp_path, PLAIN)}

    def rows() -> Iterator[TableRow]:
        yield good
        raise SegError("the journal ends here")

    with pytest.raises(SegError, match="ends here"):
        table(kind).assemble(rows(), CLASSES, tmp_path, PLAIN)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@every_table
@pytest.mark.parametrize(
    "data",
    [
        {},
        {"pixels": [1, 2], "ignored": 0},
        {"pixels": [1, 2, -3], "ignored": 0},
        {"pixels": [1, 2, "3"], "ignored": 0},
        {"pixels": [1, 2, 10**30], "ignored": 0},
        {"pixels": "abc", "ignored": 0},
        {"pixels": [1, 2, 3]},
        {"regions": None},
        {"regions": [{"class_id": 3, "counts": "0", "area": 1, "box": [0, 0, 1, 1], "score": 0.5}]},
        {"regions": [{"class_id": 1, "counts": "0", "area": 1, "box": [0, 0, 1], "score": 0.5}]},
        {"regions": [{"class_id": 1, "counts": "0", "area": 1, "box": [0, 0, 1, 1], "score": float("nan")}]},
    ],
    ids=str,
)
def test_a_journal_of_another_model_or_a_damaged_one_is_refused(
    tmp_path: Path, kind: str, data: dict[str, Any]
) -> None:
    bad = TableRow("sub/pic", "pic.jpg", (4, 4), None, data)
    with pytest.raises(DataError, match=r"sub/pic: .* Predict it again\."):
        table(kind).assemble([bad], CLASSES, tmp_path, PLAIN)
    assert not list(tmp_path.iterdir())


@every_table
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SegError, match="cannot be written"):
        table(kind).assemble([], CLASSES, tmp_path / "file", PLAIN)
