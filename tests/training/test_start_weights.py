"""Training that begins with the weights of a whole model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.datasets import write_voc
from tests.training.tiny import Listener, tiny_config
from toolkit.errors import CheckpointError, UsageError
from toolkit.models.build import build_model
from toolkit.training.plan import make_plan
from toolkit.training.run import TrainReport, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    root = tmp_path_factory.mktemp("start")
    return train(tiny_config(write_voc(root / "voc"), width=4), out=root / "run")


def begun(report: TrainReport, weights: Path | str, **changes: object) -> tuple[dict[str, torch.Tensor], Listener]:
    """The weights that a training would begin with, and what is said."""
    listener = Listener()
    dataset = changes.pop("dataset", None) or report.run.root.parent / "voc"
    plan = make_plan(tiny_config(Path(str(dataset)), weights=str(weights), **changes), listener)
    return plan.model.state_dict(), listener


@pytest.mark.parametrize("of_a_run", [True, False])
def test_it_goes_on_from_a_run_or_a_checkpoint(trained: TrainReport, of_a_run: bool) -> None:
    state, listener = begun(trained, trained.run.root if of_a_run else trained.best)
    learnt = load_file(trained.best)
    assert all(torch.equal(value, learnt[key]) for key, value in state.items())
    total = sum(not key.endswith("num_batches_tracked") for key in learnt)
    assert listener.said[-1] == f"Weights: {trained.best}, {total} of {total} tensors."
    assert listener.warned == []


def test_nothing_rests_when_all_has_learnt_and_the_rate_is_that_of_learnt_weights(trained: TrainReport) -> None:
    plan = make_plan(tiny_config(trained.run.root.parent / "voc", weights=str(trained.best), epochs=10), Listener())
    assert (plan.config.freeze_epochs, plan.config.lr) == (0, 1e-4)


def test_with_another_number_of_classes_only_the_head_is_new(trained: TrainReport, tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc", names=("_background_", "a", "b", "c"))
    state, listener = begun(trained, trained.best, dataset=dataset)
    learnt = load_file(trained.best)
    assert [key for key, value in state.items() if not torch.equal(value, learnt[key])] == ["head.weight", "head.bias"]
    assert any("left random: 2 (head.weight, head.bias)" in line for line in listener.said)


def test_classes_of_other_names_are_said(trained: TrainReport, tmp_path: Path) -> None:
    dataset = write_voc(tmp_path / "voc")
    names = dataset / "class_names.txt"
    before = names.read_text(encoding="utf-8").split()
    names.write_text("\n".join([before[0], before[2], before[1], *before[3:]]) + "\n", encoding="utf-8")
    _, listener = begun(trained, trained.best, dataset=dataset)
    (warning,) = listener.warned
    assert f"was trained for {', '.join(before)}, in this order" in warning


def test_a_tutorials_checkpoint_of_vgg16_unet_fills_all(trained: TrainReport, tmp_path: Path) -> None:
    model = build_model("vgg16-unet", 3)
    renamed = {
        key.replace("encoder.", "vgg.").replace("head.", "final."): value for key, value in model.state_dict().items()
    }
    for stage in range(4):
        renamed = {key.replace(f"decoder.{stage}.", f"up_concat{4 - stage}."): v for key, v in renamed.items()}
    torch.save(renamed, tmp_path / "unet_vgg_voc.pth")
    state, _ = begun(trained, tmp_path / "unet_vgg_voc.pth", model="vgg16-unet", width=None, encoder_weights="auto")
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_checkpoint_of_another_model_and_two_sources_are_refused(trained: TrainReport) -> None:
    with pytest.raises(
        CheckpointError, match=r"best\.safetensors: .*fit this model.* It was trained with --model unet --width 4\."
    ):
        begun(trained, trained.best, width=8)
    with pytest.raises(UsageError, match="fills the encoder too"):
        begun(trained, trained.best, encoder_weights="imagenet")


def test_weights_that_fit_another_model_are_said_to_be_its(trained: TrainReport) -> None:
    _, listener = begun(trained, trained.best, model="unet:join=up-first,slope=0.2")
    (warning,) = listener.warned
    assert "was trained as unet; as unet:join=up-first,slope=0.2 its weights may mean something else" in warning


def test_an_encoder_that_is_random_in_part_does_not_rest(trained: TrainReport, tmp_path: Path) -> None:
    torch.save(build_model("fcn32s:fc=32", 3).state_dict(), tmp_path / "whole.pt")
    torch.save(build_model("fcn32s:fc=32", 3).encoder.state_dict(), tmp_path / "encoder.pt")
    dataset = trained.run.root.parent / "voc"
    rests = {}
    for fc in (32, 16):
        for option, name in (("weights", "whole.pt"), ("encoder_weights", "encoder.pt")):
            chosen = {"encoder_weights": "auto"} | {option: str(tmp_path / name)}
            config = tiny_config(dataset, model=f"fcn32s:fc={fc}", width=None, epochs=10, **chosen)
            rests[fc, option] = make_plan(config, Listener()).config.freeze_epochs
    assert rests == {(32, "weights"): 0, (32, "encoder_weights"): 2, (16, "weights"): 0, (16, "encoder_weights"): 0}


def test_only_what_there_is_can_be_asked_to_rest(
    trained: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare_net_of_test.py").write_text(
        "from torch import nn\ndef net(spec): return nn.Conv2d(3, spec.classes, 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = tiny_config(trained.run.root.parent / "voc", model="py:bare_net_of_test:net", width=None, freeze_epochs=1)
    with pytest.raises(UsageError, match="freeze_epochs: py:bare_net_of_test:net has no encoder"):
        make_plan(config, Listener())
