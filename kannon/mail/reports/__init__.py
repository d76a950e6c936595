"""Reports of others about mail in a tenant's name: DMARC aggregate reports (RFC 7489 §7.2), TLS reports (RFC 8460)."""
