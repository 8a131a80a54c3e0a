"""What computes a network's logits, and the files that networks are exported to. Nothing is imported here.

An engine opens files of some formats; a format is written by its line in FORMATS. Adding one is one new file and one
line in each table.
"""

import sys
from dataclasses import dataclass

from toolkit.registry import Entry, Registry

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
"""Not to be found: by it, merely importing openvino or nncf tells its makers so over the network, unasked. Both do
without; this has to happen before either is imported, and all modules here are imported after this one."""

EXTRA = 'pip install "seg-toolkit[export]"'
"""What installs the packages that engines and formats need."""


@dataclass(frozen=True)
class EngineEntry(Entry):
    """A line of the table of engines.

    The target is `open_model(path, *, precision, device) -> Engine` for a file of one of `reads`; that of torch, which
    reads no exported file, is `TorchEngine(model, card, *, precision, device)`.

    reads        formats whose files it opens; a checkpoint is exported to the first of them, into a temporary folder
    precisions   what it can make of a checkpoint, on one device or another
    needs        packages that have to be installed
    """

    reads: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32", "bf16", "fp16")
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class FormatEntry(Entry):
    """A line of the table of formats.

    The target is `write(model, card, path) -> tuple[Path, ...]`, see `toolkit.engines.opening.load_writer`.

    suffix      of the main file, which is the one that engines open
    others      ends that other programs give such files
    companions  ends, in place of the suffix, of files that are written beside it, some of them only where needed
    needs       packages that have to be installed for writing
    runs_code   a file of it may hold code that runs when it is opened
    """

    suffix: str = ""
    others: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    runs_code: bool = False


ENGINES: Registry[EngineEntry] = Registry(
    "engine",
    {
        "torch": EngineEntry("toolkit.engines.torch_engine:TorchEngine", "PyTorch itself: any model, CPU and GPU"),
        "onnxruntime": EngineEntry(
            "toolkit.engines.onnxruntime_engine:open_model",
            "ONNX Runtime: .onnx files, int8 too",
            reads=("onnx",),
            precisions=("fp32",),
            needs=("onnxruntime",),
        ),
        "openvino": EngineEntry(
            "toolkit.engines.openvino_engine:open_model",
            "OpenVINO: .xml and .onnx files; bf16 and int8 on a CPU",
            reads=("openvino", "onnx"),
            needs=("openvino",),
        ),
        "ncnn": EngineEntry(
            "toolkit.engines.ncnn_engine:open_model",
            "ncnn: Winograd convolutions in fp32, the quickest that is exact on a CPU",
            reads=("ncnn",),
            precisions=("fp32", "bf16"),
            needs=("ncnn",),
        ),
        "torchscript": EngineEntry(
            "toolkit.engines.torchscript:open_model",
            "TorchScript files on PyTorch, which need none of seg's code",
            reads=("torchscript",),
        ),
        "torch-export": EngineEntry(
            "toolkit.engines.torch_export:open_model",
            "torch.export files on PyTorch, which need none of seg's code",
            reads=("torch-export",),
        ),
    },
)


FORMATS: Registry[FormatEntry] = Registry(
    "format",
    {
        "onnx": FormatEntry(
            "toolkit.engines.onnx_file:write",
            "ONNX, which nearly everything reads",
            suffix=".onnx",
            companions=(".onnx.data",),
            needs=("onnx", "onnxscript", "onnxruntime"),
        ),
        "openvino": FormatEntry(
            "toolkit.engines.openvino_file:write",
            "OpenVINO, for Intel and AMD CPUs",
            suffix=".xml",
            companions=(".bin",),
            needs=("openvino",),
        ),
        "ncnn": FormatEntry(
            "toolkit.engines.ncnn_file:write",
            "ncnn, for CPUs and telephones",
            suffix=".ncnn.param",
            others=(".param",),
            companions=(".ncnn.bin", ".ncnn.json"),
            needs=("ncnn", "pnnx"),
        ),
        "torchscript": FormatEntry(
            "toolkit.engines.torchscript:write",
            "TorchScript, for PyTorch in C++ and older versions",
            suffix=".torchscript",
            runs_code=True,
        ),
        "torch-export": FormatEntry(
            "toolkit.engines.torch_export:write", "torch.export, PyTorch's own", suffix=".pt2", runs_code=True
        ),
    },
)
