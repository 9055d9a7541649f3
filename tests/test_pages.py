"""Pages that are filled with data: no text of it becomes part of the page."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc._pages import filled_page

PACKAGES = ["puregrpc.load", "puregrpc.trace.showing"]


@pytest.mark.parametrize("package", PACKAGES)
@given(text=st.text() | st.sampled_from(["</script>", "<!--<script>", "__TITLE__", "</SCRIPT >"]))
def test_data_comes_out_as_it_went_in(package: str, text: str) -> None:
    page = filled_page(package, "t", {"x": text})
    found = re.search(r'<script type="application/json" id="data">([^<]*)</script>', page)
    assert found is not None
    assert json.loads(found[1]) == {"x": text}
    assert "&lt;b&gt;" in filled_page(package, "<b>", {})
