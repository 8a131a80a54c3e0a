"""The same files, whoever does the work: a Dask cluster with a real scheduler and two workers on loopback."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.annotations import annotated
from toolkit.conversion.convert import convert
from toolkit.errors import RunError

distributed: Any = importlib.import_module("distributed")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    options = {"dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **options) as cluster:
        yield cluster.scheduler_address


def files_of(root: Path) -> dict[str, bytes]:
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and p.name != "mask_counts.jsonl"]  # holds times
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


def test_files_are_equal_to_those_made_here(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # paths are relative; the workers were started elsewhere
    for index in range(30):
        annotated(Path("in"), f"image {index:02}", label=f"thing {index % 3}", seed=index)
    Path("in/broken.json").write_text("{", encoding="utf-8")
    reports = [convert("in", "voc"), convert("in", "voc2", dask=address)]
    assert [(report.images, len(report.failures)) for report in reports] == [(30, 1), (30, 1)]
    here, there = files_of(Path("voc")), files_of(Path("voc2"))
    assert there.pop("report.json").replace(b"voc2", b"voc") == here.pop("report.json")
    assert there == here
    with distributed.Client(address, set_as_default=False) as client:
        assert os.getpid() not in client.run(os.getpid).values()


def test_no_scheduler_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.conversion.cluster._SECONDS_TO_CONNECT", 1)
    annotated(tmp_path / "in")
    with pytest.raises(RunError, match=r"no scheduler at tcp://127\.0\.0\.1:1 .* dask scheduler"):
        convert(tmp_path / "in", tmp_path / "voc", dask="tcp://127.0.0.1:1")
    assert not (tmp_path / "voc").exists()
