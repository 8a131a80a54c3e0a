"""YAML that people write: read as plain values, whatever is wrong with it named in one line."""

from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import DataError
from toolkit.files import read_file

_LARGEST_FILE = 1 << 24  # bytes; the longest list of labels has a few hundred thousand


class _Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is listed twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises DataError naming it and what is wrong; a key that is there twice is wrong, too."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file.")
    try:
        text = read_file(path, _LARGEST_FILE, DataError).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, place: str) -> Any:
    """Plain values. Raises DataError that begins with `place`."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
        # all but the first are what PyYAML lets through: 2020-13-45, !!bool x, !!int "", 5000 digits, "\UFFFFFFFF"
        raise DataError(f"{place}: cannot be read as YAML ({' '.join(str(error).split())[:300]}).") from None
