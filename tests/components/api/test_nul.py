"""A NUL in each string of each request, which PostgreSQL cannot store: refused, and never as INTERNAL."""

from collections.abc import AsyncIterator, Iterator
from copy import deepcopy

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from grpclib.client import UnaryUnaryMethod
from grpclib.const import Status

from kannon.bus.bus import Bus
from kannon.db.pool import Database
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendTemplateReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient
from tests.support.api import ADMIN, RunningApi, a_send, refusal, running_api
from tests.support.services import SERVICES

METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]
NUL = "a\0b"
HARMLESS = {Status.OK, Status.INVALID_ARGUMENT, Status.NOT_FOUND, Status.PERMISSION_DENIED, Status.FAILED_PRECONDITION}


@pytest.fixture
async def api(db: Database, bus: Bus) -> AsyncIterator[RunningApi]:
    async with running_api(db, bus=bus) as api:
        await api.create_domain("example.com")
        yield api


def base(method: MethodDescriptor) -> Message:
    """As good a request as the fields' names allow."""
    if method.input_type is SendHTMLReq.DESCRIPTOR:
        return a_send(subject="x", recipients=[Recipient(email="a@example.org")])
    if method.input_type is SendTemplateReq.DESCRIPTOR:
        send = SendTemplateReq(subject="x", template_id="template_x", recipients=[Recipient(email="a@example.org")])
        send.sender.email = "news@example.com"
        return send
    request = GetMessageClass(method.input_type)()
    for name, value in (("domain", "example.com"), ("message_id", "msg_x@example.com"), ("email", "a@example.org")):
        field = method.input_type.fields_by_name.get(name)
        if field is not None and field.containing_oneof is None:
            setattr(request, name, value)
    return request


def with_nul(request: Message, descriptor: Descriptor) -> Iterator[tuple[str, Message]]:
    """For each string within it, a copy of the request that has a NUL there."""
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            copy = deepcopy(request)
            if field.is_repeated:
                getattr(copy, field.name).append(NUL)
            else:
                setattr(copy, field.name, NUL)
            yield field.name, copy
        elif field.message_type is None:
            continue
        elif field.message_type is Struct.DESCRIPTOR:
            for key, value in ((NUL, "v"), ("k", NUL)):
                copy = deepcopy(request)
                getattr(copy, field.name).update({key: value})
                yield f"{field.name}[{key!r}]", copy
        elif field.message_type.GetOptions().map_entry:
            for key, value in ((NUL, "v"), ("k", NUL)):
                copy = deepcopy(request)
                getattr(copy, field.name)[key] = value
                yield f"{field.name}[{key!r}]", copy
        elif field.is_repeated:
            present = getattr(request, field.name)
            inner = present[0] if present else GetMessageClass(field.message_type)()
            for name, changed in with_nul(inner, field.message_type):
                copy = deepcopy(request)
                del getattr(copy, field.name)[:]
                getattr(copy, field.name).append(changed)
                yield f"{field.name}.{name}", copy
        else:
            for name, changed in with_nul(getattr(request, field.name), field.message_type):
                copy = deepcopy(request)
                getattr(copy, field.name).CopyFrom(changed)
                yield f"{field.name}.{name}", copy


async def test_a_nul_in_any_string_is_never_an_internal_error(api: RunningApi) -> None:
    key = await api.create_key("example.com")
    failed = []
    for method in METHODS:
        call: UnaryUnaryMethod[Message, Message] = UnaryUnaryMethod(
            api.channel,
            f"/{method.containing_service.full_name}/{method.name}",
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
        )
        for name, request in with_nul(base(method), method.input_type):
            status, text = await refusal(call(request, metadata=ADMIN | key))
            if status not in HARMLESS:
                failed.append((method.name, name, status, text))
    assert failed == []
