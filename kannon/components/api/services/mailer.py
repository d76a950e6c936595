"""pkg.kannon.mailer.apiv1.Mailer: sends, for tenants.

In: protobuf requests whose API key is valid. Out: SendRes. Only converts; kannon.accept.service does the work.
"""

from kannon.accept.service import AcceptService
from kannon.components.api.authenticator import TenantCaller
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq
from kannon.wire.sends import SendMessage, to_send_request, to_send_res


class MailerMethods:
    def __init__(self, service: AcceptService) -> None:
        self._service = service

    async def SendHTML(self, caller: TenantCaller, request: SendHTMLReq) -> SendRes:
        return await self._send(caller, request)

    async def SendTemplate(self, caller: TenantCaller, request: SendTemplateReq) -> SendRes:
        return await self._send(caller, request)

    async def _send(self, caller: TenantCaller, request: SendMessage) -> SendRes:
        result = await self._service.accept(caller.tenant, to_send_request(request, caller.idempotency_key))
        return to_send_res(result)
