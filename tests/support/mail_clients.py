"""Mail programs of others as clients of submission: each sends one mail, and tells what the server said.

In: the account and the mail to send. Out: the exit code and everything that the program printed.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.support.interop import find_program
from tests.support.patience import PATIENCE_SECONDS
from tests.support.throwaway import throwaway_python

PROGRAMS = Path(__file__).parents[1] / "interop"
SUBJECT, TEXT, ATTACHMENT = "Grüße", "Grüße\n.a line with a dot\n\nEnd", bytes(range(256)) * 40


@dataclass(frozen=True)
class Account:
    """Where a client sends: STARTTLS by the authority in the file `ca`, then the domain and its API key as login."""

    host: str
    port: int
    ca: str
    user: str
    password: str


@dataclass(frozen=True)
class Outcome:
    code: int
    printed: str


def _run(command: Sequence[str | Path], given: str = "") -> Outcome:
    done = subprocess.run(
        command,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return Outcome(done.returncode, done.stdout)


def _asked(account: Account, sender: str, to: str) -> str:
    mail = {"sender": sender, "to": to, "subject": SUBJECT, "text": TEXT}
    return json.dumps(asdict(account) | mail | {"attachment": base64.b64encode(ATTACHMENT).decode()})


def send_by_swaks(account: Account, sender: str, to: str) -> Outcome:
    server = ["--server", account.host, "--port", str(account.port), "--tls", "--tls-ca-path", account.ca]
    login = ["--tls-verify", "--auth", "PLAIN", "--auth-user", account.user, "--auth-password", account.password]
    mail = [
        "--from",
        sender,
        "--to",
        to,
        "--h-Subject",
        "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        "--add-header",
        "MIME-Version: 1.0",
    ]
    body = ["--add-header", "Content-Type: text/plain; charset=utf-8", "--body", TEXT.replace("\n", "\\n")]
    return _run([find_program("swaks"), *server, *login, *mail, *body])


def send_by_nodemailer(account: Account, sender: str, to: str) -> Outcome:
    there = (PROGRAMS / "node_modules" / "nodemailer").is_dir()
    if not there and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip("Nodemailer is not installed")
    assert there, "Nodemailer is missing; run packaging/install-test-packages"
    return _run([find_program("node"), PROGRAMS / "nodemailer.js"], _asked(account, sender, to))


def send_by_phpmailer(account: Account, sender: str, to: str) -> Outcome:
    return _run([find_program("php"), PROGRAMS / "phpmailer.php"], _asked(account, sender, to))


def send_by_django(account: Account, sender: str, to: str) -> Outcome:
    python = throwaway_python("django==5.2.19")
    return _run([python, PROGRAMS / "django_mail.py"], _asked(account, sender, to))


def send_by_smtplib(account: Account, sender: str, to: str) -> Outcome:
    return _run([sys.executable, PROGRAMS / "smtplib_mail.py"], _asked(account, sender, to))


Send = Callable[[Account, str, str], Outcome]
Sign = Callable[[Path, str, str], tuple[bytes, Callable[[bytes], bytes]]]


def sign_smime(folder: Path, sender: str, to: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A mail that openssl signs, and a function that gives the text of a mail that openssl verifies."""
    openssl, certificate = find_program("openssl"), folder / "signer.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={sender}", "-days", "2"]
    request += ["-addext", f"subjectAltName=email:{sender}", "-keyout", str(certificate)]
    made = subprocess.run([openssl, *request], check=True, capture_output=True)
    with certificate.open("ab") as file:
        file.write(made.stdout)
    fields = ["-from", sender, "-to", to, "-subject", "Signed"]
    signed = subprocess.run(
        [openssl, "smime", "-sign", "-text", "-crlfeol", "-signer", str(certificate), *fields],
        input=b"A text.\r\n.A dot.\r\n",
        check=True,
        capture_output=True,
    ).stdout
    signed = signed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def verify(mail: bytes) -> bytes:
        command = [openssl, "smime", "-verify", "-text", "-CAfile", str(certificate)]
        return subprocess.run(command, input=mail, check=True, capture_output=True).stdout

    return signed, verify


def sign_pgp(folder: Path, sender: str, to: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A mail that gpg signs (RFC 3156 §5), and a function that gives the part of a mail that gpg verifies. `folder` has
    a short path: the socket of gpg-agent is below it."""
    gpg = [find_program("gpg"), "--homedir", str(folder), "--batch", "--quiet"]
    make_key = [*gpg, "--passphrase", "", "--quick-gen-key", sender, "ed25519", "sign"]
    subprocess.run(make_key, check=True, capture_output=True)
    part = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nA text.\r\n.A dot.\r\n"
    signing = subprocess.run([*gpg, "--armor", "--detach-sign"], input=part, check=True, capture_output=True)
    signature = signing.stdout.replace(b"\n", b"\r\n")
    mail = (
        f"From: {sender}\r\nTo: {to}\r\nSubject: Signed\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/signed; micalg="pgp-sha512"; protocol="application/pgp-signature"; boundary="=b"\r\n'
        "\r\n--=b\r\n"
    ).encode()
    mail += part + b"\r\n--=b\r\nContent-Type: application/pgp-signature\r\n\r\n" + signature + b"\r\n--=b--\r\n"

    def verify(mail: bytes) -> bytes:
        _, signed, signing, _ = mail.split(b"--=b")
        signed = signed.removeprefix(b"\r\n").removesuffix(b"\r\n")
        detached = folder / "signature.asc"
        detached.write_bytes(signing.partition(b"\r\n\r\n")[2])
        subprocess.run([*gpg, "--verify", str(detached), "-"], input=signed, check=True, capture_output=True)
        return signed

    return mail, verify


def end_gpg_agent(folder: Path) -> None:
    if program := shutil.which("gpgconf"):
        subprocess.run([program, "--homedir", str(folder), "--kill", "all"], check=True)
