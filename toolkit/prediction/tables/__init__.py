"""Every kind of output that is one file, or a few, for all pictures of a call.

`TABLES.load(kind)` is a `toolkit.prediction.tables.row.Table`: what it takes of each prediction is kept in the run's
journal, and its files are made of that at the end.
"""

from toolkit.registry import Entry, Registry

TABLES: Registry[Entry] = Registry(
    "output",
    {
        "counts": Entry("toolkit.prediction.tables.counts:TABLE", "pixels and areas of each class, CSV and JSON"),
        "coco": Entry("toolkit.prediction.tables.coco:TABLE", "all masks in one COCO file, as compressed RLE"),
    },
)
