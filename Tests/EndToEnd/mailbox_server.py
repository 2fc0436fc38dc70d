"""A real SMTP server that keeps what it gets."""

import email
import email.policy
import re
import threading
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from installation import free_ports


class Mail:
    """One mail as it arrived."""

    def __init__(self, envelope, arrived):
        self.arrived = arrived
        self.sender = envelope.mail_from
        self.recipients = list(envelope.rcpt_tos)
        self.bytes = envelope.content
        self.message = email.message_from_bytes(envelope.content, policy=email.policy.default)

    @property
    def subject(self):
        return self.message["Subject"]

    @property
    def id(self):
        """What is between the angle brackets of Message-ID, before the at sign."""
        return self.message["Message-ID"].strip("<>").split("@")[0]

    def part(self, kind):
        return self.message.get_body(preferencelist=(kind,)).get_content()

    @property
    def links(self):
        """Where the links of the HTML part lead."""
        return re.findall(r'<a\b[^>]*\bhref="([^"]+)"', self.part("html"))

    @property
    def images(self):
        return re.findall(r'<img\b[^>]*\bsrc="([^"]+)"', self.part("html"))

    @property
    def unsubscribe_url(self):
        return self.message["List-Unsubscribe"].strip("<>")


class Mailbox:
    """The server, and what came. It may be told to refuse, and to ask for a password."""

    def __init__(self, password=None):
        self.mails = []
        self.refuse = None
        self.refused = 0
        self.logins = 0
        self._password = password
        self._lock = threading.Lock()
        self._controller = Controller(
            self, hostname="127.0.0.1", port=free_ports(1), ready_timeout=30, data_size_limit=1 << 25,
            enable_SMTPUTF8=True, authenticator=self._log_in, auth_required=password is not None,
            auth_require_tls=False)

    def _log_in(self, server, session, envelope, mechanism, login):
        self.logins += 1
        return AuthResult(success=login.password == (self._password or "").encode())

    async def handle_DATA(self, server, session, envelope):
        if self.refuse:
            self.refused += 1
            return self.refuse
        mail = Mail(envelope, time.time())
        with self._lock:
            self.mails.append(mail)
        return "250 OK"

    def start(self):
        self._controller.start()
        return self

    def stop(self):
        self._controller.stop()

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self._controller.port}"

    def to(self, address):
        """The mails to an address, in the order in which they came."""
        with self._lock:
            return [mail for mail in self.mails if address in mail.recipients]

