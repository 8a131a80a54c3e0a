"""The names of the VOC layout. Imports nothing heavy: the command line shows them in its help."""

from pathlib import Path

DEFAULT_ROOT = Path("datasets/VOCdevkit/VOC2007")
"""Where torchvision's VOCSegmentation("datasets", year="2007") looks."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
SPLIT_NAMES = ("train", "val", "trainval", "test")
