"""The probability of every class at every pixel, for programs that look at many bands."""

import html
import json
from pathlib import Path

import tifffile

from toolkit.files import writing
from toolkit.labels.classmap import ClassMap
from toolkit.prediction.prediction import Prediction
from toolkit.prediction.writers.options import WriteOptions

_GDAL_METADATA = 42112
"""The private TIFF tag in which GDAL, and with it QGIS and rasterio, keeps the names of bands."""


def write(prediction: Prediction, source: Path | None, base: Path, options: WriteOptions = WriteOptions()) -> Path:
    """Write one page with K float16 planes (PlanarConfiguration 2), 0..1, in the order of the class ids.

    ImageDescription is JSON with the class names; GDAL finds them as descriptions of the bands. Above 4 GB it is a
    BigTIFF. Not compressed. Source: TIFF Revision 6.0, 1992; Adobe Photoshop TIFF Technical Note 3 (16-bit floats), 2005.
    """
    path = base.with_name(f"{base.name}.tif")
    planes = prediction.probabilities
    with writing(path) as file:
        tifffile.imwrite(
            file,
            planes if len(planes) > 1 else planes[0],
            photometric="minisblack",
            planarconfig="separate" if len(planes) > 1 else None,
            description=json.dumps({"classes": prediction.classes.names}),
            software="seg",
            metadata=None,
            extratags=[(_GDAL_METADATA, "s", 0, _band_names(prediction.classes), True)],
        )
    return path


def _band_names(classes: ClassMap) -> bytes:
    """XML as GDAL writes it. Characters that XML cannot hold are left out of the names."""
    items = (
        f'<Item name="DESCRIPTION" sample="{k}" role="description">'
        f"{html.escape(''.join(filter(str.isprintable, name)), quote=False)}</Item>"
        for k, name in enumerate(classes.names)
    )
    return f"<GDALMetadata>{''.join(items)}</GDALMetadata>".encode()
