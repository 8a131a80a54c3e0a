"""`py:module:callable`: whatever a user brings, and what is said of what cannot be brought."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from toolkit.errors import CheckpointError, RunError, UsageError
from toolkit.models.base import SegmentationModel
from toolkit.models.build import build_model
from toolkit.models.entry import refuse_own_code

NETS = '''
import torch
from torch import nn
from toolkit.models.base import SegmentationModel

class Tutorial(nn.Module):
    """As tutorials have it: no contract, names of its own."""
    def __init__(self, num_classes=7, in_channels=1, pretrained=False):
        super().__init__()
        self.backbone = nn.Conv2d(in_channels, 5, 3, padding=1)
        self.final = nn.Conv2d(5, num_classes, 1)
    def forward(self, x):
        return self.final(self.backbone(x))

class Coarse(Tutorial):
    def forward(self, x):
        return {"aux": x, "out": super().forward(x)[:, :, ::4, ::4]}

class Sided(Tutorial):
    def forward(self, x):
        logits = super().forward(x)
        return logits, logits * 2

class Own(SegmentationModel):
    stride = 8
    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.encoder = nn.Conv2d(spec.in_channels, spec.classes, 3, padding=1)
    def decode(self, images):
        assert images.shape[2] % 8 == images.shape[3] % 8 == 0
        return self.encoder(images)

class Channels(nn.Conv2d):
    def __init__(self, n_classes, n_channels):
        super().__init__(n_channels, n_classes + 1, 1)

def nothing(spec):
    return 3

def demanding(depth, spec):
    return None

def broken(spec):
    raise KeyError("no such\\nkey")

class Wide(Tutorial):
    def __init__(self, num_classes, width=64, upscale=2):
        super().__init__(num_classes, 3)
        self.chosen = width * upscale

class Space:
    inner = Own

class Crash(Tutorial):
    def forward(self, x):
        return x + x[:, :, :1, :-1]

class Idle(nn.Module):
    def forward(self, x):
        return x

class Hungry(Tutorial):
    def forward(self, x):
        raise torch.OutOfMemoryError("enough")

def lazy(classes):
    return nn.LazyConv2d(classes, 1)

def leaving(classes):
    raise SystemExit(0)

number = 5
'''


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    for name in ("nets_of_test", "bad_nets_of_test", "leaving_nets_of_test", "needy_nets_of_test"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "nets_of_test.py").write_text(NETS, encoding="utf-8")
    (tmp_path / "bad_nets_of_test.py").write_text("import torch\nthis is no Python\n", encoding="utf-8")
    (tmp_path / "leaving_nets_of_test.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (tmp_path / "needy_nets_of_test.py").write_text("import no_such_library\n", encoding="utf-8")


def built(name: str, classes: int = 3, in_channels: int = 3) -> SegmentationModel:
    torch.manual_seed(0)
    return build_model(f"py:nets_of_test:{name}", classes, in_channels=in_channels)


def test_a_tutorials_module_is_given_classes_and_channels_by_their_names() -> None:
    model = built("Tutorial", classes=4, in_channels=2)
    images = torch.randn(2, 2, 17, 9)
    module = model.get_submodule("module")
    assert isinstance(module, nn.Module)
    torch.testing.assert_close(model(images), module(images))
    assert model(images).shape == (2, 4, 17, 9)


def test_its_backbone_is_what_freezing_stops() -> None:
    model = built("Tutorial")
    model.freeze_encoder(True)
    assert [key for key, p in model.named_parameters() if not p.requires_grad] == [
        "module.backbone.weight",
        "module.backbone.bias",
    ]


def test_coarse_logits_in_a_dict_are_enlarged() -> None:
    model, images = built("Coarse"), torch.randn(1, 3, 16, 24)
    coarse = model.get_submodule("module")(images)["out"]
    expected = nn.functional.interpolate(coarse, size=(16, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(images), expected)


def test_the_first_of_several_outputs_is_meant() -> None:
    model, images = built("Sided"), torch.randn(1, 3, 16, 24)
    torch.testing.assert_close(model(images), model.get_submodule("module")(images)[0])


@pytest.mark.parametrize("name", ["Own", "Space.inner"])
def test_a_model_that_keeps_the_contract_is_taken_as_it_is(name: str) -> None:
    model = built(name, classes=5)
    assert type(model).__name__ == "Own"
    assert model(torch.randn(1, 3, 13, 9)).shape == (1, 5, 13, 9)


def test_its_own_defaults_stay(tmp_path: Path) -> None:
    assert built("Wide").get_submodule("module").chosen == 128


def test_logits_of_another_number_of_classes_are_refused_when_they_come() -> None:
    model = built("Channels", classes=3)
    with pytest.raises(
        RunError, match=r"py:nets_of_test:Channels: logits \(1, 3, H, W\) are needed, got \(1, 4, 8, 8\)"
    ):
        model(torch.randn(1, 3, 8, 8))


def test_an_error_in_its_forward_is_its_own() -> None:
    with pytest.raises(
        RunError, match=r"py:nets_of_test:Crash: its forward failed for \(1, 3, 8, 8\), .*nets_of_test\.py:\d+: Runtime"
    ):
        built("Crash")(torch.randn(1, 3, 8, 8))


def test_a_lack_of_memory_stays_one() -> None:
    """Training halves the batch then."""
    with pytest.raises(torch.OutOfMemoryError, match="enough"):
        built("Hungry")(torch.randn(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("py:nets_of_test:Absent", "nets_of_test has nothing called Absent"),
        ("py:no_such_module:Net", "there is no module no_such_module.*looked for among the installed ones and in"),
        ("py:bad_nets_of_test:Net", "importing bad_nets_of_test failed: SyntaxError"),
        ("py:needy_nets_of_test:Net", "needy_nets_of_test imports no_such_library, which is not installed"),
        ("py:nets_of_test:number", "is no function or class"),
        ("py:nets_of_test:nothing", "gave int, a torch.nn.Module is needed"),
        ("py:nets_of_test:Idle", "has no parameters that can learn"),
        ("py:nets_of_test:lazy", "has lazy layers"),
        ("py:nets_of_test:leaving", "failed: SystemExit: 0"),
        ("py:leaving_nets_of_test:Net", "importing leaving_nets_of_test failed: SystemExit: 3"),
        ("py:nets_of_test:demanding", "nothing is known to give as depth"),
        ("py:nets_of_test:broken", r"failed: KeyError: 'no such.{1,3}key'"),
        ("py:nets_of_test", "py:module:callable, as in py:mynet:build, is needed"),
        ("py:a b:c", "py:module:callable, as in py:mynet:build, is needed"),
    ],
)
def test_what_cannot_be_used_is_said(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        build_model(name, 2)


def test_no_file_here_takes_the_place_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("raise SystemExit('taken')", encoding="utf-8")
    sys.modules.pop("colorsys", None)
    with pytest.raises(UsageError, match="has nothing called Net"):
        build_model("py:colorsys:Net", 2)


@pytest.mark.parametrize("name", ["py:nets_of_test:Own", " py:nets_of_test:Own"])
def test_a_name_from_a_file_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"py:nets_of_test:Own.*If you trust it: --allow-code"):
        refuse_own_code(name)
