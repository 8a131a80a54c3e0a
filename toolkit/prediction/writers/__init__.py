"""Every kind of output by name. Each one is `write(prediction, source, base)` and returns the file it wrote."""

from toolkit.registry import Entry, Registry

WRITERS = Registry(
    "output",
    {
        "mask": Entry("toolkit.prediction.writers.mask:write", "palette PNG in the VOC colours, value = class id"),
        "ids": Entry("toolkit.prediction.writers.ids:write", "plain grey PNG, value = class id (dark to the eye)"),
        "overlay": Entry(
            "toolkit.prediction.writers.overlay:write", "the picture with the classes laid over it, for looking at"
        ),
        "labelme": Entry(
            "toolkit.prediction.writers.labelme:write", "polygons to open and correct in labelme, and to convert again"
        ),
    },
)
