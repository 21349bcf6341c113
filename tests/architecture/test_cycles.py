"""No module reaches itself by its imports, parents and children included."""

import graphlib

import grimp
import pytest


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Which module imports which, by name."""
    graph = grimp.build_graph("api", "dify_client", cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_imports_form_no_cycle(imports: dict[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as exc:
        pytest.fail(" → ".join(exc.args[1]))


def test_sdk_and_program_know_nothing_of_each_other(imports: dict[str, set[str]]) -> None:
    crossing = [
        (module, target)
        for module, targets in imports.items()
        for target in targets
        if module.partition(".")[0] != target.partition(".")[0]
    ]

    assert crossing == []


def test_child_never_imports_its_own_parent(imports: dict[str, set[str]]) -> None:
    climbing = [
        (module, target)
        for module, targets in imports.items()
        for target in targets
        if module.startswith(f"{target}.") and target not in ("api", "dify_client")
    ]

    assert climbing == []
