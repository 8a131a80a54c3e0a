"""`seg annotate`: what is opened, with which labels, in which labelme; a stand-in for the program writes it down."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.annotations import annotated, content, encoded, picture, shape, write_json
from tests.cli.program import SEG, environment, seg
from toolkit.annotating.program import command, find_program
from toolkit.annotating.session import changed_since, link_pictures, plan, states, states_astray
from toolkit.cli.console import typed
from toolkit.errors import DataError, UsageError

HELP = {
    5: "[--nodata] [--autosave] [--labels LABELS] [--validatelabel {exact}] [--output OUTPUT]",
    6: "[--with-image-data] [--no-auto-save] [--labels LABELS] [--validate-label {exact}] [--output OUTPUT]",
    7: "--no-auto-save --validate-label {exact}, --validatelabel {exact} --output OUTPUT",
}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    yield stand_in(tmp_path / "bin", 6)


def stand_in(folder: Path, release: int, then: str = "", version: str = "Labelme 6.3.1") -> Path:
    """A `labelme` that shows the help of a release and writes down what it is started with."""
    folder.mkdir(exist_ok=True)
    path = folder / "labelme"
    path.write_text(
        f"#!{sys.executable}\n"
        "import sys, json, pathlib\n"
        f"if '--help' in sys.argv: print({HELP[release]!r}); sys.exit()\n"
        f"if '--version' in sys.argv: print({version!r}); sys.exit()\n"
        f"pathlib.Path({str(folder)!r}, 'started.json').write_text(json.dumps(sys.argv[1:]))\n{then}\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


def run(folder: Path, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ({"PATH": str(folder / "bin"), "QT_QPA_PLATFORM": "offscreen"} | variables).items():
            patch.setenv(name, value)
        return seg(folder, "annotate", *arguments, code=code)


def started(folder: Path) -> list[str]:
    return [str(word) for word in json.loads((folder / "bin" / "started.json").read_text(encoding="utf-8"))]


def predicted(folder: Path, number: int = 1, names: tuple[str, ...] = ("a", "sub/a", "sub/b ä")) -> Path:
    """A prediction as `seg predict` leaves it: annotations in a tree, the pictures elsewhere."""
    root = folder / "runs" / f"predict-{number}"
    for name in names:
        photo = folder / "photos" / f"{name}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(encoded(picture()))
        path = root / "labelme" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content([shape()], os.path.relpath(photo, path.parent).replace(os.sep, "/")))
    write_json(root / "manifest.json", {"seg": "1", "classes": ["_background_", "cat", "dog"]})
    return root


@pytest.mark.parametrize(
    "where",
    [(), ("runs/predict-2",), ("runs/predict-2/labelme",), ("runs/predict-2/manifest.json",)],
    ids=["newest", "it", "in it", "its manifest"],
)
def test_a_prediction_opens_with_each_picture_beside_its_annotation(
    tmp_path: Path, program: Path, where: tuple[str, ...]
) -> None:
    predicted(tmp_path, 1)
    root = predicted(tmp_path, 2) / "labelme"
    (tmp_path / "runs" / "predict-10").mkdir()  # without annotations
    done = run(tmp_path, *where)
    assert started(tmp_path) == [
        *(str(root), "--labels", "__ignore__,_background_,cat,dog", "--validate-label", "exact"),
        "--no-auto-save",
    ]
    assert "3 annotations" in done.stderr and "linked 3 pictures" in done.stderr
    for name in ("a", "sub/a", "sub/b ä"):
        link = root / f"{name}.jpg"
        assert link.samefile(tmp_path / "photos" / f"{name}.jpg")
    assert "linked" not in run(tmp_path, *where).stderr, "they are there now"


def predicted_beside(folder: Path, number: int = 1) -> Path:
    """A prediction as `seg predict photos --save labelme --beside` leaves it; returns the folder of the pictures."""
    photos = folder / "my photos"
    annotated(photos / "sub ä", "a")
    said = {"seg": "1", "classes": ["_background_", "cat"], "root": str(photos), "options": {"beside": True}}
    write_json(folder / "runs" / f"predict-{number}" / "manifest.json", said)
    return photos


@pytest.mark.parametrize("where", [None, "runs/predict-2", "runs/predict-2/manifest.json"])
def test_a_prediction_whose_annotations_lie_next_to_the_pictures_opens_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    predicted(tmp_path, 1)
    photos = predicted_beside(tmp_path, 2)
    (tmp_path / "elsewhere.jpg").write_bytes(encoded(picture()))
    write_json(photos / "b.json", content([shape()], "../elsewhere.jpg"))
    session = plan(None if where is None else Path(where))
    assert (session.path, session.folder, session.output) == (photos, photos, None)
    assert session.labels == ("__ignore__", "_background_", "cat")
    assert session.links == (), "nothing is added to a folder of the user's own"


def test_pictures_that_were_moved_since_or_lie_all_over_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = predicted_beside(tmp_path)
    manifest = Path("runs/predict-1/manifest.json")
    said = json.loads(manifest.read_text(encoding="utf-8"))
    for root in (str(photos / "gone"), photos.anchor, "x" * 5000, "\0"):
        write_json(manifest, said | {"root": root})
        with pytest.raises(DataError, match=r"next to the pictures.*seg annotate FOLDER"):
            plan(None)
    stand_in(tmp_path / "bin", 6)
    write_json(manifest, said | {"root": str(photos / "gone")})
    newer = manifest.parent.rename("runs/predict-3")
    older = predicted(tmp_path, 2)
    done = run(tmp_path, "--print")
    assert f"{Path('runs/predict-3')}: newer" in done.stderr and "seg annotate FOLDER" in done.stderr
    assert str(older / "labelme") in done.stdout
    newer.rename(manifest.parent)
    strange: tuple[dict[str, object], ...] = (
        {"root": 1},
        {"root": ""},
        {"options": []},
        {"options": {"beside": "yes"}},
    )
    for odd in strange:
        write_json(manifest, said | odd)
        with pytest.raises(DataError, match="--save labelme"):
            plan(Path("runs/predict-1"))


@pytest.mark.parametrize(
    ("release", "options"),
    [
        (5, ["--validatelabel", "exact", "--nodata"]),
        (6, ["--validate-label", "exact", "--no-auto-save"]),
        (7, ["--validate-label", "exact", "--no-auto-save"]),
    ],
)
def test_each_release_gets_the_options_that_it_knows(tmp_path: Path, release: int, options: list[str]) -> None:
    program = str(stand_in(tmp_path / "bin", release))
    session = plan(predicted(tmp_path))
    assert command(program, session)[4:] == options
    assert command(program, session, any_label=True)[4:] == [word for word in options if word.startswith("--no")]


def test_a_folder_of_pictures_or_of_annotations_beside_them_opens_as_it_is(tmp_path: Path, program: Path) -> None:
    folder = tmp_path / "mine"
    annotated(folder)
    (folder / "new.jpg").write_bytes(encoded(picture(1)))
    (folder / "class_names.txt").write_text("_background_\ncat\n", encoding="utf-8")
    before = sorted(folder.iterdir())
    run(tmp_path, "mine")
    assert started(tmp_path) == [str(folder), "--labels", "__ignore__,_background_,cat", "--validate-label", "exact"]
    assert sorted(folder.iterdir()) == before
    run(tmp_path, "mine/new.jpg")
    assert started(tmp_path)[0] == str(folder / "new.jpg")


def test_labels_of_a_list_of_the_default_dataset_or_none(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def opened(labels: str | None = None) -> list[str]:
        session = plan(Path("mine"), Path(labels) if labels else None)
        return command(str(program), session, any_label=True)[1:]

    annotated(tmp_path / "mine")
    assert opened() == [str(tmp_path / "mine")]
    dataset = tmp_path / "datasets" / "VOCdevkit" / "VOC2007"
    dataset.mkdir(parents=True)
    (dataset / "class_names.txt").write_text("_background_\nroad\n", encoding="utf-8")
    assert opened()[2] == "__ignore__,_background_,road"
    (tmp_path / "mine" / "labels.txt").write_text("__ignore__\ncat\n", encoding="utf-8")
    assert opened()[2] == "__ignore__,_background_,cat"
    (tmp_path / "list.yaml").write_text("- car: [van]\n- tree\n", encoding="utf-8")
    assert opened("list.yaml")[2] == "__ignore__,_background_,car,tree"
    (tmp_path / "list.txt").write_text("red, round\ntree\n", encoding="utf-8")
    assert opened("list.txt")[2] == str(tmp_path / "list.txt"), "labelme would split a label with a comma"
    (tmp_path / "list.yaml").write_text("- red, round\n", encoding="utf-8")
    with pytest.raises(UsageError, match="comma"):
        opened("list.yaml")


def test_without_a_dataset_the_newest_run_knows_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    annotated(tmp_path / "mine")
    made = (
        ("train-2", ["old"]),
        ("predict-1", ["_background_", "cat"]),
        ("train-9", None),
        ("train-10", ["\ud800"]),
        ("mine-3", ["x"]),
    )
    for time_of, (name, classes) in enumerate(made):
        path = write_json(Path("runs", name, "manifest.json"), {"seg": "1", "classes": classes})
        os.utime(path, (time_of, time_of))
    session = plan(Path("mine"))
    assert session.labels == ("__ignore__", "_background_", "cat")
    assert session.labels_from == Path("runs/predict-1/manifest.json")
    os.utime("runs/train-2/manifest.json", (99, 99))
    assert plan(Path("mine/a.json")).labels == ("__ignore__", "_background_", "old")


def test_where_nothing_knows_the_labels_the_user_is_told(tmp_path: Path, program: Path) -> None:
    annotated(tmp_path / "mine")
    done = run(tmp_path, "mine", "--print")
    assert "typing errors" in done.stderr and "--labels FILE" in done.stderr
    assert not run(tmp_path, "mine", "--print", "--any-label").stderr


def test_print_starts_nothing_and_links_nothing(tmp_path: Path, program: Path) -> None:
    root = predicted(tmp_path, names=("a b",)) / "labelme"
    done = run(tmp_path, "--print", QT_QPA_PLATFORM="", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.stdout.startswith(f"{program} {root} --labels __ignore__,_background_,cat,dog")
    assert sorted(path.name for path in root.iterdir()) == ["a b.json"]
    assert not (tmp_path / "bin" / "started.json").exists()


def test_what_was_corrected_is_counted_and_leads_on(tmp_path: Path) -> None:
    root = predicted(tmp_path) / "labelme"
    stand_in(tmp_path / "bin", 7, then=f"p = pathlib.Path({str(root)!r}, 'a.json'); p.write_text(p.read_text() + ' ')")
    done = run(tmp_path)
    words = ["convert", str(Path("runs/predict-1/labelme")), "--update", "--only-reviewed"]
    assert done.stdout == f"1 annotation was changed. To learn from them: seg {' '.join(words)}\n"
    assert run(tmp_path, code=0).stdout.startswith("1 annotation")


def test_labelme_saves_by_itself_only_where_that_is_beside_what_it_opened(tmp_path: Path) -> None:
    """Up to 7.8 it does so beside the picture that an annotation names, wherever the annotation lies."""
    program = str(stand_in(tmp_path / "bin", 6))
    root = predicted(tmp_path, names=("a",)) / "labelme"
    link_pictures(plan(root).links)
    annotated(tmp_path / "mine")
    write_json(tmp_path / "mine" / "a.jpg.json", content([shape()], "a.jpg"))
    write_json(tmp_path / "apart" / "a.json", content([shape()], "../mine/a.jpg"))
    for name, asked in (
        ("runs/predict-1", True),
        ("runs/predict-1/labelme/a.json", True),
        ("runs/predict-1/labelme/a.jpg", True),
        ("mine/a.jpg.json", True),
        ("apart/a.json", True),
        ("apart", False),  # with --output
        ("mine", False),
        ("mine/a.json", False),
        ("mine/a.jpg", False),
    ):
        assert ("--no-auto-save" in command(program, plan(tmp_path / name))) == asked, name


IN_ITS_WINDOW = """
import sys
from PyQt5 import QtWidgets
def untick_and_save(*_):
    app = QtWidgets.QApplication.instance()
    window = next(each for each in app.topLevelWidgets() if isinstance(each, QtWidgets.QMainWindow))
    flags = window.findChild(QtWidgets.QDockWidget, "Flags").findChild(QtWidgets.QListWidget)
    assert [flags.item(row).text() for row in range(flags.count())] == ["predicted"]
    flags.item(0).setCheckState(0)
    app.processEvents()
    next(each for each in window.findChildren(QtWidgets.QAction) if each.shortcut().toString() == "Ctrl+S").trigger()
    app.processEvents()
    return 0
