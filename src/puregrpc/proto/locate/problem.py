"""Problems as the later phases note them: about a node of the syntax tree, in one of its roles.

Where in the text that is, is worked out only when there is something to report (see locations).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from puregrpc.proto.parse.ast import Node

__all__ = ["Problem", "Role"]


class Role:
    """Which part of a declaration is at fault: DescriptorPool.ErrorCollector.ErrorLocation in protoc's terms."""

    NAME: Final = "name"
    NUMBER: Final = "number"
    TYPE: Final = "type"
    EXTENDEE: Final = "extendee"
    DEFAULT: Final = "default"
    INPUT: Final = "input"
    OUTPUT: Final = "output"
    OPTION_NAME: Final = "option name"
    OPTION_VALUE: Final = "option value"
    IMPORT: Final = "import"
    EDITION: Final = "edition"
    NONE: Final = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. For an import, ``node`` is the file and ``name`` the path."""

    node: Node
    role: str
    message: str
    is_warning: bool = False
    name: str = ""
    hint: str = ""
    """How it is likely to be put right."""
