"""DMARC aggregate reports as twenty providers write them, and mails that carry them.

The forms differ as the real ones do: namespaces, versions, optional elements, their order, letters, white space,
encodings, several signatures; zip, gzip or plain, as an attachment or as the whole mail.
"""

import gzip
import io
import zipfile
from base64 import encodebytes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from kannon.mail.tls_report import Reporter, ResultType, TlsCount, TlsResult, make_report
from kannon.mail.tls_report_mail import make_report_mail

DOMAIN: Final = "example.com"
BEGIN: Final = 1764028800  # 2025-11-25 00:00 UTC
END: Final = BEGIN + 86399
NOW: Final = datetime.fromtimestamp(END + 7200, UTC)

Row = tuple[str, int, str, str, str]
"""Source, count, disposition, dkim, spf."""
ROWS: Final[Sequence[Row]] = (
    ("192.0.2.1", 982, "none", "pass", "pass"),
    ("198.51.100.7", 12, "none", "fail", "fail"),
    ("2001:db8::25", 6, "quarantine", "fail", "pass"),
)


def _auth(row: Row) -> str:
    _, _, _, dkim, spf = row
    return (
        f"<dkim><domain>{DOMAIN}</domain><selector>kannon</selector><result>{dkim}</result></dkim>"
        f"<spf><domain>{DOMAIN}</domain><result>{spf}</result></spf>"
    )


def _record(row: Row, *, auth: str | None = None, extra: str = "", identifiers: str = "") -> str:
    source, count, disposition, dkim, spf = row
    return (
        f"<record><row><source_ip>{source}</source_ip><count>{count}</count><policy_evaluated>"
        f"<disposition>{disposition}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf>{extra}</policy_evaluated></row>"
        f"<identifiers>{identifiers}<header_from>{DOMAIN}</header_from></identifiers>"
        f"<auth_results>{_auth(row) if auth is None else auth}</auth_results></record>"
    )


def _document(
    org: str,
    *,
    head: str = '<?xml version="1.0" encoding="UTF-8" ?>',
    root: str = "<feedback>",
    version: str = "",
    metadata: str = "",
    policy: str = "<adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct>",
    begin: str = str(BEGIN),
    end: str = str(END),
    records: str = "",
) -> str:
    return (
        f"{head}\n{root}{version}<report_metadata><org_name>{org}</org_name><email>noreply@{org.lower()}</email>{metadata}"
        f"<report_id>{org}.1</report_id><date_range><begin>{begin}</begin><end>{end}</end></date_range></report_metadata>"
        f"<policy_published><domain>{DOMAIN}</domain>{policy}</policy_published>"
        f"{records or ''.join(map(_record, ROWS))}</feedback>"
    )


def _indented(text: str) -> str:
    return text.replace("><", ">\n  <")


