"""What a tenant's domain publishes in the DNS, and the life of its DKIM keys."""
