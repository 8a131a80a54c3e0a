"""What a call that ends early leaves, and what one that goes on with it need not be told again."""

import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import toolkit
from tests.prediction.films import picture
from tests.runs.checkpoints import saved_checkpoint
from tests.training.tiny import Listener
from toolkit.errors import DataError, Interrupted, RunError, SegError, UsageError
from toolkit.files import held, new_folder
from toolkit.labels.labelme_write import write_labelme
from toolkit.prediction.folder.beginning import as_begun, options_of
from toolkit.prediction.folder.manifest import write_manifest
from toolkit.prediction.kinds import Kinds
from toolkit.prediction.options import PredictOptions
from toolkit.prediction.predictor import Predictor
from toolkit.prediction.report import PredictReport
from toolkit.prediction.request import PredictRequest
from toolkit.prediction.writers.options import WriteOptions
from toolkit.progress import Progress
from toolkit.training.group import Group

BAD_NAME = os.fsdecode(b"photos/bad\xff.png")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pictures and a model."""
    monkeypatch.chdir(tmp_path)
    photos(4)
    saved_checkpoint(Path("best.safetensors"))


def photos(count: int) -> None:
    Path("photos").mkdir(exist_ok=True)
    for number in range(count):
        Image.fromarray(picture(number)).save(f"photos/{number}.png")


def go(sources: Any = "photos", **words: Any) -> PredictReport:
    usual: dict[str, Any] = {"weights": "best.safetensors", "out": "out", "device": "cpu", "precision": "fp32"}
    return toolkit.predict(sources, **(usual | words))


def failing_from(call: int, error: BaseException, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work, which fails from its `call`-th time on."""
    calls = 0

    def failing(*arguments: Any, **words: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise error
        return work(*arguments, **words)

    return failing


# what is left


def test_an_engine_that_cannot_compute_leaves_nothing_and_the_folder_can_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Predictor, "_compute", failing_from(1, RunError("it cannot"), Predictor._compute))
        for out in ("out", None):
            with pytest.raises(RunError, match="it cannot"):
                go(out=out)
    assert not Path("out").exists() and not list(Path("runs").iterdir())
    assert go(save="ids").images == 4


def test_where_nothing_can_be_written_next_to_the_pictures_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = SegError("photos/0.json: cannot be written")
    monkeypatch.setattr("toolkit.prediction.writers.labelme.write_labelme", failing_from(1, refused, write_labelme))
    with pytest.raises(SegError, match="cannot be written"):
        go(beside=True)  # masks and overlays of the first pictures are written by then
    assert not Path("out").exists() and len(list(Path("photos").iterdir())) == 4


def test_a_stop_before_the_first_picture_leaves_what_was_there_before() -> None:
    Path("empty").mkdir()
    for out in ("out", "empty"):
        with pytest.raises(Interrupted, match="nothing is left behind"):
            go(out=out, should_stop=lambda: True)
    assert not Path("out").exists()
    assert not list(Path("empty").iterdir()), "the user's own folder stays"


def test_who_comes_second_to_a_new_folder_takes_nothing_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ExitStack()

    def overtaken(path: Path) -> Path:
        first.enter_context(held(new_folder(path) / "predictions.jsonl", ""))
        write_manifest(path, {"whose": "the first one's"})
        return path

    monkeypatch.setattr("toolkit.prediction.folder.opening.new_folder", overtaken)
    with first, pytest.raises(SegError, match="another process is predicting"):
        go()
    assert {path.name for path in Path("out").iterdir()} == {"manifest.json", "predictions.jsonl"}


class TwoProcesses(Group):
    """The main one of two; the other agrees to everything, and has not heard of what ended this one."""

    def sum(self, tensor: Any) -> Any:
        return tensor

    def share(self, value: Any) -> Any:
        return value


def test_one_of_several_processes_that_ends_at_once_takes_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("toolkit.prediction.run.join_group", lambda device: TwoProcesses(0, 2, was_there=True))

    def interrupted(*arguments: Any) -> Any:
        Path("out/ids").mkdir(exist_ok=True)
        Path("out/ids/1.png").write_bytes(b"the other one's, who has just written it")
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "_compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(save="ids")
    assert Path("out/ids/1.png").is_file() and Path("out/manifest.json").is_file()


