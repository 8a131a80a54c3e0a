"""Many pictures to files: the tree, the report, what happens to bad pictures, and what going on with a run does."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import toolkit
from tests.datasets import Pixels
from tests.prediction.films import picture, write_film
from tests.runs.checkpoints import saved_checkpoint
from tests.training.tiny import Listener
from toolkit.errors import CheckpointError, DataError, Interrupted, SegError, UsageError
from toolkit.files import held
from toolkit.labels.classmap import voc_palette
from toolkit.prediction.films.frames import Frames
from toolkit.prediction.report import PredictReport
from toolkit.prediction.run import predict
from toolkit.prediction.sources import Source
from toolkit.prediction.writers.options import WriteOptions


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return saved_checkpoint(tmp_path / "best.safetensors")


@pytest.fixture
def go(weights: Path) -> Callable[..., PredictReport]:
    """`predict` with the tiny model, in exact arithmetic, into `out`."""

    def run(sources: Any, **options: Any) -> PredictReport:
        usual: dict[str, Any] = {"weights": weights, "out": "out", "device": "cpu", "precision": "fp32"}
        return predict(sources, **(usual | options))

    return run


Go = Callable[..., PredictReport]


def photos(count: int = 4) -> Path:
    """Pictures in a tree."""
    root = Path("photos")
    names = ["a.png", "sub/b.png", "sub/b.bmp", "sub/deep/c d.png", *(f"more/{n}.png" for n in range(count - 4))]
    for seed, name in enumerate(names[:count]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed)).save(path)
    return root


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def content(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in files(root)}


def pixels_of(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.array(image)


def manifest(root: Path = Path("out")) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    return values


OWN = ["manifest.json", "predictions.jsonl"]


def test_each_kind_of_output_gets_a_tree_like_the_input(go: Go) -> None:
    report = go(photos())
    names = ["a", "sub/b.bmp", "sub/b.png", "sub/deep/c d"]
    kinds = {"ids": ".png", "labelme": ".json", "mask": ".png", "overlay": ".jpg"}
    expected = sorted(f"{kind}/{name}{suffix}" for kind, suffix in kinds.items() for name in names)
    assert files(Path("out")) == sorted([*expected, *OWN])
    assert (report.images, report.ok, report.root) == (4, True, Path("out"))


def test_masks_are_the_predictions_in_voc_colours_and_ids_their_plain_numbers(go: Go, weights: Path) -> None:
    go(photos(), save=["mask", "ids"])
    predictor = toolkit.load(weights, device="cpu", precision="fp32")
    seen: set[int] = set()
    for name in ("a.png", "sub/deep/c d.png"):
        expected = predictor.predict(Path("photos", name)).mask
        seen |= set(np.unique(expected).tolist())
        with Image.open(Path("out/mask", name)) as image:
            assert image.mode == "P"
            assert np.array_equal(np.array(image), expected)
            assert np.array_equal(np.array(image.convert("RGB")), voc_palette()[expected])
        with Image.open(Path("out/ids", name)) as image:
            assert image.mode == "L"
            assert np.array_equal(np.array(image), expected)
    assert len(seen) > 1


def test_options_of_writing_reach_the_writers(go: Go) -> None:
    go(
        photos(1),
        save=["overlay", "ids"],
        writing=WriteOptions(opacity=1, outline=0),
    )
    shown, ids = pixels_of(Path("out/overlay/a.jpg")).astype(int), pixels_of(Path("out/ids/a.png"))
    difference = np.abs(shown - picture(0)).mean(2)
    assert difference[ids == 0].mean() < 8
    assert np.abs(shown[ids == 1] - voc_palette()[1]).mean() < 12, "the colour alone"


def test_report_and_journal_count_predicted_pixels_by_class(go: Go) -> None:
    report = go(photos(), save=["ids", "counts"])
    ids = np.concatenate([pixels_of(path).ravel() for path in Path("out/ids").rglob("*.png")])
    counted = np.bincount(ids, minlength=3).tolist()
    assert report.pixels == dict(zip(("_background_", "disc", "bar"), counted, strict=True))
    lines = [json.loads(line) for line in Path("out/predictions.jsonl").read_text(encoding="ascii").splitlines()]
    assert np.sum([line["pixels"] for line in lines], axis=0).tolist() == counted
    assert [line["name"] for line in lines] == ["a", "sub/b.bmp", "sub/b.png", "sub/deep/c d"]
    assert lines[0]["source"] == "photos/a.png" and lines[0]["size"] == [40, 60]
    assert all(Path("out", file).is_file() for line in lines for file in line["files"].values())
    with Path("out/counts.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert sum(int(row["pixels"]) for row in table if row["class"] == "disc") == counted[1]


def test_manifest_says_what_was_done_and_with_what(go: Go) -> None:
    report = go(photos(), save=["ids"], options=toolkit.PredictOptions(size=96))
    values = manifest()
    assert {key: values[key] for key in report.as_dict() if key != "continued"} == {
        key: value for key, value in report.as_dict().items() if key != "continued"
    }
    assert values["seg"] == toolkit.__version__ and values["classes"] == ["_background_", "disc", "bar"]
    assert (values["sources"], values["root"]) == (["photos"], str(Path("photos").absolute()))
    assert values["options"]["size"] == 96 and values["save"] == {"pictures": ["ids"]}
    assert values["engine"] == "torch, fp32" and values["finished"] is True


def test_bad_pictures_are_skipped_and_reported_and_the_others_go_on(go: Go) -> None:
    root, listener = photos(), Listener()
    (root / "broken.jpg").write_bytes(b"no picture")
    cut = (root / "a.png").read_bytes()
    (root / "cut.png").write_bytes(cut[: len(cut) // 2])
    report = go(root, save=["mask"], progress=listener)
    assert report.images == 4 and not report.ok
    assert [item.place for item in report.failures] == [str(root / "broken.jpg"), str(root / "cut.png")]
    assert "not an image" in report.failures[0].reason
    assert len(listener.warned) == 2 and "broken.jpg" in listener.warned[0] and "Skipped" in listener.warned[0]
    assert files(Path("out/mask")) == ["a.png", "sub/b.bmp.png", "sub/b.png.png", "sub/deep/c d.png"]
    assert [failure["place"] for failure in manifest()["failures"]] == [item.place for item in report.failures]


def test_nothing_but_bad_pictures_is_an_error_and_leaves_nothing(go: Go) -> None:
    Path("broken.jpg").write_bytes(b"no picture")
    for out in ("out", None):
        listener = Listener()
        with pytest.raises(DataError, match=r"^broken\.jpg: not an image"):
            go("broken.jpg", out=out, progress=listener)
        assert not listener.warned, "it is said once"
    Path("other.mp4").write_bytes(b"no film")
    with pytest.raises(DataError, match=r"^nothing could be read; the first of 2: broken\.jpg"):
        go(["broken.jpg", "other.mp4"])
    assert not Path("out").exists() and not list(Path("runs").iterdir())


def test_without_out_runs_are_numbered_and_nothing_is_overwritten(go: Go) -> None:
    root = photos()
    first = go(root, out=None, save=["ids"])
    second = go(root, out=None, save=["ids"])
    assert (first.root, second.root) == (Path("runs/predict-1"), Path("runs/predict-2"))
    with pytest.raises(UsageError, match=r"is not an empty folder.*--continue"):
        go(root, out=first.root)


def test_newest_run_predicts_unless_one_is_named() -> None:
    for number in (1, 2):
        run = Path(f"runs/train-{number}")
        run.mkdir(parents=True)
        (run / "config.yaml").touch()
        saved_checkpoint(run / "weights" / "best.safetensors", names=tuple(f"{number}{k}" for k in "abc"))
    root = photos()
    assert list(predict(root, device="cpu", save=["ids"]).pixels) == ["2a", "2b", "2c"]
    chosen = predict(root, run="runs/train-1", device="cpu", save=["ids"])
    assert list(chosen.pixels) == ["1a", "1b", "1c"]
    assert chosen.checkpoint == Path("runs/train-1/weights/best.safetensors")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"run": "runs/train-1"}, "Give one of them"),
        ({"save": ["masks"]}, r"output 'masks' is not known\. Did you mean 'mask'"),
        ({"save": []}, "name at least one kind of output"),
        ({"save": ["video"]}, "video needs a film"),
        ({"every": 2}, "every: is for films"),
        ({"frames": 0}, "frames: 1 or more"),
        ({"shard": "0/2"}, "shard: '0/2' is none"),
        ({"shard": "two"}, "shard: 'two' is none"),
        ({"shard": "1/2", "out": None}, "name it with out"),
        ({"overwrite": True}, "goes with beside"),
        ({"renew": True}, "renew: .* goes with beside"),
        ({"beside": True, "renew": True, "overwrite": True}, "Give one of them"),
        ({"beside": True, "save": ["mask"]}, "Add labelme"),
        ({"device": "cpu,cpu"}, "needs a process for each"),
        ({"engine": "onxruntime"}, "Did you mean 'onnxruntime'"),
        ({"precision": "fp61"}, "precision 'fp61' is not known"),
        ({"save": "mask, masks"}, r"output 'masks' is not known"),
        ({"save": ["mask"], "writing": WriteOptions(opacity=0.2)}, "opacity: is for overlay and video.*Add overlay"),
        ({"save": ["mask"], "writing": WriteOptions(outline=3)}, "outline: is for overlay"),
        ({"save": ["mask"], "writing": WriteOptions(shapes="mask")}, "shapes: is for labelme"),
        ({"save": ["mask"], "writing": WriteOptions(tolerance=5)}, "tolerance: is for labelme"),
        ({"save": ["mask"], "writing": WriteOptions(min_area=3)}, "min-area: is for labelme"),
        ({"save": ["labelme"], "writing": WriteOptions(pixel_size=2)}, "pixel-size: is for counts.*Add counts"),
        ({"writing": WriteOptions(shapes="mask", tolerance=5)}, "tolerance: is for polygons"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_written(go: Go, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        go(photos(1), **options)
    assert not Path("out").exists() and not Path("runs").exists()


def test_what_is_not_there_is_named_before_anything_is_written(go: Go) -> None:
    root = photos(1)
    with pytest.raises(DataError, match="absent: there is no such file or folder"):
        go([root, "absent"])
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: there is no such checkpoint"):
        go(root, weights="absent.safetensors")
    with pytest.raises(DataError, match="no trained model in runs"):
        go(root, weights=None)
    with pytest.raises(DataError, match="nothing in runs to go on with"):
        go(root, out=None, resume=True)
    with pytest.raises(DataError, match="out: nothing to go on with"):
        go(root, resume=True)
    assert not Path("out").exists() and not Path("runs").exists()


def test_classes_without_background_are_predicted_and_written_in_every_way(go: Go, tmp_path: Path) -> None:
    weights = saved_checkpoint(tmp_path / "scene.safetensors", names=("road", "tree", "sky"))
    report = go(photos(), weights=weights)
    assert report.ok and list(report.pixels) == ["road", "tree", "sky"]
    assert len(files(Path("out"))) == 4 * 4 + len(OWN)
    annotation = json.loads(Path("out/labelme/a.json").read_text(encoding="utf-8"))
    assert {shape["label"] for shape in annotation["shapes"]} <= {"road", "tree", "sky"}


# films and cameras


def test_a_film_becomes_a_film_and_pictures_beside_it_what_pictures_become(go: Go) -> None:
    root = photos(2)
    write_film(root / "clip.avi", 12)
    report = go(root)
    assert files(Path("out/video")) == ["clip.mp4"] and not Path("out/mask/clip").exists()
    assert (report.images, report.frames) == (2, 12) and report.ok
    shown = [rgb for _, rgb in Frames(Source("out/video/clip.mp4", "clip"))]
    assert len(shown) == 12
    original = [rgb for _, rgb in Frames(Source("photos/clip.avi", "clip"))]
    errors = [np.abs(shown[5].astype(int) - frame.astype(int)).mean() for frame in original]
    assert np.argmin(errors) == 5 and errors[5] > 1, "frame 5, with something laid over it"


def test_frames_are_written_under_their_numbers_in_any_kind(go: Go) -> None:
    write_film(Path("clip.avi"), 12)
    report = go("clip.avi", save=["ids", "labelme", "video", "counts"], every=5, frames=2)
    frames = ["000000", "000005"]
    assert files(Path("out/ids")) == [f"clip/{number}.png" for number in frames]
    assert {Path(name).stem for name in files(Path("out/labelme"))} == set(frames)
    assert report.frames == 2 and report.images == 0
    film = Frames(Source("out/video/clip.mp4", "clip"))
    assert (film.expected, film.fps) == (2, 2.0), "as quick as the world was"
    film.close()
    with Path("out/counts.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {(row["source"], row["frame"]) for row in csv.DictReader(file)} == {("clip.avi", "0"), ("clip.avi", "5")}


def test_a_damaged_film_is_predicted_as_far_as_it_goes_and_reported(go: Go) -> None:
    path, listener = write_film(Path("clip.avi"), 40), Listener()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    Path("none.mp4").write_bytes(b"nothing")
    report = go(["clip.avi", "none.mp4"], progress=listener)
    assert 10 < report.frames < 30
    assert [item.place for item in report.failures] == ["clip.avi", "none.mp4"] and len(listener.warned) == 2
    assert "damaged or missing" in report.failures[0].reason
    assert Frames(Source("out/video/clip.mp4", "clip")).expected == report.frames
    assert files(Path("out")) == [*OWN, "video/clip.mp4"]


class FakeCamera:
    """A camera as OpenCV shows it: pictures without end."""

    def __init__(self, number: int) -> None:
        self.taken = 0
        FakeCamera.open = True

    open = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, what: int) -> float:
        return 20.0 if what == cv2.CAP_PROP_FPS else -1.0

    def grab(self) -> bool:
        self.taken += 1
        return True

    def retrieve(self) -> tuple[bool, Pixels]:
        return True, np.ascontiguousarray(picture(self.taken)[:, :, ::-1])

    def release(self) -> None:
        FakeCamera.open = False


@pytest.mark.parametrize("ended_by", ["frames", "a stop", "Ctrl-C in Python"])
def test_a_camera_is_predicted_until_it_is_stopped_and_its_film_is_kept(
    go: Go, monkeypatch: pytest.MonkeyPatch, ended_by: str
) -> None:
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda what, *more: FakeCamera(what) if what == 0 else real(what, *more))
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        if asked > 15 and ended_by == "Ctrl-C in Python":
            raise KeyboardInterrupt
        return asked > 15 and ended_by == "a stop"

    report = go("camera:0", frames=6 if ended_by == "frames" else None, should_stop=stop)
    assert report.ok and report.frames == 6 if ended_by == "frames" else 5 < report.frames <= 15
    film = Frames(Source("out/video/camera-0.mp4", "camera-0"))
    assert (film.expected, film.fps) == (report.frames, 20.0)
    film.close()
    assert not FakeCamera.open and manifest()["finished"] is True


# next to the pictures


def test_labelme_files_go_next_to_the_pictures_and_never_over_anothers(go: Go) -> None:
    root = photos()
    (root / "a.json").write_text("by hand", encoding="utf-8")
    report = go(root, beside=True)
    assert (root / "a.json").read_text(encoding="utf-8") == "by hand"
    assert report.kept == ("photos/a.json",) and report.ok and report.images == 4
    annotation = json.loads((root / "sub/deep/c d.json").read_text(encoding="utf-8"))
    assert annotation["imagePath"] == "c d.png" and (annotation["imageHeight"], annotation["imageWidth"]) == (40, 60)
    assert files(root) == sorted(
        ["a.json", "a.png", "sub/b.bmp", "sub/b.bmp.json", "sub/b.png", "sub/b.png.json", "sub/deep/c d.json",
         "sub/deep/c d.png"]
    )  # fmt: skip
    assert not Path("out/labelme").exists() and Path("out/mask/a.png").is_file()
    again = go(root, beside=True, overwrite=True, out="again")
    assert again.kept == () and (root / "a.json").read_text(encoding="utf-8").startswith("{")


def test_pictures_that_are_annotated_already_are_not_even_predicted_if_nothing_else_is_asked_for(go: Go) -> None:
    root = photos()
    (root / "a.json").write_text("by hand", encoding="utf-8")
    report = go(root, beside=True, save=["labelme"])
    assert (report.images, report.kept) == (3, ("photos/a.json",))
    assert report.continued == 0, "there was no call before"
    everything = go(root, beside=True, save=["labelme"], out="again")
    assert (everything.images, len(everything.kept), everything.ok, everything.continued) == (0, 4, True, 0)


def test_the_annotation_of_one_of_two_pictures_of_a_stem_is_taken_for_its_own(go: Go) -> None:
    root = photos(3)
    by_hand = json.dumps({"imagePath": "b.png", "shapes": []})
    (root / "sub/b.json").write_text(by_hand, encoding="utf-8")
    (root / "a.json").write_text(json.dumps({"imagePath": "sub/b.bmp", "shapes": []}), encoding="utf-8")
    report = go(root, beside=True, save=["labelme"])
    assert report.kept == ("photos/sub/b.json",)
    assert (root / "sub/b.json").read_text(encoding="utf-8") == by_hand
    assert files(root) == ["a.json", "a.png", "a.png.json", "sub/b.bmp", "sub/b.bmp.json", "sub/b.json", "sub/b.png"]
    again = go(root, beside=True, save=["labelme"], out="again")
    assert (again.images, len(again.kept)) == (0, 3)


def test_names_next_to_pictures_do_not_depend_on_what_else_is_predicted(go: Go) -> None:
    root = photos(3)
    go(root / "sub/b.png", beside=True, save=["labelme"])
    assert not (root / "sub/b.json").exists() and (root / "sub/b.png.json").is_file(), "b.bmp lies there too"
    Path("x").mkdir()
    (root / "sub/b.png").rename("x/a-2.png")
    go([root / "a.png", "x/a-2.png"], beside=True, save=["labelme"], out="more")
    assert files(Path("x")) == ["a-2.json", "a-2.png"]


def test_a_folder_in_a_list_is_named_and_the_others_go_on(go: Go) -> None:
    photos(1)
    Path("clips.mp4").mkdir()
    Path("list.txt").write_text("photos/a.png\n.\n/\nphotos\nclips.mp4\n", encoding="utf-8")
    report = go("list.txt", beside=True, save=["labelme"])
    assert report.images == 1
    assert [failure.place for failure in report.failures] == [".", "/", "photos", "clips.mp4"]
    assert all("is a folder; a list holds files. Name the folder itself." in str(item) for item in report.failures)


# going on


def stopped_after(pictures: int) -> Callable[[], bool]:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > pictures

    return stop


@pytest.mark.parametrize("out", ["out", None])
def test_a_stopped_run_says_how_to_go_on_and_ends_as_if_it_had_not_been(go: Go, out: str | None) -> None:
    root, options = photos(10), {"save": ["ids", "coco"]}
    (root / "bad.png").write_bytes(b"no picture")
    whole = go(root, out="whole", **options)
    with pytest.raises(Interrupted, match=r"stopped: \d of 11 are finished, in .*--continue") as caught:
        go(root, out=out, should_stop=stopped_after(6), **options)
    found = Path(out or "runs/predict-1")
    assert caught.value.exit_code == 130 and manifest(found)["finished"] is False
    assert len(files(found / "ids")) == 5 and not (found / "coco.json").exists()
    first = (found / "ids/a.png").stat().st_mtime_ns
    report = go([], out=out, resume=True, **options)
    assert (report.continued, report.images, report.root) == (5, 10, found)
    assert (found / "ids/a.png").stat().st_mtime_ns == first, "what was finished is not done again"
    assert report.pixels == whole.pixels
    written, expected = content(found), content(Path("whole"))
    for values in (written, expected):
        values.pop("manifest.json")
    assert written == expected
    ours, theirs = manifest(found), manifest(Path("whole"))
    assert ours | {"out": ""} == theirs | {"out": ""}


def test_what_was_written_next_to_the_pictures_is_finished_too_and_results_among_them_are_no_pictures(go: Go) -> None:
    root = photos(3)
    options = {"out": root / "results", "beside": True, "save": ["labelme", "overlay"]}
    go(root, **options)
    again = go(root, resume=True, **options)
    assert (again.continued, again.images, again.kept) == (3, 3, ())
    (root / "a.json").unlink()
    assert go(root, resume=True, **options).continued == 2 and (root / "a.json").is_file()


def test_going_on_retries_what_failed_and_makes_again_what_is_lost(go: Go) -> None:
    root = photos()
    good = (root / "a.png").read_bytes()
    (root / "a.png").write_bytes(good[:200])
    assert not go(root, save=["ids"]).ok
    (root / "a.png").write_bytes(good)
    Path("out/ids/sub/b.png.png").unlink()
    report = go(root, save=["ids"], resume=True)
    assert report.ok and (report.images, report.continued) == (4, 2)
    go(root, save=["ids"], out="whole")
    assert content(Path("out/ids")) == content(Path("whole/ids"))
    assert Path("out/predictions.jsonl").read_bytes() == Path("whole/predictions.jsonl").read_bytes()


def test_what_another_process_is_at_work_on_is_left_to_it(go: Go) -> None:
    root = photos(2)
    go(root, save=["ids"])
    partial = Path("out/ids/.0123456789abcdef.partial")
    partial.touch()
    with held(Path("out/predictions.jsonl"), ""), pytest.raises(SegError, match="another process is predicting"):
        go(root, save=["ids"], resume=True)
    assert partial.exists()
    assert go(root, save=["ids"], resume=True).continued == 2 and not partial.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"save": ["ids", "mask"]}, "what is saved was"),
        ({"options": toolkit.PredictOptions(size=96)}, "size was not given, now it is 96"),
        ({"beside": True, "save": ["ids", "labelme"]}, "beside was off, now it is on"),
        ({"renew": True}, "renew was off, now it is on"),
    ],
)
def test_going_on_in_another_way_is_refused(go: Go, options: dict[str, Any], said: str) -> None:
    root = photos(2)
    go(root, save=["ids"])
    before = content(Path("out"))
    with pytest.raises(UsageError, match=said):
        go(root, resume=True, **({"save": ["ids"]} | options))
    saved_checkpoint(Path("best.safetensors"), names=("x", "y", "z"))
    with pytest.raises(UsageError, match=r"the checkpoint was .* \(its content has changed\)"):
        go(root, resume=True, save=["ids"])
    assert content(Path("out")) == before


def test_a_labelme_file_that_a_person_has_made_meanwhile_stays_when_the_run_goes_on(go: Go) -> None:
    root = photos(6)
    with pytest.raises(Interrupted):
        go(root, beside=True, should_stop=stopped_after(2))
    own = sorted(root.rglob("*.json"))
    assert own
    Path("out/predictions.jsonl").write_bytes(b"")  # killed before the line was written
    (root / "sub/b.png.json").write_text("by hand", encoding="utf-8")
    report = go(root, beside=True, resume=True)
    assert report.kept == ("photos/sub/b.png.json",), "those it had written itself are its own"
    assert (root / "sub/b.png.json").read_text(encoding="utf-8") == "by hand"
    assert not list(root.rglob(".*"))


def test_a_labelme_file_of_the_results_that_was_corrected_stays_when_another_output_is_made_again(go: Go) -> None:
    root = photos(3)
    go(root, save=["mask", "labelme"])
    corrected, plain = Path("out/labelme/a.json"), Path("out/labelme/sub/b.png.json")
    corrected.write_text("by hand", encoding="utf-8")
    before = plain.read_bytes()
    for mask in Path("out/mask").rglob("*.png"):
        mask.unlink()
    report = go(root, save=["mask", "labelme"], resume=True)
    assert corrected.read_text(encoding="utf-8") == "by hand" and plain.read_bytes() == before
    assert report.kept == ("out/labelme/a.json",) and report.continued == 0
    assert len(files(Path("out/mask"))) == 3 and not list(Path("out").rglob(".*"))


def test_corrected_labelme_files_of_frames_stay_too(go: Go) -> None:
    write_film(Path("clip.avi"), 3)
    go("clip.avi", save=["ids", "labelme"])
    corrected = Path("out/labelme/clip/000001.json")
    corrected.write_text("by hand", encoding="utf-8")
    Path("out/ids/clip/000000.png").unlink()
    Path("out/labelme/clip/000002.jpg").unlink()
    report = go("clip.avi", save=["ids", "labelme"], resume=True)
    assert corrected.read_text(encoding="utf-8") == "by hand"
    assert report.kept == ("out/labelme/clip/000001.json",)
    assert len(files(Path("out/labelme"))) == 6


def test_a_picture_that_was_lost_and_cannot_be_read_again_is_no_success(go: Go) -> None:
    root = photos()
    go(root, save=["ids"])
    (root / "a.png").write_bytes(b"damaged since")
    Path("out/ids/a.png").unlink()
    report = go(root, save=["ids"], resume=True)
    assert (report.images, [item.place for item in report.failures]) == (3, ["photos/a.png"])


def test_a_damaged_line_of_a_table_names_the_way_out_and_that_is_one(go: Go) -> None:
    root, options = photos(3), {"save": ["ids", "counts"]}
    go(root, **options)
    journal = Path("out/predictions.jsonl")
    lines = journal.read_text(encoding="ascii").splitlines(keepends=True)
    damaged = json.loads(lines[1]) | {"tables": {"counts": {"pixels": ["many"]}}}
    journal.write_text("".join([lines[0], json.dumps(damaged) + "\n", *lines[2:]]), encoding="ascii")
    listener = Listener()
    with pytest.raises(DataError, match=r"sub/b\.bmp: .* Delete its lines in out.*jsonl, then use --continue"):
        go(root, resume=True, progress=listener, **options)
    assert not listener.said, "one piece of advice is enough, and that to go on as it is would be wrong"
    journal.write_text("".join([lines[0], *lines[2:]]), encoding="ascii")
    assert go(root, resume=True, **options).images == 3


def test_what_a_killed_call_left_next_to_pictures_is_removed_when_nobody_can_be_writing_it(go: Go) -> None:
    root = photos(2)
    go(root, beside=True, save=["labelme"])
    old, new = root / ".0123456789abcdef.partial.json", root / "sub/.0123456789abcdef.partial"
    for path in (old, new):
        path.touch()
    os.utime(old, (1, 1))
    go(root, beside=True, save=["labelme"], resume=True)
    assert not old.exists() and new.exists()


# shards


def test_a_shard_writes_into_no_folder_that_was_predicted_into_as_a_whole(go: Go) -> None:
    root = photos(3)
    go(root)
    Path("out/labelme/a.json").write_text("by hand", encoding="utf-8")
    before = content(Path("out"))
    with pytest.raises(UsageError, match="out: is finished already; nothing there is overwritten"):
        go(root, shard="1/2")
    values = manifest() | {"finished": False}
    Path("out/manifest.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UsageError, match=r"was begun already.*without --shard"):
        go(root, shard="1/2")
    with pytest.raises(UsageError, match="begun by one call, not in shards"):
        go(root, shard="1/2", resume=True)
    assert content(Path("out")) == before | {"manifest.json": json.dumps(values).encode()}
    Path("mine").mkdir()
    Path("mine/manifest.json").write_text('{"name": "my app"}', encoding="utf-8")
    with pytest.raises(UsageError, match="is not an empty folder"):
        go(root, shard="1/2", out="mine")


def test_shards_and_a_call_that_goes_on_with_all_keep_out_of_each_others_way(go: Go) -> None:
    root, options = photos(6), {"save": ["ids"]}
    go(root, shard="1/3", **options)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            with pytest.raises(SegError, match="another process is predicting"):
                go(root, shard="2/3", resume=True, **options)
        return asked > 2

    with pytest.raises(Interrupted):
        go(root, resume=True, should_stop=stop, **options)
    assert manifest()["shards"]["of"] == 3
    assert not go(root, shard="2/3", resume=True, **options).finished, "the third is not done"
    assert go(root, resume=True, **options).images == 6
    assert "shards" not in manifest() and not list(Path("out").glob("*-of-*"))
    with pytest.raises(UsageError, match="is finished already"):
        go(root, shard="3/3", **options)
    assert go(root, shard="3/3", resume=True, **options).continued == 6, "a job array that is sent again"


def test_the_last_shard_removes_what_killed_ones_left(go: Go) -> None:
    root = photos(4)
    go(root, shard="1/2", save=["ids"])
    left = [Path("out/ids/.0123456789abcdef.partial"), Path("out/ids/sub/.0123456789abcdef.partial.mp4")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    go(root, shard="2/2", save=["ids"])
    assert not any(path.exists() for path in left)


def test_shards_share_the_work_and_the_last_one_brings_it_together(go: Go) -> None:
    root, options = photos(7), {"save": ["ids", "counts"]}
    go(root, out="whole", **options)
    first = go(root, shard="1/3", **options)
    assert (first.images, first.finished) == (3, False) and manifest()["finished"] is False
    third = go(root, shard="3/3", **options)
    assert (third.images, third.finished) == (2, False) and not Path("out/counts.csv").exists()
    with pytest.raises(UsageError, match="shard 1/3 was begun there already"):
        go(root, shard="1/3", **options)
    with pytest.raises(UsageError, match="was begun as 3 shards, now there are 4"):
        go(root, shard="2/4", **options)
    last = go(root, shard="2/3", resume=True, **options)  # as a job array is sent again as it is
    assert (last.images, last.finished) == (7, True)
    expected = content(Path("whole"))
    written = {name: data for name, data in content(Path("out")).items() if "-of-" not in name}
    assert manifest(Path("out")) | {"out": ""} == manifest(Path("whole")) | {"out": ""}
    assert {**written, "manifest.json": b""} == {**expected, "manifest.json": b""}


def test_shards_that_see_other_pictures_are_refused(go: Go) -> None:
    root = photos(5)
    go(root, shard="1/2", save=["ids"])
    (root / "a.png").unlink()
    with pytest.raises(UsageError, match="the first shard found 5 sources, this one finds 4"):
        go(root, shard="2/2", save=["ids"])


def test_what_shards_have_begun_one_process_can_end_when_they_are_gone(go: Go) -> None:
    root = photos(5)
    go(root, shard="1/2", save=["ids"])
    with held(Path("out/predictions-1-of-2.jsonl"), ""), pytest.raises(SegError, match="another process"):
        go(root, resume=True, save=["ids"])
    report = go(root, resume=True, save=["ids"])
    assert (report.images, report.continued) == (5, 3)
    assert files(Path("out")) == sorted([*OWN, *(f"ids/{name}" for name in files(Path("out/ids")))])


def test_a_shard_does_not_use_a_strangers_folder(go: Go) -> None:
    Path("out").mkdir()
    Path("out/thesis.txt").touch()
    with pytest.raises(UsageError, match="is not an empty folder"):
        go(photos(1), shard="1/2")
    assert files(Path("out")) == ["thesis.txt"]
