"""What PyInstaller does not see of puregrpc by itself: modules that are imported on demand, and the data files."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

from puregrpc.proto.find.resolver import COMMON_PROTOS
from puregrpc.schema.well_known import WELL_KNOWN_FILES


def is_wanted(name: str) -> bool:
    """The parts that other tools look for are of no use in a program."""
    return not name.startswith(("puregrpc.integrations", "puregrpc.testing"))


hiddenimports = collect_submodules("puregrpc", filter=is_wanted) + list(WELL_KNOWN_FILES.values())
datas = collect_data_files("puregrpc")
for package in COMMON_PROTOS:
    datas += collect_data_files(package, includes=["**/*.proto"])
