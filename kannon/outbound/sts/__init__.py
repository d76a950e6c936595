"""MTA-STS (RFC 8461): the policies of recipients' domains, found, fetched, cached and shared."""
