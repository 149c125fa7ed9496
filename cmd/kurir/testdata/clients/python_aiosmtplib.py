# An asyncio service with aiosmtplib. usage: python3 python_aiosmtplib.py HOST PORT RECIPIENT

import asyncio
import sys
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import aiosmtplib

host, port, to = sys.argv[1:]

message = MIMEMultipart()
message["From"] = "Müller & Söhne <app@example.com>"
message["To"] = to
message["Subject"] = "Grüße & Küsse – Nº 5"
with open("text", encoding="utf-8") as file:
    message.attach(MIMEText(file.read(), "plain", "utf-8"))
with open("octets.bin", "rb") as file:
    part = MIMEApplication(file.read())
part.add_header("Content-Disposition", "attachment", filename="octets.bin")
message.attach(part)
asyncio.run(aiosmtplib.send(message, sender="app@example.com", hostname=host, port=int(port)))
