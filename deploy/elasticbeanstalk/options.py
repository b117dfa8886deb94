"""The published list of options as a JSON Schema: which there are, and what some of them take."""

from typing import Any

SECRETS = "aws:elasticbeanstalk:application:environmentsecrets"
# Secrets Manager, or a parameter of Systems Manager.
ARN = {"type": "string", "pattern": "^arn:aws[a-z-]*:(secretsmanager|ssm):"}


def schema_of(listed: Any) -> dict[str, Any]:
    """Of a list as aws-elastic-beanstalk-options.json: namespace, option, and None or the values.

    All values are text, the numbers and true and false too.
    """
    namespaces = listed["namespaces"] | listed["platform_namespaces"]["python"]
    free = {name: _open({"type": "string"}) for name in listed["free_form_namespaces"]}
    patterns = listed["namespace_patterns"]
    return {
        "type": "object",
        "properties": _closed_each(namespaces) | free | {SECRETS: _open(ARN)},
        "patternProperties": _closed_each(patterns),
        "additionalProperties": False,
    }


def _closed_each(namespaces: dict[str, dict[str, list[str] | None]]) -> dict[str, Any]:
    return {name: _closed(options) for name, options in namespaces.items()}


def _closed(options: dict[str, list[str] | None]) -> dict[str, Any]:
    values = {
        name: {"enum": allowed} if allowed else {"type": "string"}
        for name, allowed in options.items()
    }
    return {"type": "object", "properties": values, "additionalProperties": False}


def _open(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": value}
