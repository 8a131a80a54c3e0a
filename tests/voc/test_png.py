"""Masks written here are read by everybody, in every pixel."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from toolkit.labels.classmap import voc_palette
from toolkit.voc import png

PALETTE = voc_palette().tobytes()


def read(data: bytes) -> tuple[str, NDArray[np.generic]]:
    with Image.open(io.BytesIO(data)) as image:
        image.verify()  # checks every checksum
    with Image.open(io.BytesIO(data)) as image:
        return image.mode, np.array(image)


@pytest.mark.parametrize("quick", [True, False])
@settings(deadline=None, derandomize=True, max_examples=60)
@given(data=st.data())
def test_pixels_come_back(quick: bool, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    small = data.draw(arrays.arrays(np.uint8, shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "_BAND_BYTES", data.draw(st.sampled_from((1, 50, 1 << 20))))
        if not quick:
            patch.setattr(png, "fast_zlib", None)
        for mode, mask, palette in (
            ("P", small, PALETTE),
            ("L", small, None),
            ("I;16", small.astype(np.uint16) * 257, None),
        ):
            found, pixels = read(png.encode_png_mask(mask, palette))
            assert found == mode
            np.testing.assert_array_equal(pixels, mask)


def test_colours_are_those_of_voc() -> None:
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with Image.open(io.BytesIO(png.encode_png_mask(mask, PALETTE))) as image:
        np.testing.assert_array_equal(np.array(image.convert("RGB")), voc_palette()[mask])


def test_a_view_with_gaps_is_encoded_as_it_looks() -> None:
    wide = np.arange(600, dtype=np.uint8).reshape(20, 30)
    for view in (wide[::2, ::3], wide.T, wide[::-1]):
        np.testing.assert_array_equal(read(png.encode_png_mask(view, PALETTE))[1], view)
