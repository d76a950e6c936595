"""pkg.kannon.mailer.apiv1.Mailer: sends, for tenants.

In: requests whose API key was accepted. Out: SendRes. All of the work is kannon.accept.service's.
"""

from kannon.accept.service import AcceptService
from kannon.components.api.authenticator import TenantCaller
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq


class MailerMethods:
    def __init__(self, intake: AcceptService) -> None:
        self._intake = intake

    async def SendHTML(self, caller: TenantCaller, request: SendHTMLReq) -> SendRes:
        return await self._intake.submit(caller.tenant, request, caller.idempotency_key)

    async def SendTemplate(self, caller: TenantCaller, request: SendTemplateReq) -> SendRes:
        return await self._intake.submit(caller.tenant, request, caller.idempotency_key)
