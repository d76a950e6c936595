"""A signed DNS tree on loopback, served by real daemons: NSD has the zones, unbound validates them.

In: the records of `dane.test` (signed, with a DS in its parent), `plain.test` (a delegation that is proven to be
unsigned) and `forged.test` (its DS is of another key). `Forged` names an RRset whose data is changed after it was
signed. Out: the address of the validating resolver, port 53, which sets the AD bit.
"""

import os
import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rdata
import dns.rdatatype
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from kannon.outbound.route.dnspython_private import accept_any_tlsa
from tests.support.interop import find_program
from tests.support.patience import PATIENCE_SECONDS
from tests.support.smtp_peer import free_port

HEAD = "@ 300 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 300\n@ 300 IN NS ns.test.\n"
DAY = 86400

_NSD = """
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  zonesdir: "{folder}"
  database: ""
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
  pidfile: "{folder}/nsd.pid"
  server-count: 1
remote-control:
  control-enable: no
"""
_UNBOUND = """
server:
  interface: {address}
  port: 53
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  do-daemonize: no
  use-syslog: no
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  local-zone: "test." nodefault
  module-config: "validator iterator"
  target-fetch-policy: "0 0 0 0 0"
  val-bogus-ttl: 1
  trust-anchor: "{anchor}"
remote-control:
  control-enable: no
"""


@dataclass(frozen=True)
class Forged:
    name: str
    kind: str


@contextmanager
def signed_dns(
    dane: Sequence[str], plain: Sequence[str], forged: Sequence[str], forge: Sequence[Forged]
) -> Iterator[str]:
    """Records as lines of a zone file, names relative to their zone."""
    if os.geteuid() != 0 and os.environ.get("KANNON_SKIP_INTEROP") == "1":
        pytest.skip("the resolver listens on port 53, which needs root")
    with tempfile.TemporaryDirectory(prefix="dns-") as path:
        folder = Path(path)
        accept_any_tlsa()
        port = free_port()
        key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        delegations = "".join(f"{child} 300 IN NS ns.test.\n" for child in ("dane", "plain", "forged"))
        delegations += _ds("dane", key) + _ds("forged", other) + "ns 300 IN A 127.0.0.1\n"
        _write(folder, "test.", delegations, key)
        _write(folder, "dane.test.", "\n".join(dane) + "\n", key, forge)
        _write(folder, "forged.test.", "\n".join(forged) + "\n", key)
        _write(folder, "plain.test.", "\n".join(plain) + "\n", None)
        zones = ("test.", "dane.test.", "plain.test.", "forged.test.")
        nsd = _NSD.format(port=port, folder=folder)
        nsd += "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{zone}zone"\n' for zone in zones)
        (folder / "nsd.conf").write_text(nsd)
        address = f"127.53.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        anchor = f"test. DS {dns.dnssec.make_ds('test.', _dnskey(key), 'SHA256')}"
        unbound = _UNBOUND.format(address=address, folder=folder, anchor=anchor)
        unbound += "".join(f'stub-zone:\n  name: "{zone}"\n  stub-addr: 127.0.0.1@{port}\n' for zone in zones)
        (folder / "unbound.conf").write_text(unbound)
        commands = [
            [find_program("nsd"), "-d", "-c", f"{folder}/nsd.conf"],
            [find_program("unbound"), "-d", "-c", f"{folder}/unbound.conf"],
        ]
        with (folder / "output").open("wb") as output:
            daemons = [subprocess.Popen(c, stdout=output, stderr=output, start_new_session=True) for c in commands]
            try:
                _wait(address, folder)
                yield address
            finally:
                for daemon in daemons:
                    os.killpg(daemon.pid, signal.SIGTERM)
                for daemon in daemons:
                    daemon.wait()


def _dnskey(key: ec.EllipticCurvePrivateKey) -> DNSKEY:
    return dns.dnssec.make_dnskey(key.public_key(), dns.dnssec.ECDSAP256SHA256, flags=257)


def _ds(child: str, key: ec.EllipticCurvePrivateKey) -> str:
    return f"{child} 300 IN DS {dns.dnssec.make_ds(f'{child}.test.', _dnskey(key), 'SHA256')}\n"


def _write(
    folder: Path, origin: str, records: str, key: ec.EllipticCurvePrivateKey | None, forge: Sequence[Forged] = ()
) -> None:
    zone = dns.zone.from_text(HEAD + records, origin=origin, relativize=False)
    if key is not None:
        with zone.writer() as transaction:
            dns.dnssec.sign_zone(zone, transaction, keys=[(key, _dnskey(key))], lifetime=DAY, add_dnskey=True)
    for each in forge:
        name = dns.name.from_text(each.name, dns.name.from_text(origin))
        rdataset = zone.find_rdataset(name, each.kind)
        text = {"TLSA": "3 1 1 " + "00" * 32, "A": "127.9.9.9", "MX": "1 other.dane.test."}[each.kind]
        rdata = dns.rdata.from_text("IN", each.kind, text)
        for signed in list(rdataset):
            rdataset.discard(signed)  # type: ignore[no-untyped-call]  # dnspython's sets have no types
        rdataset.add(rdata)
    zone.to_file(str(folder / f"{origin}zone"), relativize=False)


def _wait(address: str, folder: Path) -> None:
    """Until the resolver validates."""
    query = dns.message.make_query("dane.test.", "SOA", want_dnssec=True)
    for _ in range(int(PATIENCE_SECONDS * 5)):
        try:
            if dns.query.udp(query, address, timeout=0.2).answer:
                return
        except (OSError, dns.exception.Timeout):
            continue
    raise AssertionError((folder / "output").read_text())