_XSD = '<feedback xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
_TWO_SIGNATURES = (
    f"<dkim><domain>{DOMAIN}</domain><selector>kannon</selector><result>pass</result></dkim>"
    "<dkim><domain>esp.example</domain><selector>s1</selector><result>pass</result><human_result>ok</human_result></dkim>"
    f"<spf><domain>{DOMAIN}</domain><scope>mfrom</scope><result>pass</result></spf>"
)
_REASON = "<reason><type>mailing_list</type><comment>seen at lists.example</comment></reason>"


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def mail_of(data: bytes, kind: str, name: str, *, alone: bool = False) -> bytes:
    """A whole mail; `alone`: without a text beside the report."""
    head = (
        f"From: noreply@receiver.example\r\nTo: dmarc@{DOMAIN}\r\nSubject: Report Domain: {DOMAIN}\r\n"
        "MIME-Version: 1.0\r\n"
    )
    part = (
        f'Content-Type: {kind}; name="{name}"\r\nContent-Disposition: attachment; filename="{name}"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + encodebytes(data).replace(b"\n", b"\r\n")
    if alone:
        return head.encode() + part
    return (
        head.encode()
        + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
        + b"This is an aggregate report.\r\n--b\r\n" + part + b"\r\n--b--\r\n"
    )  # fmt: skip


@dataclass(frozen=True)
class ProviderReport:
    name: str
    xml: bytes
    pack: Callable[[str, bytes], bytes]

    @property
    def mail(self) -> bytes:
        return self.pack(f"{self.name}!{DOMAIN}!{BEGIN}!{END}", self.xml)


def _zip_alone(name: str, xml: bytes) -> bytes:
    return mail_of(zipped(f"{name}.xml", xml), "application/zip", f"{name}.zip", alone=True)


def _zip(name: str, xml: bytes) -> bytes:
    return mail_of(zipped(f"{name}.xml", xml), "application/x-zip-compressed", f"{name}.zip")


def _gz(name: str, xml: bytes) -> bytes:
    return mail_of(gzip.compress(xml), "application/gzip", f"{name}.xml.gz")


def _gz_octets(name: str, xml: bytes) -> bytes:
    return mail_of(gzip.compress(xml), "application/octet-stream", f"{name}.xml.gz")


def _plain(name: str, xml: bytes) -> bytes:
    return mail_of(xml, "text/xml", f"{name}.xml")


def _report(name: str, text: str, pack: Callable[[str, bytes], bytes], encoding: str = "utf-8") -> ProviderReport:
    return ProviderReport(name, text.encode(encoding), pack)


_ENVELOPE = f"<envelope_to>outlook.com</envelope_to><envelope_from>{DOMAIN}</envelope_from>"
_HELP = "<extra_contact_info>https://support.example/a/answer/2466580</extra_contact_info>"
_VERSION = "<version>1.0</version>"
_ALL_TAGS = "<adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct><fo>0</fo>"
_DMARCBIS = "<p>none</p><sp>none</sp><np>reject</np><testing>n</testing><discovery_method>treewalk</discovery_method>"


def _records(auth: Callable[[Row], str] = _auth, **fields: str) -> str:
    return "".join(_record(row, auth=auth(row), **fields) for row in ROWS)


def _without_selector(row: Row) -> str:
    return _auth(row).replace("<selector>kannon</selector>", "<selector/>")


def _with_scope(row: Row) -> str:
    return _auth(row).replace("<result>", "<scope>mfrom</scope><result>")


def _only_where_it_passed(row: Row) -> str:
    return "" if row[3] == row[4] == "fail" else _auth(row)


def _two_signatures(row: Row) -> str:
    return _TWO_SIGNATURES if row == ROWS[0] else _auth(row)


def _google() -> str:
    return _indented(_document("google.com", metadata=_HELP))


def _outlook() -> str:
    records = _records(identifiers=_ENVELOPE)
    head = '<?xml version="1.0"?>'
    return _document("Outlook.com", head=head, root=_XSD, version=_VERSION, records=records, policy=_ALL_TAGS)


def _linkedin() -> str:
    return _document("LinkedIn", root='<feedback xmlns="http://dmarc.org/dmarc-xml/0.1">', version=_VERSION)


def _netease() -> str:
    return _document("NetEase").replace("<count>", "<count> ").replace("</count>", " </count>")


def _opendmarc() -> str:
    """With a byte order mark and a comment."""
    text = _document("OpenDMARC", head='<?xml version="1.0"?>')
    return "\ufeff" + text.replace("<feedback>", "<!-- by opendmarc-reports -->\n<feedback>")


def _rspamd() -> str:
    text = _document("Rspamd", head='<?xml version="1.0" encoding="ISO-8859-1"?>')
    return _indented(text.replace("Rspamd<", "Rspäm<"))


def _dmarcbis() -> str:
    root = '<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">'
    generator = "<generator>reporter 2.1</generator>"
    return _document("dmarcbis.example", root=root, version=_VERSION, metadata=generator, policy=_DMARCBIS)


PROVIDERS: Final = [
    _report("google.com", _google(), _zip_alone),
    _report("Yahoo", _indented(_document("Yahoo", head='<?xml version="1.0"?>')), _gz),
    _report("Outlook.com", _outlook(), _gz),
    _report("EnterpriseOutlook", _document("Enterprise Outlook", root=_XSD, version=_VERSION), _gz_octets),
    _report("FastMail", _indented(_document("FastmailPtyLtd", version=_VERSION)), _gz),
    _report("Mail.Ru", _document("Mail.Ru", head='<?xml version="1.0" encoding="utf-8"?>', metadata=_HELP), _gz),
    _report("AOL", _document("AOL", policy="<adkim>r</adkim><aspf>r</aspf><p>reject</p><pct>100</pct>"), _zip),
    _report("comcast.net", _document("comcast.net", version=_VERSION, metadata="<error></error>"), _gz),
    _report("linkedin.com", _linkedin(), _zip),
    _report("GMX", _indented(_document("GMX", policy="<p>none</p>")), _zip),
    _report("amazonses.com", _document("AMAZON-SES").replace("><", ">\n\t<"), _gz),
    _report("mimecast.org", _document("Mimecast", records=_records(_without_selector)), _gz),
    _report("zoho.com", _document("zoho.com", records=_records(extra=_REASON)), _zip),
    _report("cisco.com", _document("Cisco", records=_records(_two_signatures)), _gz),
    _report("163.com", _netease(), _zip),
    _report("qq.com", _document("QQ", records=_records(_with_scope)), _gz),
    _report("seznam.cz", _document("Seznam.cz", records=_records(_only_where_it_passed)), _plain),
    _report("opendmarc", _opendmarc(), _plain),
    _report("rspamd", _rspamd(), _gz, "iso-8859-1"),
    _report("dmarcbis", _dmarcbis(), _gz),
]


def _yesterday() -> int:
    now = datetime.now(UTC)
    return int(datetime(now.year, now.month, now.day, tzinfo=UTC).timestamp()) - 86400


def recent_mail(provider: ProviderReport, domain: str) -> bytes:
    """The report as if it were of yesterday, about this domain: the inbound server reads the clock."""
    begin = _yesterday()
    xml = provider.xml.replace(str(BEGIN).encode(), str(begin).encode()).replace(
        str(END).encode(), str(begin + 86399).encode()
    )
    return replace(provider, xml=xml.replace(DOMAIN.encode(), domain.encode())).mail


def recent_tls_mail(domain: str) -> bytes:
    day = datetime.fromtimestamp(_yesterday(), UTC).date()
    failed = TlsResult(failure=ResultType.EXPIRED, host=f"mx.{domain}")
    counts = [TlsCount(day, domain, TlsResult(), 100), TlsCount(day, domain, failed, 3)]
    reporter = Reporter("Sender", "tls@sender.example")
    compressed = gzip.compress(make_report(day, domain, counts, reporter))
    return make_report_mail(day, domain, compressed, reporter, f"tlsrpt@{domain}").message
