"""Runs before the program in the single executable: finds the certificate authorities of the machine it came to.

The TLS library inside looks where the machine that built it keeps them; distributions differ.
"""

import os

PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older ones of these
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)

if "SSL_CERT_FILE" not in os.environ:
    found = next((place for place in PLACES if os.path.exists(place)), None)  # noqa: PTH110 - before anything is imported
    if found is not None:
        os.environ["SSL_CERT_FILE"] = found
