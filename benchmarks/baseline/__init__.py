"""What a weekend's tutorial builds: one message an event, JSON twice, a Faust table, a row an insert.

It works, and it is written as such programs are; here to be compared with, on the same machine and engines.
"""
