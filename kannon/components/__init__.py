"""What runs, in the order mail meets it: api, validator, dispatcher, sender, smtp, bump, stats.

Each is a class with a `name` and `run(stop, task_status)`; each takes exactly the narrow things it needs.
"""
