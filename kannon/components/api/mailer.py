"""pkg.kannon.mailer.apiv1.Mailer: sends, for tenants.

In: requests whose API key was accepted. Out: SendRes. All of the work is kannon.components.api.intake's.
"""

from kannon.components.api.credentials import Sending
from kannon.components.api.intake import Intake
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq, SendRes, SendTemplateReq


class MailerMethods:
    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def SendHTML(self, caller: Sending, request: SendHTMLReq) -> SendRes:
        return await self._intake.submit(caller.tenant, request, caller.idempotency_key)

    async def SendTemplate(self, caller: Sending, request: SendTemplateReq) -> SendRes:
        return await self._intake.submit(caller.tenant, request, caller.idempotency_key)
