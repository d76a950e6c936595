"""Independent DKIM verifiers: OpenDKIM (C) and Mail::DKIM (Perl), as Debian packages them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.interop import find_program
from tests.support.patience import PATIENCE_SECONDS

_PERL = Path(__file__).with_name("verify_dkim.pl")


def mail_dkim(body: bytes, records: Mapping[str, str]) -> list[str]:
    """One `<algorithm> <result>` per signature."""
    arguments = [f"{name}={record}" for name, record in records.items()]
    done = subprocess.run(
        [find_program("perl"), _PERL, *arguments], input=body, capture_output=True, timeout=PATIENCE_SECONDS, check=True
    )
    return done.stdout.decode().splitlines()


def opendkim(bodies: list[bytes], records: Mapping[str, str], directory: Path) -> list[bool]:
    """Which of the messages it accepts."""
    keys, config = directory / "keys", directory / "opendkim.conf"
    keys.write_text("".join(f"{name} {record}\n" for name, record in records.items()))
    config.write_text(f"Mode v\nSyslog no\nTestPublicKeys {keys}\n")
    files = []
    for number, body in enumerate(bodies):
        files.append(directory / f"{number}.eml")
        files[-1].write_bytes(body)
    command = [find_program("opendkim"), "-x", str(config), "-v", "-t", ",".join(map(str, files))]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    said = (done.stdout + done.stderr).decode().splitlines()
    return [any(f"{file}: verification" in line and line.endswith("succeeded") for line in said) for file in files]
