# A service with Python's smtplib: ten messages a connection.
# usage: python3 python_smtplib.py PORT COUNT DIRECTORY

import os
import smtplib
import sys
import time
from email.message import EmailMessage
from email.policy import SMTP

port, count, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def compose(n, token):
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = f"<{token}@python.peers.test>"
    message["From"] = "app@peers.test"
    message["To"] = "you@example.com"
    message["Subject"] = f"Übersicht {n}"
    message.set_content(
        f"Grüße aus Python\n.\n..\n.versteckt\n{'läng' * 600}\n{n}\n", cte="8bit"
    )
    size = 1_000_000 if n % 25 == 7 else 9000
    message.add_attachment(os.urandom(size), "application", "octet-stream", filename="Anhang.bin")
    return message.as_bytes()


connection = None
for n in range(count):
    token = f"python-{n:05d}"
    message = compose(n, token)
    with open(os.path.join(directory, token), "wb") as file:
        file.write(message.split(b"\r\n\r\n", 1)[1])
    while True:
        print("try", token, flush=True)
        try:
            if connection is None:
                connection = smtplib.SMTP("127.0.0.1", port, timeout=60)
            connection.sendmail("app@peers.test", ["you@example.com"], message)
            print("ok", token, flush=True)
            break
        except smtplib.SMTPResponseException as e:
            print("no", token, e.smtp_code if e.smtp_code > 0 else "000", e.smtp_error, flush=True)
        except smtplib.SMTPRecipientsRefused as e:
            print("no", token, *list(e.recipients.values())[0], flush=True)
        except (OSError, smtplib.SMTPException) as e:
            print("no", token, "000", " ".join(str(e).split()), flush=True)
        if connection is not None:
            connection.close()
            connection = None
        time.sleep(0.05)
    if n % 10 == 9 and connection is not None:
        try:
            connection.quit()
        except (OSError, smtplib.SMTPException):
            pass
        connection = None
