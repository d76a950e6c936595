"""Certificates of the servers: files that change are used without a restart."""

import shutil
import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kannon.errors import ConfigError
from kannon.server_tls import CertificateFiles, IssuedCertificates, ServerTls
from tests.support.certificates import make_authority


def shake_hands(server: ssl.SSLContext, name: str | None, ca: str) -> bytes:
    """Both ends in memory; returns the server's certificate. Raises ssl.SSLError."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = name is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    done = [False, False]
    while not all(done):
        for number, end in enumerate((client, far)):
            try:
                end.do_handshake()
                done[number] = True
            except ssl.SSLWantReadError:
                pass
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    ca = make_authority(tmp_path)
    live, now = tmp_path / "live.pem", [0.0]
    shutil.copy(ca.issue_file("a.example"), live)
    files = CertificateFiles("smtp", str(live), str(live), clock=lambda: now[0])
    tls = ServerTls(files)
    first = shake_hands(tls.context, "a.example", ca.pem)
    fresh = tmp_path / "fresh.pem"
    shutil.copy(ca.issue_file("a.example"), fresh)
    fresh.rename(live)
    assert shake_hands(tls.context, "a.example", ca.pem) == first, "at most one look a second"
    now[0] += 1
    second = shake_hands(tls.context, "a.example", ca.pem)
    assert second != first
    for broken in (b"", b"half a certif", None):
        if broken is None:
            live.unlink()
        else:
            live.write_bytes(broken)
        now[0] += 1
        with capture_logs() as logs:
            assert shake_hands(tls.context, "a.example", ca.pem) == second
        assert [line["event"] for line in logs] == ["TLS files changed and cannot be used"]
    shutil.copy(ca.issue_file("a.example"), live)
    now[0] += 1
    assert shake_hands(tls.context, "a.example", ca.pem) != second


def test_each_name_has_its_certificate_and_others_are_remembered(tmp_path: Path) -> None:
    ca, notified = make_authority(tmp_path), list[int]()
    issued = IssuedCertificates(lambda: notified.append(1))
    for name in ("a.example", "b.example"):
        pem = ca.issue_file(name).read_text()
        key, mark, chain = pem.partition("-----BEGIN CERTIFICATE-----")
        issued.put(name, mark + chain, key)
    alone, with_default = ServerTls(None, issued), ServerTls(None, issued, "a.example")
    assert shake_hands(alone.context, "a.example", ca.pem) != shake_hands(alone.context, "B.example", ca.pem)
    assert (alone.ready, with_default.ready) == (False, True)
    with pytest.raises(ssl.SSLError):
        shake_hands(alone.context, "c.example", ca.pem)
    with pytest.raises(ssl.SSLError):
        shake_hands(alone.context, None, ca.pem)
    assert shake_hands(with_default.context, None, ca.pem)
    assert issued.missing == {"c.example"}
    assert notified == [1]
    for number in range(5000):
        issued.find(f"{number}.example")
    assert len(issued.missing) == 1000
    with pytest.raises(ValueError, match=r"c\.example: "):
        issued.put("c.example", "no", "no")


@pytest.mark.parametrize("content", [None, "no PEM"])
def test_files_that_cannot_be_used_name_their_keys(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"bump\.tls_cert, bump\.tls_key: "):
        CertificateFiles("bump", str(file), str(file))
