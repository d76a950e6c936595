"""Commands that install Kannon as a systemd service, and remove it."""