@pytest.mark.parametrize("last", [None, "2/2"])
def test_until_all_is_written_others_are_kept_out(monkeypatch: pytest.MonkeyPatch, last: str | None) -> None:
    asked = 0

    def look(root: Path, values: dict[str, Any]) -> None:
        nonlocal asked
        asked += 1
        with pytest.raises(SegError, match="another process is predicting"):
            toolkit.predict(out="out", resume=True, device="cpu")
        write_manifest(root, values)

    if last is not None:
        go(save="ids", shard="1/2")
    with monkeypatch.context() as ending:
        ending.setattr("toolkit.prediction.ending.write_manifest", look)
        assert go(save="ids", shard=last).finished
        if last is None:
            assert go(save="ids", resume=True).finished, "here the journal was made anew"
    assert asked == (2 if last is None else 1)
    assert toolkit.predict(out="out", resume=True, device="cpu").continued == 4


class Stages(Progress):
    """Keeps how far each stage came."""

    def __init__(self) -> None:
        self.came: list[list[Any]] = []

    def begin(self, what: str, total: int | None) -> None:
        self.came.append([what, 0, total])

    def advance(self, note: str = "") -> None:
        self.came[-1][1] += 1


def test_looking_for_annotations_is_shown_and_can_be_stopped() -> None:
    for number in range(4):
        Path(f"photos/{number}.json").write_text("by hand", encoding="utf-8")
    stages = Stages()
    words: dict[str, Any] = {"save": "labelme", "beside": True, "progress": stages}
    with pytest.raises(Interrupted, match="2 of 4 are finished"):
        go(**words, should_stop=lambda: bool(stages.came) and stages.came[-1][1] == 2)
    assert stages.came == [["Looking for labelme files", 2, 4]]


@pytest.mark.parametrize("error", [SegError("out: cannot be written: the disk is full"), KeyboardInterrupt()])
def test_what_ends_the_work_says_where_the_finished_part_is(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    listener = Listener()
    photos(12)
    with monkeypatch.context() as full:
        full.setattr(Predictor, "_compute", failing_from(11, error, Predictor._compute))
        with pytest.raises(type(error)):
            go(save="ids", progress=listener)
    done = len(Path("out/predictions.jsonl").read_bytes().splitlines())
    assert 0 < done < 12
    assert listener.said[-1] == f"{done} of 12 are finished, in out. Go on with the same command and --continue."
    report = toolkit.predict(out="out", resume=True)
    assert (report.continued, report.images, report.sources) == (done, 12, 12)


# what need not be told again


def test_going_on_needs_no_word_but_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, Any] = {
        "save": "overlay,ids,labelme,counts",
        "options": PredictOptions(size=96, tta="flips"),
        "writing": WriteOptions(opacity=0.25, tolerance=2.0, pixel_size=0.5),
    }
    photos(10)
    go(out="whole", **words)
    with monkeypatch.context() as broken:
        broken.setattr(Predictor, "_compute", failing_from(9, RunError(""), Predictor._compute))
        with pytest.raises(RunError):
            go(out="out", **words)
    newer = Path("runs/train-1/weights")
    newer.mkdir(parents=True)
    (newer.parent / "config.yaml").touch()
    saved_checkpoint(newer / "best.safetensors", names=("x", "y", "z"))
    report = toolkit.predict(out="out", resume=True)
    assert report.checkpoint == Path("best.safetensors") and 0 < report.continued < 10
    for path in Path("whole").rglob("*.*"):
        if path.is_file() and path.name != "manifest.json":
            assert Path("out", path.relative_to("whole")).read_bytes() == path.read_bytes(), path
    again = toolkit.predict(out="out", resume=True)
    assert (again.continued, again.sources) == (10, 10)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"options": PredictOptions(scale=1.0)}, "scale was not given, now it is 1"),
        ({"writing": WriteOptions(pixel_size=2.0)}, "pixel-size was 0.5, now it is 2"),
        ({"save": "ids"}, "what is saved was"),
        ({"engine": "onnxruntime"}, "engine was torch, now it is onnxruntime"),
        ({"precision": "bf16"}, "precision was fp32, now it is bf16"),
        ({"weights": "other.safetensors"}, "the checkpoint was best.safetensors"),
    ],
)
def test_what_is_given_otherwise_is_refused_before_the_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, words: dict[str, Any], said: str
) -> None:
    go("photos/0.png", save="counts", options=PredictOptions(size=96), writing=WriteOptions(pixel_size=0.5))
    saved_checkpoint(Path("other.safetensors"), names=("x", "y", "z"))
    monkeypatch.setattr("toolkit.prediction.team.load", None)
    with pytest.raises(UsageError, match=said):
        toolkit.predict(out="out", resume=True, **words)


