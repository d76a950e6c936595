"""Sends one mail with Django's mail backend. In: JSON on standard input. Fails with Django's error if it is refused."""

import base64
import json
import os
import sys

from django.conf import settings  # type: ignore[import-not-found]
from django.core.mail import EmailMessage  # type: ignore[import-not-found]

asked = json.load(sys.stdin)
os.environ["SSL_CERT_FILE"] = asked["ca"]  # Django has no setting for the authority
settings.configure(
    EMAIL_HOST=asked["host"],
    EMAIL_PORT=asked["port"],
    EMAIL_USE_TLS=True,
    EMAIL_HOST_USER=asked["user"],
    EMAIL_HOST_PASSWORD=asked["password"],
)
mail = EmailMessage(asked["subject"], asked["text"], asked["sender"], [asked["to"]])
mail.attach("bytes.bin", base64.b64decode(asked["attachment"]), "application/octet-stream")
print(mail.send())
