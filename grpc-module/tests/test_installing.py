"""The stub of grpcio, the doctor, and what becomes of files that two distributions have mixed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import grpc
from puregrpc_grpc.__main__ import main
from puregrpc_grpc.doctor import examine
from puregrpc_grpc.stub import DEFAULT_VERSION, write_stub

PACKAGE = Path(grpc.__file__).parent


def test_the_stub_is_a_wheel_with_metadata_alone(tmp_path: Path) -> None:
    path = write_stub(tmp_path)
    assert path.name == f"grpcio-{DEFAULT_VERSION}-py3-none-any.whl"
    site = tmp_path / "site"
    with zipfile.ZipFile(path) as wheel:
        assert wheel.testzip() is None
        wheel.extractall(site)
    (distribution,) = metadata.distributions(path=[str(site)])
    assert (distribution.metadata["Name"], distribution.version) == ("grpcio", DEFAULT_VERSION)
    assert distribution.requires == ["puregrpc-grpc", 'protobuf; extra == "protobuf"']
    assert {str(file).rpartition("/")[2] for file in distribution.files or ()} == {"METADATA", "WHEEL", "RECORD"}
    assert distribution.metadata.get_all("Provides-Extra") == ["protobuf"]  # some require grpcio[protobuf]
    assert write_stub(tmp_path / "again").read_bytes() == path.read_bytes()


def test_pip_installs_the_stub(tmp_path: Path) -> None:
    path = write_stub(tmp_path)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    done = subprocess.run([*command, str(tmp_path / "site"), str(path)], capture_output=True, text=True, timeout=120)
    if "No module named pip" in done.stderr:
        pytest.skip("there is no pip")
    assert done.returncode == 0, done.stderr
    (distribution,) = metadata.distributions(path=[str(tmp_path / "site")])
    assert distribution.version == DEFAULT_VERSION


def test_the_command_writes_the_stub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stub", "--version", "1.62.0", "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "grpcio-1.62.0-py3-none-any.whl")
    assert main(["stub", "--version", "1.62.0rc1", "-o", str(tmp_path)]) == 2
    assert "not a plain version" in capsys.readouterr().err


def installed(site: Path, name: str, version: str, *files: str) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_the_doctor_finds_what_is_well(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "grpc")
    installed(tmp_path, "puregrpc-grpc", "0.1.0", "grpc/__init__.py")
    installed(tmp_path, "grpcio", "1.999.0")
    finding = examine([str(tmp_path)])
    assert finding.is_sound
    assert finding.claims == (("grpcio", "1.999.0", False), ("puregrpc-grpc", "0.1.0", True))
    assert "All is well" in finding.report()
    assert "has metadata alone" in finding.report()


def test_a_mixture_is_found_by_the_doctor_and_refused_by_import(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "grpc")
    (tmp_path / "grpc" / "_cython" / "cygrpc.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    installed(tmp_path, "grpcio", "1.85.3", "grpc/__init__.py")
    finding = examine([str(tmp_path)])
    assert finding.is_mixture
    assert "MIXTURE" in finding.report()
    assert "pip uninstall grpcio puregrpc-grpc" in finding.report()
    environment = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", "import grpc"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "is a mixture of grpcio's files and those of puregrpc-grpc" in done.stderr


def test_grpcio_itself_and_nothing_at_all_are_told(tmp_path: Path) -> None:
    assert "there is no such package" in examine([str(tmp_path)]).report()
    (tmp_path / "grpc" / "_cython").mkdir(parents=True)
    (tmp_path / "grpc" / "__init__.py").write_text("")
    (tmp_path / "grpc" / "_cython" / "cygrpc.abi3.so").write_bytes(b"")
    finding = examine([str(tmp_path)])
    assert not finding.is_sound
    assert not finding.is_mixture
    assert "It is grpcio's" in finding.report()


def test_what_an_uninstalled_grpcio_has_taken_along_is_told(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "grpc")
    installed(tmp_path, "puregrpc-grpc", "0.1.0", "grpc/__init__.py", "grpc/_channel.py", "grpc/_mixture.py")
    assert examine([str(tmp_path)]).is_sound
    for name in ("__init__.py", "_channel.py"):
        (tmp_path / "grpc" / name).unlink()
    finding = examine([str(tmp_path)])
    assert not finding.is_sound
    assert finding.missing == ("grpc/__init__.py", "grpc/_channel.py")
    assert "are GONE: grpc/__init__.py, grpc/_channel.py." in finding.report()
    assert "pip install --force-reinstall --no-deps puregrpc-grpc" in finding.report()


def test_both_distributions_have_one_version() -> None:
    import puregrpc

    hook = (PACKAGE.parents[1] / "hatch_build.py").read_text()
    assert '"_version.py"' in hook
    assert (PACKAGE.parents[2] / "src" / "puregrpc" / "_version.py").read_text().count(puregrpc.__version__) == 1
