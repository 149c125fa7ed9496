# A service with Python's standard library. usage: python3 python_smtplib.py HOST PORT RECIPIENT

import smtplib
import sys
from email.message import EmailMessage

host, port, to = sys.argv[1:]

message = EmailMessage()
message["From"] = "Müller & Söhne <app@example.com>"
message["To"] = to
message["Subject"] = "Grüße & Küsse – Nº 5"
with open("text", encoding="utf-8") as file:
    message.set_content(file.read())
with open("octets.bin", "rb") as file:
    message.add_attachment(file.read(), "application", "octet-stream", filename="octets.bin")
with smtplib.SMTP(host, int(port)) as server:
    server.send_message(message)
