"""Says whether a value is as a JSON schema wants it.

Boundary: pure. Nothing is fetched for a reference, and patterns are not looked
at: an author's regular expression could hold a thread for hours.
"""

from api.core.ports import JSONObject, JSONValue

MAX_FAULT_CHARS = 500


class SchemaBroken(Exception):
    """What should be a schema is none; the message says why."""


def find_fault(value: JSONValue, schema: JSONObject) -> str | None:
    """Return what is wrong with a value, None where nothing is. Raises SchemaBroken."""
    # Loaded with the first schema: it takes 3 MB that most servers never need.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    plain = _without_patterns(schema)
    try:
        Draft202012Validator.check_schema(plain)
        fault = best_match(Draft202012Validator(plain, registry=Registry()).iter_errors(value))
    except SchemaError as exc:
        raise SchemaBroken(exc.message[:MAX_FAULT_CHARS]) from exc
    except (Unresolvable, RecursionError) as exc:
        raise SchemaBroken("A reference in it leads nowhere.") from exc
    if fault is None:
        return None
    where = ".".join(str(part) for part in fault.absolute_path)
    return f"{where}: {fault.message}"[:MAX_FAULT_CHARS] if where else str(fault.message)[:MAX_FAULT_CHARS]


def _without_patterns(schema: JSONValue) -> JSONValue:
    """Return the schema without its regular expressions; a property called ``pattern`` stays."""
    if isinstance(schema, list):
        return [_without_patterns(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_patterns(item)
        for key, item in schema.items()
        if key != "patternProperties" and not (key == "pattern" and isinstance(item, str))
    }
