"""What is kept of templates between two runs."""

from collections.abc import Callable

import pytest

from api.backends.sandbox.templates import plain_parts
from api.core.workflow.templates import segments


@pytest.mark.parametrize(("read", "name"), [(segments, "{{#n.x#}}"), (plain_parts, "{{ x }}")])
@pytest.mark.parametrize(("chars", "is_kept"), [(20_000, True), (20_001, False)])
def test_long_template_is_read_anew(
    read: Callable[[str], object], name: str, chars: int, is_kept: bool
) -> None:
    template = name.rjust(chars, "a")

    assert read(template) == read(template)
    assert (read(template) is read(template)) is is_kept