QtWidgets.QApplication.exec_ = QtWidgets.QApplication.exec = untick_and_save
from labelme.__main__ import main
sys.exit(main())
"""


def test_labelme_itself_saves_what_was_reviewed_with_the_prediction(tmp_path: Path) -> None:
    pytest.importorskip("labelme._label_file", reason="labelme 6 is not installed")
    root = predicted(tmp_path, names=("sub/b ä",)) / "labelme"
    flagged = content([shape()], "../../../../photos/sub/b ä.jpg", flags={"predicted": True})
    write_json(root / "sub" / "b ä.json", flagged)
    for name in ("bin", "home"):  # where labelme keeps its settings
        (tmp_path / name).mkdir()
    program = tmp_path / "bin" / "labelme"
    program.write_text(f"#!{sys.executable}{IN_ITS_WINDOW}", encoding="utf-8")
    program.chmod(0o755)
    done = run(tmp_path, HOME=str(tmp_path / "home"))
    assert "1 annotation was changed" in done.stdout, done.stderr
    assert json.loads((root / "sub" / "b ä.json").read_text(encoding="utf-8"))["flags"] == {"predicted": False}
    assert [path.name for path in (tmp_path / "photos").rglob("*.json")] == []


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_what_labelme_saved_elsewhere_is_told(tmp_path: Path) -> None:
    predicted(tmp_path)
    mine = write_json(tmp_path / "photos" / "sub" / "a.json", content([]))
    stand_in(tmp_path / "bin", 5, then=f"pathlib.Path({str(mine)!r}).write_text('{{}}')")
    done = run(tmp_path)
    assert f"{mine}: saved beside the picture" in done.stderr
    assert "changed" not in done.stdout


def test_what_goes_astray_is_seen_without_a_symbolic_link_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One annotation of a prediction; a picture of it that is a hard link; one that is a frame, which cannot."""
    root = predicted(tmp_path, names=("a",)) / "labelme"
    beside = tmp_path / "photos" / "a.json"
    (root / "frame.jpg").write_bytes(encoded(picture()))
    write_json(root / "frame.json", content([shape()], "frame.jpg"))
    single = plan(root / "a.json")
    os.link(tmp_path / "photos" / "a.jpg", root / "a.jpg")
    for session in (single, plan(root / "a.jpg"), plan(root)):
        assert states_astray(session) == {}
        write_json(beside, content([]))
        assert set(states_astray(session)) == {beside}
        beside.unlink()
    (root / "a.jpg").unlink()
    stand_in(tmp_path / "bin", 5, then=f"pathlib.Path({str(beside)!r}).write_text('{{}}')")
    single_path = Path("runs/predict-1/labelme/a.json")
    assert f"{beside}: saved beside the picture, not as {single_path}:" in run(tmp_path, str(single_path)).stderr


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_that_lead_back_to_themselves_are_no_pictures(tmp_path: Path) -> None:
    root = predicted(tmp_path, names=("a", "b")) / "labelme"
    (root / "loop.jpg").symlink_to("loop.jpg")
    write_json(root / "b.json", content([shape()], "loop.jpg"))
    session = plan(root)
    assert session.lost == (root / "b.json",)
    link_pictures(session.links)
    assert states_astray(session) == {}


