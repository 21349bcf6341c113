"""If-else: the first case that holds decides where the run goes on."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from api.core.ports import JSONObject, JSONValue
from api.core.workflow.conditions import NUMERIC, Condition, ConditionError, Logic, holds, operator_of
from api.core.workflow.node import Demand, NodeConfig, NodeContext, Types, node
from api.core.workflow.variables import ANY_TEXT, Selector, ValueType
from api.core.workflow.work import NodeFailed, NodeResult

ELSE = "false"


class Case(BaseModel):
    """One branch and what it takes to go there."""

    model_config = ConfigDict(extra="ignore")

    case_id: str
    logical_operator: Logic = "and"
    conditions: list[Condition] = Field(min_length=1)


@node("if-else")
class IfElse:
    """Leaves by the id of the case, or by ``false``."""

    class Config(NodeConfig):
        """The cases in their order. Files of old have one, which is called ``true``."""

        cases: list[Case] | None = None
        logical_operator: Logic = "and"
        conditions: list[Condition] = Field(default_factory=list)

        def in_order(self) -> list[Case]:
            """Return the cases, whichever way they are written."""
            if self.cases or not self.conditions:
                return self.cases or []
            logic = self.logical_operator
            return [Case(case_id="true", logical_operator=logic, conditions=self.conditions)]

        def references(self) -> Iterable[Selector]:
            """Return what is compared."""
            for case in self.in_order():
                yield from (tuple(item.variable_selector) for item in case.conditions)

        def demands(self) -> Iterable[Demand]:
            """Return what is compared with a number."""
            for case in self.in_order():
                for item in case.conditions:
                    if operator_of(item) in NUMERIC:
                        yield Demand(tuple(item.variable_selector), ANY_TEXT)

        def gives(self) -> Types:
            """Return what came of it."""
            return {"result": ValueType.BOOLEAN, "selected_case_id": ValueType.STRING}

    def run(self, config: Config, ctx: NodeContext) -> NodeResult:
        """Return which case holds. Raises NodeFailed where a comparison cannot be made."""
        chosen = ELSE
        compared: list[JSONValue] = []
        results: list[JSONValue] = []
        for case in config.in_order():
            try:
                does_hold, seen = holds(case.conditions, case.logical_operator, ctx.variables)
            except ConditionError as exc:
                raise NodeFailed(str(exc), error_type="ConditionError") from exc
            compared += seen
            ctx.inputs = {"conditions": compared}
            results.append({"group": case.case_id, "results": does_hold})
            if does_hold:
                chosen = case.case_id
                break
        ctx.process_data = {"condition_results": results}
        outputs: JSONObject = {"result": chosen != ELSE, "selected_case_id": chosen}
        return NodeResult(outputs=outputs, edge=chosen)
