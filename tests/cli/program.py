"""The real console script, in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "datasets" / "coins"

SEG = shutil.which("seg", path=str(Path(sys.executable).parent)) or "seg"


def seg(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `seg` in `folder` and check its exit code."""
    done = subprocess.run(
        [SEG, *arguments], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False, env=environment()
    )
    assert done.returncode == code, f"seg {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def environment() -> dict[str, str]:
    """Offline, with all warnings in the way of a user left on; compiled modules are kept from one start to the next."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    }
    cache = Path(tempfile.gettempdir()) / "seg-tests-bytecode"
    own = {"NO_COLOR": "1", "PYTHONUTF8": "1", "https_proxy": "http://127.0.0.1:9", "COLUMNS": "100"}
    return {"PYTHONPYCACHEPREFIX": str(cache), **kept, **own}