@pytest.mark.parametrize("which", ["a.jpg", "a.json", ""])
def test_only_annotations_of_what_was_opened_count_as_changed(tmp_path: Path, which: str) -> None:
    mine = tmp_path / "mine"
    annotated(mine, "a")
    session = plan(mine / which)
    before = states(session)
    write_json(mine / "a.json", content([], "a.jpg"))
    annotated(mine / "sub", "b")
    write_json(mine / "package.json", {"name": "an app"})
    (mine / "c.json").write_text("{", encoding="utf-8")
    assert set(changed_since(session, before)) == {mine / "a.json"} | (set() if which else {mine / "sub" / "b.json"})


def test_a_single_picture_without_an_annotation_gets_one(tmp_path: Path) -> None:
    (tmp_path / "a.b.jpg").write_bytes(encoded(picture()))
    session = plan(tmp_path / "a.b.jpg")
    before = states(session)
    write_json(tmp_path / "a.b.json", content([], "a.b.jpg"))
    assert changed_since(session, before) == [tmp_path / "a.b.json"]


def test_so_many_labels_that_labelme_takes_them_from_a_file_only(tmp_path: Path) -> None:
    labels = [f"class number {number}" for number in range(40)] + ["red, round"]
    (tmp_path / "list.yaml").write_text("".join(f"- {label}\n" for label in labels), encoding="utf-8")
    annotated(tmp_path / "mine")
    keep = tmp_path / "kept.txt"
    given = "pathlib.Path(sys.argv[sys.argv.index('--labels') + 1])"
    stand_in(tmp_path / "bin", 6, then=f"pathlib.Path({str(keep)!r}).write_bytes({given}.read_bytes())")
    run(tmp_path, "mine", "--labels", "list.yaml")
    assert keep.read_text(encoding="utf-8").splitlines() == ["__ignore__", "_background_", *labels]
    words = started(tmp_path)
    assert not Path(words[words.index("--labels") + 1]).exists()
    assert "--labels FILE.txt" in run(tmp_path, "mine", "--labels", "list.yaml", "--print", code=2).stderr


