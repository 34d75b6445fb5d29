"""The contracts' values as messages of `vms.v1`, and back: fields correspond by their names.

Enumerations are the contracts' words in capitals behind the enumeration's name: `online` is CAMERA_STATE_ONLINE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message
from pydantic import BaseModel, SecretStr, ValidationError

from vms.domain.errors import Failure

AnyMessage = TypeVar("AnyMessage", bound=Message)
AnyValue = TypeVar("AnyValue", bound=BaseModel)
# The descriptors that the interpreter has depend on how protobuf was built; they look alike.
Field = Any
Enum = Any


def fill(message: AnyMessage, value: BaseModel) -> AnyMessage:
    """`message` with the fields that `value` has too. What is None stays absent."""
    for field in message.DESCRIPTOR.fields:
        if field.name in type(value).model_fields:
            _set(message, field, getattr(value, field.name))
    return message


def read(message: Message, model: type[AnyValue]) -> AnyValue:
    """The value that `message` carries. Raises Failure(malformed) when it is none: the peer is broken."""
    try:
        return model.model_validate(_document(message))
    except ValidationError as error:
        what = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in what["loc"])
        name = message.DESCRIPTOR.name
        raise Failure("malformed", f"a {name} message cannot be read: {place}: {what['msg']}") from error


def word(enum: Enum, number: int) -> str | None:
    """The contract's word of an enumeration's number; None for the unspecified one and for those of newer peers."""
    known = enum.values_by_number.get(number)
    return None if known is None or number == 0 else str(known.name).removeprefix(_prefix(enum)).lower()


def _prefix(enum: Enum) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(enum.name)).upper() + "_"


def _is_map(field: Field) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _set(message: Message, field: Field, value: Any) -> None:
    if value is None:
        return
    if _is_map(field):
        _fill_map(getattr(message, field.name), field.message_type.fields_by_name["value"], value)
    elif field.is_repeated:
        target = getattr(message, field.name)
        for entry in value:
            if field.message_type is not None:
                fill(target.add(), entry)
            else:
                target.append(_scalar(field, entry))
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        fill(inner, value)
    else:
        setattr(message, field.name, _scalar(field, value))


def _fill_map(target: Any, of: Field, value: Mapping[str, Any]) -> None:
    for key, entry in value.items():
        if of.message_type is not None:
            fill(target[key], entry)
        else:
            target[key] = _scalar(of, entry)


def _scalar(field: Field, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if field.enum_type is not None:
        return field.enum_type.values_by_name[_prefix(field.enum_type) + str(value).upper()].number
    return value


def _document(message: Any) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if _is_map(field):
            of = field.message_type.fields_by_name["value"]
            document[field.name] = {key: _plain(of, entry) for key, entry in value.items()}
        elif field.is_repeated:
            document[field.name] = [_plain(field, entry) for entry in value]
        elif not field.has_presence or message.HasField(field.name):
            document[field.name] = _plain(field, value)
    return document


def _plain(field: Field, value: Any) -> Any:
    if field.message_type is not None:
        return _document(value)
    return word(field.enum_type, value) if field.enum_type is not None else value
