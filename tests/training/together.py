"""A program for several processes: trainings that are whole, stopped and gone on with, and scores; prints what came out.

torchrun --nproc-per-node 2 -m tests.training.together DATASET OUT
"""

import json
import os
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.training.tiny import Listener, log_of, stop_when_asked, timeless, tiny_config
from toolkit.errors import SegError
from toolkit.models import MODELS
from toolkit.models.entry import ModelEntry
from toolkit.training.run import train

RANK = int(os.environ.get("RANK", "0"))


def outcome(out: Path) -> dict[str, Any]:
    """A digest of the weights, whatever the folders are called, and the log."""
    digest = sha256()
    for name in ("last", "best"):
        for key, value in sorted(load_file(out / "weights" / f"{name}.safetensors").items()):
            digest.update(key.encode() + value.numpy().tobytes())
    return {"weights": digest.hexdigest(), "log": timeless(log_of(out))}


def main() -> None:
    torch.distributed.init_process_group("gloo")  # torchrun's own store serves one meeting
    dataset, out = (Path(argument) for argument in sys.argv[1:])
    found: dict[str, Any] = {}
    chosen = tiny_config(dataset, epochs=3, batch=4, lr=0.01, ema=0.9, accumulate=1, freeze_epochs=1)
    train(chosen, out=out / "whole")
    found["whole"] = outcome(out / "whole") if RANK == 0 else {}
    try:
        # only one of the processes is asked to stop, in the middle of the second epoch
        train(chosen, out=out / "run", should_stop=stop_when_asked(4) if RANK == 1 else lambda: False)
    except SegError as error:
        found["stopped"] = f"{type(error).__name__} {error.exit_code}: {error}"
    train(resume=out / "run")
    found["resumed"] = outcome(out / "run") if RANK == 0 else {}

    MODELS._entries["plain"] = ModelEntry("tests.training.models:Plain", "", has_width=True)
    still = tiny_config(dataset, model="plain", width=None, epochs=1, lr=0.0)  # scores of one and the same model
    found["still"] = log_of(train(still, out=out / "still").run.root)

    bad = next((dataset / "JPEGImages").glob("*.jpg"))
    bad.write_bytes(bad.read_bytes()[:700])
    try:
        train(chosen, out=out / "bad")
    except SegError as error:
        found["bad"] = f"{type(error).__name__} {error.exit_code}: {error}"
    listener = Listener()
    train(replace(chosen, on_bad_image="skip"), out=out / "skip", progress=listener)
    found["skipped"] = listener.warned
    torch.distributed.destroy_process_group()
    (out / f"rank-{RANK}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
