"""Variable aggregator: one name for what one of several branches gave."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from pydantic import BaseModel, ConfigDict, Field

from api.core.ports import JSONObject
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import ANY, ANY_ARRAY, Selector, ValueType, type_named
from api.core.workflow.work import NodeResult


class Group(BaseModel):
    """Variables of which the first that exists counts."""

    model_config = ConfigDict(extra="ignore")

    group_name: str
    output_type: str = "any"
    variables: list[list[str]] = Field(default_factory=list)


class Advanced(BaseModel):
    """Several groups in one node."""

    model_config = ConfigDict(extra="ignore")

    group_enabled: bool = False
    groups: list[Group] = Field(default_factory=list)


@node("variable-aggregator")
class VariableAggregator:
    """A branch that did not run left no variable, so the first one there is that of the branch that did."""

    class Config(NodeConfig):
        """The variables in the order of their right."""

        output_type: str = "any"
        variables: list[list[str]] = Field(default_factory=list)
        advanced_settings: Advanced | None = None

        def groups(self) -> list[Group] | None:
            """Return the groups; None where the node has just its own variables."""
            advanced = self.advanced_settings
            return advanced.groups if advanced and advanced.group_enabled else None

        def references(self) -> Iterable[Selector]:
            """Return nothing: that variables do not exist is what the node is for."""
            return ()

        def demands(self) -> Iterable[Demand]:
            """Return the variables: they stand in the drawing, and each can take the place of any other."""
            named = [Group(group_name="", output_type=self.output_type, variables=self.variables)]
            for group in self.groups() or named:
                yield from (Demand(tuple(item), _fitting(group.output_type)) for item in group.variables)

        def gives(self) -> Types:
            """Return one variable, or an object for each group."""
            groups = self.groups()
            if groups is None:
                return {"output": type_named(self.output_type)}
            return {group.group_name: ValueType.OBJECT for group in groups}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return what was found; nothing found is no failure."""
        groups = config.groups()
        if groups is None:
            found = _first(config.variables, ctx)
            ctx.inputs = found
            return NodeResult(outputs=_given(found))
        outputs: JSONObject = {}
        for group in groups:
            found = _first(group.variables, ctx)
            ctx.inputs |= found
            outputs |= {group.group_name: _given(found)} if found else {}
        return NodeResult(outputs=outputs)


def _fitting(output_type: str) -> AbstractSet[ValueType]:
    """Return the types that can take the place of a type."""
    kind = type_named(output_type)
    if kind is None:
        return ANY
    return ANY_ARRAY if kind is ValueType.ARRAY_ANY else {kind}


def _first(selectors: Sequence[Sequence[str]], ctx: NodeContext) -> JSONObject:
    """Return the first variable that exists, by its dotted name; nothing where none does."""
    for selector in selectors:
        if ctx.variables.has(selector):
            return {".".join(selector): ctx.variables.get(selector)}
    return {}


def _given(found: JSONObject) -> JSONObject:
    """Return what was found under the name nodes know it by."""
    return dict(zip(("output",), found.values(), strict=False))
