"""What the design promises of the code: floors, no rings, torch-free rooms, quick start."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "toolkit"

FLOORS = {
    "cli": 7,
    "prediction": 6,
    "exporting": 6,
    "training": 5,
    "engines": 5,
    "report": 5,
    "runs": 4,
    "audit": 4,
    "tally": 4,
    "data": 3,
    "models": 3,
    "losses": 3,
    "metrics": 3,
    "conversion": 3,
    "splitting": 3,
    "voc": 2,
    "labels": 1,
    "errors": 0,
    "registry": 0,
    "parameters": 0,
    "files": 0,
    "progress": 0,
    "findings": 0,
    "parallel": 0,
    "yamlfile": 0,
    "torchzip": 0,
    "allocation": 0,
    "annotating": 5,
}
MAY_LOOK_ACROSS = {
    ("registry", "errors"),
    ("parameters", "errors"),
    ("files", "errors"),
    ("parallel", "errors"),
    ("parallel", "progress"),
    ("yamlfile", "errors"),
    ("yamlfile", "files"),
}
"""The tree of errors is below everything, its own floor included, and so is the way to tell of progress."""

TORCH_FREE_FLOORS = (0, 1, 2)
TORCH_FREE_ROOMS = ("conversion", "splitting", "audit", "tally")
LAZY_FILES = ("registry.py", "__init__.py")
HEAVY = {"torch", "torchvision", "cv2", "matplotlib", "numpy", "PIL", "labelme", "sklearn"}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(path: Path, *, inside_functions: bool) -> tuple[str, ...]:
    """Imported modules; those only for the type checker do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    type_checking = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    local = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if id(node) in type_checking or (id(node) in local) != inside_functions:
            continue
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return tuple(found)


def all_imports(path: Path) -> set[str]:
    return {*imports(path, inside_functions=False), *imports(path, inside_functions=True)}


@cache
def home(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    own = room(path)
    if own in ("__init__", "__main__"):
        return
    for module in all_imports(path):
        if not module.startswith("toolkit."):
            continue
        other = module.split(".")[1]
        if other == own or other not in FLOORS:
            continue
        assert FLOORS[other] < FLOORS[own] or (own, other) in MAY_LOOK_ACROSS, f"{path}: {own} imports {module}"


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in files()} - {"__init__", "__main__"} <= set(FLOORS)


def test_no_rings_between_files() -> None:
    graph = {
        path: {found for module in imports(path, inside_functions=False) if (found := home(module))} for path in files()
    }
    finished: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, " -> ".join(str(p.relative_to(ROOT)) for p in (*trail, path))
        if path not in finished:
            for other in graph.get(path, set()) - {path}:
                visit(other, (*trail, path))
            finished.add(path)

    for path in graph:
        visit(path, ())


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_stand_at_the_top(path: Path) -> None:
    if room(path) == "cli" or path.name in LAZY_FILES:
        return
    assert not imports(path, inside_functions=True)


def test_labelme_is_never_imported() -> None:
    assert not [path for path in files() if any(m.split(".")[0] == "labelme" for m in all_imports(path))]


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print('\\n'.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_lower_floors_are_torch_free() -> None:
    lower = [p for p in files() if FLOORS.get(room(p)) in TORCH_FREE_FLOORS or room(p) in TORCH_FREE_ROOMS]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in lower]
    assert "toolkit.conversion.convert" in names
    assert not modules_after(f"import {', '.join(names)}") & {"torch", "torchvision"}


def test_the_command_line_starts_without_anything_heavy() -> None:
    assert not modules_after("import toolkit.cli.app") & HEAVY


def test_the_package_and_its_config_start_without_torch() -> None:
    assert not modules_after("import toolkit, toolkit.runs.config") & {"torch", "torchvision", "cv2"}


def test_public_names_exist() -> None:
    import toolkit

    for name in toolkit.__all__:
        assert getattr(toolkit, name) is not None
    assert set(toolkit.__all__) <= set(dir(toolkit))


def test_no_room_hides_a_public_function() -> None:
    """Importing a subpackage sets an attribute of its name on the package, over a function of that name."""
    import toolkit

    assert not {path.stem for path in PACKAGE.iterdir()} & set(toolkit.__all__)
