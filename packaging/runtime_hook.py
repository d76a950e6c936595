"""Runs first in the single executable: sets SSL_CERT_FILE to this machine's certificate authorities.

The built-in TLS library looks at the path of the build machine; distributions differ.
"""

import os

CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older Fedora and RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)

if "SSL_CERT_FILE" not in os.environ:
    found = next((path for path in CA_BUNDLES if os.path.exists(path)), None)  # noqa: PTH110 - pathlib is not imported yet
    if found is not None:
        os.environ["SSL_CERT_FILE"] = found