def stopped_after(pictures: int) -> Callable[[], bool]:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > pictures

    return stop


def test_pictures_of_another_folder_are_not_those_that_were_begun() -> None:
    Path("more").mkdir()
    for number in range(4):
        Image.fromarray(picture(9 - number)).save(f"more/{number}.png")
    with pytest.raises(Interrupted):
        go(out=None, save="ids", should_stop=stopped_after(3))
    before = {path: path.read_bytes() for path in Path("runs").rglob("*.*")}
    with pytest.raises(
        UsageError, match=r"predict-1: was begun with what is in .*photos, now .*more\. .*leave out --con"
    ):
        go("more", out=None, save="ids", resume=True)
    assert {path: path.read_bytes() for path in Path("runs").rglob("*.*")} == before
    photos(6)
    report = go("photos", out=None, save="ids", resume=True)
    assert (report.images, report.sources, report.root) == (6, 6, Path("runs/predict-1")), "what came since is welcome"


def test_what_an_older_version_did_not_know_was_at_its_default() -> None:
    go(save="ids")
    path = Path("out/manifest.json")
    values = json.loads(path.read_bytes())
    for key in ("letterbox", "renew", "pixel_size"):
        del values["options"][key]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UsageError, match="letterbox was off, now it is on"):
        go(save="ids", resume=True, options=PredictOptions(letterbox=True))
    assert go(save="ids", resume=True).continued == 4


def test_a_folder_does_not_have_labelme_files_written_next_to_pictures_by_itself() -> None:
    words: dict[str, Any] = {"save": "labelme", "beside": True, "renew": True}
    go(**words)
    Path("photos/0.json").unlink()
    with pytest.raises(UsageError, match="was begun with --beside --renew, which is not remembered: give it again"):
        toolkit.predict(out="out", resume=True)
    with pytest.raises(UsageError, match="was begun with --renew, "):
        toolkit.predict(out="out", resume=True, beside=True)
    assert not Path("photos/0.json").exists()
    toolkit.predict(out="out", resume=True, beside=True, renew=True, device="cpu")
    assert Path("photos/0.json").exists()


def test_a_shard_that_was_begun_is_refused_before_the_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    go(save="ids", shard="1/2", options=PredictOptions(size=96))
    monkeypatch.setattr("toolkit.prediction.team.load", None)
    with pytest.raises(UsageError, match="shard 1/2 was begun there already"):
        go(save="ids", shard="1/2", options=PredictOptions(size=96))


OPTIONS = st.one_of(
    st.builds(PredictOptions, size=st.integers(1, 999), tta=st.sets(st.sampled_from(["flips", "scales"])).map(sorted)),
    st.builds(PredictOptions, scale=st.floats(0.1, 9), tile=st.integers(32, 999), overlap=st.floats(0, 0.9)),
    st.builds(PredictOptions, letterbox=st.booleans(), batch=st.none() | st.integers(1, 99)),
)
WRITING = st.builds(
    WriteOptions,
    opacity=st.floats(0, 1),
    outline=st.none() | st.integers(0, 99),
    shapes=st.sampled_from(["polygon", "mask"]),
    min_area=st.none() | st.integers(0, 99),
    pixel_size=st.none() | st.floats(0.1, 9),
)
SAVED = st.none() | st.lists(st.sampled_from(["ids", "mask", "labelme", "counts"]), min_size=1, unique=True).map(tuple)


def begin(values: Any) -> None:
    Path("begun").mkdir(exist_ok=True)
    Path("begun/manifest.json").write_text(json.dumps({"seg": "", "checksum": "0", **values}), encoding="utf-8")


