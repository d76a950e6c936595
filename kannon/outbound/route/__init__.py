"""Where mail for a domain goes: routes, MX look-ups, addresses."""
