"""manifest.json: whatever lies there, it is read or it is none."""

from pathlib import Path

import pytest

from toolkit.runs.manifest import MANIFEST, read_manifest


def test_what_a_run_says_of_itself_is_read(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    (tmp_path / MANIFEST).write_text('{"seg": "1", "classes": ["ä"]}', encoding="utf-8")
    assert read_manifest(tmp_path) == {"seg": "1", "classes": ["ä"]}


@pytest.mark.parametrize("data", [b"", b"{", b'{"name": "an app"}', b'["seg"]', b"\xff\xfe\x00", b"[" * 200_000])
def test_files_of_others_are_no_manifests(tmp_path: Path, data: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(data)
    assert read_manifest(tmp_path) is None
