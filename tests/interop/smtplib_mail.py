"""Sends one mail with Python's smtplib. In: JSON on standard input. Fails with smtplib's error if it is refused."""

import base64
import json
import smtplib
import ssl
import sys
from email.message import EmailMessage

asked = json.load(sys.stdin)
mail = EmailMessage()
mail["From"], mail["To"], mail["Subject"] = asked["sender"], asked["to"], asked["subject"]
mail.set_content(asked["text"])
mail.add_attachment(
    base64.b64decode(asked["attachment"]), maintype="application", subtype="octet-stream", filename="bytes.bin"
)
with smtplib.SMTP(asked["host"], asked["port"]) as client:
    client.starttls(context=ssl.create_default_context(cafile=asked["ca"]))
    client.login(asked["user"], asked["password"])
    client.send_message(mail)