@settings(max_examples=40)
@given(
    OPTIONS,
    WRITING,
    SAVED,
    st.integers(1, 9),
    st.none() | st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.sampled_from("pfb"),
)
def test_every_word_comes_back_as_it_was(
    options: PredictOptions,
    writing: WriteOptions,
    save: tuple[str, ...] | None,
    every: int,
    frames: int | None,
    beside: bool,
    renew: bool,
    what: str,
) -> None:
    begun = PredictRequest(
        ("a", "b"), None, "m.onnx", "begun", save, options, writing, "openvino", "bf16",
        every=every, frames=frames, beside=beside, renew=renew, resume=True,
    )  # fmt: skip
    kinds = Kinds.chosen(save, pictures=what in "pb", films=what in "fb")
    saved = {key: value for key, value in vars(kinds).items() if value}
    about = {"sources": ["a", "b"], "checkpoint": "m.onnx", "engine": "openvino, bf16", "save": saved}
    begin({**about, "options": options_of(begun)})
    found = as_begun(PredictRequest(out="begun", resume=True, beside=beside, renew=renew), Path("begun"))
    chosen = Kinds.chosen(found.save, pictures=what in "pb", films=what in "fb")
    assert chosen == kinds and replace(found, save=save) == begun
    assert as_begun(begun, Path("begun")) == begun, "given again, it is the same"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "tta", "every"]), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(["sources", "options", "save", "engine", "checkpoint"])


@settings(max_examples=80)
@given(st.dictionaries(KEYS, JSON), st.dictionaries(st.sampled_from([*vars(PredictOptions()), "frames"]), JSON))
def test_a_manifest_of_anybodys_making_is_refused_in_words_or_makes_sense(
    values: dict[str, Any], options: dict[str, Any]
) -> None:
    begin({"sources": ["a"], "options": options, **values})
    try:
        found = as_begun(PredictRequest(out="begun", resume=True), Path("begun"))
    except DataError as error:
        assert re.match(
            "begun: (its manifest.json is damaged: .+ Choose another|.+ Name the sources again)", str(error)
        )
    else:
        assert all(isinstance(each, str) for each in (*found.sources, *(found.save or ())))
        assert isinstance(found.every, int) and isinstance(found.beside, bool)


# files of labelme


def test_overwriting_names_what_somebody_had_made_or_looked_at() -> None:
    words: dict[str, Any] = {"save": "labelme", "beside": True, "overwrite": True}
    Path("photos/0.json").write_text("by hand", encoding="utf-8")
    assert go(**words).replaced == ("photos/0.json",)
    seen = json.loads(Path("photos/1.json").read_text(encoding="utf-8"))
    Path("photos/1.json").write_text(json.dumps(seen | {"flags": {"predicted": False}}), encoding="utf-8")
    report = go(**words, out="again")
    assert (report.images, report.replaced) == (4, ("photos/1.json",)), "predictions nobody looked at are no loss"
    assert json.loads(Path("again/manifest.json").read_text(encoding="utf-8"))["replaced"] == ["photos/1.json"]


RENEWING: dict[str, Any] = {"weights": "better.safetensors", "save": "labelme", "beside": True, "renew": True}


def predicted_with_another_model(count: int) -> dict[str, bytes]:
    """Pictures with predictions next to them; what a better model, which is there, would write instead."""
    photos(count)
    saved_checkpoint(Path("better.safetensors"), names=("_background_", "newt", "toad"))
    go(save="labelme", beside=True, weights="better.safetensors", out="better")
    better = {path.name: path.read_bytes() for path in Path("photos").glob("*.json")}
    for name in better:
        Path("photos", name).unlink()
    go(save="labelme", beside=True, out="before")
    assert all(content != better[name] for name, content in labelme_files().items())
    return better


def labelme_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("photos").glob("*.json") if path.is_file()}


def look_at(name: str) -> bytes:
    """Untick the flag, as a person does; returns the content from then on."""
    path = Path("photos", name)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"flags": {"predicted": False}}), encoding="utf-8")
    return path.read_bytes()


def flagged(name: str, flags: object) -> None:
    path = Path("photos", name)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"flags": flags}), encoding="utf-8")


