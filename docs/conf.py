"""How the site is built: ``make docs``. Pages are Markdown, the reference comes from the docstrings."""

from __future__ import annotations

from puregrpc._version import __version__

project = "puregrpc"
release = version = __version__
copyright = "the puregrpc authors, Apache-2.0"  # noqa: A001 - Sphinx's own name for it
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["wire/exercises"]
html_theme = "furo"
html_title = f"puregrpc {version}"
html_show_sourcelink = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

# A word in single backticks is a name of the library, which becomes a link where it can.
default_role = "py:obj"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
# Some names, such as Interceptor, are those of a class of the channel and of one of the server.
suppress_warnings = ["ref.python"]
