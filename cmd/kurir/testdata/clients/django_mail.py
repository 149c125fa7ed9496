# A Django site. usage: python3 django_mail.py HOST PORT RECIPIENT

import sys

from django.conf import settings
from django.core.mail import EmailMessage

host, port, to = sys.argv[1:]

settings.configure(EMAIL_HOST=host, EMAIL_PORT=int(port))
with open("text", encoding="utf-8") as file:
    message = EmailMessage("Grüße & Küsse – Nº 5", file.read(), "Müller & Söhne <app@example.com>", [to])
message.attach_file("octets.bin")
message.send()
