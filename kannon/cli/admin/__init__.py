"""Commands that call a running server's API."""
