"""The DNS records of a tenant's domain, and the life cycle of its DKIM keys."""
