"""Colours, blur, noise and compression against values worked out by hand or by another library."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from toolkit.data.augment import Augment
from toolkit.data.colours import DICE, recoloured

Pixels = npt.NDArray[np.uint8]


def generator() -> np.random.Generator:
    return np.random.default_rng(5)


def changed(image: Pixels, augment: Augment, die: float) -> Pixels:
    """With all dice alike: 1 is the most, 0 the least, 0.5 nothing for colours."""
    return recoloured(image, augment, [die] * DICE, generator())


def plain(*color: int) -> Pixels:
    return np.full((16, 16, 3), color, np.uint8)


def mixed() -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)


def test_brightness_is_a_factor() -> None:
    image = mixed()
    for die, factor in ((1.0, 1.25), (0.0, 0.75)):
        expected = (image * factor).clip(0, 255)
        assert np.abs(changed(image, Augment(brightness=0.25), die) - expected).max() <= 1


def test_contrast_goes_from_the_middle_grey() -> None:
    image = mixed()
    for die, factor in ((1.0, 1.4), (0.0, 0.6)):
        expected = ((image - 128.0) * factor + 128).clip(0, 255)
        assert np.abs(changed(image, Augment(contrast=0.4), die) - expected).max() <= 1


def test_without_saturation_a_picture_is_as_grey_as_pillow_makes_it() -> None:
    image = mixed()
    grey = np.array(Image.fromarray(image).convert("L"))
    view = changed(image, Augment(saturation=1.0), 0.0)
    assert np.abs(view.astype(int) - grey[:, :, None]).max() <= 1


def test_saturation_moves_away_from_grey() -> None:
    view = changed(plain(140, 100, 100), Augment(saturation=0.5), 1.0)
    luma = 0.299 * 140 + 0.587 * 100 + 0.114 * 100
    assert np.abs(view[0, 0] - (luma + 1.5 * (np.array([140, 100, 100]) - luma))).max() <= 1


@pytest.mark.parametrize(("die", "expected"), [(1.0, (90, 200, 20)), (0.0, (20, 90, 200))])
def test_a_third_of_the_colour_circle_moves_channels_on(die: float, expected: tuple[int, int, int]) -> None:
    """Upwards from red to green to blue, as in HSV."""
    view = changed(plain(200, 20, 90), Augment(hue=120.0), die)
    assert np.abs(view[0, 0].astype(int) - expected).max() <= 1


def hue(color: npt.NDArray[np.float64]) -> float:
    red, green, blue = color
    return float(np.rad2deg(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)))


@pytest.mark.parametrize(("die", "turn"), [(1.0, 8.0), (0.0, -8.0), (0.75, 4.0)])
def test_hue_turns_by_degrees(die: float, turn: float) -> None:
    image = plain(170, 90, 80)
    view = changed(image, Augment(hue=8.0), die)
    assert hue(view[0, 0].astype(float)) - hue(image[0, 0].astype(float)) == pytest.approx(turn, abs=0.7)
    assert view[0, 0].sum() == pytest.approx(340, abs=2)


def test_greys_stay_grey_under_changes_of_hue_and_saturation() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None] * np.ones((4, 1, 3), np.uint8), 1, axis=0)
    for die in (0.0, 0.3, 1.0):
        view = changed(ramp, Augment(saturation=0.3, hue=30.0), die)
        assert np.abs(view.astype(int) - ramp).max() <= 1


def test_half_way_nothing_changes() -> None:
    everything = Augment(brightness=0.5, contrast=0.5, saturation=0.5, hue=90.0)
    assert np.array_equal(changed(mixed(), everything, 0.5), mixed())


def test_nothing_is_changed_if_nothing_is_asked_for() -> None:
    image = mixed()
    assert recoloured(image, Augment(), [0.0] * DICE, generator()) is image


def test_blur_spreads_a_point_as_a_gaussian_does() -> None:
    image = np.zeros((65, 65, 3), np.uint8)
    image[32, 32] = 255
    view = changed(image, Augment(blur=1.5, blur_chance=1.0), 0.999)
    line = view[32, :, 0].astype(float)
    spread = np.sqrt((line * (np.arange(65) - 32) ** 2).sum() / line.sum())
    assert spread == pytest.approx(1.5, abs=0.15)
    assert np.array_equal(view[..., 0], view[..., 0].T) and np.array_equal(view[..., 0], view[..., 2])


def test_blur_leaves_even_pictures_as_they_are_to_the_edge() -> None:
    assert np.array_equal(changed(plain(10, 200, 90), Augment(blur=5.0, blur_chance=1.0), 0.99), plain(10, 200, 90))


def test_noise_has_the_deviation_that_was_drawn() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    for die in (0.25, 0.999):
        noise = changed(image, Augment(noise=12.0, noise_chance=1.0), die).astype(float) - 128
        assert noise.mean() == pytest.approx(0, abs=0.1)
        assert noise.std() == pytest.approx(12 * die, rel=0.03)
        assert (np.abs(noise) < 12 * die).mean() == pytest.approx(0.683, abs=0.1), "as a normal distribution has it"
        channels = np.corrcoef(noise.reshape(-1, 3).T)
        assert np.abs(channels - np.eye(3)).max() < 0.02
        assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02


def test_noise_stops_at_black_and_white() -> None:
    for value in (0, 255):
        view = changed(np.full((50, 50, 3), value, np.uint8), Augment(noise=40.0, noise_chance=1.0), 0.999)
        assert np.median(np.abs(view.astype(int) - value)) < 40
        assert np.abs(view.astype(int) - value).max() < 130, "no wrapping around"


def test_compression_is_what_pillow_makes_of_the_same_quality() -> None:
    y, x = np.indices((96, 96))
    waves = np.stack([128 + 100 * np.sin(y / 9), 128 + 90 * np.cos(x / 7), 30 + x + y / 2], axis=2)
    image = waves.clip(0, 255).astype(np.uint8)
    view = changed(image, Augment(jpeg=20.0, jpeg_chance=1.0), 0.2)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=36)
    with Image.open(buffer) as reference:
        assert np.abs(view.astype(int) - np.array(reference)).mean() < 1
    assert np.abs(view.astype(int) - image).mean() > 1, "something was lost"


def test_colours_survive_compression_in_their_channels() -> None:
    view = changed(plain(220, 40, 90), Augment(jpeg=90.0, jpeg_chance=1.0), 0.9)
    assert np.abs(view.astype(int) - (220, 40, 90)).max() <= 4


@pytest.mark.parametrize(
    "augment",
    [
        Augment(blur=2.0, blur_chance=0.3),
        Augment(noise=20.0, noise_chance=0.3),
        Augment(jpeg=5.0, jpeg_chance=0.3),
    ],
    ids=["blur", "noise", "jpeg"],
)
def test_chances_are_kept(augment: Augment) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    rng = generator()
    draws = [recoloured(image, augment, rng.random(DICE).tolist(), rng) for _ in range(300)]
    share = sum(not np.array_equal(view, image) for view in draws) / 300
    assert 0.2 < share < 0.38