def test_without_labelme_without_a_screen_and_when_it_fails(tmp_path: Path) -> None:
    predicted(tmp_path)
    beside = Path(sys.executable).parent / "labelme"
    if not beside.exists():
        assert "seg-toolkit[labelme]" in run(tmp_path, code=2).stderr
    stand_in(tmp_path / "bin", 6, then="sys.exit(3)")
    assert "exit code 3" in run(tmp_path, code=1).stderr
    if sys.platform.startswith("linux"):
        done = run(tmp_path, code=1, QT_QPA_PLATFORM="", DISPLAY="", WAYLAND_DISPLAY="")
        assert "needs a screen" in done.stderr and "--print" in done.stderr
    (tmp_path / "bin" / "labelme").write_text(f"#!{sys.executable}\nimport no_such_module\n", encoding="utf-8")
    assert "No module named 'no_such_module'" in run(tmp_path, code=1).stderr


def test_no_labelme_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=r"pip install 'seg-toolkit\[labelme\]'"):
        find_program()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_closes_labelme(tmp_path: Path) -> None:
    predicted(tmp_path)
    stand_in(tmp_path / "bin", 6, then="import time; time.sleep(60)")
    env = environment() | {"PATH": str(tmp_path / "bin"), "QT_QPA_PLATFORM": "offscreen"}
    with subprocess.Popen([SEG, "annotate"], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "bin" / "started.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "seg: stopped." in process.stderr.read()
        assert process.wait(20) == 130


def test_nothing_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="seg predict PICTURES --save labelme"):
        plan(None)
    with pytest.raises(DataError, match="no such file"):
        plan(Path("nowhere"))
    Path("empty").mkdir()
    with pytest.raises(DataError, match="no picture and no annotation"):
        plan(Path("empty"))
    write_json(Path("runs/predict-1/manifest.json"), {"seg": "1"})
    with pytest.raises(DataError, match="--save labelme"):
        plan(Path("runs/predict-1"))
    write_json(Path("runs/train-1/manifest.json"), {"seg": "1"})
    Path("runs/train-1/config.yaml").touch()
    with pytest.raises(DataError, match=r"is a training run.*seg predict PICTURES --run runs.train-1 --save labelme"):
        plan(Path("runs/train-1"))
    Path("text.csv").touch()
    with pytest.raises(UsageError, match="neither a picture nor an annotation"):
        plan(Path("text.csv"))
    write_json(Path("other/manifest.json"), {"name": "an app"})
    with pytest.raises(UsageError, match="neither a picture nor an annotation"):
        plan(Path("other/manifest.json"))
    write_json(Path("damaged.json"), "x").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"damaged\.json: line 1"):
        plan(Path("damaged.json"))


