"""One destination (an MX site): its connections, its limits and its waiting mail."""
