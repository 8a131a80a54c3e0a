"""A file under its final name is always a whole one."""

import os
import select
import signal
from pathlib import Path

import pytest

from toolkit.errors import SegError, UsageError
from toolkit.files import files_below, held, keep_as, new_folder, numbered_folder, write_text, writing


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException], durable: bool
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    expected = SegError if error is OSError else error
    with pytest.raises(expected), writing(path, durable=durable) as file:
        file.write(b"new, half of it")
        raise error
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_file_replaces_the_old_one_at_the_end_only(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "new folder" / "a.bin"
    for content in (b"first", b"second"):
        with writing(path, durable=durable) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SegError, match=r"a\.txt: cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_text_has_the_same_bytes_on_every_system(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "ä\n猫\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\n\xe7\x8c\xab\n"


def test_numbered_folders_never_repeat_a_number(tmp_path: Path) -> None:
    (tmp_path / "runs" / "train-7").mkdir(parents=True)
    (tmp_path / "runs" / "train-old").mkdir()
    (tmp_path / "runs" / "predict-9").mkdir()
    made = [numbered_folder(tmp_path / "runs", "train").name for _ in range(2)]
    assert made == ["train-8", "train-9"]
    assert numbered_folder(tmp_path / "elsewhere", "train").name == "train-1"


def test_a_chosen_folder_must_be_new_or_empty(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "a" / "b").is_dir()
    assert new_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "a" / "b" / "file").touch()
    with pytest.raises(UsageError, match="is not an empty folder"):
        new_folder(tmp_path / "a" / "b")


def test_files_below_leaves_out_what_is_hidden_or_made_by_seg(tmp_path: Path) -> None:
    for name in ("b/z.json", "b/a.json", "a.json", ".git/c.json", "runs/train-1/d.json", "runs/mine/e.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = {path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path) if path.is_file()}
    assert found == {"a.json", "b/a.json", "b/z.json", "runs/mine/e.json"}


def test_a_file_kept_under_a_second_name_again_leaves_no_third(tmp_path: Path) -> None:
    state, good = tmp_path / "state.pt", tmp_path / "good.pt"
    state.write_bytes(b"state")
    keep_as(state, good)
    keep_as(state, good)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.pt", "state.pt"]
    assert good.read_bytes() == b"state"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_a_lock_is_not_held_by_processes_that_outlive_its_owner(tmp_path: Path) -> None:
    """Loader processes may live on for seconds after their run was killed, which must not stop it from going on."""
    lock, (reader, writer) = tmp_path / ".lock", os.pipe()
    owner = os.fork()
    if not owner:
        with held(lock, "taken"):
            if not os.fork():
                select.select([reader], [], [], 3)  # lives on
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(owner, 0)
    with held(lock, "taken"):
        other = os.fork()
        if not other:
            try:
                with held(lock, "taken"):
                    os._exit(1)
            except SegError:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) == 0, "who holds it, holds it against others"
    os.write(writer, b"x")
    os.close(reader)
    os.close(writer)