def test_own_annotations_in_a_folder_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    for name in ("a", "b"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(encoded(picture()))
        write_json(folder / f"{name}.json", content([shape()], f"..\\\\photos\\\\{name}.jpg".replace("\\\\", "\\")))
    session = plan(folder)
    assert (session.path, session.output, session.links) == (tmp_path / "photos", folder, ())
    (tmp_path / "photos" / "sub").mkdir()
    (tmp_path / "photos" / "sub" / "a.png").write_bytes(encoded(picture(), "PNG"))  # labelme would open it with a.json
    with pytest.raises(UsageError, match="mix up"):
        plan(folder)


def test_own_annotations_of_which_one_has_its_picture_elsewhere(tmp_path: Path, program: Path) -> None:
    folder = tmp_path / "mine"
    annotated(folder, "a")
    (tmp_path / "old.jpg").write_bytes(encoded(picture()))
    write_json(folder / "b.json", content([shape()], "../old.jpg"))
    before = sorted(folder.iterdir())
    done = run(tmp_path, "mine")
    assert started(tmp_path) == [str(folder)]
    assert "b.json: no picture of that name is beside it: labelme will not show it." in done.stderr
    assert sorted(folder.iterdir()) == before


def test_a_picture_that_is_gone_or_is_none_is_not_linked(tmp_path: Path) -> None:
    root = predicted(tmp_path)
    (tmp_path / "photos" / "sub" / "a.jpg").unlink()
    secret = tmp_path / "secret.txt"
    secret.touch()
    write_json(root / "labelme" / "c.json", content([shape()], str(secret)))
    (root / "labelme" / "d.json").write_text("{", encoding="utf-8")
    session = plan(root)
    assert {path.name for path in session.lost} == {"a.json", "c.json", "d.json"}
    assert [link.name for link, _ in session.links] == ["a.jpg", "b ä.jpg"]


def test_what_is_there_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    root = predicted(tmp_path, names=("a",))
    (session,) = [plan(root)]
    own = root / "labelme" / "a.jpg"
    own.write_bytes(b"mine")
    assert link_pictures(session.links) == 0
    assert own.read_bytes() == b"mine"


def test_where_links_are_forbidden_hard_ones_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = predicted(tmp_path, names=("a", "b"))
    links = plan(root).links

    def refuse(*_: object) -> None:
        raise OSError("not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert link_pictures(links[:1]) == 1
    assert links[0][0].samefile(links[0][1]) and not links[0][0].is_symlink()
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(DataError, match="Copy the pictures"):
        link_pictures(links)


@pytest.mark.parametrize(
    ("version", "warned"),
    [("Labelme 6.3.1", True), ("labelme 7.8", True), ("labelme 7.9.0", False), ("Labelme 10.0", False), ("?", True)],
)
def test_annotations_that_only_a_newer_labelme_finds(tmp_path: Path, version: str, warned: bool) -> None:
    stand_in(tmp_path / "bin", 7, version=version)
    for name in ("a.jpg", "b.jpg"):
        annotated(tmp_path / "mine", Path(name).stem)
        (tmp_path / "mine" / f"{Path(name).stem}.json").rename(tmp_path / "mine" / f"{name}.json")
    annotated(tmp_path / "mine", "c")
    done = run(tmp_path, "mine", "--print")
    assert ("a.jpg.json and 1 other: " in done.stderr) == warned
    assert ("7.9 finds both" in done.stderr) == warned
    assert "no picture of that name" not in done.stderr


def test_quotes_are_those_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed("seg", "a b") == "seg 'a b'"
    monkeypatch.setattr(os, "name", "nt")
    assert typed("seg", "a b", "C:\\x") == 'seg "a b" C:\\x'
