"""The ClickHouse engine behind ClickHouse's own HTTP interface, in a process of its own.

chDB locks its folder to one process; through this front every component, and any ClickHouse client, shares it.
"""
