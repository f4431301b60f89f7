"""The wheel holds what the tree holds, and what it installs runs.

A package or data file that the build leaves out is left out silently, so nothing but a comparison
of the wheel with the tree shows it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

PACKAGES = ("crypto", "gossip", "node", "policy", "simnet")

pytestmark = pytest.mark.timeout(180)


def run(*command: str | Path, cwd: Path) -> str:
    """Run one command to its end and return what it printed; fail with its complaint."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def files_of(tree: Path) -> set[str]:
    """Every file of the import packages, by its path in the tree."""
    return {
        path.relative_to(tree).as_posix()
        for package in PACKAGES
        for path in (tree / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def tree(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the build reads: it writes beside what it reads."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(
            root / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (root / name).exists():
            shutil.copy(root / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    """The wheel, built with the setuptools of this environment and without a network."""
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", tree,
        cwd=tree,
    )  # fmt: skip
    (built,) = (tree / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; dependencies are read from this environment."""
    home = tmp_path_factory.mktemp("installed")
    environment = home / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=home)
    python = environment / "bin" / "python"
    run(
        sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python,
        "install", "--no-index", "--no-deps", wheel,
        cwd=home,
    )  # fmt: skip
    # A path line adds the folder but not the .pth files in it, so this checkout's own editable
    # install stays out of sight.
    paths = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home
    ).strip()
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(paths, "dependencies.pth").write_text("\n".join(sorted(here)) + "\n")
    return environment


def test_wheel_holds_the_tree(tree: Path, wheel: Path) -> None:
    """Every file of the five packages is in the wheel, and nothing else is."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = files_of(tree)
    missing = sorted(expected - packed)
    assert missing == [], "add __init__.py to the folder, or the kind of file to package-data"
    assert sorted(packed - expected) == []


def test_wheel_names_its_licence_and_command(wheel: Path) -> None:
    """The wheel carries the licence text, its name, and the one command."""
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(names["METADATA"]).decode()
        entry_points = archive.read(names["entry_points.txt"]).decode()
        licence = archive.read(names["LICENSE"]).decode()
    assert "License-Expression: Apache-2.0" in metadata.splitlines()
    assert entry_points.split() == ["[console_scripts]", "hedgerow", "=", "node.cli.main:main"]
    assert "Apache License" in licence


def test_installed_command_runs(root: Path, installed: Path) -> None:
    """`hedgerow --version` runs from a fresh environment and tells the version built."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    said = run(installed / "bin" / "hedgerow", "--version", cwd=installed)
    assert said.strip().endswith(version)


def test_installed_packages_are_the_wheels(installed: Path) -> None:
    """The five packages are imported from the fresh environment, not from this checkout."""
    code = f"import json; print(json.dumps([__import__(p).__file__ for p in {PACKAGES!r}]))"
    places = json.loads(run(installed / "bin" / "python", "-c", code, cwd=installed))
    assert len(places) == len(PACKAGES)
    assert [place for place in places if not Path(place).is_relative_to(installed)] == []
