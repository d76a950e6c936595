"""`kannon doctor`: examines the machine, its servers, its network and the DNS of its domains.

Each module examines one of them and returns findings; command.py prints them as one table.
"""
