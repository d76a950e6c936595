"""Commands on this machine's server: serve, check, migrate, backup, restore."""
