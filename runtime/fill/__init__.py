"""A new or changed meter counts the events that are there already."""