@pytest.mark.parametrize("save", ["labelme", "ids,labelme"])
def test_renewing_replaces_predictions_that_nobody_has_looked_at_and_nothing_else(save: str) -> None:
    better = predicted_with_another_model(10)
    Path("photos/0.json").write_text("by hand", encoding="utf-8")
    look_at("1.json")
    for name, flags in (("2.json", {}), ("3.json", {"predicted": "yes"}), ("4.json", None)):
        flagged(name, flags)
    Path("photos/5.json").unlink()
    Path("photos/5.json").mkdir()  # cannot be read
    Path("photos/6.json").unlink()
    flagged("7.json", {"predicted": True, "blurred": True})
    before = labelme_files()
    report = go(**RENEWING | {"save": save}, out="renewed")
    after = labelme_files()
    somebodys = [f"{number}.json" for number in range(5)]
    assert {name: after[name] for name in somebodys} == {name: before[name] for name in somebodys}
    assert {name: after[name] for name in after if name not in somebodys} == {
        f"{number}.json": better[f"{number}.json"] for number in range(6, 10)
    }
    assert report.kept == tuple(f"photos/{number}.json" for number in range(6))
    assert (report.renewed, report.replaced, report.continued) == (3, (), 0), "the sixth is new"
    assert report.images == (4 if save == "labelme" else 10), (
        "what stays is predicted only if something else is asked for"
    )
    manifest = json.loads(Path("renewed/manifest.json").read_text(encoding="utf-8"))
    assert (manifest["renewed"], manifest["kept"]) == (3, list(report.kept))


def test_what_somebody_corrects_while_it_is_renewed_stays() -> None:
    better = predicted_with_another_model(4)
    corrected: list[bytes] = []
    asked = 0

    def correct() -> bool:
        nonlocal asked
        asked += 1
        if asked == 5:  # all were looked at, and nobody had corrected one
            corrected.append(look_at("2.json"))
        return False

    report = go(**RENEWING, out="renewed", should_stop=correct)
    assert labelme_files() == better | {"2.json": corrected[0]}
    assert (report.kept, report.renewed) == (("photos/2.json",), 3)


def test_renewing_goes_on_with_what_is_left_and_lost_and_with_nothing_else() -> None:
    better = predicted_with_another_model(12)
    first = look_at("0.json")
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12 + 5  # when all were looked at

    with pytest.raises(Interrupted):
        go(**RENEWING, should_stop=stop)
    found = labelme_files()
    renewed = sorted(name for name in found if found[name] == better[name])
    left = sorted(set(found) - {*renewed, "0.json"})
    assert len(renewed) > 2 and len(left) > 2
    seen, lost = renewed[0], renewed[1]
    corrected = {"0.json": first, seen: look_at(seen), left[0]: look_at(left[0])}
    Path("photos", lost).unlink()
    untouched = Path("photos", renewed[2]).stat().st_mtime_ns
    words: dict[str, Any] = {"out": "out", "resume": True, "device": "cpu", "beside": True, "renew": True}
    report = toolkit.predict(**words)
    assert labelme_files() == better | corrected
    assert Path("photos", renewed[2]).stat().st_mtime_ns == untouched, "what was finished is not renewed again"
    assert set(report.kept) == {"photos/0.json", f"photos/{left[0]}"}
    assert (report.images, report.continued) == (10, len(renewed))
    again = toolkit.predict(**words)
    assert (again.continued, labelme_files()) == (12, better | corrected)


def test_shards_renew_together_what_one_call_would() -> None:
    better = predicted_with_another_model(5)
    corrected = look_at("1.json")
    assert not go(**RENEWING, shard="1/2").finished
    with pytest.raises(UsageError, match="renew was on, now it is off"):
        go(**RENEWING | {"renew": False}, shard="2/2")
    report = go(**RENEWING, shard="2/2")
    assert labelme_files() == better | {"1.json": corrected}
    assert (report.images, report.renewed, report.kept) == (4, 4, ("photos/1.json",))


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="every name is text there")
def test_names_that_labelme_files_cannot_hold_are_warned_of() -> None:
    Image.fromarray(picture(5)).save(BAD_NAME)
    listener = Listener()
    assert go(save="ids", progress=listener).images == 5 and not listener.warned
    assert go(save="ids,labelme", out="more", progress=listener).images == 5
    assert len(listener.warned) == 1 and BAD_NAME in listener.warned[0] and "Rename" in listener.warned[0]
