"""labelme's own rasteriser and reader, loaded from the installed program without its window.

`import labelme` starts Qt and onnxruntime and lifts Pillow's limit on image sizes for the whole process; here only
its two plain files are loaded, under stand-ins for the packages around them.
"""

import base64
import importlib
import importlib.util
import io
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from toolkit.labels.annotation import Shape

Ids = npt.NDArray[np.int32]


def labelme_label(shapes: Sequence[Shape], size: tuple[int, int], ids: dict[str, int]) -> tuple[Ids, Ids]:
    """Class ids and instance numbers, each (H, W), by labelme: a mask for every shape, pasted in order.

    Masks need a whole-number box inside the picture: labelme 6 cannot do others.
    """
    items = [
        {
            "label": shape.label,
            "points": [list(point) for point in shape.points],
            "group_id": shape.group_id,
            "shape_type": shape.kind,
            "mask": shape.bitmap,
        }
        for shape in shapes
    ]
    classes, instances = _labelme("utils.shape").shapes_to_label(size, items, ids)
    return classes, instances


def labelme_read(path: Path) -> Any:
    """The file as labelme's strict reader takes it; raises its LabelFileReadError for what it refuses."""
    return _labelme("_label_file").read_label_file(str(path))


@cache
def _labelme(name: str) -> ModuleType:
    spec = importlib.util.find_spec("labelme")  # finds, but does not run it
    assert spec is not None
    assert spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    package, utils = ModuleType("labelme"), ModuleType("labelme.utils")
    package.__path__, utils.__path__ = [str(root)], [str(root / "utils")]
    vars(package).update(__version__="6", utils=utils)
    vars(utils).update(
        img_data_to_pil=lambda img_data: Image.open(io.BytesIO(img_data)),
        img_b64_to_arr=lambda text: np.array(Image.open(io.BytesIO(base64.b64decode(text)))),
    )
    limit = Image.MAX_IMAGE_PIXELS
    before = {key: module for key, module in sys.modules.items() if key.split(".")[0] == "labelme"}
    sys.modules.update({"labelme": package, "labelme.utils": utils})
    try:
        module = importlib.import_module(f"labelme.{name}")
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        for key in [key for key in sys.modules if key.split(".")[0] == "labelme"]:
            del sys.modules[key]
        sys.modules.update(before)
    if name == "_label_file":  # as it does for upright JPEG and PNG, but it leaves the file open and logs each one
        vars(module)["read_image_file"] = lambda filename: Path(filename).read_bytes()
    if name == "utils.shape":
        _draw_linestrips_as_labelme_7(module)
    return module


def _draw_linestrips_as_labelme_7(module: ModuleType) -> None:
    labelme_6 = module.shape_to_mask

    def shape_to_mask(size: tuple[int, int], points: list[list[float]], shape_type: str) -> npt.NDArray[np.bool_]:
        if shape_type != "linestrip":
            return np.asarray(labelme_6(size, points, shape_type))
        canvas = Image.new("L", (size[1], size[0]))
        ImageDraw.Draw(canvas).line([(x, y) for x, y in points], fill=1, width=10, joint="curve")
        return np.array(canvas, dtype=np.bool_)

    vars(module)["shape_to_mask"] = shape_to_mask
