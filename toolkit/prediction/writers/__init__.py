"""Every kind of output that is a file for each picture.

Each one is `write(prediction, source, base, options)` and returns the file it wrote: `base` with a suffix of its own.
`source` is the picture's file; None for a frame of a film, which has none.
"""

from dataclasses import dataclass

from toolkit.registry import Entry, Registry


@dataclass(frozen=True)
class WriterEntry(Entry):
    """A line of the table.

    confidence      it needs `Prediction.confidence`
    probabilities   it needs `Prediction.probabilities`
    """

    confidence: bool = False
    probabilities: bool = False


WRITERS: Registry[WriterEntry] = Registry(
    "output",
    {
        "mask": WriterEntry(
            "toolkit.prediction.writers.mask:write", "palette PNG in the VOC colours, value = class id"
        ),
        "ids": WriterEntry(
            "toolkit.prediction.writers.ids:write", "plain grey PNG, value = class id (dark to the eye)"
        ),
        "overlay": WriterEntry(
            "toolkit.prediction.writers.overlay:write", "the picture with the classes laid over it, for looking at"
        ),
        "cutout": WriterEntry(
            "toolkit.prediction.writers.cutout:write", "the picture where a class is, transparent elsewhere, PNG"
        ),
        "confidence": WriterEntry(
            "toolkit.prediction.writers.confidence:write",
            "grey PNG, probability of the pixel's class, 0 to 255",
            confidence=True,
        ),
        "npz": WriterEntry(
            "toolkit.prediction.writers.npz:write",
            "probabilities of all classes for numpy, float16 (K, H, W)",
            probabilities=True,
        ),
        "tiff": WriterEntry(
            "toolkit.prediction.writers.tiff:write",
            "probabilities of all classes, TIFF with a float16 band for each",
            probabilities=True,
        ),
        "labelme": WriterEntry(
            "toolkit.prediction.writers.labelme:write", "polygons to open and correct in labelme, and to convert again"
        ),
    },
)
